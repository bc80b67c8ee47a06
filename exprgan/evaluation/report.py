"""An evaluation as metrics.json and as report.html, one file with its pictures that needs no network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.expressions import EXPRESSIONS
from exprgan.files import write_whole

SCHEMA = "exprgan.eval/1"
PICTURE_PX = 192
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88]


@dataclass(frozen=True)
class Column:
    """A column of the main table.

    better: higher, lower or "" where neither is; scale: what the value is multiplied with to be shown.
    """

    key: str
    group: str
    title: str
    better: str
    digits: int
    what: str
    scale: float = 1.0


COLUMNS = (
    Column(
        "accuracy",
        "Expression",
        "accuracy, %",
        "higher",
        1,
        "share of edits that the judge of photographs takes for what was asked for, of its tested expressions",
        100,
    ),
    Column(
        "accuracy_rendered",
        "Expression",
        "8 classes, %",
        "higher",
        1,
        "share of edits that the judge of photographs and renders takes for what was asked for, of all eight",
        100,
    ),
    Column(
        "wanted",
        "Expression",
        "wanted change",
        "higher",
        3,
        "mean change of the blendshape scores that the expression should raise, by the judge of photographs",
    ),
    Column(
        "wanted_landmarker",
        "Expression",
        "by MediaPipe",
        "higher",
        3,
        "the same, by MediaPipe's Face Landmarker",
    ),
    Column(
        "cosine", "Identity", "cosine", "higher", 3, "cosine of the identity judge's vectors before and after"
    ),
    Column("acd", "Identity", "ACD", "lower", 3, "distance (L2) of these vectors"),
    Column(
        "fid",
        "Distribution",
        "FID",
        "lower",
        2,
        "Fréchet distance of all edits to held-out photos, in features of the judge of photographs: not Inception's",
    ),
    Column("kid", "Distribution", "KID", "lower", 3, "kernel distance of the same features, unbiased"),
    Column(
        "kid_like",
        "Distribution",
        "KID to its like",
        "lower",
        1,
        "the same for each expression that 30 of the photos show by their labels, to these; mean",
    ),
    Column(
        "fid_inception", "Distribution", "FID, Inception", "lower", 1, "the same as published: pool layer"
    ),
    Column(
        "kid_inception", "Distribution", "KID, Inception", "lower", 4, "the same as published: pool layer"
    ),
    Column(
        "psnr_out",
        "Outside the face",
        "PSNR, dB",
        "higher",
        1,
        "edit against photo, outside the face; at most 59",
    ),
    Column(
        "psnr_beyond",
        "Outside the face",
        "of both, dB",
        "higher",
        1,
        "the same, outside the face in the photo and in the edit",
    ),
    Column("ssim_out", "Outside the face", "SSIM", "higher", 4, "the same"),
    Column("l1_out", "Outside the face", "L1", "lower", 2, "the same, in 8-bit levels"),
    Column(
        "psnr_in",
        "Inside the face",
        "PSNR, dB",
        "",
        1,
        "edit against photo, inside the face: an edit must change it",
    ),
    Column("ssim_in", "Inside the face", "SSIM", "", 3, "the same"),
    Column("l1_in", "Inside the face", "L1", "", 2, "the same, in 8-bit levels"),
    Column(
        "teacher_psnr",
        "Inside the face",
        "to teacher, dB",
        "higher",
        1,
        "PSNR to the geometry teacher's render",
    ),
    Column(
        "own_psnr",
        "Self-reconstruction",
        "PSNR, dB",
        "higher",
        1,
        "edit to the expression that the face has already, against the photo, whole crop",
    ),
    Column("own_ssim", "Self-reconstruction", "SSIM", "higher", 3, "the same"),
    Column("own_l1", "Self-reconstruction", "L1", "lower", 2, "the same, in 8-bit levels"),
    Column("own_cosine", "Self-reconstruction", "cosine", "higher", 3, "identity of the same"),
    Column(
        "psnr_pair",
        "True renders",
        "PSNR, dB",
        "higher",
        2,
        "edit of a neutral render against the true render of the expression, inside the face of either",
    ),
    Column(
        "psnr_shapes",
        "True renders",
        "by their shapes, dB",
        "higher",
        2,
        "the same with the shapes and amounts that the render shows, not a recipe's",
    ),
    Column("ssim_pair", "True renders", "SSIM", "higher", 4, "the same"),
    Column("l1_pair", "True renders", "L1", "lower", 2, "the same, in 8-bit levels"),
    Column(
        "ms_per_face",
        "Cost",
        "ms a face",
        "lower",
        0,
        "median CPU time of one thread, all networks of an edit",
    ),
    Column("parameters", "Cost", "parameters, M", "lower", 2, "of all networks of an edit", 1e-6),
)
"""The main table, in its order."""
BY_EXPRESSION = (
    "accuracy_rendered",
    "wanted",
    "wanted_landmarker",
    "cosine",
    "kid",
    "kid_like",
    "psnr_out",
    "psnr_pair",
)
"""Columns that the report also shows by expression."""
BY_UNIT = (
    Column(
        "change",
        "",
        "change",
        "higher",
        2,
        "mean change of the score that is meant, by the judge of photographs",
    ),
    *(column for column in COLUMNS if column.key in ("cosine", "kid", "psnr_out")),
)
"""Columns of the tables by action unit."""


def columns_of(record: dict[str, Any]) -> list[Column]:
    """Columns that at least one system has a value for."""
    return [
        column
        for column in COLUMNS
        if any(value_of(system, column.key) is not None for system in record["systems"])
    ]


def value_of(system: dict[str, Any], key: str) -> float | None:
    """Value of a figure or cost of a system's record; None where it has none."""
    if key in ("ms_per_face", "parameters"):
        cost = system["cost"]
        return None if cost is None else cost[key]
    figure = system["figures"].get(key)
    return None if figure is None else figure["value"]


def data_uri(image: NDArray[np.uint8], side_px: int = PICTURE_PX) -> str:
    """uint8 RGB (H, W, 3) as a JPEG within the page."""
    if image.shape[0] != side_px:
        image = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


@dataclass(frozen=True)
class Pictures:
    """What the report shows of one face: the photo, and eight edits by each system."""

    label: str
    before: NDArray[np.uint8]
    edits: dict[str, NDArray[np.uint8]]  # by system, uint8 RGB (8, 256, 256, 3)


def picture_rows(faces: Sequence[Pictures], *, by_face: bool) -> list[dict[str, Any]]:
    """Sheets of the report: a face with a row a system (`by_face`), or a system with a row a face."""
    if by_face:
        return [
            {
                "title": face.label,
                "rows": [_row(name, face, name) for name in face.edits],
            }
            for face in faces
        ]
    names = list(faces[0].edits) if faces else []
    return [
        {"title": name, "rows": [_row(face.label, face, name) for face in faces if name in face.edits]}
        for name in names
    ]


def _row(label: str, face: Pictures, name: str) -> dict[str, Any]:
    return {
        "label": label,
        "cells": [
            {"uri": data_uri(image), "alt": f"{face.label}, {name}, {expression}"}
            for expression, image in zip(EXPRESSIONS, face.edits[name], strict=True)
        ],
        "before": {"uri": data_uri(face.before), "alt": f"{face.label}, unedited"},
    }


def write_report(folder: Path, record: dict[str, Any], faces: Sequence[Pictures], *, by_face: bool) -> None:
    """Write metrics.json and report.html.

    Args:
        folder: Made when it is not there.
        record: As docs/evaluation.md describes metrics.json.
        faces: Faces to show.
        by_face: Put the systems below each other for every face.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / "metrics.json", text.encode())
    write_whole(folder / "report.html", render(record, picture_rows(faces, by_face=by_face)).encode())


def render(record: dict[str, Any], sheets: list[dict[str, Any]]) -> str:
    """The page of a record and its sheets of pictures."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("exprgan.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = columns_of(record)
    differences = record["differences"]
    paired = [column for column in columns if differences and column.key in differences[0]["figures"]]
    page = environment.get_template("report.html.j2")
    return page.render(
        record=record,
        columns=columns,
        groups=_groups(columns),
        paired=paired,
        paired_groups=_groups(paired),
        best=_best(record, columns),
        by_expression=[column for column in columns if column.key in BY_EXPRESSION],
        by_unit=BY_UNIT,
        expressions=EXPRESSIONS,
        sheets=sheets,
        plot=_plot(record),
        value_of=value_of,
        show=show,
        heat=heat,
    )


def show(value: float | None, column: Column) -> str:
    """A value as the table writes it."""
    if value is None:
        return "–"
    return (
        f"{round(value * column.scale, column.digits) + 0.0:.{column.digits}f}"  # + 0.0: no minus before zero
    )


def heat(value: float | None, values: Iterable[float | None]) -> float:
    """Place of a value between the least and the largest, 0 to 1; 0 where there is no range."""
    known = [entry for entry in values if entry is not None]
    if value is None or not known or max(known) == min(known):
        return 0.0
    return (value - min(known)) / (max(known) - min(known))


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    groups: dict[str, int] = {}
    for column in columns:
        groups[column.group] = groups.get(column.group, 0) + 1
    return list(groups.items())


def _best(record: dict[str, Any], columns: Sequence[Column]) -> dict[str, str]:
    """Column key -> the trained system with its best value, where there are several systems."""
    trained = [system for system in record["systems"] if system["kind"] == "system"]
    best = {}
    for column in columns:
        known = [
            (value, system["name"])
            for system in trained
            if (value := value_of(system, column.key)) is not None
        ]
        if len(known) > 1 and column.better:
            best[column.key] = (max if column.better == "higher" else min)(known)[1]
    return best


def _plot(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Points of the picture of accuracy against identity, in percent of its sides."""
    points = []
    for system in record["systems"]:
        accuracy, cosine = system["figures"].get("accuracy_rendered"), system["figures"].get("cosine")
        if not accuracy or not cosine or accuracy["value"] is None or cosine["value"] is None:
            continue
        points.append({"name": system["name"], "kind": system["kind"], "x": cosine, "y": accuracy})
    if not points:
        return []
    # identity is close to 1: the axis begins at the next tenth below everything that is shown
    least = math.floor(min(point["x"]["low"] or point["x"]["value"] for point in points) * 10) / 10
    for point in points:
        for name in ("value", "low", "high"):
            x = point["x"][name] if point["x"][name] is not None else point["x"]["value"]
            y = point["y"][name] if point["y"][name] is not None else point["y"]["value"]
            point[f"x_{name}"] = round(100 * (x - least) / (1.0001 - least), 2)
            point[f"y_{name}"] = round(100 * (1 - y), 2)
        point["least"] = least
    points.sort(key=lambda point: float(point["y_value"]))
    above = -math.inf
    for point in points:  # names below each other where points are close
        above = point["y_name"] = max(point["y_value"] - 2.5, above + 5)
    return points
