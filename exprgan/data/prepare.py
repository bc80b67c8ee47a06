"""Prepare a data set: crops of all its faces, made in parallel, and a table of what is known of them.

A run that was stopped, in whatever way, goes on where it was: each finished picture is a line of journal.jsonl
and has its files, and only the others are worked on. The result is the same however often it was stopped and
however many processes took part.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exprgan.data import readers
from exprgan.data.crop_pool import crops_of
from exprgan.data.crops import Crop, CropConfig
from exprgan.data.face_set import CROPS
from exprgan.data.prepared import NOTES, TABLE, Row, write_table
from exprgan.data.readers import Problem, Record, relative_name
from exprgan.data.shards import INDEX, pack
from exprgan.data.splits import split_of
from exprgan.errors import ExprganError, UsageError
from exprgan.face_parts import CROP_PX
from exprgan.files import write_whole
from exprgan.photos.image_io import write_atomic

IMAGES, MASKS, JOURNAL, PROBLEMS = "images", "masks", "journal.jsonl", "problems.csv"
FORMAT = 1


@dataclass(frozen=True)
class Preparation:
    """What a run did.

    Attributes:
        output: The prepared folder.
        faces: Crops in it, all in all.
        kept: Of these, those that an earlier run had made.
        left_out: Number of pictures that gave none, by reason.
    """

    output: Path
    faces: int
    kept: int
    left_out: Mapping[str, int]


@dataclass
class Outcome:
    """What became of one record, as the journal keeps it."""

    key: str
    source: str  # the picture's name within the set
    problem: str = ""
    size: int = 0  # bytes of the crop
    mask: bool = False
    action_units: tuple[float, ...] | None = None


def prepare(
    name: str,
    folder: Path,
    output: Path,
    *,
    config: CropConfig | None = None,
    jobs: int = 1,
    shards: int = 0,
    units: Mapping[str, NDArray[np.float32]] | None = None,
    progress: Callable[[int], AbstractContextManager[Callable[[], None]]] | None = None,
) -> Preparation:
    """Make aligned crops of a set's faces, with labels, action units, masks, subjects and splits.

    Args:
        name: One of `readers.SETS`.
        folder: The set as its makers hand it out.
        output: Folder to write; one that an earlier run with the same settings began is completed.
        config: How faces are found.
        jobs: Processes at work.
        shards: Pack the result as so many tar files; 0 leaves a folder of pictures.
        units: Action units by picture (see `read_openface_csv`), instead of the set's own.
        progress: Gets the number of pictures still to be done; in its context, what it gives is called after each.

    Raises:
        UsageError: The set or the output cannot be used, or not one face was found.
        ExprganError: A process died.
    """
    config = config or CropConfig()
    name = readers.check_name(name)
    notes = _notes_of(name, config)
    if shards and (output / INDEX).is_file():
        return _finished(output, notes)
    items = list(readers.read(name, folder))
    problems = [item for item in items if isinstance(item, Problem)]
    records = [item for item in items if isinstance(item, Record)]
    if not records:
        raise UsageError(
            f"{folder} holds no picture of {name} that can be used; see `exprgan data check {name}`."
        )
    if units is not None:
        records = with_action_units(records, folder, units)
    work = _begin_folder(folder, output, notes, shards)
    done = _read_journal(work, records, folder)
    kept = sum(not outcome.problem for outcome in done.values())
    todo = [record for record in records if record.key not in done]
    with progress(len(todo)) if progress else nullcontext(lambda: None) as step:
        for outcome in _cut(todo, folder, work, config, jobs):
            done[outcome.key] = outcome
            step()
    outcomes = [done[record.key] for record in records]
    problems += [Problem(outcome.source, outcome.problem) for outcome in outcomes if outcome.problem]
    rows = [
        _row_of(name, record, outcome)
        for record, outcome in zip(records, outcomes, strict=True)
        if not outcome.problem
    ]
    left_out = _finish_folder(work, rows, problems)
    if shards:
        pack(work, rows, output, shards, {**notes, "faces": len(rows), "left_out": left_out})
        os.replace(work / PROBLEMS, output / PROBLEMS)
        shutil.rmtree(work)
    return Preparation(output, len(rows), kept, left_out)


def _cut(
    records: Sequence[Record], folder: Path, work: Path, config: CropConfig, jobs: int
) -> Iterator[Outcome]:
    """Make and store the records' crops; each outcome is in the journal before it is given."""
    with (work / JOURNAL).open("a", encoding="utf-8") as journal:
        for record, result in crops_of(records, config, jobs):
            outcome = _store(work, record, result, relative_name(record.path, folder))
            journal.write(json.dumps(asdict(outcome)) + "\n")
            journal.flush()
            yield outcome


def with_action_units(
    records: Sequence[Record], folder: Path, units: Mapping[str, NDArray[np.float32]]
) -> list[Record]:
    """The records with intensities by the pictures' names within the set, file names, or names without ending.

    A file name that several pictures have is not used.

    Raises:
        UsageError: Not one picture is named.
    """
    names = [relative_name(record.path, folder) for record in records]
    count = Counter(short for name in names for short in {Path(name).name, Path(name).stem})
    given = {key: tuple(float(v) for v in value) for key, value in units.items()}
    result, matched = [], 0
    for record, name in zip(records, names, strict=True):
        keys = [name, *(short for short in (Path(name).name, Path(name).stem) if count[short] == 1)]
        found = next((given[key] for key in keys if key in given), None)
        matched += found is not None
        result.append(record if found is None else replace(record, action_units=found))
    if not matched:
        example = next(iter(units), "nothing")
        raise UsageError(
            f"The action units name no picture of the set (they name {example}, the set {names[0]}); "
            "give the csv that OpenFace wrote for these pictures."
        )
    return result


def _notes_of(name: str, config: CropConfig) -> dict[str, Any]:
    return {
        "set": name,
        "format": FORMAT,
        "size_px": CROP_PX,
        "detector": config.detector,
        "max_yaw_deg": config.max_yaw_deg,
        "measures_action_units": bool(config.face_landmarker),
    }


def _begin_folder(source: Path, output: Path, notes: Mapping[str, Any], shards: int) -> Path:
    """The folder for the crops: made, or seen to be one of an earlier run with the same settings."""
    if output.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{output} lies in the data set itself; choose a place beside it with --output.")
    work = output / CROPS if shards else output
    path = work / NOTES
    if path.is_file():
        _check_notes(json.loads(path.read_text(encoding="utf-8")), notes, work)
    elif output.is_dir() and any(output.iterdir()):
        raise UsageError(f"{output} holds other files; choose a new folder with --output.")
    try:
        for below in (IMAGES, MASKS):
            (work / below).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{work} cannot be made ({error.strerror}); choose another place with --output."
        ) from error
    write_atomic(path, (json.dumps(notes, indent=1) + "\n").encode())
    return work


def _finish_folder(work: Path, rows: Sequence[Row], problems: Sequence[Problem]) -> dict[str, int]:
    """Write the tables; how many pictures gave no crop, by reason."""
    write_atomic(work / PROBLEMS, _problem_table(problems))
    if not rows:
        raise UsageError(f"Not one picture gave a face; {work / PROBLEMS} says why for each.")
    write_atomic(work / TABLE, write_table(rows).encode())
    return dict(Counter(problem.reason for problem in problems))


def _check_notes(old: Mapping[str, Any], notes: Mapping[str, Any], place: Path) -> None:
    for key, value in notes.items():
        if old.get(key) != value:
            raise UsageError(
                f"{place} was begun with {key} {old.get(key)} and not {value}; "
                "use the same settings, or choose a new folder with --output."
            )


def _finished(output: Path, notes: Mapping[str, Any]) -> Preparation:
    """What is there already, complete."""
    from exprgan.data.shards import read_index

    index = read_index((output / INDEX).read_text(encoding="utf-8"), str(output / INDEX))
    _check_notes(index.notes, notes, output)
    faces = int(index.notes["faces"])
    return Preparation(output, faces, faces, dict(index.notes["left_out"]))


def _read_journal(work: Path, records: Sequence[Record], folder: Path) -> dict[str, Outcome]:
    """Outcomes of an earlier run by key, as far as they are of these records and their files are there."""
    path = work / JOURNAL
    if not path.is_file():
        return {}
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):  # stopped within a line
        data = data[: data.rfind(b"\n") + 1]
        write_atomic(path, data)
    sources = {record.key: relative_name(record.path, folder) for record in records}
    done: dict[str, Outcome] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            outcome = Outcome(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if sources.get(outcome.key) == outcome.source and _is_there(work, outcome):
            done[outcome.key] = outcome
    return done


def _is_there(work: Path, outcome: Outcome) -> bool:
    if outcome.problem:
        return True
    image, mask = work / _image_name(outcome.key), work / _mask_name(outcome.key)
    return (
        image.is_file()
        and image.stat().st_size == outcome.size
        and (not outcome.mask or (mask.is_file() and mask.stat().st_size > 0))
    )


def _image_name(key: str) -> str:
    return f"{IMAGES}/{key}.jpg"


def _mask_name(key: str) -> str:
    return f"{MASKS}/{key}.png"


def _store(work: Path, record: Record, result: Crop | str, source: str) -> Outcome:
    """Write a crop's files; what the journal is to say of them."""
    if isinstance(result, str):
        return Outcome(record.key, source, problem=result)
    if result.mask is not None:
        _write(work / _mask_name(record.key), result.mask)
    _write(work / _image_name(record.key), result.image)
    units = None if record.action_units is not None else result.action_units
    return Outcome(record.key, source, "", len(result.image), result.mask is not None, units)


def _write(path: Path, data: bytes) -> None:
    """A file that appears whole or not at all; without waiting for the disk, since the journal can be redone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_whole(path, data)
    except OSError as error:
        raise ExprganError(
            f"{path} cannot be written ({error.strerror}); make room and run the same command again."
        ) from error


def _row_of(name: str, record: Record, outcome: Outcome) -> Row:
    units = record.action_units or outcome.action_units
    return Row(
        key=record.key,
        image=_image_name(record.key),
        mask=_mask_name(record.key) if outcome.mask else "",
        expression=record.expression,
        subject=record.subject,
        split=split_of(name, record),
        action_units=None if units is None else tuple(units),
    )


def _problem_table(problems: Sequence[Problem]) -> bytes:
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "reason"))
    writer.writerows((problem.name, problem.reason) for problem in problems)
    return text.getvalue().encode()
