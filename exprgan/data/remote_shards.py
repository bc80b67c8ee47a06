"""Shards on a web server: each is fetched when first needed, checked by size and sha256, and kept.

They are kept below the folder of `EXPRGAN_HOME` (by default ~/.cache/exprgan) under their sha256, so that a set
that is replaced on the server is fetched anew and one that is mirrored is fetched once. What has been fetched
can be used without a network.
"""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from exprgan.data.prepared import PreparedFaces, read_table
from exprgan.data.shards import INDEX, StoredFile, read_index, read_part
from exprgan.errors import UsageError
from exprgan.files import being_written, home, write_whole

TIMEOUT_S = 60
ATTEMPTS = 3
BLOCK_BYTES = 1 << 20


def is_address(source: Path | str) -> bool:
    """Whether a source is an address and not a folder."""
    return isinstance(source, str) and "://" in source


def cache_folder() -> Path:
    """Where shards are kept."""
    return home() / "shards"


def open_remote(address: str) -> PreparedFaces:
    """The set of shards at an address, http or https: that of the folder or of its index.json.

    Raises:
        UsageError: The address cannot be reached and the shards are not in the cache, or what is there is no
            folder of shards.
    """
    if not address.lower().startswith(("http://", "https://")):
        raise UsageError(f"{address} is no address of http or https; name such a one, or a folder.")
    base = address.removesuffix(INDEX).rstrip("/") + "/"
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    index = read_index(_fetch_index(base + INDEX, cache), base + INDEX)
    table = read_part(fetch(base, index.table, cache), 0, index.table.size).decode("utf-8")
    store = RemoteShards(base, tuple(index.shards.values()), cache)
    return PreparedFaces(index.set_name, read_table(table, base + index.table.name), store)


def _fetch_index(address: str, cache: Path) -> str:
    """The index as it is on the server, or as it was when last seen where there is no network."""
    kept = cache / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{INDEX}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
            data = response.read()
    except (OSError, ValueError) as error:
        is_answer = isinstance(error, urllib.error.HTTPError)
        if kept.is_file() and not is_answer:
            return kept.read_text(encoding="utf-8")
        raise _unreachable(address, error) from error
    text: str = data.decode("utf-8", "replace")
    read_index(text, address)
    write_whole(kept, data)
    return text


@dataclass(frozen=True)
class RemoteShards:
    """Reads places such as shard-00003.tar:1536:20480, fetching the shard if need be."""

    base: str
    files: tuple[StoredFile, ...]
    cache: Path

    def __call__(self, place: str) -> bytes:
        name, offset, size = place.rsplit(":", 2)
        file = next((file for file in self.files if file.name == name), None)
        if file is None:
            raise UsageError(f"The table of {self.base} names {name}, which its {INDEX} does not.")
        return read_part(fetch(self.base, file, self.cache), int(offset), int(size))


def fetch(base: str, file: StoredFile, cache: Path) -> Path:
    """The file in the cache, fetched if it is not there; several processes fetch it once.

    Raises:
        UsageError: It cannot be fetched or is not what the index says.
    """
    path = cache / f"{file.sha256[:24]}-{file.name}"
    if not _is_whole(path, file):
        with FileLock(f"{path}.lock"):
            if not _is_whole(path, file):
                _download(base + file.name, file, path)
    return path


def _is_whole(path: Path, file: StoredFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _download(address: str, file: StoredFile, path: Path) -> None:
    for attempt in range(ATTEMPTS):
        try:
            return _download_once(address, file, path)
        except (OSError, ValueError) as error:
            is_final = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if is_final or attempt == ATTEMPTS - 1:
                raise _unreachable(address, error) from error
            time.sleep(2**attempt)
    return None


def _download_once(address: str, file: StoredFile, path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with being_written(path) as partial:
        with partial.open("wb") as target, urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
            while block := response.read(BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                target.write(block)
        if size < file.size:
            raise ConnectionError(f"{size} of {file.size} bytes came")
        if (size, digest.hexdigest()) != (file.size, file.sha256):
            raise UsageError(
                f"{address} is not the file that its {INDEX} describes; put the shards there again, all of them."
            )


def _unreachable(address: str, error: Exception) -> UsageError:
    if isinstance(error, urllib.error.HTTPError):
        return UsageError(f"{address} is not there (the server answers {error.code}); check the address.")
    reason = getattr(error, "reason", None) or error
    return UsageError(
        f"{address} cannot be reached ({reason}); check the network, or copy the shards to a folder and name that."
    )
