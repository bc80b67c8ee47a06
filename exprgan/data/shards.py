"""Shards of a prepared set: webdataset tars that can also be read row by row, here or from a web server.

A folder of shards holds shard-00000.tar ..., the table index.csv, and index.json with size and sha256 of each
of them. A member is named as webdataset has it (KEY.jpg, KEY.mask.png, KEY.json), and index.json is an index of
`wids`, too; the table says where in which shard each picture lies, so that row n is one short read.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exprgan.action_units import ACTION_UNITS
from exprgan.data.prepared import TABLE, PreparedFaces, Row, read_table, write_table
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.files import being_written
from exprgan.photos.image_io import write_atomic

INDEX = "index.json"


@dataclass(frozen=True)
class StoredFile:
    """A file of a folder of shards."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ShardIndex:
    """What index.json says: the set, its table, its shards by name, and how it was made."""

    set_name: str
    table: StoredFile
    shards: dict[str, StoredFile]
    notes: dict[str, Any]


def pack(folder: Path, rows: Sequence[Row], output: Path, count: int, notes: dict[str, Any]) -> None:
    """Write a prepared folder as shards.

    Args:
        folder: Where the rows' pictures are.
        rows: The table; row i goes to shard i modulo `count`, so that each shard is a mix of everything.
        output: The folder of shards.
        count: How many; no more than there are rows.
        notes: How the set was made, with its name as "set".
    """
    count = min(count, len(rows))
    placed: dict[str, Row] = {}
    shards = []
    for number in range(count):
        chosen = rows[number::count]
        name = f"shard-{number:05d}.tar"
        stored, places = _write_shard(folder, chosen, output / name)
        shards.append({**_entry(stored), "nsamples": len(chosen)})
        for row in chosen:
            mask = places[f"{row.key}.mask.png"] if row.mask else ""
            placed[row.key] = replace(row, image=places[f"{row.key}.jpg"], mask=mask)
    table = write_table(placed[row.key] for row in rows).encode()
    write_atomic(output / TABLE, table)
    index = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": notes["set"],
        "shardlist": shards,
        "table": _entry(StoredFile(TABLE, len(table), hashlib.sha256(table).hexdigest())),
        "exprgan": notes,
    }
    write_atomic(output / INDEX, (json.dumps(index, indent=1) + "\n").encode())


def _entry(stored: StoredFile) -> dict[str, Any]:
    return {"url": stored.name, "filesize": stored.size, "sha256": stored.sha256}


def _write_shard(folder: Path, rows: Sequence[Row], path: Path) -> tuple[StoredFile, dict[str, str]]:
    """A tar that is the same for the same rows, and where its members' bytes are."""
    with being_written(path) as partial:
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            for row in rows:
                _add(archive, f"{row.key}.jpg", (folder / row.image).read_bytes())
                if row.mask:
                    _add(archive, f"{row.key}.mask.png", (folder / row.mask).read_bytes())
                _add(archive, f"{row.key}.json", json.dumps(_labels(row)).encode())
        with tarfile.open(partial) as archive:
            places = {
                member.name: f"{path.name}:{member.offset_data}:{member.size}"
                for member in archive.getmembers()
            }
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
    return StoredFile(path.name, path.stat().st_size, digest.hexdigest()), places


def _digest(file: Any) -> Any:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _labels(row: Row) -> dict[str, Any]:
    units = row.action_units or (np.nan,) * len(ACTION_UNITS)
    return {
        "key": row.key,
        "expression": EXPRESSIONS[row.expression] if row.expression >= 0 else None,
        "subject": row.subject or None,
        "split": row.split,
        "action_units": {
            unit: round(float(value), 4)
            for unit, value in zip(ACTION_UNITS, units, strict=True)
            if not np.isnan(value)
        },
    }


def read_index(text: str, where: str) -> ShardIndex:
    """The contents of an index.json.

    Raises:
        UsageError: It is no index of ours or is damaged.
    """
    try:
        index = json.loads(text)
        files = [
            StoredFile(str(entry["url"]), int(entry["filesize"]), str(entry["sha256"]))
            for entry in (index["table"], *index["shardlist"])
        ]
        if any("/" in file.name or "\\" in file.name or file.name.startswith(".") for file in files):
            raise ValueError("a name with a folder in it")
        notes = index["exprgan"]
        return ShardIndex(str(index["name"]), files[0], {file.name: file for file in files[1:]}, notes)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{where} is no index of shards or is damaged ({type(error).__name__}: {error}); "
            "make the shards anew with `exprgan data prepare --shards`."
        ) from error


def open_shards(folder: Path) -> PreparedFaces:
    """The set of a folder of shards.

    Raises:
        UsageError: The index, the table or a shard is missing or is not what the index says.
    """
    index = read_index((folder / INDEX).read_text(encoding="utf-8"), str(folder / INDEX))
    for file in (index.table, *index.shards.values()):
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            raise UsageError(
                f"{path} is missing or has not the {file.size} bytes that {INDEX} says; copy the shards again."
            )
    rows = read_table((folder / TABLE).read_text(encoding="utf-8"), str(folder / TABLE))
    return PreparedFaces(index.set_name, rows, LocalShards(folder))


@dataclass(frozen=True)
class LocalShards:
    """Reads places such as shard-00003.tar:1536:20480 (file, first byte, number of bytes)."""

    folder: Path

    def __call__(self, place: str) -> bytes:
        name, offset, size = place.rsplit(":", 2)
        return read_part(self.folder / name, int(offset), int(size))


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Bytes of a file.

    Raises:
        UsageError: The file is gone or too short.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); copy or fetch the shards again."
        ) from error
    if len(data) != size:
        raise UsageError(f"{path} is shorter than its table says; copy or fetch the shards again.")
    return data
