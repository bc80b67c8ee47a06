"""`exprgan eval` as a function: sources and data in, metrics.json and report.html out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exprgan.data.face_set import FaceSet, open_sets
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.edit.parts import segmenter_of
from exprgan.errors import UsageError
from exprgan.evaluation import segmentation
from exprgan.evaluation.cases import Cases, choose, held_out_split
from exprgan.evaluation.contestants import Contestant, NoEdit, Teacher, trained, transferring
from exprgan.evaluation.judging import MASK_MARGIN_PX, NAMES, Judges
from exprgan.evaluation.outside import Inception, Landmarker
from exprgan.evaluation.protocol import Measured, Protocol, rounded_to_8_bits
from exprgan.evaluation.report import SCHEMA, Pictures, write_report
from exprgan.evaluation.sources import SEGMENTERS, TRANSFER, titles
from exprgan.evaluation.summary import Summary, paired_differences, summarise
from exprgan.evaluation.units import measure_units, units_of
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import FACE_CLASSES
from exprgan.models.judges import EXPRESSION_SQUARE, FEATURE_LAYER, INPUT_PX
from exprgan.models.pixels import to_tensor
from exprgan.version import __version__
from exprgan.weights import NetworkFiles, find_weights_dir, read_manifest
from exprgan.weights.find import END_TO_END


@dataclass(frozen=True)
class EvalOptions:
    """What is measured, on what.

    faces: photographs to edit, at most. size: side at which pixels are compared. teacher and cache: folders of the
    geometry teacher's basis and renders. landmarker: MediaPipe's model
    file. inception: weights of the FID Inception. compare: report by face rather than
    by system. pictures: faces that the report shows. units: also edit by single action units.
    """

    data: tuple[str, ...]
    output: Path
    faces: int = 60
    size: int = 256
    seed: int = 0
    teacher: Path | None = None
    cache: Path | None = None
    weights: Path | None = None
    landmarker: Path | None = None
    inception: Path | None = None
    compare: bool = False
    pictures: int = 6
    units: bool = False


Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]


def _silent(total: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)


def evaluate(
    sources: Sequence[NetworkFiles],
    options: EvalOptions,
    *,
    command: Sequence[str] = (),
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Measure sources side by side and write the report; returns what metrics.json holds.

    All networks run on one CPU thread: figures then depend on neither the number of cores nor their speed.

    Args:
        sources: Systems, transfer networks and segmenters, as `find_source` gives them.
        options: Data and settings.
        command: For the record.
        progress: Gives a context manager whose function is called for each of the given number of edits.

    Raises:
        UsageError: The data do not hold what is needed.
        WeightsError: Weights, the judges' among them, are missing or do not fit.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sets = open_sets(options.data)
        judges = _judges(options.weights)
        record = _head(sets, judges, options, command)
        systems = [files for files in sources if files.architecture not in SEGMENTERS]
        faces: list[Pictures] = []
        if systems:
            with Landmarker(options.landmarker) if options.landmarker else nullcontext() as landmarker:
                faces = _measure(systems, sets, judges, landmarker, options, record, progress)
        record["segmenters"] = [
            row for found in _segmenters(sources) for row in _segmenter_rows(*found, sets)
        ]
        write_report(options.output, record, faces, by_face=options.compare)
        return record
    finally:
        torch.set_num_threads(threads)


def _judges(weights: Path | None) -> Judges:
    """The judges of a folder of weights that was named, where it has them; else the bundled ones."""
    if weights is not None and set(NAMES) <= set(read_manifest(find_weights_dir(weights))):
        return Judges(weights)
    return Judges()


def _torchmetrics_version() -> str:
    try:
        import torchmetrics
    except ImportError as error:
        raise UsageError(
            "`eval` needs torchmetrics; install it with `pip install 'exprgan[research]'`."
        ) from error
    return str(torchmetrics.__version__)


def _head(
    sets: Sequence[FaceSet], judges: Judges, options: EvalOptions, command: Sequence[str]
) -> dict[str, Any]:
    """The parts of the record that need no measurement."""
    return {
        "schema": SCHEMA,
        "command": list(command),
        "versions": {
            "exprgan": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchmetrics": _torchmetrics_version(),
            "numpy": np.__version__,
        },
        "seed": options.seed,
        "size_px": options.size,
        "threads": 1,
        "data": {
            "sources": [str(source) for source in options.data],
            "sets": [{"name": face_set.name, "split": ""} for face_set in sets],
            "num_faces": 0,
            "num_pairs": 0,
            "num_pictures": 0,
            "faces": [],
        },
        "judges": [
            {
                "name": name,
                "sha256": files.sha256,
                "report": files.config["report"],
                "tested_classes": files.config.get("tested_classes", []),
            }
            for name, files in judges.files.items()
        ],
        "face_mask": (
            f"{', '.join(FACE_CLASSES)}, with a margin of {MASK_MARGIN_PX} px in the 256-px crop; by the set's masks, "
            "else by the bundled segmenter"
        ),
        "systems": [],
        "action_units": {},
        "differences": [],
        "segmenters": [],
    }


def _measure(
    sources: Sequence[NetworkFiles],
    sets: Sequence[FaceSet],
    judges: Judges,
    landmarker: Landmarker | None,
    options: EvalOptions,
    record: dict[str, Any],
    progress: Progress,
) -> list[Pictures]:
    """Fill in the systems of a record; returns the pictures."""
    teacher = _teacher(sets, options)
    allowed = {teacher.set_name: teacher.usable()} if teacher else None
    cases = choose(sets, options.faces, options.seed, allowed=allowed)
    contestants: list[Contestant] = [NoEdit(), *([teacher] if teacher else [])]
    contestants += [
        _contestant(source, title, sets) for source, title in zip(sources, titles(sources), strict=True)
    ]
    by_units = {each.name: system for each in contestants if options.units and (system := units_of(each))}
    total = len(contestants) * (len(cases.faces) + len(cases.pairs)) + len(by_units) * len(cases.faces)
    with progress(total) as step:
        protocol = Protocol(
            cases,
            judges,
            size=options.size,
            teacher=teacher,
            landmarker=landmarker,
            inception=Inception(options.inception) if options.inception else None,
            num_pictures=options.pictures,
            on_face=step,
        )
        measured = [protocol.measure(contestant) for contestant in contestants]
        reference = protocol.reference_features()
        record["action_units"] = {
            name: measure_units(protocol, system, reference, seed=options.seed, on_face=step)
            for name, system in by_units.items()
        }
    published = protocol.reference_inception()
    tested = judges.tested_classes
    summaries = [summarise(one, cases, tested, reference, options.seed, published) for one in measured]
    record["data"] |= _data_record(cases, sets, options)
    record["features"] = _features_record(cases, reference)
    record["systems"] = [
        _system_record(one, summary) for one, summary in zip(measured, summaries, strict=True)
    ]
    record["differences"] = _differences(
        [one for one in measured if one.facts["kind"] == "system"], cases, tested, options.seed
    )
    shown = [one for one in measured if one.facts["kind"] == "system" or one.name == Teacher.name]
    return [
        Pictures(
            f"face {number + 1}",
            rounded_to_8_bits(cases.faces[number].image)[0],
            {one.name: one.pictures[number] for one in shown if (one.predicted[number] >= 0).all()},
        )
        for number in range(min(options.pictures, len(cases.faces)))
    ]


def _teacher(sets: Sequence[FaceSet], options: EvalOptions) -> Teacher | None:
    if options.teacher is None:
        return None
    data = next((face_set for face_set in sets if isinstance(face_set, OpenFaces)), None)
    if data is None:
        raise UsageError("The geometry teacher renders open-faces; name that set with --data.")
    assert options.cache is not None
    return Teacher(data, options.teacher, options.cache)


def _contestant(files: NetworkFiles, title: str, sets: Sequence[FaceSet]) -> Contestant:
    if files.architecture == TRANSFER:
        return transferring(files, title, _drivers(sets))
    return trained(files, title)


def _drivers(sets: Sequence[FaceSet]) -> Tensor:
    """The first rendered training identity in the eight expressions, (8, 3, 256, 256)."""
    data = next((face_set for face_set in sets if isinstance(face_set, SyntheticFaces)), None)
    if data is None:
        raise UsageError(
            "Expressions are shown to the transfer network by renders; add synthetic-faces to --data."
        )
    person = next(frames for frames in data.identities("train") if set(EXPRESSIONS) <= set(frames))
    return torch.cat([to_tensor(data.image(person[name][0])) for name in EXPRESSIONS])


def _data_record(cases: Cases, sets: Sequence[FaceSet], options: EvalOptions) -> dict[str, Any]:
    return {
        "sets": [{"name": face_set.name, "split": cases.split[face_set.name]} for face_set in sets],
        "num_faces": len(cases.faces),
        "num_pairs": len(cases.pairs),
        "num_pictures": min(options.pictures, len(cases.faces)),
        "faces": [{"set": case.set_name, "row": case.row, "person": case.person} for case in cases.faces],
    }


def _features_record(cases: Cases, reference: Tensor) -> dict[str, Any]:
    edited = {(case.set_name, case.row) for case in cases.faces}
    others = all((face_set.name, row) not in edited for face_set, row in cases.reference)
    left, top, side = EXPRESSION_SQUARE
    return {
        "network": NAMES[0],
        "layer": FEATURE_LAYER,
        "dimensions": reference.shape[1],
        "input": (
            f"the square from ({left:g}, {top:g}) of side {side:g} of the crop, resized to {INPUT_PX} px "
            "bilinearly with antialiasing"
        ),
        "num_reference": len(reference),
        "num_edits": len(cases.faces) * len(EXPRESSIONS),
        "reference": "held-out photos that are not edited"
        if others
        else "photos, the edited ones themselves",
    }


def _system_record(measured: Measured, summary: Summary) -> dict[str, Any]:
    def plain(table: dict[str, dict[str, float]] | None) -> dict[str, dict[str, float | None]] | None:
        if table is None:
            return None
        return {
            name: {key: round(value, 4) if np.isfinite(value) else None for key, value in row.items()}
            for name, row in table.items()
        }

    return {
        "name": measured.name,
        **measured.facts,
        "cost": None
        if measured.cost is None
        else {"ms_per_face": round(measured.cost.ms_per_face, 1), "parameters": measured.cost.parameters},
        "figures": {key: figure.record() for key, figure in summary.figures.items()},
        "by_expression": {
            key: {name: figure.record() for name, figure in row.items()}
            for key, row in summary.by_expression.items()
        },
        "confusion": summary.confusion.tolist(),
        "confusion_rendered": summary.confusion_rendered.tolist(),
        "scores": plain(summary.scores),
        "landmarker_scores": plain(summary.landmarker_scores),
    }


def _differences(
    systems: Sequence[Measured], cases: Cases, tested: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """Every further system against the first."""
    return [
        {
            "first": systems[0].name,
            "second": other.name,
            "figures": {
                key: figure.record()
                for key, figure in paired_differences(systems[0], other, cases, tested, seed).items()
            },
        }
        for other in systems[1:]
    ]


def _segmenters(sources: Sequence[NetworkFiles]) -> list[tuple[str, nn.Module]]:
    """Segmenters that were named, and those that the systems use, by name."""
    found: dict[str, nn.Module] = {}
    for files in sources:
        if files.architecture in SEGMENTERS:
            found[str(files.run or files.name)] = files.load()
        elif files.architecture in ("corrections", "unified"):
            segmenter = segmenter_of(files)
            if segmenter.name not in found:
                found[segmenter.name] = segmenter.load()
        elif files.architecture in ("hierarchical", *END_TO_END):
            network: Any = files.load()
            found[f"{files.name}'s own"] = network.segmenter
    return list(found.items())


def _segmenter_rows(name: str, segmenter: nn.Module, sets: Sequence[FaceSet]) -> list[dict[str, Any]]:
    """A segmenter on every set with masks, and on the photographs whose landmarks outline some classes."""
    rows = []
    for face_set in sets:
        chosen = [int(row) for row in np.flatnonzero(face_set.splits == held_out_split(face_set))]
        counts, num_images = segmentation.count_masks(segmenter, face_set, chosen)
        if num_images:
            scores = segmentation.mask_record(counts)
            rows.append({"labels": "exact masks", "set": face_set.name, "num_images": num_images, **scores})
        if isinstance(face_set, OpenFaces):
            partial = segmentation.evaluate_photos(segmenter, face_set)
            rows.append(
                {
                    "labels": "outlines from landmarks",
                    "set": face_set.name,
                    "num_images": len(chosen),
                    "mean_iou": round(partial.mean_iou, 4),
                    "pixel_accuracy": None,
                    "class_iou": {key: round(value, 4) for key, value in partial.class_iou.items()},
                    "class_accuracy": {},
                }
            )
    return [{"name": name, **row} for row in rows]
