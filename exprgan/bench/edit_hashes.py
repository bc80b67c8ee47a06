"""Do two checkouts edit photos to the same bytes?

    python -m exprgan.bench.edit_hashes PHOTO... --checkout DIR [--checkout DIR]

Edits of each photo to the eight expressions, by each of the small baselines to happy, and transfers between the
first two photos, all as PNG, are made by the command line of each checkout; one line a file, sha256 and name, is
printed. With two checkouts the files that differ are named and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

BASELINES = ("sargan", "usgan", "hierarchical")


def hashes(photos: Sequence[Path], checkout: Path) -> dict[str, str]:
    """The sha256 of every file that a checkout makes of the photos, by name."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in").mkdir()
        sources = [folder / "in" / f"{photo.stem}.png" for photo in photos]
        for photo, source in zip(photos, sources, strict=True):
            Image.open(photo).save(source)
        _run(checkout, "edit", folder / "in", "--to", "all", "--output", folder / "all")
        for model in BASELINES:
            _run(checkout, "edit", folder / "in", "--model", model, "--output", folder / model)
        if len(sources) > 1:
            _run(checkout, "transfer", *sources[:2], "--swap", "--output", folder / "transfer")
        made = sorted(path for path in folder.rglob("*.png") if path.parent != folder / "in")
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in made
        }


def _run(checkout: Path, *arguments: object) -> None:
    words = [sys.executable, "-m", "exprgan", *map(str, arguments), "--device", "cpu", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    subprocess.run(words, cwd=checkout, env=environment, check=True)


def main() -> int:
    """Print the hashes, and what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--checkout", type=Path, action="append", required=True)
    chosen = parser.parse_args()
    found = [hashes(chosen.photos, checkout) for checkout in chosen.checkout]
    for name, digest in found[-1].items():
        print(f"{digest}  {name}")
    different = sorted(
        name for name in found[0].keys() | found[-1].keys() if found[0].get(name) != found[-1].get(name)
    )
    print(f"{len(found[-1])} files, {len(different)} differ{': ' if different else ''}{', '.join(different)}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
