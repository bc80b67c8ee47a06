"""The record of finished files, kept in the output folder, by which a batch knows what it need not do again.

One line of JSON a file, appended just before the file itself is put in its place, so that every file of ours
has a line whenever the run was ended. A line alone means nothing: a file counts as finished only if it is
there with the sha256 of one of its lines. A line torn by a kill or a full disk is passed over.

On a disk one process appends to one file. Several processes, and whoever writes to a store where nothing can be
appended, have a part each in the folder `PARTS`; parts count like the file and may stay there.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exprgan.errors import ExprganError
from exprgan.photos import places
from exprgan.photos.decode import reason

MANIFEST_NAME = ".exprgan-manifest.jsonl"
PARTS = ".exprgan-manifest"
"""Folder in the output folder with the parts of several processes."""
LINES_PER_OBJECT = 64
"""Lines of a file in a store, which is written anew with each of them."""


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
    runtime: str = ""  # torch or onnx; for people, not compared


def sha256_of(data: bytes) -> str:
    """Hexadecimal sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def new_part() -> str:
    """A name for the part of a process, unlike all others."""
    return uuid.uuid4().hex[:16]


def recorded(folder: Path, part: str = "") -> Iterator[Entry]:
    """All lines of the record of a folder, or of one part, as they are read.

    Raises:
        ExprganError: They cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        paths = [] if part or places.is_remote(folder) or not path.exists() else [path]
        if places.is_folder(folder / PARTS):
            paths += [path for path in places.walk(folder / PARTS) if path.name.startswith(part)]
        for path in paths:
            if places.is_remote(path):
                yield from filter(None, map(_parse, places.read(path).splitlines()))
            else:
                with path.open("rb") as file:
                    yield from filter(None, map(_parse, file))
    except OSError as error:
        raise ExprganError(f"{path} cannot be read ({reason(error)}); mend or delete it.") from error


class Manifest:
    """The record of one output folder; may be used by several threads.

    Args:
        folder: The output folder; it is made when the first line is written.
        part: Name of the part to write, for one of several processes; a store always gets parts.
        entries: What is recorded already; None reads the record.
    """

    def __init__(self, folder: Path, *, part: str = "", entries: Iterable[Entry] | None = None) -> None:
        self.folder, self.part = folder, part or (new_part() if places.is_remote(folder) else "")
        self.path = folder / PARTS / f"{self.part}.jsonl" if self.part else folder / MANIFEST_NAME
        self._lock = threading.Lock()
        self._object, self._lines = (
            0,
            b"",
        )  # number and content of the file in a store that gets the next line
        self.know(recorded(folder) if entries is None else entries)

    def know(self, entries: Iterable[Entry]) -> None:
        """Take these lines for the record."""
        self._entries: dict[str, list[Entry]] = {}
        for entry in entries:
            self._entries.setdefault(entry.output, []).append(entry)

    def key(self, output: Path) -> str:
        """The name of an output in the manifest."""
        if places.is_remote(output):
            return output.relative_to(self.folder).as_posix()
        return Path(os.path.relpath(output, self.folder)).as_posix()

    def why_not_finished(self, output: Path, origin: Origin) -> str:
        """Empty if the file was made of this origin and is whole, else what is wrong with the one that exists."""
        why = "was not made by a batch into this folder"
        content: tuple[int, str] | None = None  # size and hash of the file
        for entry in self._entries.get(self.key(output), ()):
            if entry.origin.input_sha256 != origin.input_sha256:
                why = "was made of another photo"
            elif entry.origin.options != origin.options:
                why = "was made with other options"
            elif entry.origin.weights != origin.weights:
                why = "was made with other weights"
            else:
                content = content or _size_and_hash(output)
                if content == (entry.size_bytes, entry.sha256):
                    return ""
                why = "has changed since it was made"
        return why

    def is_whole(self, output: Path) -> bool:
        """Whether the file is as one of its lines says, whatever it was made of."""
        entries = self._entries.get(self.key(output))
        return bool(entries) and _size_and_hash(output) in [
            (each.size_bytes, each.sha256) for each in entries or ()
        ]

    def append(self, entry: Entry) -> None:
        """Add a line and see to it that it is on the disk, or in the store.

        Raises:
            ExprganError: It cannot be written.
        """
        line = json.dumps(asdict(entry), ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
        try:
            with self._lock:
                if places.is_remote(self.folder):
                    self._put(line)
                else:
                    self._append(line)
                self._entries.setdefault(entry.output, []).append(entry)
        except OSError as error:
            raise ExprganError(
                f"{self.path} cannot be written ({reason(error)}); choose another place with --output."
            ) from error

    def _append(self, line: bytes) -> None:
        if self.part:
            self.path.parent.mkdir(exist_ok=True)
        with self.path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                line = b"\n" + line  # the last line is torn
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _put(self, line: bytes) -> None:
        if self._lines.count(b"\n") == LINES_PER_OBJECT:
            self._object, self._lines = self._object + 1, b""
        places.write_remote(self.path.with_name(f"{self.part}-{self._object:06}.jsonl"), self._lines + line)
        self._lines += line


def _size_and_hash(path: Path) -> tuple[int, str]:
    data = places.read(path)
    return len(data), sha256_of(data)


def _parse(line: bytes) -> Entry | None:
    try:
        record = json.loads(line.decode("utf-8", "surrogateescape"))
        return Entry(**{**record, "origin": Origin(**record["origin"])})
    except (ValueError, TypeError, KeyError):
        return None
