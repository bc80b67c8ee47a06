"""Pack open-faces at 256 px into one small archive for training on another machine.

    python -m exprgan.data.pack_open_faces --data DIR --output pack.tar

Unpacked it is a data folder (open-faces/) and, with --teacher, a teacher's folder (teacher/). It holds the set's
photographs: for training only, not to be published.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np

from exprgan.data.open_faces import OpenFaces

JPEG_QUALITY = 78


def pack(data: Path, teacher: Path | None, output: Path, *, limit: int | None = None) -> int:
    """Write the archive; its size in bytes.

    Args:
        data: Folder that holds open-faces/.
        teacher: Folder with geometry_basis.npz, to be packed too.
        output: The tar archive to write.
        limit: Only so many photos; the tables stay whole.
    """
    faces = OpenFaces(data / "open-faces")
    with tarfile.open(output, "w") as archive:
        for name in ("faces.csv", "annotations.npz"):
            archive.add(faces.folder / name, f"open-faces/{name}")
        if teacher is not None:
            archive.add(teacher / "geometry_basis.npz", "teacher/geometry_basis.npz")
        for index, row in list(enumerate(faces.rows))[:limit]:
            image_bgr = cv2.cvtColor(faces.image(index), cv2.COLOR_RGB2BGR)
            encoded: np.ndarray = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
            entry = tarfile.TarInfo(f"open-faces/faces/{row['file']}")
            entry.size = len(encoded)
            archive.addfile(entry, io.BytesIO(encoded.tobytes()))
    return output.stat().st_size


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser(description="pack open-faces for training on another machine")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument(
        "--teacher", type=Path, help="folder with geometry_basis.npz, if not the bundled basis"
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    pack(arguments.data, arguments.teacher, arguments.output)


if __name__ == "__main__":
    main()
