"""How one person's teeth differ from the drawn set that all who are like them share.

No two neighbours stand quite as they are drawn: each is a little longer, further out or darker than the next. What is
drawn from is the form of the face: a photo gives the same teeth at every strength and on every machine, a copy of it
nearly the same. Two photos of a person need not, as far as forms are found today.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CENTRES_CM = np.array([-3.35, -2.6, -1.9, -1.18, -0.43, 0.43, 1.18, 1.9, 2.6, 3.35])
"""Of the upper teeth, along the arch."""
LONGER_CM, ASIDE_CM, LIGHTER, LOWER_CM = 0.055, 0.04, 0.04, 0.09
"""Standard deviations: of a tooth's edge and place, of the log of its light, of how far all stand below the lips (of
which photographs show .17)."""
FORM = (
    (234, 454),
    (127, 356),
    (1, 152),
    (168, 1),
    (61, 291),
    (33, 263),
    (1, 13),
    (13, 152),
    (172, 397),
    (98, 327),
)
"""Pairs of mesh points whose distances make the form."""
TURNS = 40.0
"""Radians of a sine for each e-fold of a distance, in which people differ by a fortieth."""

SEED = 1909


class Uneven(NamedTuple):
    """Deviations (10,) of the teeth at `CENTRES_CM`, in cm and in logs of light; lower_cm is of all of them."""

    longer_cm: NDArray[np.float64]
    aside_cm: NDArray[np.float64]
    log_light: NDArray[np.float64]
    lower_cm: float

    def moved(self, along: NDArray[np.float64], down: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Where on a drawn chart, cm, the place (along, down) of this person's chart is found."""
        return (
            along - np.interp(along, CENTRES_CM, self.aside_cm),
            down - np.interp(along, CENTRES_CM, self.longer_cm),
        )

    def light(self, along: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log of the factor on the light at places along the arch."""
        return np.interp(along, CENTRES_CM, self.log_light)


def uneven_of(neutral_cm: NDArray[np.float64]) -> Uneven:
    """The deviations of a face whose shape (468, 3) without its expression is known."""
    points = neutral_cm[np.array(FORM)]
    form = np.log(np.linalg.norm(points[:, 0] - points[:, 1], axis=1))
    form -= form.mean()
    drawn = np.random.default_rng(SEED).standard_normal((3 * len(CENTRES_CM) + 1, len(form) + 1))
    values = np.sqrt(2) * np.sin(TURNS * (drawn[:, 1:] @ form) + np.pi * drawn[:, 0])
    longer, aside, light = values[:-1].reshape(3, -1) * ((LONGER_CM,), (ASIDE_CM,), (LIGHTER,))
    return Uneven(longer, aside, light, LOWER_CM * float(values[-1]))
