"""What `exprgan eval` is asked to measure: systems, the transfer network or segmenters, by name or folder.

Needs no torch, so that a wrong name is refused at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exprgan.errors import UsageError, WeightsError
from exprgan.weights import NetworkFiles, find, find_system
from exprgan.weights.find import SYSTEMS

SEGMENTERS = ("unet", "bisenet")
TRANSFER = "transfer"


def find_source(source: str, weights: Path | None = None) -> NetworkFiles:
    """What a name or folder stands for; arguments as for `exprgan.weights.find`.

    Raises:
        UsageError: There is no such thing, or it is a network that cannot be measured.
        WeightsError: Weights are missing or damaged.
    """
    try:
        files = find(source, weights)
    except WeightsError:
        return find_system(source, weights)  # which knows what may be meant by an unknown name
    if files.architecture not in (*SYSTEMS, TRANSFER, *SEGMENTERS):
        raise UsageError(
            f"{source} is a network {files.architecture!r}, which `eval` cannot measure; name one of "
            f"{', '.join((*SYSTEMS, TRANSFER, *SEGMENTERS))}, or a run of one."
        )
    return files


def titles(sources: Sequence[NetworkFiles]) -> list[str]:
    """A different title for each, numbered where names repeat."""
    names = [source.name for source in sources]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]
