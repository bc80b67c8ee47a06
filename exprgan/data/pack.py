"""Pack the training sets at 256 px into one small archive for training on another machine.

    python -m exprgan.data.pack --data DIR --output pack.tar.gz [--fits fits.npz] [--quality 80]

Unpacked it is a data folder: open-faces/, synthetic-faces/ if there is one, and fits.npz if named. Pictures are WebP,
masks without loss, tables packed as tightly as numpy can read them; only training's pictures are in it. For training
only, not to be published.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces

LOSSLESS = 101
"""OpenCV's quality of WebP without loss."""


def pack(
    data: Path, output: Path, *, fits: Path | None = None, quality: int = 80, limit: int | None = None
) -> int:
    """Write the archive; its size in bytes.

    Args:
        data: Folder that holds open-faces/ and, if there is one, synthetic-faces/.
        output: The archive to write, .tar.gz.
        fits: What `exprgan.samples.own_fits` wrote, to be packed too.
        quality: WebP's, of the pictures.
        limit: Only so many pictures of each set; the tables stay whole.
    """
    with tarfile.open(output, "w:gz") as archive:
        photos = OpenFaces(data / "open-faces")
        archive.add(photos.folder / "faces.csv", "open-faces/faces.csv")
        _add(archive, "open-faces/annotations.npz", tightly(photos.folder / "annotations.npz"))
        for row in photos.indices("train")[:limit]:
            name = f"open-faces/faces/{photos.rows[row]['file']}"
            _add(archive, name, _webp(photos.image(row), quality))
        if (data / "synthetic-faces").exists():
            renders = SyntheticFaces(data / "synthetic-faces")
            archive.add(renders.folder / "set.csv", "synthetic-faces/set.csv")
            _add(archive, "synthetic-faces/labels.npz", tightly(renders.folder / "labels.npz"))
            for row in renders.indices("train")[:limit]:
                image, mask = (f"synthetic-faces/{renders.rows[row][part]}" for part in ("image", "mask"))
                _add(archive, image, _webp(renders.image(row), quality))
                _add(archive, mask, _webp(np.dstack([renders.mask(row)] * 3), LOSSLESS))
        if fits is not None:
            _add(archive, "fits.npz", tightly(fits))
    return output.stat().st_size


def tightly(path: Path) -> bytes:
    """A .npz file's arrays in one that is packed by LZMA."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        for name in stored.namelist():
            archive.writestr(name, stored.read(name))
    return packed.getvalue()


def _webp(image: NDArray[np.uint8], quality: int) -> bytes:
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    return cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser(description="pack the training sets for training on another machine")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--fits", type=Path, help="what exprgan.samples.own_fits wrote")
    parser.add_argument("--quality", type=int, default=80, help="WebP's, of the pictures")
    arguments = parser.parse_args()
    pack(arguments.data, arguments.output, fits=arguments.fits, quality=arguments.quality)


if __name__ == "__main__":
    main()
