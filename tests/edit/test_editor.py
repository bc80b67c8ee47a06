"""The editor's own work, with made-up parts; tests/weights/test_bundled.py edits with the real ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from exprgan.edit.editor import Editor
from exprgan.edit.regions import label_map
from exprgan.edit.scene import as_photo
from exprgan.errors import ExprganError, NoFaceFound, UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.faces.align import FFHQ_TEMPLATE_512, crop_matrix
from exprgan.faces.face import Face
from exprgan.models.unified import EditMaps

LEFT, RIGHT = (40.0, 30.0), (210.0, 60.0)


def made_face(corner_xy: tuple[float, float], crop_px: float = 150.0, yaw: float = 0.0) -> Face:
    """A face whose aligned crop is the square at `corner_xy` with side `crop_px`."""
    points = (FFHQ_TEMPLATE_512 * (crop_px / 512) + corner_xy).astype(np.float32)
    box = np.array([*points.min(0), *points.max(0)], np.float32)
    return Face(box, 0.9, points, np.zeros((478, 2), np.float32), (0.0, yaw, 0.0))


class MadeDetector:
    """Finds the faces it was given."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        assert image.dtype == np.uint8
        return self.faces


class MadeSegmenter(torch.nn.Module):
    """Calls the middle of the crop nose and the rest background."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(x), 19, *x.shape[2:])
        logits[:, 0] = 5
        logits[:, 2, 100:156, 100:156] = 10
        return logits


class MadeGenerator(torch.nn.Module):
    """Moves, shades and paints the middle of the crop; what it does depends on the expression."""

    def forward(
        self, image: torch.Tensor, regions: torch.Tensor, expression: torch.Tensor, strength: torch.Tensor
    ) -> EditMaps:
        y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
        bump = torch.exp(-((x - 127.5) ** 2 + (y - 127.5) ** 2) / (2 * 25**2))[None, None]
        bump = bump * (bump > 0.02) * strength[:, None, None, None]
        direction = expression.float()[:, None, None, None] - 3.5
        flow = torch.cat([bump * 8, bump * direction], dim=1)
        red = torch.tensor([0.8, -0.5, -0.5])[None, :, None, None].expand_as(image)
        return EditMaps(flow, 0.3 * bump * (1 + 0.2 * red), red, 0.5 * bump)


def made_editor(*faces: Face, generator: torch.nn.Module | None = None) -> Editor:
    return Editor(
        detector=MadeDetector(*faces),
        segmenter=MadeSegmenter(),
        generator=generator or MadeGenerator(),
        weights="made 0",
    )


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    """Smooth noise, uint8 RGB (240, 400, 3)."""
    noise = np.random.default_rng(1).integers(0, 256, (60, 100, 3)).astype(np.uint8)
    return cv2.resize(noise, (400, 240), interpolation=cv2.INTER_CUBIC)


def changed(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
    return np.any(before != after, axis=2)


def test_strength_0_returns_the_inputs_pixels(image: NDArray[np.uint8]) -> None:
    for expression in EXPRESSIONS:
        result = made_editor(made_face(LEFT)).edit(image, expression, strength=0)
        np.testing.assert_array_equal(result.image, image)
        assert not np.shares_memory(result.image, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_only_the_faces_crop_changes(image: NDArray[np.uint8], dtype: type) -> None:
    source: NDArray[Any] = image.astype(dtype) * (257 if dtype is np.uint16 else 1)
    before = source.copy()
    result = made_editor(made_face(LEFT)).edit(source, "happy")
    assert result.image.dtype == source.dtype
    np.testing.assert_array_equal(source, before)  # the caller's array is not touched
    where = changed(source, result.image)
    rows, columns = np.nonzero(where)
    assert 500 < where.sum() < 150 * 150 / 2
    assert columns.min() > 40
    assert columns.max() < 190
    assert rows.min() > 30
    assert rows.max() < 180


def test_16_bits_get_the_same_edit_as_8(image: NDArray[np.uint8]) -> None:
    editor = made_editor(made_face(LEFT))
    shallow = editor.edit(image, "sad").image.astype(np.int32)
    deep = editor.edit(image.astype(np.uint16) * 257, "sad").image
    assert np.abs(deep / 257 - shallow).max() <= 1.01
    assert len(np.unique(deep % 257)) > 100  # the edit itself has more than 8 bits


def test_a_photo_without_colour_gets_none(image: NDArray[np.uint8]) -> None:
    grey = np.repeat(image[..., :1], 3, axis=2)
    result = made_editor(made_face(LEFT)).edit(grey, "happy").image
    assert changed(grey, result).any()
    assert not np.ptp(result, axis=2).any()
    assert np.ptp(made_editor(made_face(LEFT)).edit(image, "happy").image, axis=2).any()


def test_path_bytes_picture_and_array_are_the_same_photo(image: NDArray[np.uint8], tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    (tmp_path / "photo.png").write_bytes(buffer.getvalue())
    editor = made_editor(made_face(LEFT))
    expected = editor.edit(image, "fear").image
    for source in (
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        buffer.getvalue(),
        Image.open(buffer),
    ):
        np.testing.assert_array_equal(editor.edit(source, "fear").image, expected)


def test_a_turned_picture_is_edited_upright(image: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(np.ascontiguousarray(np.rot90(image)))
    picture.getexif()[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    np.testing.assert_array_equal(as_photo(picture).pixels, image)


def test_saved_png_keeps_the_pixels_and_the_alpha(image: NDArray[np.uint8], tmp_path: Path) -> None:
    alpha = np.arange(240 * 400, dtype=np.uint32).reshape(240, 400).astype(np.uint8)
    Image.fromarray(np.dstack([image, alpha])).save(tmp_path / "photo.png")
    result = made_editor(made_face(LEFT)).edit(tmp_path / "photo.png", "disgust")
    result.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as saved:
        assert saved.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(saved)[..., :3], result.image)
        np.testing.assert_array_equal(np.asarray(saved)[..., 3], alpha)
    assert result.to_pil().size == (400, 240)


def test_face_choice_decides_what_is_edited(image: NDArray[np.uint8]) -> None:
    editor = made_editor(made_face(LEFT, 150), made_face(RIGHT, 140))
    largest = changed(image, editor.edit(image, "happy", face="largest").image)
    second = changed(image, editor.edit(image, "happy", face=1).image)
    both = changed(image, editor.edit(image, "happy", face="all").image)
    assert not (largest & second).any()
    np.testing.assert_array_equal(both, largest | second)
    outcomes = editor.edit(image, "happy", face="1").faces
    assert [outcome.edited for outcome in outcomes] == [False, True]
    with pytest.raises(UsageError, match="numbered 0 to 1"):
        editor.edit(image, "happy", face=2)


def test_profiles_are_refused_with_the_reason(image: NDArray[np.uint8]) -> None:
    profile, frontal = made_face(LEFT, 160, yaw=65), made_face(RIGHT, 140)
    outcomes = made_editor(profile, frontal).edit(image, "happy", face="all").faces
    assert [outcome.edited for outcome in outcomes] == [False, True]
    assert "65°" in outcomes[0].reason
    for choice in ("largest", 0):
        with pytest.raises(NoFaceFound, match=r"face 0 is in profile.*65°"):
            made_editor(profile).edit(image, "happy", face=choice)


def test_a_photo_without_a_face_is_an_error_of_its_own(image: NDArray[np.uint8]) -> None:
    with pytest.raises(NoFaceFound, match="No face was found"):
        made_editor().edit(image, "happy")


@pytest.mark.parametrize("corner", [(-60.0, -40.0), (320.0, 160.0), (-60.0, 160.0)])
def test_a_face_across_the_border_is_edited(image: NDArray[np.uint8], corner: tuple[float, float]) -> None:
    result = made_editor(made_face(corner)).edit(image, "happy")
    assert result.image.shape == image.shape
    assert changed(image, result.image).any()


def test_several_edits_of_a_prepared_photo_are_those_of_single_ones(image: NDArray[np.uint8]) -> None:
    editor = made_editor(made_face(LEFT))
    scene = editor.prepare(image)
    for expression in ("happy", "sad"):
        np.testing.assert_array_equal(
            editor.edit(scene, expression, 0.5).image, editor.edit(image, expression, 0.5).image
        )
    assert changed(editor.edit(scene, "happy").image, editor.edit(scene, "sad").image).any()


def test_threads_share_an_editor(image: NDArray[np.uint8]) -> None:
    editor = made_editor(made_face(LEFT))
    expected = [editor.edit(image, name).image for name in EXPRESSIONS]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda name: editor.edit(image, name).image, EXPRESSIONS))
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), float("inf")])
def test_impossible_strengths_are_refused(image: NDArray[np.uint8], strength: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        made_editor(made_face(LEFT)).edit(image, "happy", strength)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_rgb_image_are_refused(array: NDArray[Any]) -> None:
    with pytest.raises(UsageError, match="RGB"):
        as_photo(array)


def test_an_edit_that_is_no_number_is_never_pasted(image: NDArray[np.uint8]) -> None:
    class Broken(MadeGenerator):
        def forward(self, *arguments: torch.Tensor) -> EditMaps:
            maps = super().forward(*arguments)
            return maps._replace(shade=maps.shade / 0)

    with pytest.raises(ExprganError, match="no number"):
        made_editor(made_face(LEFT), generator=Broken()).edit(image, "happy")


def test_label_map_puts_regions_where_they_are_in_the_photo(image: NDArray[np.uint8]) -> None:
    face = made_face(LEFT, 150)
    labels = label_map(image, [face], MadeSegmenter())
    rows, columns = np.nonzero(labels == 2)
    inverse = np.linalg.inv(np.vstack([crop_matrix(face.points5_xy), [0, 0, 1]]))
    low, high = inverse @ (99.5, 99.5, 1), inverse @ (155.5, 155.5, 1)
    assert set(np.unique(labels)) == {0, 2}
    np.testing.assert_allclose([columns.min(), rows.min()], low[:2], atol=1)
    np.testing.assert_allclose([columns.max(), rows.max()], high[:2], atol=1)
