"""Brings the heads of a folder's model cards in step with its manifest.

python -m exprgan.weights.refresh weights
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from exprgan.files import write_whole
from exprgan.weights.cards import README, repository_card, with_head
from exprgan.weights.folder import read_manifest


def refresh(folder: Path) -> list[str]:
    """Bring the heads of a folder's cards in step with its manifest, and return the names of those that have changed.

    Raises:
        WeightsError: The manifest is damaged.
        OSError: A card is missing or cannot be written.
    """
    records, changed = read_manifest(folder), []
    cards = {record.card: (name, record) for name, record in records.items() if record.card}
    for file in [*cards, *([README] if (folder / README).is_file() else [])]:
        before = (folder / file).read_text(encoding="utf-8")
        after = with_head(before, *cards[file]) if file in cards else repository_card(records, before)
        if after != before:
            write_whole(folder / file, after.encode())
            changed.append(file)
    return changed


def main() -> None:
    """Refresh the cards of a folder."""
    parser = argparse.ArgumentParser(description="bring the heads of model cards in step with the manifest")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="folder of weights")
    changed = refresh(parser.parse_args().weights)
    sys.stdout.write("".join(f"{name}\n" for name in changed))


if __name__ == "__main__":
    main()
