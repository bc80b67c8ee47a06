"""What `exprgan edit` will write, decided before any work: names, folders, nothing overwritten unasked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exprgan.errors import UnreadableImage, UsageError
from exprgan.expressions import EXPRESSIONS, parse_expression


@dataclass(frozen=True)
class Job:
    """One photo and the files that come of it."""

    source: Path
    outputs: dict[str, Path]  # file to write for each expression
    sheet: Path | None = None  # picture of before and after


def wanted_expressions(words: Sequence[str]) -> list[str]:
    """Expressions of the words after --to, each once; `all` stands for the eight.

    Raises:
        UsageError: A word is no expression.

    >>> wanted_expressions(["smile", "sad", "happy"])
    ['happy', 'sad']
    """
    names: list[str] = []
    for word in words:
        names += EXPRESSIONS if word.strip().lower() == "all" else [parse_expression(word)]
    return list(dict.fromkeys(names))


def plan_jobs(
    source: Path,
    expressions: Sequence[str],
    output: Path | None,
    compare: Path | None,
    *,
    overwrite: bool,
    with_sheet: bool = False,
) -> list[Job]:
    """The photos to edit and the files to write.

    Args:
        source: A photo or a folder.
        expressions: What each photo is edited to.
        output: File or folder to write; None puts the results beside a photo.
        compare: Picture of before and after, for a single photo.
        overwrite: Whether files that exist may be replaced.
        with_sheet: Write a sheet `NAME-sheet.png` beside the results where `compare` names none.

    Raises:
        UsageError: The options do not go together, or a file would be overwritten.
        UnreadableImage: The source does not exist, or the folder has no photos.
    """
    if source.is_dir():
        if compare is not None:
            raise UsageError("--compare is for a single photo; leave it out for a folder, or name a photo.")
        jobs = _folder_jobs(source, expressions, output, with_sheet)
    else:
        if not source.exists():
            raise UnreadableImage(f"{source} does not exist; check the name and the folder.")
        jobs = [_file_job(source, expressions, output, compare, with_sheet)]
    _check_targets(jobs, overwrite)
    return jobs


def _file_job(
    source: Path, expressions: Sequence[str], output: Path | None, compare: Path | None, with_sheet: bool
) -> Job:
    if output is None:
        folder = source.parent
    elif len(expressions) > 1 or output.is_dir() or str(output).endswith(("/", "\\")) or not output.suffix:
        if output.is_file():
            raise UsageError(f"--output {output} is a file; name a folder for several expressions.")
        folder = output
    else:
        _check_extension(output)
        return Job(source, {expressions[0]: output}, compare)
    sheet = compare or (folder / f"{source.stem}-sheet.png" if with_sheet else None)
    return Job(source, _outputs(source, expressions, folder), sheet)


def _folder_jobs(
    source: Path, expressions: Sequence[str], output: Path | None, with_sheet: bool
) -> list[Job]:
    if output is None:
        raise UsageError("A folder of photos needs --output FOLDER for the results.")
    if output.is_file():
        raise UsageError(f"--output {output} is a file; name a folder for the results.")
    inside_output = output.resolve() if output.resolve() != source.resolve() else None
    jobs = []
    for path in sorted(source.rglob("*")):
        if not path.is_file() or not _looks_like_a_photo(path):
            continue
        if inside_output is not None and inside_output in path.resolve().parents:
            continue  # results of an earlier run
        folder = output / path.parent.relative_to(source)
        sheet = folder / f"{path.stem}-sheet.png" if with_sheet else None
        jobs.append(Job(path, _outputs(path, expressions, folder), sheet))
    if not jobs:
        raise UnreadableImage(
            f"{source} has no photos; name a folder with JPEG, PNG, WebP, AVIF or TIFF files."
        )
    return jobs


def _outputs(source: Path, expressions: Sequence[str], folder: Path) -> dict[str, Path]:
    from exprgan.image_io import EXTENSIONS

    suffix = source.suffix if source.suffix.lower() in EXTENSIONS else ".png"
    return {name: folder / f"{source.stem}-{name}{suffix}" for name in expressions}


def _check_extension(path: Path) -> None:
    from exprgan.image_decode import FORMATS_TEXT
    from exprgan.image_io import EXTENSIONS

    if path.suffix.lower() not in EXTENSIONS:
        raise UsageError(f"*{path.suffix} files cannot be written; choose {FORMATS_TEXT} with --output.")


def _looks_like_a_photo(path: Path) -> bool:
    from exprgan.image_io import READABLE_EXTENSIONS

    return path.suffix.lower() in READABLE_EXTENSIONS and not path.name.startswith(".")


def _check_targets(jobs: Sequence[Job], overwrite: bool) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        for path in (*job.outputs.values(), *([job.sheet] if job.sheet else [])):
            if path in seen:
                raise UsageError(
                    f"{seen[path]} and {job.source} would both be written to {path}; "
                    "rename one, or edit them one by one with --output."
                )
            seen[path] = job.source
            if path.exists() and not overwrite:
                raise UsageError(
                    f"{path} exists; allow to replace it with --overwrite or choose another --output."
                )
            if path.is_dir():
                raise UsageError(f"{path} is a folder; name a file.")
