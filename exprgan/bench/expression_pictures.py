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
from exprgan.face_parts import DENTITIONS

PANEL_PX, LABEL_PX, COLUMNS = 220, 24, 6
ONE_SIDED = ("AU46", "wink")
"""Shown on one side, as they are meant."""
SMILE, MOUTH = Expression.parse(None, {"smile": 1.0, "mouthUpperUp": 0.5, "jawOpen": 0.25}), (0.27, 0.5, 0.46)
"""What shows teeth, and where in a crop: left, top and side in shares of its side."""


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
    cells = [("photo", _panel(scene, scene.photo.pixels))]
    for expression in expressions:
        label = expression.class_name or next(iter(expression.controls))
        cells.append((label, _panel(scene, editor.edit(scene, expression).image)))
    return _page(cells)


def teeth_sheet(editor: Editor, photo: Path) -> Image.Image:
    """A smile with each set of teeth, the mouth alone, labelled."""
    cells = []
    for name in DENTITIONS:
        scene = editor.prepare(photo, teeth=name)
        cells.append((name, _panel(scene, editor.edit(scene, SMILE).image, MOUTH)))
    return _page(cells)


def _panel(
    scene: Scene, pixels: NDArray[np.uint8], box: tuple[float, float, float] = (0, 0, 1)
) -> Image.Image:
    """A part of the face's crop: left, top and side in shares of the crop's."""
    (face,) = scene.faces
    left, top, side = box
    scale = PANEL_PX / (side * face.pixels.shape[0])
    matrix = face.matrix * scale
    matrix[:, 2] -= np.array([left, top]) * PANEL_PX / side
    return Image.fromarray(cv2.warpAffine(pixels, matrix, (PANEL_PX, PANEL_PX), flags=cv2.INTER_AREA))


def _page(cells: list[tuple[str, Image.Image]]) -> Image.Image:
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
    teeth_sheet(editor, arguments.photo).save(arguments.output / "expressions-teeth.jpg", quality=82)


if __name__ == "__main__":
    main()
