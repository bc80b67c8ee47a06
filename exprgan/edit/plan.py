"""What an edit of photos will read and write, decided before any work.

`plan_jobs` reads names and writes nothing. It gives one job a photo, or one error that names everything that stands in
the way.
"""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from exprgan.errors import UnreadableImage, UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import Expression, check_strength
from exprgan.face_model.vocabulary import find_control
from exprgan.photos import places
from exprgan.photos.places import place

PIPE = Path("-")
"""Stands for stdin as a source and for stdout as a result."""
MOST_STEPS = 1000
"""Results of a photo and an expression that one command may ask for."""
_SHOWN = 5  # files named in a message; the others are counted
_SAMPLES = {"--au": "12=0.8", "--control": "smile=0.5"}
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

    expressions: Sequence[str]  # labels
    output: Path | None = None  # file or folder; None puts results beside their photo
    compare: Path | None = None  # sheet of before and after, of a single photo
    with_sheet: bool = False  # a sheet NAME-sheet.png where `compare` names none
    suffix: str = ""  # of the results' names; empty takes the photo's where it can be written
    recursive: bool = True  # folders with all that is below them
    names: Path | None = None  # a file that names the photos of the one folder, which is then not listed
    overwrite: bool = False  # files that exist may be replaced
    skip_existing: bool = False  # files that exist are looked at when their turn comes


def wanted_expressions(
    words: Sequence[str],
    *,
    controls: Mapping[str, float] | None = None,
    recipe: Path | None = None,
    region: str | None = None,
) -> dict[str, Expression]:
    """The expressions that are asked for, by the label that names their files.

    Args:
        words: After --to: the eight, aliases, blends; `all` stands for the eight. Each is one expression; without any
            there is happy, unless controls or a recipe say more.
        controls: Amounts that each of them gets beside.
        recipe: A file of `Expression.load`, which each of them gets beside.
        region: Where the face may change; None leaves what the recipe says.

    Raises:
        UsageError: A word means nothing, or the recipe cannot be read.

    >>> list(wanted_expressions(["smile", "sad", "happy"]))
    ['happy', 'sad']
    """
    loaded = None if recipe is None else Expression.load(recipe)
    beside = Expression.parse(None, controls)
    bases: list[Expression] = []
    for word in words:
        if "," in word:
            raise UsageError(f"--to takes one expression, not {word!r}; repeat it: --to happy --to sad.")
        names = EXPRESSIONS if word.strip().lower() == "all" else [word]
        bases += [Expression.parse(name) for name in names]
    if not bases:
        bases = [Expression() if loaded or beside.controls else Expression.parse("happy")]
    found: dict[str, Expression] = {}
    for base in bases:
        parts = [
            part for part in (base, loaded, beside) if part is not None and (part.classes or part.controls)
        ]
        expression = parts[0] if parts else base
        for part in parts[1:]:
            regions = next((each.regions for each in (expression, part) if each.regions), ())
            expression = replace(expression, regions=regions) + replace(part, regions=regions)
        if region is not None:
            expression = replace(expression, regions=Expression.parse(None, None, region).regions)
        found.setdefault(expression.label, expression)
    return found


class Asked(NamedTuple):
    """What one result is to show."""

    expression: Expression
    strength: float = 1.0


def asked_for(expressions: Mapping[str, Expression], strengths: Sequence[float]) -> dict[str, Asked]:
    """What is asked for by the label that names its file: of several strengths, numbered ones of each expression.

    >>> list(asked_for({"happy": Expression.parse("happy")}, [0, 0.5, 1]))
    ['happy-00', 'happy-01', 'happy-02']
    """
    if len(strengths) == 1:
        return {label: Asked(expression, strengths[0]) for label, expression in expressions.items()}
    digits = max(2, len(str(len(strengths) - 1)))
    return {
        f"{label}-{number:0{digits}}": Asked(expression, strength)
        for label, expression in expressions.items()
        for number, strength in enumerate(strengths)
    }


def parse_strengths(word: str) -> list[float]:
    """Strengths of the word after --strength: one number, several as 0,0.5,1, or FIRST:LAST:STEP with both ends.

    Raises:
        UsageError: It is none of these, or there are too many.

    >>> parse_strengths("0:1:0.25")
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    try:
        if ":" in word:
            first, last, step = (float(part) for part in word.split(":"))
            if not (math.isfinite(first + last + step) and step > 0 and last >= first):
                raise ValueError
            count = math.floor((last - first) / step + 1e-9) + 1
            strengths = [round(first + place * step, 9) for place in range(min(count, MOST_STEPS + 1))]
        else:
            strengths = [float(part) for part in word.split(",")]
    except ValueError:
        raise UsageError(
            f"--strength {word} is no strength; write a number, several as 0,0.5,1, or FIRST:LAST:STEP as 0:1:0.1."
        ) from None
    if len(strengths) > MOST_STEPS:
        raise UsageError(
            f"--strength {word} asks for more than {MOST_STEPS} results of a photo; take a longer step."
        )
    for strength in strengths:
        check_strength(strength)
    if len(set(strengths)) < len(strengths):
        raise UsageError(f"--strength {word} names a strength twice; leave one out.")
    return strengths


def parse_amounts(au: Sequence[str], control: Sequence[str]) -> dict[str, float]:
    """Amounts by name of the words after --au and --control, such as "12=0.8".

    Raises:
        UsageError: A word has another form, or a name comes twice.
    """
    amounts: dict[str, float] = {}
    for option, word in [*(("--au", word) for word in au), *(("--control", word) for word in control)]:
        name, equals, number = word.partition("=")
        try:
            amount = float(number)
        except ValueError:
            amount = float("nan")
        if not equals or not name.strip() or amount != amount:
            raise UsageError(
                f"{option} {word} is no amount; write NAME=NUMBER, such as {option} {_SAMPLES[option]}."
            )
        known, _ = find_control(name)
        if known in amounts:
            raise UsageError(f"{known} is asked for twice; give one amount.")
        amounts[known] = amount
    return amounts


def plan_jobs(sources: Sequence[str], options: PlanOptions) -> Plan:
    """The photos to edit and the files to write.

    Args:
        sources: Photos, folders and patterns such as photos/*.jpg.
        options: See there.

    Raises:
        UsageError: The options do not go together, two results would be one file, an input or an existing
            file would be replaced unasked.
        UnreadableImage: A source does not exist or holds no photo.
    """
    if options.compare is not None and not os.path.isdir(options.compare):
        _check_extension(options.compare, "--compare")
    if not is_batch(sources):
        if options.names is not None:
            raise UsageError(
                f"--input-list names photos of a folder, and {sources[0]} is none; give the folder that holds them."
            )
        _check_exist([sources[0]])
        job, folder = _single_job(place(sources[0]), options)
        plan = Plan((job,), folder, is_single=True)
    else:
        jobs: dict[str, Job] = {}
        for source, name in batch_photos(sources, options):
            jobs.setdefault(identity(source), job_of(source, name, options))
        plan = Plan(tuple(jobs.values()), options.output)
    check_targets(plan.jobs, options)
    if options.skip_existing and plan.folder is None:
        raise UsageError("--skip-existing needs --output FOLDER, where the record of finished files is kept.")
    return plan


def is_batch(sources: Sequence[str]) -> bool:
    """Whether more than one photo may be meant, so that an error of one does not end the command."""
    return len(sources) != 1 or places.is_folder(place(sources[0])) or _is_pattern(sources[0])


def batch_photos(sources: Sequence[str], options: PlanOptions) -> Iterator[tuple[Path, Path]]:
    """Several photos as they are found, and their names below the output folder; one that is given twice comes twice.

    Raises: as `plan_jobs` does, but for what `check_targets` finds.
    """
    output = options.output
    if options.compare is not None:
        raise UsageError("--compare is for a single photo; leave it out for several, or name one photo.")
    if output is not None and (places.is_file(output) or _names_a_file(output)):
        raise UsageError(f"--output {output} is a file; name a folder for the results of several photos.")
    yield from _photos(sources, options)


def job_of(source: Path, name: Path, options: PlanOptions) -> Job:
    """The job of a photo, whose name below the output folder is given."""
    if options.output is None:
        return _job(source, Path(source.name), source.parent, options)
    return _job(source, name, options.output, options)


def identity(source: Path) -> str:
    """The same for a photo that is given twice, but not for another link to it."""
    return str(source) if places.is_remote(source) else os.path.abspath(source)


def result_paths(name: Path, expressions: Sequence[str], folder: Path, suffix: str = "") -> dict[str, Path]:
    """The files for each expression of a photo, in a folder; the photo's name may have folders, too."""
    from exprgan.photos.image_io import EXTENSIONS

    suffix = suffix or (name.suffix if name.suffix.lower() in EXTENSIONS else ".png")
    return {each: folder / name.with_name(f"{name.stem}-{each}{suffix}") for each in expressions}


def _single_job(source: Path, options: PlanOptions) -> tuple[Job, Path | None]:
    output = options.output
    if output is None:
        return _job(source, Path(source.name), source.parent, options), None
    if len(options.expressions) == 1 and _names_a_file(output):
        _check_extension(output)
        return Job(source, {options.expressions[0]: output}, options.compare), None
    if places.is_file(output):
        raise UsageError(f"--output {output} is a file; name a folder for several expressions.")
    return _job(source, Path(source.name), output, options), output


def _names_a_file(output: Path) -> bool:
    return bool(output.suffix) and not places.is_folder(output)


def _photos(sources: Sequence[str], options: PlanOptions) -> Iterator[tuple[Path, Path]]:
    """Each photo of the sources and its name below the output folder."""
    patterns = {source: places.matching(source) for source in sources if _is_pattern(source)}
    _check_exist([source for source in sources if source not in patterns])
    if options.names is not None:
        yield from _listed_photos(sources, options.names)
        return
    for source in sources:
        if source not in patterns and not places.is_folder(place(source)):
            yield place(source), Path(place(source).name)
            continue
        base = _fixed_part(source) if source in patterns else place(source)
        is_empty = True
        for path in patterns.get(source, [base]):
            if places.is_folder(path) and "**" not in source:
                found: Iterable[Path] = _folder_photos(path, options)
            else:
                found = [path] if places.is_file(path) and _looks_like_a_photo(path) else []
            for photo in found:
                is_empty = False
                yield photo, photo.relative_to(base)
        if is_empty:
            raise UnreadableImage(
                f"{source} has no photos; name a folder with JPEG, PNG, WebP, AVIF or TIFF files."
            )


def _listed_photos(sources: Sequence[str], names: Path) -> Iterator[tuple[Path, Path]]:
    """The photos of a folder that a file names, one a line; whether they are there is seen when they are read."""
    if len(sources) != 1:
        raise UsageError("--input-list names photos of one folder; give that folder alone.")
    folder, is_empty = place(sources[0]), True
    for number, line in enumerate(_lines(names), 1):
        name = Path(line)
        if name.is_absolute() or places.is_remote(place(line)) or ".." in name.parts:
            raise UsageError(
                f"Line {number} of {names} leads out of {folder}; write names as they lie below the folder."
            )
        is_empty = False
        yield folder / name, name
    if is_empty:
        raise UsageError(f"{names} names no photo; write one a line, as they lie below {folder}.")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file of names without their ends; empty ones are left out."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            yield from (name for line in file if (name := line.rstrip("\r\n")))
    except OSError as error:
        raise UsageError(f"--input-list {path} cannot be read ({error.strerror}); check its name.") from error


def _folder_photos(folder: Path, options: PlanOptions) -> Iterator[Path]:
    output = options.output
    if output is None:
        raise UsageError("A folder of photos needs --output FOLDER for the results.")
    inside = places.real(output)
    if inside == places.real(folder):
        raise UsageError(f"--output {output} is the folder of the photos; name another one for the results.")
    for path in places.walk(folder, options.recursive):
        if (
            _looks_like_a_photo(path) and inside not in places.real(path).parents
        ):  # no results of earlier runs
            yield path


def _job(source: Path, name: Path, folder: Path, options: PlanOptions) -> Job:
    sheet = folder / name.with_name(f"{name.stem}-sheet.png") if options.with_sheet else None
    outputs = result_paths(name, options.expressions, folder, options.suffix)
    return Job(source, outputs, options.compare or sheet)


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not places.exists(place(source))


def _fixed_part(pattern: str) -> Path:
    """The folders of a pattern before the first one with a wildcard."""
    path = place(pattern)
    while glob.has_magic(str(path)):
        path = path.parent
    return path


def is_too_long(path: Path) -> bool:
    """Whether file systems refuse the name."""
    return len(os.fsencode(path.name)) > _LONGEST_NAME


def _looks_like_a_photo(path: Path) -> bool:
    from exprgan.photos.image_io import READABLE_EXTENSIONS

    return path.suffix.lower() in READABLE_EXTENSIONS


def _check_extension(path: Path, option: str = "--output") -> None:
    from exprgan.photos.decode import FORMATS_TEXT
    from exprgan.photos.image_io import EXTENSIONS

    if path.suffix.lower() not in EXTENSIONS:
        what = f"*{path.suffix} files" if path.suffix else "Files without an extension"
        raise UsageError(f"{what} cannot be written; choose {FORMATS_TEXT} with {option}.")


def _check_exist(sources: Sequence[str]) -> None:
    missing = [
        source
        for source in sources
        if not places.is_file(place(source)) and not places.is_folder(place(source))
    ]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        hint = "check the name and the folder"
        if missing[0].lower() in (*EXPRESSIONS, "all"):
            hint = f"for the expression write --to {missing[0]}"
        raise UnreadableImage(f"{_listed(missing)} {verb} not exist; {hint}.")


def check_targets(jobs: Sequence[Job], options: PlanOptions) -> None:
    """Raise one error that names all that stands in the way."""
    paths = {path for job in jobs for path in (job.source, *job.targets)}
    keys = {path: os.path.normcase(places.real(path)) for path in paths}  # the same for all names of a file
    complaints = [*_clashes(jobs, keys), *_in_the_way(jobs, options, keys)]
    if complaints:
        raise UsageError("\n".join(complaints))


def _clashes(jobs: Sequence[Job], keys: Mapping[Path, str]) -> Iterator[str]:
    """Results that no option allows."""
    targets: dict[str, Path] = {}
    owners: dict[str, list[Job]] = {}
    for job in jobs:
        for path in job.targets:
            targets[keys[path]] = path
            owners.setdefault(keys[path], []).append(job)
    if found := [path.name for path in targets.values() if is_too_long(path)]:
        yield (
            f"The name {_listed(found)} is longer than the {_LONGEST_NAME} bytes that a file's name may have; "
            "name the result with --output or rename the photo."
        )
    if found := [
        f"{targets[key]} (from {' and '.join(dict.fromkeys(str(job.source) for job in wanted))})"
        for key, wanted in owners.items()
        if len(wanted) > 1
    ]:
        yield (
            f"Several results would both be written to {_listed(found)}; rename a photo or edit "
            "them one by one with --output."
        )
    if found := [
        f"{job.source} (by the edit of {owners[keys[job.source]][0].source})"
        for job in jobs
        if job not in owners.get(keys[job.source], [job])
    ]:
        yield (
            f"An input would be replaced by another photo's result: {_listed(found)}; choose another --output."
        )
    if found := [str(path) for path in targets.values() if places.is_folder(path)]:
        yield f"{_listed(found)} is a folder; choose another --output."


def _in_the_way(jobs: Sequence[Job], options: PlanOptions, keys: Mapping[Path, str]) -> Iterator[str]:
    """Files that would be replaced and may not be."""
    if options.overwrite:
        return
    inputs = {keys[job.source] for job in jobs}
    if found := [str(job.source) for job in jobs if keys[job.source] in [keys[path] for path in job.targets]]:
        yield (
            f"{_listed(found)} exists and is the input itself; allow to replace it with "
            "--overwrite or choose another --output."
        )
    targets = {keys[path]: path for job in jobs for path in job.targets}
    exist = [str(path) for key, path in targets.items() if key not in inputs and places.is_file(path)]
    if exist and not options.skip_existing:
        more = "" if options.output is None else ", go on with an interrupted run with --skip-existing"
        yield (
            f"There already is {_listed(exist)}; allow to replace it with --overwrite{more} or choose another --output."
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(" ".join(name.split("\n")) for name in names[:_SHOWN]) + more
