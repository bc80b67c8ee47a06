"""The pictures of docs/expressions.md: each expression, action unit and control on one photo, as labelled sheets.

python -m exprgan.bench.expression_pictures docs/samples/portrait.jpg --output docs/samples
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from exprgan.edit.editor import Editor
from exprgan.edit.scene import Scene
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import Expression
from exprgan.face_model.vocabulary import controls

PANEL_PX, LABEL_PX, COLUMNS = 220, 24, 6
ONE_SIDED = ("AU46", "wink")
"""Shown on one side, as they are meant."""


def sheets() -> dict[str, list[Expression]]:
    """What each sheet shows after the photo itself, by name."""
    known = controls()
    units = {name: {f"{name}L" if name in ONE_SIDED else name: 1.0} for name in known["action_units"]}
    named = {name: {f"{name}_left" if name in ONE_SIDED else name: 1.0} for name in known["controls"]}
    return {
        "classes": [Expression.parse(name) for name in EXPRESSIONS],
        "action-units": [Expression.parse(None, amounts) for amounts in units.values()],
        "controls": [Expression.parse(None, amounts) for amounts in named.values()],
    }


def sheet(editor: Editor, scene: Scene, expressions: list[Expression]) -> Image.Image:
    """The face before and in each expression, labelled."""
    (face,) = scene.faces
    to_panel = face.matrix * (PANEL_PX / face.pixels.shape[0])

    def panel(pixels: NDArray[np.uint8]) -> Image.Image:
        return Image.fromarray(cv2.warpAffine(pixels, to_panel, (PANEL_PX, PANEL_PX), flags=cv2.INTER_AREA))

    cells = [("photo", panel(scene.photo.pixels))]
    for expression in expressions:
        label = expression.class_name or next(iter(expression.controls))
        cells.append((label, panel(editor.edit(scene, expression).image)))
    rows = -(-len(cells) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * PANEL_PX, rows * (PANEL_PX + LABEL_PX)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for place, (label, picture) in enumerate(cells):
        x, y = place % COLUMNS * PANEL_PX, place // COLUMNS * (PANEL_PX + LABEL_PX)
        draw.text((x + PANEL_PX / 2, y + LABEL_PX / 2), label, fill="black", font=font, anchor="mm")
        page.paste(picture, (x, y + LABEL_PX))
    return page


def main() -> None:
    """Write expressions-NAME.jpg for each sheet."""
    parser = argparse.ArgumentParser(description="draw every expression, action unit and control on a photo")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--model", default="corrections")
    arguments = parser.parse_args()
    editor = Editor.from_pretrained(device="cpu", model=arguments.model)
    scene = editor.prepare(arguments.photo)
    for name, expressions in sheets().items():
        page = sheet(editor, scene, expressions)
        page.save(arguments.output / f"expressions-{name}.jpg", quality=82)


if __name__ == "__main__":
    main()
