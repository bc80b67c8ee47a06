"""A JPEG is saved as it was compressed, and differs from a plain re-save only where it was edited."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from exprgan.photos import image_io
from tests.photos.made_files import edited, saved, scene


@pytest.mark.parametrize("quality", [60, 85, 97])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_is_saved_with_the_sources_tables_and_subsampling(quality: int, subsampling: int) -> None:
    data = saved(
        Image.fromarray(scene()), "JPEG", quality=quality, subsampling=subsampling, progressive=quality == 85
    )
    photo = image_io.read(data)
    out_data = image_io.encode(photo, edited(photo))
    with JpegImageFile(BytesIO(data)) as source, JpegImageFile(BytesIO(out_data)) as out:
        assert out.quantization == source.quantization  # type: ignore[attr-defined]
        assert out.layer == source.layer  # type: ignore[attr-defined]
        assert bool(out.info.get("progressive")) == bool(source.info.get("progressive"))


@pytest.mark.parametrize(
    ("subsampling", "rows", "columns"), [(0, slice(8, 24), slice(8, 32)), (2, slice(0, 34), slice(0, 34))]
)
def test_jpeg_differs_from_a_plain_resave_only_in_blocks_the_edit_touches(
    subsampling: int, rows: slice, columns: slice
) -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", quality=88, subsampling=subsampling))
    plain = image_io.read(image_io.encode(photo, photo.pixels)).pixels
    changed = image_io.read(image_io.encode(photo, edited(photo))).pixels
    touched = np.zeros((48, 64), bool)
    # 8-px blocks that meet rows 10..19, columns 12..29; with 4:2:0 16-px blocks, and decoders smooth colour
    touched[rows, columns] = True
    assert np.array_equal(plain[~touched], changed[~touched])
    assert not np.array_equal(plain[touched], changed[touched])


CLIP = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(range(256)) * 20
SAMSUNG = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data"


@pytest.mark.parametrize("before", [b"", SAMSUNG])
def test_the_clip_of_a_motion_photo_stays_behind_the_picture(before: bytes) -> None:
    data = saved(Image.fromarray(scene()), "JPEG", quality=90) + before + CLIP
    photo = image_io.read(data)
    assert any("clip (motion photo) is not edited" in note for note in photo.notes)
    out = image_io.encode(photo, edited(photo))
    assert out.endswith(b"\xff\xd9" + before + CLIP)
    assert image_io.read(out).clip == before + CLIP
    assert CLIP not in image_io.encode(photo, edited(photo), strip_metadata=True)
    assert CLIP not in image_io.encode(photo, edited(photo), "PNG")


@pytest.mark.parametrize("tail", [b"", b"\0" * 4000, b"\0\0\0\x18free" + b"\0" * 200])
def test_what_is_no_clip_is_not_kept(tail: bytes) -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", quality=90) + tail)
    assert photo.clip == b""
    assert image_io.encode(photo, photo.pixels).endswith(b"\xff\xd9")


def test_grey_jpeg_stays_grey() -> None:
    photo = image_io.read(saved(Image.fromarray(scene()).convert("L"), "JPEG", quality=90))
    with Image.open(BytesIO(image_io.encode(photo, edited(photo)))) as out:
        assert out.mode == "L"


def test_first_picture_of_a_multi_picture_jpeg_is_edited_with_a_note() -> None:
    file = BytesIO()
    Image.fromarray(scene()).save(file, "MPO", save_all=True, append_images=[Image.fromarray(scene())])
    photo = image_io.read(file.getvalue())
    assert photo.format == "JPEG"
    assert any("gain map" in note for note in photo.notes)
    with Image.open(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert out.format == "JPEG"


@pytest.mark.parametrize("quality", [75, 95])
def test_rgb_jpeg_is_saved_as_rgb(quality: int) -> None:
    data = saved(Image.fromarray(scene()), "JPEG", quality=quality, keep_rgb=True)
    photo = image_io.read(data)
    with (
        JpegImageFile(BytesIO(data)) as source,
        JpegImageFile(BytesIO(image_io.encode(photo, photo.pixels))) as out,
    ):
        assert out.layer == source.layer and out.quantization == source.quantization  # type: ignore[attr-defined]
        assert np.abs(np.asarray(out).astype(int) - photo.pixels).max() <= 1


@pytest.mark.parametrize("factor", [0x121111, 0x411111], ids=["4:4:0", "4:1:1"])
def test_subsampling_that_cannot_be_written_becomes_full_colour(factor: int) -> None:
    image_bgr = scene()[..., ::-1]
    ok, data = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor])
    photo = image_io.read(data.tobytes())
    with JpegImageFile(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert ok and [layer[1:3] for layer in out.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 2}, {"progressive": True}], ids=str)
def test_second_save_of_an_untouched_jpeg_changes_next_to_nothing(
    mode: str, options: dict[str, object]
) -> None:
    data = saved(Image.fromarray(scene()).convert(mode), "JPEG", quality=85, **options)
    photo = image_io.read(data)
    with (
        Image.open(BytesIO(data)) as source,
        Image.open(BytesIO(image_io.encode(photo, photo.pixels))) as out,
    ):
        kept = BytesIO()
        source.save(kept, "JPEG", quality="keep")
        with Image.open(kept) as expected:
            assert out.mode == mode and np.array_equal(np.asarray(out), np.asarray(expected))


def test_finest_table_is_taken_where_channels_have_their_own() -> None:
    """Adobe's YCCK has the coarse table on two of four channels; all four must not get it."""
    data = bytearray(saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", qtables=[[3] * 64, [9] * 64]))
    at = data.index(b"\xff\xc0")
    data[at + 12 + 9] = 0  # the fourth channel takes the first table
    with JpegImageFile(BytesIO(bytes(data))) as source:
        assert [layer[3] for layer in source.layer] == [0, 1, 1, 0]  # type: ignore[attr-defined]
    photo = image_io.read(bytes(data))
    with JpegImageFile(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert out.quantization[out.layer[3][3]] == [3] * 64  # type: ignore[attr-defined]
