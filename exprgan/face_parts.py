"""The parts of a face, as masks and label maps name them, and the crop that all networks see it in."""

from __future__ import annotations

from collections.abc import Iterable

CROP_PX = 256
"""Side of the aligned crop that the networks of an edit work on."""

WINDOW = (64, 32, 192, 192)
"""Top, left, height and width of the part of a crop that an edit may touch: forehead to below the chin."""

CLASS_NAMES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""CelebAMask-HQ's classes in its official order; l_ and r_ are the subject's left and right, eye_g are glasses."""

FACE_CLASSES = ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")
"""What moves with a face; glasses stand on it."""

REGION_CLASSES: dict[str, tuple[str, ...]] = {
    "eyes": ("l_eye", "r_eye", "l_brow", "r_brow"),
    "nose": ("nose",),
    "mouth": ("mouth", "u_lip", "l_lip"),
}
"""Regions that local networks edit, disjoint sets of classes; brows belong with the eyes."""

REGIONS = tuple(REGION_CLASSES)
"""Order of the channels of soft region masks."""


def class_ids(names: Iterable[str]) -> list[int]:
    """Numbers of classes in a label map.

    >>> class_ids(FACE_CLASSES)
    [1, 2, 3, 4, 5, 6, 7, 10, 11, 12]
    """
    return [CLASS_NAMES.index(name) for name in names]


DENTITIONS = ("even", "broad", "oval", "gapped", "crowded", "worn", "young")
"""The sets of teeth that are drawn (`exprgan.models.mouth_interior`); the first is the one that all networks know."""
