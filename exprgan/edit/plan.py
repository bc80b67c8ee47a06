"""What an edit of photos will read and write, decided before any work.

`plan_jobs` is a pure function of the inputs, the options and what a `FileView` says of the file system. It
gives one job a photo, or one error that names everything that stands in the way.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from exprgan.errors import UnreadableImage, UsageError
from exprgan.expressions import EXPRESSIONS, parse_expression

_SHOWN = 5  # files named in a message; the others are counted
_LONGEST_NAME = 255  # bytes that common file systems allow a name


@dataclass(frozen=True)
class Job:
    """One photo and the files that come of it."""

    source: Path
    outputs: dict[str, Path]  # file to write for each expression
    sheet: Path | None = None  # picture of before and after

    @property
    def named_targets(self) -> dict[str, Path]:
        """All files to write, by expression, and by "sheet"."""
        return {**self.outputs, **({"sheet": self.sheet} if self.sheet else {})}

    @property
    def targets(self) -> list[Path]:
        """All files to write."""
        return [*self.outputs.values(), *([self.sheet] if self.sheet else [])]


@dataclass(frozen=True)
class Plan:
    """The jobs of one command."""

    jobs: tuple[Job, ...]
    folder: Path | None = None  # where all results go, if that is one folder
    is_single: bool = False  # one photo was named, so that its error is the command's


@dataclass(frozen=True)
class PlanOptions:
    """What decides the names of the results and whether they may be written."""

    expressions: Sequence[str]
    output: Path | None = None  # file or folder; None puts results beside their photo
    compare: Path | None = None  # sheet of before and after, of a single photo
    with_sheet: bool = False  # a sheet NAME-sheet.png where `compare` names none
    recursive: bool = True  # folders with all that is below them
    overwrite: bool = False  # files that exist may be replaced
    skip_existing: bool = False  # files that exist are looked at when their turn comes


class FileView(Protocol):
    """What a plan asks of the file system."""

    def is_file(self, path: Path) -> bool:
        """Whether the path is a file, or a link to one."""

    def is_dir(self, path: Path) -> bool:
        """Whether the path is a folder, or a link to one."""

    def real(self, path: Path) -> Path:
        """The absolute path without links."""

    def walk(self, folder: Path, recursive: bool) -> Iterator[Path]:
        """Files in a folder, hidden ones left out."""

    def glob(self, pattern: str) -> list[Path]:
        """Files and folders of a pattern with *, ?, [...] or **."""


class Disk:
    """The real file system."""

    def is_file(self, path: Path) -> bool:
        """Whether the path is a file, or a link to one."""
        return os.path.isfile(
            path
        )  # False, where Path.is_file raises: names too long, folders without rights

    def is_dir(self, path: Path) -> bool:
        """Whether the path is a folder, or a link to one."""
        return os.path.isdir(path)

    def real(self, path: Path) -> Path:
        """The absolute path without links."""
        return Path(os.path.realpath(path))

    def walk(self, folder: Path, recursive: bool) -> Iterator[Path]:
        """Files in a folder; hidden ones and links to folders are left out."""
        for parent, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
            yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))

    def glob(self, pattern: str) -> list[Path]:
        """Files and folders of a pattern, sorted; hidden ones are left out."""
        return sorted(Path(name) for name in glob.glob(pattern, recursive=True))


def wanted_expressions(words: Sequence[str]) -> list[str]:
    """Expressions of the words after --to, each once; `all` stands for the eight.

    Raises:
        UsageError: A word is no expression.

    >>> wanted_expressions(["smile", "sad", "happy"])
    ['happy', 'sad']
    """
    names: list[str] = []
    for word in words:
        if "," in word:
            raise UsageError(f"--to takes one expression, not {word!r}; repeat it: --to happy --to sad.")
        names += EXPRESSIONS if word.strip().lower() == "all" else [parse_expression(word)]
    return list(dict.fromkeys(names))


def plan_jobs(sources: Sequence[str], options: PlanOptions, disk: FileView | None = None) -> Plan:
    """The photos to edit and the files to write.

    Args:
        sources: Photos, folders and patterns such as photos/*.jpg.
        options: See there.
        disk: The file system; None takes the real one.

    Raises:
        UsageError: The options do not go together, two results would be one file, an input or an existing
            file would be replaced unasked.
        UnreadableImage: A source does not exist or holds no photo.
    """
    disk = disk or Disk()
    output = options.output
    if options.compare is not None and not disk.is_dir(options.compare):
        _check_extension(options.compare, "--compare")
    if len(sources) == 1 and not disk.is_dir(Path(sources[0])) and not _is_pattern(sources[0], disk):
        _check_exist([sources[0]], disk)
        job, folder = _single_job(Path(sources[0]), options, disk)
        plan = Plan((job,), folder, is_single=True)
    else:
        if options.compare is not None:
            raise UsageError("--compare is for a single photo; leave it out for several, or name one photo.")
        if output is not None and (disk.is_file(output) or _names_a_file(output, disk)):
            raise UsageError(f"--output {output} is a file; name a folder for the results of several photos.")
        plan = Plan(tuple(_batch_jobs(sources, options, disk)), output)
    _check_targets(plan.jobs, options, disk)
    if options.skip_existing and plan.folder is None:
        raise UsageError("--skip-existing needs --output FOLDER, where the record of finished files is kept.")
    return plan


def result_paths(name: Path, expressions: Sequence[str], folder: Path) -> dict[str, Path]:
    """The files for each expression of a photo, in a folder; the photo's name may have folders, too."""
    from exprgan.photos.image_io import EXTENSIONS

    suffix = name.suffix if name.suffix.lower() in EXTENSIONS else ".png"
    return {each: folder / name.with_name(f"{name.stem}-{each}{suffix}") for each in expressions}


def _single_job(source: Path, options: PlanOptions, disk: FileView) -> tuple[Job, Path | None]:
    output = options.output
    if output is None:
        return _job(source, Path(source.name), source.parent, options), None
    if len(options.expressions) == 1 and _names_a_file(output, disk):
        _check_extension(output)
        return Job(source, {options.expressions[0]: output}, options.compare), None
    if disk.is_file(output):
        raise UsageError(f"--output {output} is a file; name a folder for several expressions.")
    return _job(source, Path(source.name), output, options), output


def _names_a_file(output: Path, disk: FileView) -> bool:
    return bool(output.suffix) and not disk.is_dir(output)


def _batch_jobs(sources: Sequence[str], options: PlanOptions, disk: FileView) -> Iterator[Job]:
    seen: set[str] = set()
    for path, name in _photos(sources, options, disk):
        key = os.path.abspath(path)
        if key not in seen:
            seen.add(key)
            folder = path.parent if options.output is None else options.output
            yield _job(path, Path(path.name) if options.output is None else name, folder, options)


def _photos(sources: Sequence[str], options: PlanOptions, disk: FileView) -> Iterator[tuple[Path, Path]]:
    """Each photo of the sources and its name below the output folder."""
    patterns = {source: disk.glob(source) for source in sources if _is_pattern(source, disk)}
    _check_exist([source for source in sources if source not in patterns], disk)
    for source in sources:
        if source not in patterns and not disk.is_dir(Path(source)):
            yield Path(source), Path(Path(source).name)
            continue
        base = _fixed_part(source) if source in patterns else Path(source)
        found: list[Path] = []
        for path in patterns.get(source, [base]):
            if disk.is_dir(path) and "**" not in source:
                found += _folder_photos(path, options, disk)
            elif disk.is_file(path) and _looks_like_a_photo(path):
                found.append(path)
        if not found:
            raise UnreadableImage(
                f"{source} has no photos; name a folder with JPEG, PNG, WebP, AVIF or TIFF files."
            )
        yield from ((path, path.relative_to(base)) for path in found)


def _folder_photos(folder: Path, options: PlanOptions, disk: FileView) -> list[Path]:
    output = options.output
    if output is None:
        raise UsageError("A folder of photos needs --output FOLDER for the results.")
    if disk.real(output) == disk.real(folder):
        raise UsageError(f"--output {output} is the folder of the photos; name another one for the results.")
    inside = disk.real(output)
    photos = (path for path in disk.walk(folder, options.recursive) if _looks_like_a_photo(path))
    return [path for path in photos if inside not in disk.real(path).parents]  # no results of earlier runs


def _job(source: Path, name: Path, folder: Path, options: PlanOptions) -> Job:
    sheet = folder / name.with_name(f"{name.stem}-sheet.png") if options.with_sheet else None
    return Job(source, result_paths(name, options.expressions, folder), options.compare or sheet)


def _is_pattern(source: str, disk: FileView) -> bool:
    return glob.has_magic(source) and not disk.is_file(Path(source)) and not disk.is_dir(Path(source))


def _fixed_part(pattern: str) -> Path:
    """The folders of a pattern before the first one with a wildcard."""
    parts = Path(pattern).parts
    count = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:count])


def _looks_like_a_photo(path: Path) -> bool:
    from exprgan.photos.image_io import READABLE_EXTENSIONS

    return path.suffix.lower() in READABLE_EXTENSIONS


def _check_extension(path: Path, option: str = "--output") -> None:
    from exprgan.photos.decode import FORMATS_TEXT
    from exprgan.photos.image_io import EXTENSIONS

    if path.suffix.lower() not in EXTENSIONS:
        what = f"*{path.suffix} files" if path.suffix else "Files without an extension"
        raise UsageError(f"{what} cannot be written; choose {FORMATS_TEXT} with {option}.")


def _check_exist(sources: Sequence[str], disk: FileView) -> None:
    missing = [
        source for source in sources if not disk.is_file(Path(source)) and not disk.is_dir(Path(source))
    ]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        hint = "check the name and the folder"
        if missing[0].lower() in (*EXPRESSIONS, "all"):
            hint = f"for the expression write --to {missing[0]}"
        raise UnreadableImage(f"{_listed(missing)} {verb} not exist; {hint}.")


def _check_targets(jobs: Sequence[Job], options: PlanOptions, disk: FileView) -> None:
    """Raise one error that names all that stands in the way."""
    complaints: list[str] = []

    def complain(found: Sequence[str], text: Callable[[str], str]) -> None:
        if found:
            complaints.append(text(_listed(found)))

    owners: dict[str, list[Job]] = {}
    paths: dict[str, Path] = {}
    for job in jobs:
        for path in job.targets:
            key = os.path.normcase(disk.real(path))
            owners.setdefault(key, []).append(job)
            paths[key] = path
    doubles = [
        f"{paths[key]} (from {' and '.join(dict.fromkeys(str(job.source) for job in wanted))})"
        for key, wanted in owners.items()
        if len(wanted) > 1
    ]
    inputs = {os.path.normcase(disk.real(job.source)): job for job in jobs}
    own = [str(job.source) for key, job in inputs.items() if owners.get(key) == [job]]
    others = [
        f"{job.source} (by the edit of {owners[key][0].source})"
        for key, job in inputs.items()
        if key in owners and job not in owners[key]
    ]
    folders = [str(path) for path in paths.values() if disk.is_dir(path)]
    too_long = [path.name for path in paths.values() if len(os.fsencode(path.name)) > _LONGEST_NAME]
    complain(
        too_long,
        lambda text: (
            f"The name {text} is longer than the {_LONGEST_NAME} bytes that a file's name may have; "
            "name the result with --output or rename the photo."
        ),
    )
    exist = [str(path) for key, path in paths.items() if key not in inputs and disk.is_file(path)]
    complain(
        doubles,
        lambda text: (
            f"Several results would both be written to {text}; rename a photo or edit "
            "them one by one with --output."
        ),
    )
    complain(
        others,
        lambda text: (
            f"An input would be replaced by another photo's result: {text}; choose another --output."
        ),
    )
    complain(folders, lambda text: f"{text} is a folder; choose another --output.")
    if not options.overwrite:
        complain(
            own,
            lambda text: (
                f"{text} exists and is the input itself; allow to replace it with "
                "--overwrite or choose another --output."
            ),
        )
        if not options.skip_existing:
            more = "" if options.output is None else ", go on with an interrupted run with --skip-existing"
            complain(
                exist,
                lambda text: (
                    f"There already is {text}; allow to replace it with --overwrite{more} or choose another --output."
                ),
            )
    if complaints:
        raise UsageError("\n".join(complaints))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(" ".join(name.split("\n")) for name in names[:_SHOWN]) + more
