"""Whose teeth an edit shows where a mouth opens: the person's own where a photo shows them, drawn ones elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exprgan.errors import UsageError
from exprgan.face_parts import CROP_PX, DENTITIONS
from exprgan.faces.align import warp_crop
from exprgan.faces.face import Face

if TYPE_CHECKING:
    from exprgan.face_model.fit import FaceAnalysis
    from exprgan.face_model.model import FaceModel
    from exprgan.face_model.teeth import Teeth

CHOICES = ("auto", *DENTITIONS)
FINEST = 4
"""Teeth are taken from a crop of at most so many times 256 px."""


def check_teeth(choice: str | Teeth) -> None:
    """Raise for a set of teeth that is not known.

    Raises:
        UsageError: It is none of `CHOICES`.
    """
    if isinstance(choice, str) and choice not in CHOICES:
        raise UsageError(f"There are no teeth called {choice!r}; choose one of {', '.join(CHOICES)}.")


def teeth_for(
    seen: NDArray[np.uint8],
    face: Face,
    matrix: NDArray[np.float64],
    face_model: FaceModel,
    choice: str | Teeth,
    analysed: tuple[NDArray[np.uint8], FaceAnalysis],
) -> Teeth:
    """The teeth of a face in a photo, sRGB (H, W, 3), whose crop `matrix` cuts out.

    Args:
        seen, face, matrix: The photo, the face, and the similarity (2, 3) from one to the other's crop of 256 px.
        face_model: Fits the face.
        choice: Teeth, or one of `CHOICES`; auto takes the face's own where they are seen, else drawn ones that suit it.
        analysed: The crop, sRGB, and its fit.
    """
    from exprgan.face_model.teeth import Teeth, suiting

    if not isinstance(choice, str):
        return choice
    if choice != "auto":
        return Teeth(choice)
    drawn = suiting(*analysed)
    return own_teeth_of(seen, face, matrix, face_model, drawn) or drawn


def own_teeth_of(
    seen: NDArray[np.uint8],
    face: Face,
    matrix: NDArray[np.float64],
    face_model: FaceModel,
    drawn: Teeth,
    *,
    for_other_light: bool = False,
) -> Teeth | None:
    """The face's own teeth with drawn ones where the photo does not show them, None if it hardly shows any.

    for_other_light: they are to be seen in another photo.
    """
    from exprgan.face_model.own_teeth import is_open, own_teeth

    if not is_open(face.landmarks_xy):
        return None
    zoom = float(np.clip(1 / np.hypot(matrix[0, 0], matrix[1, 0]), 1, FINEST))
    size = round(CROP_PX * zoom)
    analysis = face_model.analyse_face(face, matrix * zoom, (size, size))
    crop = warp_crop(seen, matrix * zoom, size)
    return own_teeth(crop, analysis, drawn, for_other_light=for_other_light)
