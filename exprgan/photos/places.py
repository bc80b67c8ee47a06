"""Where photos lie: on the disk, or in a store that fsspec reaches, such as s3://bucket/photos.

A name with `://` becomes a `RemotePath`, which joins and splits like any path and has no file operations of its own;
the functions here take both kinds. All that goes wrong with what is in a store is an OSError, a store that does not
answer a UsageError.
"""

from __future__ import annotations

import glob
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, cast

from exprgan.errors import UsageError
from exprgan.files import PARTIAL_PREFIX, PARTIAL_SUFFIX

PUTS_WHOLE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oss", "oci", "hf", "memory")
"""Stores in which an object appears whole or not at all, and that need no folders."""
_URL = re.compile(r"[a-z][a-z0-9+-]+://")
_EXTRAS = {"s3": 'pip install "exprgan[s3]"', "s3a": 'pip install "exprgan[s3]"'}


class RemotePath(PurePosixPath):
    """A name such as s3://bucket/photos/1.jpg; empty parts between slashes are lost, as in all paths."""

    def __str__(self) -> str:
        parts = self.parts
        if not parts or not parts[0].endswith(":"):
            return super().__str__()  # a part of a name, below some folder
        return parts[0] + "//" + "/".join(parts[1:])


def place(word: str) -> Path:
    """The path that a word of the command line names; `file://` means the disk."""
    if not _URL.match(word):
        return Path(word)
    if word.startswith("file://"):
        return Path(word.removeprefix("file://"))
    return cast(Path, RemotePath(word))  # who treats it as a file on the disk gets an AttributeError


def is_remote(path: PurePosixPath | Path) -> bool:
    """Whether a path is in a store."""
    return isinstance(path, RemotePath)


def exists(path: Path) -> bool:
    """Whether there is anything; False where names are impossible."""
    return _info(path) is not None if is_remote(path) else os.path.exists(path)


def is_file(path: Path) -> bool:
    """Whether there is a file; False where names are impossible or rights are missing."""
    if is_remote(path):
        return (_info(path) or {}).get("type") == "file"
    return os.path.isfile(path)


def is_folder(path: Path) -> bool:
    """Whether there is a folder; in a store, whether names begin so."""
    if is_remote(path):
        return (_info(path) or {}).get("type") == "directory"
    return os.path.isdir(path)


def real(path: Path) -> Path:
    """The same path for all names of a file or folder."""
    return path if is_remote(path) else Path(os.path.realpath(path))


def walk(folder: Path, recursive: bool = True) -> Iterator[Path]:
    """Files in a folder, in the order of their names; hidden ones and links to folders are left out."""
    if is_remote(folder):
        with _store(folder) as (store, inner):
            for parent, folders, names in store.walk(inner):
                folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
                above = folder / parent.removeprefix(inner).strip("/")
                yield from (above / name for name in sorted(names) if name and not name.startswith("."))
        return
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))


def matching(pattern: str) -> list[Path]:
    """What a pattern with wildcards finds, sorted."""
    if not is_remote(place(pattern)):
        return sorted(map(Path, glob.glob(pattern, recursive=True)))
    with _store(place(pattern)) as (store, inner):
        protocol = pattern.partition("://")[0]
        found = (place(f"{protocol}://{name.lstrip('/')}") for name in store.glob(inner))
        return sorted(
            path for path in found if "/." in pattern or "/." not in str(path)
        )  # hidden ones, as on the disk


def read(path: Path, most_bytes: int | None = None) -> bytes:
    """Content of a file.

    Raises:
        OSError: It is not there, cannot be read, or has more bytes than `most_bytes`.
    """
    if not is_remote(path):
        return path.read_bytes()
    with _store(path) as (store, inner):
        size = store.info(inner).get("size")
        if most_bytes is not None and size is not None and size > most_bytes:
            raise OSError(f"{size / 1e9:.1f} GB are more than the {most_bytes / 1e9:.1f} allowed")
        return bytes(store.cat_file(inner))


def write_remote(path: Path, data: bytes) -> None:
    """Write a file in a store so that it is there whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with _store(path) as (store, inner):
        if _protocols(store) & set(PUTS_WHOLE):
            store.pipe_file(inner, data)
            return
        folder, _, name = inner.rpartition("/")
        store.makedirs(folder, exist_ok=True)
        partial = f"{folder}/{PARTIAL_PREFIX}{uuid.uuid4().hex[:12]}{PARTIAL_SUFFIX}"
        try:
            store.pipe_file(partial, data)
            store.mv(partial, f"{folder}/{name}")
        except BaseException:
            with suppress(Exception):
                store.rm_file(partial)
            raise


def _info(path: Path) -> dict[str, Any] | None:
    """What a store knows of a name; None if there is none.

    Raises:
        UsageError: The store's library is missing, or it does not answer.
    """
    try:
        with _store(path) as (store, inner):
            return dict(store.info(inner))
    except FileNotFoundError:
        return None
    except OSError as error:
        words = " ".join(str(error).split())[:160].rstrip(".")
        raise UsageError(
            f"{path} cannot be reached ({words}); check the name and the access to it."
        ) from error


def _protocols(store: Any) -> set[str]:
    return {store.protocol} if isinstance(store.protocol, str) else set(store.protocol)


@contextmanager
def _store(path: Path) -> Iterator[tuple[Any, str]]:
    """fsspec's file system of a path, without remembered listings, and the name in it.

    Raises:
        OSError: Whatever goes wrong inside the block.
        UsageError: The store's library is missing.
    """
    from fsspec.core import url_to_fs

    protocol = str(path).partition("://")[0]
    try:
        store, inner = url_to_fs(str(path), use_listings_cache=False)
    except ImportError as error:
        remedy = _EXTRAS.get(protocol, f"install it ({' '.join(str(error).split())})")
        raise UsageError(f"{protocol}:// needs a library that is missing; {remedy}.") from error
    except ValueError as error:
        raise UsageError(f"There is no store {protocol}:// ({error}); check the name {path}.") from error
    try:
        yield store, inner
    except (OSError, UsageError, GeneratorExit):
        raise
    except Exception as error:  # libraries of stores raise what they like
        raise OSError(f"{type(error).__name__}: {error}") from error
