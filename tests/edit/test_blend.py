"""The way of an edit from the crop back to the photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from exprgan.edit.blend import Edit, apply_edit
from exprgan.face_parts import CROP_PX, WINDOW
from exprgan.models.mouth_interior import CROP_PX_PER_CM, UPPER_EDGE_CM
from exprgan.models.unified import EditMaps


def arrays_of(maps: EditMaps) -> dict[str, np.ndarray]:
    return {name: part.numpy() for name, part in maps._asdict().items() if part is not None}


GREY = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], 3, axis=1)
MATRIX = np.array([[0.6, 0.05, -40.0], [-0.05, 0.6, -25.0]])


def make_edit(shift_px: tuple[float, float] = (0, 0), shade: float = 0.0, mask: float = 0.0) -> Edit:
    """An edit that is the same all over the window."""
    top, left, height, width = WINDOW
    inside = torch.zeros(1, 1, CROP_PX, CROP_PX)
    inside[..., top : top + height, left : left + width] = 1
    flow = inside * torch.tensor(shift_px, dtype=torch.float32)[None, :, None, None]
    paint = torch.ones(1, 3, CROP_PX, CROP_PX) * 0.5
    return Edit.from_maps(
        arrays_of(EditMaps(flow, inside * shade * torch.ones(1, 3, 1, 1), paint, inside * mask))
    )


@pytest.fixture(params=[np.uint8, np.uint16])
def photo(request: pytest.FixtureRequest) -> np.ndarray:
    """Smooth noise, so that a small shift can be told."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((480, 520, 3)).astype(np.float32), (0, 0), 4)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (noise * np.iinfo(request.param).max).astype(request.param)


def reach_in_photo(edit: Edit, matrix: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """Weight of the edit at every pixel of the photo."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(edit.weight, matrix, (size_hw[1], size_hw[0]), flags=flags)


def test_pixels_without_weight_keep_their_value(photo: np.ndarray) -> None:
    edit = make_edit((3, -2), shade=0.2, mask=0.5)
    result = apply_edit(photo, edit, MATRIX)
    weight = reach_in_photo(edit, MATRIX, photo.shape[:2])
    assert result.dtype == photo.dtype
    np.testing.assert_array_equal(result[weight == 0], photo[weight == 0])
    assert (result[weight > 0.99] != photo[weight > 0.99]).mean() > 0.9


def test_weight_is_zero_at_the_border_of_the_crop() -> None:
    edit = make_edit((3, -2), shade=0.2, mask=0.5)
    border = np.ones((CROP_PX, CROP_PX), bool)
    top, left, height, width = WINDOW
    border[top + 1 : top + height - 1, left + 1 : left + width - 1] = False
    assert edit.weight[border].max() == 0
    assert edit.weight[160, 128] == pytest.approx(1)


def test_empty_edit_changes_nothing(photo: np.ndarray) -> None:
    result = apply_edit(photo, make_edit(), MATRIX)
    np.testing.assert_array_equal(result, photo)
    assert result is not photo


def test_shift_in_the_crop_is_the_same_shift_in_the_photo(photo: np.ndarray) -> None:
    shift = np.array([4.0, -3.0])
    result = apply_edit(photo, make_edit((4.0, -3.0)), MATRIX)
    in_photo = np.linalg.inv(MATRIX[:, :2]) @ shift
    y, x = 260, 290  # under the middle of the window
    moved = cv2.getRectSubPix(photo.astype(np.float32), (9, 9), (x + in_photo[0], y + in_photo[1]))
    got = result[y - 4 : y + 5, x - 4 : x + 5].astype(np.float32)
    assert np.abs(got - moved).max() < 0.01 * np.iinfo(photo.dtype).max


def test_shade_multiplies_the_photos_values(photo: np.ndarray) -> None:
    result = apply_edit(photo, make_edit(shade=-0.5), MATRIX)
    ratio = result[250:270, 280:300].astype(float).sum() / photo[250:270, 280:300].sum()
    assert ratio == pytest.approx(np.exp(-0.5), rel=0.01)


def test_full_mask_shows_the_paint(photo: np.ndarray) -> None:
    result = apply_edit(photo, make_edit(mask=1.0), MATRIX)
    paint = 0.75 * np.iinfo(photo.dtype).max  # 0.5 in [-1, 1]
    np.testing.assert_allclose(result[250:270, 280:300], paint, rtol=0.01)


@pytest.mark.parametrize("offset", [(-400.0, -400.0), (250.0, 100.0), (5000.0, 0.0)])
def test_faces_beyond_the_photo_are_cut_off(photo: np.ndarray, offset: tuple[float, float]) -> None:
    matrix = MATRIX.copy()
    matrix[:, 2] += offset
    edit = make_edit((3, 3))
    result = apply_edit(photo, edit, matrix)
    weight = reach_in_photo(edit, matrix, photo.shape[:2])
    np.testing.assert_array_equal(result[weight == 0], photo[weight == 0])


@pytest.mark.parametrize("scale", [0.08, 6.0])
def test_large_and_small_faces_are_edited_in_their_place(scale: float) -> None:
    size = int(CROP_PX / scale) + 20
    photo = np.full((size, size, 3), 100, np.uint8)
    matrix = np.array([[scale, 0, -10 * scale], [0, scale, -10 * scale]])
    result = apply_edit(photo, make_edit(shade=0.4), matrix)
    top, left, height, width = WINDOW
    middle = (np.array([top + height / 2, left + width / 2]) / scale + 10).astype(int)
    assert result[middle[0], middle[1], 0] == round(100 * np.exp(0.4))
    assert (result[: int(top / scale) + 8] == 100).all()


def residual_edit(value: float, face: np.ndarray | None = None) -> Edit:
    """An edit that adds the same red all over the crop, in the range [-1, 1] of the networks."""
    nothing = torch.zeros(1, 3, CROP_PX, CROP_PX)
    red = nothing.clone()
    red[:, 0] = value
    maps = EditMaps(nothing[:, :2], nothing, nothing, nothing[:, :1], residual=red)
    return Edit.from_maps(arrays_of(maps), face=face)


def test_residual_is_added_inside_the_window_and_nothing_else_changes(photo: np.ndarray) -> None:
    edit = residual_edit(0.2)
    photo = photo // 2
    result = apply_edit(photo, edit, MATRIX)
    weight = reach_in_photo(edit, MATRIX, photo.shape[:2])
    np.testing.assert_array_equal(result[weight == 0], photo[weight == 0])
    added = result[250:270, 280:300].astype(float) - photo[250:270, 280:300]
    np.testing.assert_allclose(added[..., 0], 0.1 * np.iinfo(photo.dtype).max, atol=1)
    assert (added[..., 1:] == 0).all()


def test_residual_stays_on_the_face_and_fades_towards_its_border(photo: np.ndarray) -> None:
    x = np.arange(CROP_PX, dtype=np.float32)
    face = np.broadcast_to(np.clip((160 - x) / 20, 0, 1), (CROP_PX, CROP_PX))
    edit = residual_edit(0.2, face)
    assert edit.weight[160, 120] == pytest.approx(1)
    assert edit.weight[:, 168:].max() == 0  # the fade reaches a few px further than the face
    result = apply_edit(photo // 2, edit, np.eye(2, 3))
    added = result[160, :CROP_PX, 0].astype(float) - photo[160, :CROP_PX, 0] // 2
    assert np.abs(np.diff(added[60:])).max() < 0.012 * np.iinfo(photo.dtype).max


def test_residual_of_an_edit_in_grey_has_no_colour() -> None:
    photo = np.full((256, 256, 3), 120, np.uint8)
    result = apply_edit(photo, residual_edit(0.3).in_tone(GREY), np.eye(2, 3))
    assert np.ptp(result, axis=2).max() == 0
    assert result[160, 128, 0] == 120 + round(0.3 / 2 / 3 * 255)


def test_residual_too_small_to_be_seen_changes_nothing(photo: np.ndarray) -> None:
    np.testing.assert_array_equal(apply_edit(photo, residual_edit(0.015), MATRIX), photo)


def test_interior_is_shown_in_the_photos_tone() -> None:
    sepia = GREY * (1.0, 0.9, 0.7)
    result = apply_edit(
        np.full((256, 256, 3), 120, np.uint8), interior_edit(180).in_tone(sepia), np.eye(2, 3)
    )
    inside = result[176:184, 110:146].astype(float)
    np.testing.assert_allclose(inside[..., 1:], inside[..., :1] * (0.9, 0.7), atol=1.5)
    assert np.ptp(inside[..., 0]) > 60


def interior_edit(px: float) -> Edit:
    """An edit that shows the chart at 9.25 px a cm, its upper teeth's edge at row `px`, where the mask is."""
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    place = torch.stack([(x - 127.5) / CROP_PX_PER_CM, UPPER_EDGE_CM + (y - px) / CROP_PX_PER_CM])
    interior = torch.cat([place, torch.zeros(3, 256, 256)])[None]
    mask = ((x - 127.5).abs() < 24) & ((y - px).abs() < 8)
    nothing = torch.zeros(1, 3, 256, 256)
    return Edit.from_maps(
        arrays_of(EditMaps(nothing[:, :2], nothing, nothing, mask[None, None].float(), interior))
    )


def test_interior_is_drawn_at_the_photos_resolution() -> None:
    """Enlarged six times, the gaps between teeth stay lines of the photo's pixels, not of the crop's."""
    photo = np.full((256 * 6, 256 * 6, 3), 120, np.uint8)
    edit = interior_edit(180)
    matrix = np.array([[1 / 6, 0, -2.5 / 6], [0, 1 / 6, -2.5 / 6]])
    result = apply_edit(photo, edit, matrix)
    row = result[6 * 174, 6 * 110 : 6 * 146].astype(float).mean(axis=1)
    steps = np.abs(np.diff(row))
    assert row.max() > 190
    assert steps.max() > 8  # a crop's picture, enlarged, would change by a sixth of that a pixel
    smooth = cv2.resize(result[::6, ::6], None, fx=6, fy=6, interpolation=cv2.INTER_LINEAR)
    assert np.abs(np.diff(smooth[6 * 174, 6 * 110 : 6 * 146].astype(float).mean(axis=1))).max() < steps.max()


def test_interior_of_an_edit_in_grey_has_no_colour() -> None:
    photo = np.full((256, 256, 3), 120, np.uint8)
    result = apply_edit(photo, interior_edit(180).in_tone(GREY), np.eye(2, 3))
    assert np.ptp(result, axis=2).max() == 0
    assert np.ptp(result) > 60
