"""Radboud Faces Database: `Rafd090_28_Caucasian_male_angry_frontal.jpg`.

The name says the camera's angle (090 is frontal, 000 and 180 are profiles), who (1 to 73), the group, the sex,
the expression and the gaze (https://rafd.socsci.ru.nl). One folder of pictures, or folders of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from exprgan.data.readers import Problem, Record, key_of, pictures_below, relative_name
from exprgan.errors import UsageError
from exprgan.expressions import expression_index

PATTERN = re.compile(
    r"Rafd(?P<angle>\d{3})_(?P<model>\d{2})_[A-Za-z]+_(?:fe)?male_(?P<expression>[A-Za-z]+)_[A-Za-z]+", re.I
)
PROFILES = ("000", "180")


def read(folder: Path) -> Iterator[Record | Problem]:
    """The pictures of a RaFD folder; the split is left to the subjects."""
    for path in pictures_below(folder):
        name = relative_name(path, folder)
        parts = PATTERN.fullmatch(path.stem)
        if parts is None:
            yield Problem(name, "the name is none of RaFD's")
            continue
        if parts["angle"] in PROFILES:
            yield Problem(name, "a profile, which shows half a face")
            continue
        try:
            expression = expression_index(parts["expression"])
        except UsageError:
            yield Problem(name, f"{parts['expression']} is no expression of RaFD's")
            continue
        yield Record(key_of(name), path, expression, subject=parts["model"])
