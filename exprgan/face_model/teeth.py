"""Whose teeth an opened mouth shows, and of what colour they are in the photo's light.

Measured on photographs of open-faces whose teeth are seen: how light they are goes with the whites of the eyes, the
face's middle lightness and its highlights, their tint with the whites of the eyes and the cheeks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.skin import roughness
from exprgan.face_model.uneven import Uneven, uneven_of
from exprgan.face_parts import DENTITIONS
from exprgan.faces import mesh
from exprgan.models import mouth_interior

CHART_RGB = np.array([202.5, 189.5, 172.5])
"""Median colour of the front teeth of the first chart under the shadow of the lips, in real smiles."""
WHITES = {"L": (0.139, 0.273, 0.358, 22.6), "a": (0.125, 0.239, 1.1), "b": (0.583, 0.226, 2.8)}
NO_WHITES = {"L": (0.396, 0.355, 23.9), "a": (0.260, 1.4), "b": (0.417, 1.7)}
"""Factors and constant for CIELAB of the front teeth: L of the whites, of the face's median and of its lightest
fiftieth; a and b of the whites and the cheeks. Fitted to open-faces train, the second where no whites are seen."""
LIMITS = ((35, 92), (-1, 8), (0, 15))
"""Of L, a and b: beyond, eyes and skin mislead more often than teeth are so coloured."""
REDDEST_WHITES = 14.0
"""In a of CIELAB; beyond, it is lids that are seen."""
MOST_YELLOWER = 5.0
"""In b of CIELAB, than the cheeks; beyond, it is glasses or a background that is seen."""
CHILD_IRIS, IRIS_PER_HEIGHT, USUAL_HEIGHT, CHILD_LEAST = 6.35, 3.0, 3.4, 6.95
"""Irises hardly grow with a face, so a child's are large for it: their radius in units of the pose, and what each
height below the eyes takes from it (heights of nose, mouth and chin, summed, in distances of the eyes)."""
CHILD_ROUGHNESS = 0.035
"""Of the cheeks, which is too much for a child."""
FORMS = (1.235, 1.297)
"""Width of the face to the chin's height below the eyes; each a third of the faces of open-faces train is beyond."""
LEAST_WHITES_PX = 12
IRIS_REACH = 1.1
"""Radius, in irises, that is not white of the eye."""


@dataclass(frozen=True)
class Teeth:
    """A set of teeth: one of `exprgan.face_parts.DENTITIONS`, and what was seen of someone's own, if any.

    uneven is how a person's differ from the set's; their own are as they were seen.
    """

    name: str = DENTITIONS[0]
    own: mouth_interior.Chart | None = None
    uneven: Uneven | None = field(default=None, compare=False)

    @property
    def chart(self) -> mouth_interior.Chart:
        """What is shown."""
        return self.own or mouth_interior.drawn(self.name)


def suiting(image: NDArray[np.uint8], analysis: FaceAnalysis) -> Teeth:
    """Drawn teeth that suit a face in a crop of 256 px: a child's, or by the form of the face.

    That front teeth repeat the form of the face is what dentists go by for want of better (J. L. Williams, 1914); it
    is of little worth as a prediction, but gives people different teeth, and the same person the same.
    """
    shape = analysis.neutral_cm
    right, left = (shape[list(corners)].mean(axis=0) for corners in ((33, 133), (362, 263)))
    eyes = float(np.linalg.norm(right - left))
    level = (right[1] + left[1]) / 2
    down = level - shape[[2, 13, mesh.CHIN], 1]
    if (
        _is_child(analysis, float(down.sum()) / eyes)
        and roughness(image, analysis.landmarks_px) < CHILD_ROUGHNESS
    ):
        return Teeth("young", uneven=uneven_of(shape))
    form = float(np.linalg.norm(shape[234] - shape[454])) / down[2]
    narrow, wide = FORMS
    name = "broad" if form > wide else "oval" if form < narrow else "even"
    return Teeth(name, uneven=uneven_of(shape))


def _is_child(analysis: FaceAnalysis, height: float) -> bool:
    points = analysis.landmarks_px
    radii = [
        np.linalg.norm(points[first + 1 : first + 5, :2] - points[first, :2], axis=1).mean()
        for first in (mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE)
    ]
    iris = float(max(radii)) / analysis.pose.unit_px
    return iris > CHILD_IRIS and iris - IRIS_PER_HEIGHT * (height - USUAL_HEIGHT) > CHILD_LEAST


def log_light(image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural log (3,) of the factors on the chart's colours in the light of a photo, sRGB (height, width, 3)."""
    return np.log(colour_of(image, landmarks_px) / CHART_RGB)


def colour_of(image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB (3,) in [0, 255] that the front teeth of a face are likely to have; grey 176 where no skin is seen."""
    face = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(face, [np.rint(landmarks_px[list(mesh.FACE_OVAL), :2]).astype(np.int32)], 1)
    cheeks = image[raster.cheek_mask(image.shape, landmarks_px)]
    if not face.any() or not len(cheeks):
        return np.full(3, CHART_RGB[1])
    middle, lightest = np.percentile(_lab(image[face > 0])[:, 0], (50, 98))
    cheek = np.median(_lab(cheeks), axis=0)
    white = whites_of(image, landmarks_px)
    if white is not None and white[2] > cheek[2] + MOST_YELLOWER:
        white = None
    seen = {"L": [middle, lightest, 1], "a": [cheek[1], 1], "b": [cheek[2], 1]}
    if white is not None:
        seen = {name: [value, *seen[name]] for name, value in zip(seen, white, strict=True)}
    factors = NO_WHITES if white is None else WHITES
    lab = [float(np.dot(values, factors[name])) for name, values in seen.items()]
    within = np.clip(lab, *np.transpose(LIMITS))
    rgb = cv2.cvtColor(within[None, None].astype(np.float32), cv2.COLOR_LAB2RGB)[0, 0]
    return np.maximum(255 * rgb.astype(np.float64), 1)


def whites_of(image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """CIELAB (3,) of the whites of the eyes, None where they are hardly seen."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for outline in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        cv2.fillPoly(mask, [np.rint(landmarks_px[list(outline), :2]).astype(np.int32)], 1)
    mask = cv2.erode(mask, np.ones((3, 3)))
    for first in (mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE):
        centre, rim = landmarks_px[first, :2], landmarks_px[first + 1 : first + 5, :2]
        radius = IRIS_REACH * float(np.linalg.norm(rim - centre, axis=1).mean())
        cv2.circle(mask, tuple(np.rint(centre).astype(int).tolist()), round(radius), 0, -1)
    seen = image[mask > 0]
    if len(seen) < LEAST_WHITES_PX:
        return None
    lab = _lab(seen)
    white = np.median(lab[lab[:, 0] >= np.percentile(lab[:, 0], 70)], axis=0)
    return white if white[1] < REDDEST_WHITES else None


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB (n, 3) of sRGB (n, 3)."""
    picture = (rgb[None] / 255).astype(np.float32)
    return cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[0].astype(np.float64)
