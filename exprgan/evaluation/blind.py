"""A blind sheet: real and edited mouths or foreheads mixed, to be told apart by eye, and the score of the guesses.

    python -m exprgan.evaluation.blind --data DIR --part mouth --output DIR [--model corrections]
    python -m exprgan.evaluation.blind --score DIR/mouth-key.json --guesses "ABBA..."

Half of the numbered crops are photographs of open-faces val that show teeth or raised and lowered brows; the others are
edits of photographs that do not. Look at the sheet before the key: A for a photograph, B for an edit, in order, or the
numbers of those held for edits.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.edit.editor import Editor
from exprgan.errors import ExprganError, UsageError
from exprgan.face_model.expression import Expression
from exprgan.faces import mesh


class Part(NamedTuple):
    """What is looked at: left, top, width and height in shares of the crop, edits, and what real ones must show.

    gap: least gap of the inner lips in photographs, as a share of the mouth's width, so that they show teeth too.
    """

    box: tuple[float, float, float, float]
    asked: tuple[str, ...]
    shows: tuple[str, float]  # action unit and its least amount in photographs
    lacks: tuple[str, float]  # and its most in those to be edited
    gap: float = 0.0


PARTS = {
    "mouth": Part((0.24, 0.52, 0.52, 0.40), ("happy",), ("AU12", 0.45), ("AU12", 0.25), 0.08),
    "forehead": Part(
        (0.20, 0.12, 0.60, 0.40), ("sad", "fear", "anger", "surprise"), ("AU01", 0.35), ("AU01", 0.25)
    ),
}
EACH = 24
CROP_PX, CELL_PX, COLUMNS, LABEL_PX = 320, 230, 8, 18
LEAST_SHARPNESS = 60.0


def make(faces: OpenFaces, editor: Editor, part: Part, seed: int) -> tuple[NDArray[np.uint8], str]:
    """The sheet, uint8 RGB, and its key: A for each photograph and B for each edit, in order."""
    rng = np.random.default_rng(seed)
    rows = [row for row in faces.indices("val") if float(faces.rows[row]["sharpness"]) > LEAST_SHARPNESS]
    rng.shuffle(rows)
    units = {unit: place for place, unit in enumerate(_units())}
    amount = faces.action_units[:, units[part.shows[0]]]
    cells: list[tuple[str, NDArray[np.uint8]]] = []
    real = [row for row in rows if amount[row] >= part.shows[1] and _gap(faces, row) >= part.gap][:EACH]
    cells += [("A", _cut(faces.image(row, CROP_PX), part)) for row in real]
    for row in [row for row in rows if amount[row] < part.lacks[1]]:
        if sum(kind == "B" for kind, _ in cells) == len(real):
            break
        name = part.asked[len(cells) % len(part.asked)]
        try:
            edited = editor.edit(faces.image(row, CROP_PX), Expression.parse(name)).image
        except ExprganError:
            continue
        cells.append(("B", _cut(edited, part)))
    order = rng.permutation(len(cells))
    return _sheet([cells[place][1] for place in order]), "".join(cells[place][0] for place in order)


def score(key: str, guesses: str) -> dict[str, float | int]:
    """Share of right guesses, .5 being none better than chance, and of each kind.

    Args:
        key: A or B for each crop.
        guesses: The same, or the numbers of the crops held for edits, from 1, other signs between them.

    Raises:
        UsageError: There are more or fewer guesses than crops, or a number that no crop has.
    """
    numbers = {int(number) for number in re.findall(r"\d+", guesses)}
    if numbers and not numbers <= set(range(1, len(key) + 1)):
        raise UsageError(f"There are {len(key)} crops; guess numbers from 1 to {len(key)}.")
    said = [sign for sign in guesses.upper() if sign in "AB"]
    if numbers:
        said = ["B" if number in numbers else "A" for number in range(1, len(key) + 1)]
    if len(said) != len(key):
        raise UsageError(f"There are {len(key)} crops and {len(said)} guesses; give an A or a B for each.")
    right = [one == other for one, other in zip(key, said, strict=True)]
    shares = {
        kind: sum(ok for ok, true in zip(right, key, strict=True) if true == kind) / key.count(kind)
        for kind in "AB"
    }
    return {
        "crops": len(key),
        "right": sum(right) / len(key),
        "photographs": shares["A"],
        "edits": shares["B"],
    }


def _units() -> tuple[str, ...]:
    from exprgan.action_units import ACTION_UNITS

    return ACTION_UNITS


def _gap(faces: OpenFaces, row: int) -> float:
    """Widest gap of the inner lips as a share of the mouth's width."""
    points = faces.landmarks_px(row)
    gap = points[mesh.LOWER_INNER_LIP, 1] - points[mesh.UPPER_INNER_LIP, 1]
    left, right = points[list(mesh.INNER_MOUTH_CORNERS), 0]
    return float(gap.max() / abs(right - left))


def _cut(image: NDArray[np.uint8], part: Part) -> NDArray[np.uint8]:
    left, top, width, height = (round(share * CROP_PX) for share in part.box)
    cut = image[top : top + height, left : left + width]
    return np.asarray(
        cv2.resize(cut, (CELL_PX, CELL_PX * height // width), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _sheet(cells: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = cells[0].shape[0] + LABEL_PX
    sheet = np.full((-(-len(cells) // COLUMNS) * height, COLUMNS * CELL_PX, 3), 255, np.uint8)
    for place, cell in enumerate(cells):
        y, x = place // COLUMNS * height, place % COLUMNS * CELL_PX
        cv2.putText(
            sheet, str(place + 1), (x + 4, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
        )
        sheet[y + LABEL_PX : y + height, x : x + CELL_PX - 4] = cell[:, :-4]
    return sheet


def main() -> None:
    """Write sheet and key, or print a score."""
    parser = argparse.ArgumentParser(
        description="make a blind sheet of real and edited faces, or score guesses"
    )
    parser.add_argument("--data", type=Path, help="folder that holds open-faces/")
    parser.add_argument("--part", choices=tuple(PARTS), default="mouth")
    parser.add_argument("--model", default="corrections")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--score", type=Path, help="a key")
    parser.add_argument("--guesses", default="", help="A or B for each crop, or the numbers of the edits")
    arguments = parser.parse_args()
    if arguments.score:
        try:
            result = score(json.loads(arguments.score.read_text())["key"], arguments.guesses)
        except UsageError as error:
            parser.error(str(error))
        sys.stdout.write(json.dumps(result) + "\n")
        return
    if arguments.data is None or arguments.output is None:
        parser.error("give --data and --output, or --score and --guesses")
    editor = Editor.from_pretrained(device="cpu", model=arguments.model)
    sheet, key = make(OpenFaces(arguments.data / "open-faces"), editor, PARTS[arguments.part], arguments.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.output / f"{arguments.part}.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    record = {"part": arguments.part, "seed": arguments.seed, "weights": editor.weights, "key": key}
    (arguments.output / f"{arguments.part}-key.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
