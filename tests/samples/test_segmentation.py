from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError
from exprgan.face_parts import CLASS_NAMES, CROP_PX
from exprgan.samples.augment import occlude, photometric, procedural_background, shade
from exprgan.samples.segmentation import (
    FLIP_TABLE,
    IGNORE,
    OUTLINES,
    PARTIAL_LABELS,
    SegmentationSamples,
    aligned_photo,
    class_sets,
    draw_partial_labels,
    jitter_matrix,
)


@pytest.fixture(scope="module")
def renders(data_dir: Path) -> SyntheticFaces:
    return SyntheticFaces(data_dir / "synthetic-faces")


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> OpenFaces:
    return OpenFaces(data_dir / "open-faces")


@pytest.fixture
def image() -> np.ndarray:
    return procedural_background(np.random.default_rng(11), CROP_PX)


def test_flip_table_swaps_left_and_right_and_nothing_else() -> None:
    assert (FLIP_TABLE[FLIP_TABLE] == np.arange(256)).all()
    swapped = {CLASS_NAMES[i]: CLASS_NAMES[FLIP_TABLE[i]] for i in range(19) if FLIP_TABLE[i] != i}
    assert swapped == {
        "l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear",
        "r_eye": "l_eye", "r_brow": "l_brow", "r_ear": "l_ear",
    }  # fmt: skip


def test_partial_labels_never_allow_an_edited_feature() -> None:
    for members in PARTIAL_LABELS.values():
        assert not set(members) & set(OUTLINES)
    assert class_sets().shape == (len(PARTIAL_LABELS), len(CLASS_NAMES))


def test_jitter_stays_within_its_bounds() -> None:
    for number in range(50):
        matrix = jitter_matrix(np.random.default_rng(number), 0.8)
        scale = np.hypot(matrix[0, 0], matrix[1, 0]) / 0.8
        assert np.exp(-0.12) - 1e-9 <= scale <= np.exp(0.12) + 1e-9
        assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) <= 10
        moved = matrix[:, :2] @ (159.5, 159.5) + matrix[:, 2]  # the centre of a 320-px crop
        assert np.abs(moved - 127.5).max() <= 0.1 * CROP_PX + 1e-9


@pytest.mark.parametrize("change", [photometric, shade])
def test_augmentations_keep_size_and_type_and_repeat_with_their_seed(change, image: np.ndarray) -> None:
    for number in range(12):
        first = change(image, np.random.default_rng(number))
        assert first.shape == image.shape
        assert first.dtype == np.uint8
        assert (first == change(image, np.random.default_rng(number))).all()


def test_occlusion_changes_only_what_it_covers(image: np.ndarray) -> None:
    changed, covered = occlude(image, np.random.default_rng(2))
    assert covered.any()
    assert not covered.all()
    assert (changed[~covered] == image[~covered]).all()


def test_absent_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"set\.csv"):
        SyntheticFaces(tmp_path)
    with pytest.raises(UsageError, match=r"faces\.csv"):
        OpenFaces(tmp_path)


def test_samples_depend_on_seed_and_number_only(renders: SyntheticFaces, photos: OpenFaces) -> None:
    samples = SegmentationSamples(renders, photos)
    for number in (0, 7, 8):
        first, second = samples.sample(1, number), samples.sample(1, number)
        assert all((a == b).all() for a, b in zip(first, second, strict=True))
        assert (first[0] != samples.sample(2, number)[0]).any()


def test_labels_of_samples_are_known_numbers(renders: SyntheticFaces, photos: OpenFaces) -> None:
    samples = SegmentationSamples(renders, photos)
    known = {*range(19), *PARTIAL_LABELS, IGNORE}
    for number in range(20):
        image, labels = samples.sample(0, number)
        assert image.shape == (CROP_PX, CROP_PX, 3)
        assert image.dtype == np.uint8
        assert labels.shape == (CROP_PX, CROP_PX)
        assert set(np.unique(labels).tolist()) <= known


def test_left_is_the_subjects_left_in_both_sets(renders: SyntheticFaces, photos: OpenFaces) -> None:
    _, photo_labels = aligned_photo(photos, 0)
    for labels in (renders.mask(0), photo_labels):
        for part in ("eye", "brow"):
            columns = {s: np.nonzero(labels == CLASS_NAMES.index(f"{s}_{part}"))[1].mean() for s in "lr"}
            assert columns["r"] < columns["l"], part


def test_features_of_photos_lie_where_those_of_renders_lie(
    renders: SyntheticFaces, photos: OpenFaces
) -> None:
    """Both sets share the aligned frame and the meaning of the classes: mean centres agree within 8 px."""
    centres: dict[str, list[list[np.ndarray]]] = {name: [[], []] for name in OUTLINES if name != "mouth"}
    test_rows, val_rows = renders.indices("test"), photos.indices("val")
    for index in range(40):
        pair = (renders.mask(test_rows[index * 4]), aligned_photo(photos, val_rows[index * 5])[1])
        for name, columns in centres.items():
            for column, labels in zip(columns, pair, strict=True):
                rows = np.argwhere(labels == CLASS_NAMES.index(name))
                if len(rows):
                    column.append(rows.mean(axis=0))
    for name, (render_centres, photo_centres) in centres.items():
        distance = np.abs(np.mean(render_centres, axis=0) - np.mean(photo_centres, axis=0))
        assert distance.max() < 8, (name, distance)


def test_partial_labels_move_with_the_landmarks(photos: OpenFaces) -> None:
    landmarks_xy = photos.landmarks_px(0, 320)[:, :2] * 0.8
    labels = draw_partial_labels(landmarks_xy)
    moved = draw_partial_labels(landmarks_xy + (7, -3))
    assert (labels[20:200, 20:200] == moved[17:197, 27:207]).all()
    assert (labels == CLASS_NAMES.index("nose")).sum() > 200
    assert labels[0, 0] == 19


def test_replaced_background_leaves_the_head_alone(renders: SyntheticFaces) -> None:
    image, labels = renders.image(0), renders.mask(0)
    samples = SegmentationSamples(renders)
    changed = samples._replace_background(image, labels, np.random.default_rng(0))
    inside = cv2.erode((labels > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert np.abs(changed[inside].astype(int) - image[inside]).max() <= 1
    assert (changed[labels == 0] != image[labels == 0]).any(axis=-1).mean() > 0.5
