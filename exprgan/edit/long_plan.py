"""The plan of more photos than memory should hold: the same jobs, and the same refusals, as `plan_jobs` gives.

Names are kept in a temporary database on the disk (SQLite's own, which is gone when the process is, however that ends);
a job is made when its turn comes. What the record of the output folder says is kept there, too.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import islice
from pathlib import Path

from exprgan.edit.manifest import Entry, Manifest, recorded
from exprgan.edit.plan import (
    Job,
    PlanOptions,
    batch_photos,
    check_targets,
    identity,
    is_too_long,
    job_of,
)
from exprgan.errors import UsageError
from exprgan.photos import places
from exprgan.photos.places import place

MOST_NAMED = 10_000
"""Photos that stand in the way, of which a message names the first and counts the others."""
_AT_A_TIME = 5_000
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE photo (
  number INTEGER PRIMARY KEY, identity BLOB UNIQUE, key BLOB, source BLOB, name BLOB, is_odd INTEGER
);
CREATE TABLE result (key BLOB, photo INTEGER);
CREATE TABLE folder (path BLOB PRIMARY KEY);
CREATE TABLE there (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE line (output BLOB, entry BLOB);
"""
_INDICES = """
DELETE FROM result WHERE photo NOT IN (SELECT number FROM photo);
CREATE INDEX result_key ON result (key);
CREATE INDEX photo_key ON photo (key);
"""
_ODD = """
SELECT source, name FROM photo WHERE number IN (
  SELECT number FROM photo WHERE is_odd
  UNION SELECT photo FROM result WHERE key IN (SELECT key FROM result GROUP BY key HAVING count(*) > 1)
  UNION SELECT photo.number FROM photo JOIN result USING (key)
  UNION SELECT result.photo FROM photo JOIN result USING (key)
  UNION SELECT result.photo FROM there JOIN result USING (key)
) ORDER BY number LIMIT ?
"""


class LongPlan:
    """The jobs of a batch of any length.

    Args:
        sources: Photos, folders and patterns.
        options: See there; `output` is needed.

    Raises: as `plan_jobs` does.
    """

    def __init__(self, sources: Sequence[str], options: PlanOptions) -> None:
        if options.output is None:
            raise UsageError(
                "--engine ray needs --output FOLDER, where the record of finished files is kept."
            )
        self.folder, self.options = options.output, options
        self._record = Manifest(self.folder, entries=())  # for the names in it
        self._database = sqlite3.connect("")  # a temporary file without a name
        self._database.executescript(_TABLES)
        try:
            self._take(batch_photos(sources, options))
            self._check()
            (self.num_jobs,) = self._database.execute("SELECT count(*) FROM photo").fetchone()
            if options.skip_existing:
                self._remember()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget the plan."""
        self._database.close()

    def jobs(self) -> Iterator[Job]:
        """All jobs in the order of their sources, each photo once."""
        with closing(self._database.cursor()) as cursor:
            for row in cursor.execute("SELECT source, name FROM photo ORDER BY number"):
                yield self._job_of(*row)

    def folders(self) -> Iterator[Path]:
        """The folders of all results."""
        with closing(self._database.cursor()) as cursor:
            for (name,) in cursor.execute("SELECT path FROM folder"):
                yield _path(name)

    def recorded(self, job: Job) -> list[Entry]:
        """What the record says of the results of a job, where it matters."""
        if not self.options.skip_existing:
            return []
        outputs = [_digest(self._record.key(path)) for path in job.targets]
        marks = ", ".join("?" * len(outputs))
        found = self._database.execute(
            f"SELECT entry FROM line WHERE output IN ({marks}) ORDER BY rowid", outputs
        )
        return [pickle.loads(entry) for (entry,) in found.fetchall()]

    def _take(self, photos: Iterator[tuple[Path, Path]]) -> None:
        must_be_new = not (self.options.overwrite or self.options.skip_existing)
        is_remote = places.is_remote(self.folder)

        def is_odd(path: Path) -> bool:
            is_taken = not is_remote and os.path.lexists(path) and (must_be_new or not os.path.isfile(path))
            return is_taken or is_too_long(path)

        _real.cache_clear()  # links may have changed since another plan
        number = 0
        while some := list(islice(photos, _AT_A_TIME)):
            rows, results, folders = [], [], set()
            for source, name in some:
                number += 1
                job = job_of(source, name, self.options)
                odd = any(map(is_odd, job.targets))
                rows.append(
                    (number, _digest(identity(source)), _key(source), _bytes(source), _bytes(name), odd)
                )
                results += [(_key(path), number) for path in job.targets]
                folders.add(_bytes(job.targets[0].parent))
            self._database.executemany("INSERT OR IGNORE INTO photo VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._database.executemany("INSERT INTO result VALUES (?, ?)", results)
            self._database.executemany(
                "INSERT OR IGNORE INTO folder VALUES (?)", [(path,) for path in folders]
            )
        self._database.executescript(_INDICES)
        if is_remote and must_be_new:  # one listing in place of a question for each
            found = places.walk(self.folder)
            while keys := [(_key(path),) for path in islice(found, _AT_A_TIME)]:
                self._database.executemany("INSERT OR IGNORE INTO there VALUES (?)", keys)

    def _check(self) -> None:
        """Let `check_targets` say what is wrong with the photos that stand out."""
        rows = self._database.execute(_ODD, (MOST_NAMED,)).fetchall()
        check_targets([self._job_of(*row) for row in rows], self.options)

    def _remember(self) -> None:
        lines = ((_digest(entry.output), pickle.dumps(entry)) for entry in recorded(self.folder))
        while some := list(islice(lines, _AT_A_TIME)):
            self._database.executemany("INSERT INTO line VALUES (?, ?)", some)
        self._database.execute("CREATE INDEX line_output ON line (output)")

    def _job_of(self, source: bytes, name: bytes) -> Job:
        return job_of(_path(source), _path(name), self.options)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _key(path: Path) -> bytes:
    """The same for all names of a file."""
    if places.is_remote(path):
        return _digest(str(path))
    folder, name = os.path.split(path)
    real = os.path.realpath(path) if os.path.islink(path) or not name else os.path.join(_real(folder), name)
    return _digest(os.path.normcase(real))


@lru_cache(4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _bytes(path: Path) -> bytes:
    return str(path).encode("utf-8", "surrogateescape")


def _path(name: bytes) -> Path:
    return place(name.decode("utf-8", "surrogateescape"))
