"""The record of finished files, kept in the output folder, by which a batch knows what it need not do again.

One line of JSON a file, appended just before the file itself is put in its place, so that every file of ours
has a line whenever the run was ended. A line alone means nothing: a file counts as finished only if it is
there with the recorded sha256. Later lines replace earlier ones; a line torn by a kill or a full disk is
passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exprgan.errors import ExprganError
from exprgan.photos.decode import reason

MANIFEST_NAME = ".exprgan-manifest.jsonl"


@dataclass(frozen=True)
class Origin:
    """What a result is made of; two results of equal origin are the same edit."""

    input_sha256: str
    options: dict[str, Any]  # expression, strength, face and the like
    weights: str  # hash over all networks


@dataclass(frozen=True)
class Entry:
    """A line of the manifest."""

    output: str  # path inside the output folder, with / between folders
    sha256: str  # of the output
    size_bytes: int
    input: str  # path as given; for people, not compared
    origin: Origin
    version: str  # of exprgan; for people, not compared


def sha256_of(data: bytes) -> str:
    """Hexadecimal sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


class Manifest:
    """The record of one output folder; may be used by several threads.

    Args:
        folder: The output folder; it is made when the first line is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / MANIFEST_NAME
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        if self.path.exists():
            try:
                lines = self.path.read_bytes().splitlines()
            except OSError as error:
                raise ExprganError(
                    f"{self.path} cannot be read ({reason(error)}); mend or delete it."
                ) from error
            for line in lines:
                if (entry := _parse(line)) is not None:
                    self._entries[entry.output] = entry

    def key(self, output: Path) -> str:
        """The name of an output in the manifest."""
        return Path(os.path.relpath(output, self.folder)).as_posix()

    def why_not_finished(self, output: Path, origin: Origin) -> str:
        """Empty if the file was made of this origin and is whole, else what is wrong with the one that exists."""
        entry = self._entries.get(self.key(output))
        if entry is None:
            return "was not made by a batch into this folder"
        if entry.origin.input_sha256 != origin.input_sha256:
            return "was made of another photo"
        if entry.origin.options != origin.options:
            return "was made with other options"
        if entry.origin.weights != origin.weights:
            return "was made with other weights"
        whole = output.stat().st_size == entry.size_bytes and sha256_of(output.read_bytes()) == entry.sha256
        return "" if whole else "has changed since it was made"

    def append(self, entry: Entry) -> None:
        """Add a line and see to it that it is on the disk.

        Raises:
            ExprganError: It cannot be written.
        """
        line = json.dumps(asdict(entry), ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
        try:
            with self._lock, self.path.open("ab+") as file:
                if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    line = b"\n" + line  # the last line is torn
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
                self._entries[entry.output] = entry
        except OSError as error:
            raise ExprganError(
                f"{self.path} cannot be written ({reason(error)}); choose another place with --output."
            ) from error


def _parse(line: bytes) -> Entry | None:
    try:
        record = json.loads(line.decode("utf-8", "surrogateescape"))
        return Entry(**{**record, "origin": Origin(**record["origin"])})
    except (ValueError, TypeError, KeyError):
        return None
