"""Files that appear whole or not at all, and the folder of what exprgan keeps on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME_VARIABLE = "EXPRGAN_HOME"
PARTIAL_PREFIX, PARTIAL_SUFFIX = ".exprgan-", ".part"
"""Names of files that are being written begin and end so."""


@contextmanager
def being_written(path: Path) -> Iterator[Path]:
    """A new file beside a path, which takes its place once the block has ended without an error.

    Raises:
        OSError: It cannot be made or moved.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL_PREFIX, suffix=PARTIAL_SUFFIX)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(_mode_of(path))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with being_written(path) as partial:
        partial.write_bytes(data)


def _mode_of(path: Path) -> int:
    """Permissions of the file that is replaced, else what the umask leaves."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def home() -> Path:
    """Folder of what is fetched: `EXPRGAN_HOME`, by default ~/.cache/exprgan."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".cache" / "exprgan").expanduser()
