"""Region masks of open-faces photos by a trained segmenter, kept on disk for the generator's training.

What the generator gets in an edit are a segmenter's soft masks, not masks drawn from landmarks; so it should
see both kinds.

    python -m exprgan.samples.segmented_regions --data DIR --cache DIR [--segmenter unet]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exprgan.data.open_faces import OpenFaces
from exprgan.models.pixels import signed
from exprgan.models.segmenters import region_masks

REGIONS_FOLDER = "regions"
"""Where in the teacher's cache the masks are kept."""


@torch.inference_mode()
def segment_regions(segmenter: nn.Module, images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Soft region masks (N, 256, 256, 3) uint8 (eyes, nose, mouth) of uint8 RGB crops."""
    batch = signed(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        logits = segmenter(batch.contiguous(memory_format=torch.channels_last))
    masks = region_masks(logits.float()).permute(0, 2, 3, 1)
    stored: NDArray[np.uint8] = (masks * 255).round().to(torch.uint8).numpy()
    return stored


def read_regions(folder: Path, face: int) -> NDArray[np.uint8] | None:
    """Stored masks (256, 256, 3) of a row of open-faces, or None where there are none."""
    path = folder / f"{face:05d}.png"
    if not path.exists():
        return None
    stored = np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def main() -> None:
    """Segment the photos that the teacher can handle."""
    from exprgan.weights import find

    parser = argparse.ArgumentParser(description="region masks of open-faces photos by a segmenter")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument("--cache", type=Path, required=True, help="the teacher's cache, with usable.json")
    parser.add_argument("--segmenter", default="unet", help="name of the segmenter's weights")
    arguments = parser.parse_args()
    segmenter = find(arguments.segmenter).load()
    faces = OpenFaces(arguments.data / "open-faces")
    rows = sorted(json.loads((arguments.cache / "usable.json").read_text()))
    folder = arguments.cache / REGIONS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(rows), 8):
        group = rows[start : start + 8]
        masks = segment_regions(segmenter, [faces.image(face) for face in group])
        for face, mask in zip(group, masks, strict=True):
            cv2.imwrite(str(folder / f"{face:05d}.png"), mask)


if __name__ == "__main__":
    main()
