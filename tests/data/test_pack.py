"""The archive of the training sets."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from exprgan.data.open_faces import OpenFaces
from exprgan.data.pack import pack, tightly
from exprgan.data.synthetic_faces import SyntheticFaces


def test_arrays_are_packed_without_loss(tmp_path: Path) -> None:
    arrays = {
        "points": np.linspace(0, 9, 60, dtype=np.float16).reshape(4, 5, 3),
        "names": np.array(["a", "bc"]),
    }
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    (tmp_path / "b.npz").write_bytes(tightly(tmp_path / "a.npz"))
    with np.load(tmp_path / "b.npz") as stored:
        assert set(stored.files) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(stored[name], array)


def test_a_packed_set_is_read_like_the_set_itself(data_dir: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "fits.npz", found=np.ones(3, bool))
    size = pack(data_dir, tmp_path / "pack.tar.gz", fits=tmp_path / "fits.npz", limit=3)
    assert size == (tmp_path / "pack.tar.gz").stat().st_size
    with tarfile.open(tmp_path / "pack.tar.gz") as archive:
        archive.extractall(tmp_path / "data", filter="data")
    assert (tmp_path / "data" / "fits.npz").exists()
    photos, packed = (OpenFaces(folder / "open-faces") for folder in (data_dir, tmp_path / "data"))
    for row in photos.indices("train")[:3]:
        assert packed.image(row).shape == (256, 256, 3)
        assert np.abs(packed.image(row).astype(int) - photos.image(row)).mean() < 6
        np.testing.assert_array_equal(packed.landmarks_px(row), photos.landmarks_px(row))
    renders, small = (SyntheticFaces(folder / "synthetic-faces") for folder in (data_dir, tmp_path / "data"))
    for row in renders.indices("train")[:3]:
        np.testing.assert_array_equal(small.mask(row), renders.mask(row))
        assert np.abs(small.image(row).astype(int) - renders.image(row)).mean() < 6
        assert small.shapes(row) == renders.shapes(row)
