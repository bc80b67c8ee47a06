"""Every command shows the detector the same pixels, so that face number N is the same face everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exprgan.data.crops import CropConfig, Cropper, Unusable
from exprgan.data.readers import Record
from exprgan.edit import scene as scenes
from exprgan.errors import NoFaceFound
from exprgan.faces.face import Face
from exprgan.photos import colour, image_io
from tests.conftest import RunCli
from tests.photos.made_files import display_p3, scene


class Watcher:
    """Finds nothing and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[NDArray[np.uint8]] = []

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        self.shown.append(image.copy())
        return []


def test_every_road_detects_in_srgb(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, watcher = tmp_path / "p3.png", Watcher()
    Image.fromarray(scene()).save(path, icc_profile=display_p3())
    for module in ("exprgan.faces.detectors", "exprgan.data.crops"):
        monkeypatch.setattr(f"{module}.open_detector", lambda *_, **__: watcher)
    with pytest.raises(NoFaceFound):
        scenes.prepare(path, detector=watcher)
    assert run_cli("faces", path).code == 3
    assert run_cli("segment", path).code == 3
    with pytest.raises(Unusable):
        Cropper(CropConfig())(Record(key="p3", path=path, expression=0))
    assert len(watcher.shown) == 4
    expected = colour.to_srgb(scene(), display_p3())
    assert (expected != scene()).any()
    for image in watcher.shown:
        np.testing.assert_array_equal(image, expected)


def test_a_photo_in_srgb_is_seen_as_it_is() -> None:
    photo = image_io.Photo(pixels=scene(), format="PNG", mode="RGB")
    assert colour.srgb_uint8(photo) is photo.pixels
    deep = image_io.Photo(pixels=scene().astype(np.uint16) * 257, format="PNG", mode="RGB;16")
    np.testing.assert_array_equal(colour.srgb_uint8(deep), scene())
