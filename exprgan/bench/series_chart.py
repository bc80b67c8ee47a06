"""Measured action units along a series, a line a face: do equal steps move people equally?

    exprgan edit photos/ --au 4=1 --strength 0:1:0.1 --output out/ --table t.csv
    python -m exprgan.bench.series_chart t.csv:AU04 ... --output chart.png

Prints for each table how many faces rise at every step, how far from 0 to 1, and how much of that is done at .5.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TOLERANCE = 0.02
"""By so much a measured unit may fall from one step to the next and still count as rising."""
PANEL_PX, MARGIN_PX, SCALE = 240, 34, 2
GREY, INK, LINE, FALLING = (225, 225, 225), (60, 60, 60), (15, 110, 110), (190, 60, 30)


class Lines(NamedTuple):
    """A unit's measured intensities (faces, steps) at strengths (steps,)."""

    unit: str
    strengths: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def rising(self) -> NDArray[np.bool_]:
        """Faces that rise at every step, within `TOLERANCE`."""
        return np.asarray((np.diff(self.values, axis=1) >= -TOLERANCE).all(axis=1))

    def summary(self) -> str:
        """One line of figures."""
        rise = self.values[:, -1] - self.values[:, 0]
        half = self.values[:, int(np.abs(self.strengths - 0.5).argmin())] - self.values[:, 0]
        share = np.median(half[rise > 0.05] / rise[rise > 0.05]) if (rise > 0.05).any() else np.nan
        return (
            f"{self.unit}: {self.rising.sum()} of {len(rise)} rise at every step; from 0 to 1 by {np.median(rise):.2f} "
            f"({rise.min():.2f} to {rise.max():.2f}), {share:.2f} of it at .5"
        )


def read(table: Path, unit: str) -> Lines:
    """The lines of a unit, as AU04, in a table that `--table` wrote; faces with gaps are left out."""
    faces: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row[f"after_{unit}"]:
                faces[row["input"], row["face"]][float(row["strength"])] = float(row[f"after_{unit}"])
    strengths = sorted({strength for line in faces.values() for strength in line})
    whole = [[line[s] for s in strengths] for line in faces.values() if len(line) == len(strengths)]
    return Lines(unit, np.array(strengths), np.array(whole))


def chart(panels: list[Lines]) -> Image.Image:
    """All units side by side; faces that fall somewhere are drawn in red."""
    width, height = PANEL_PX * len(panels), PANEL_PX + 10
    picture = Image.new("RGB", (SCALE * width, SCALE * height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11 * SCALE)

    def at(panel: int, strength: float, value: float) -> tuple[float, float]:
        inner = PANEL_PX - 2 * MARGIN_PX
        x = panel * PANEL_PX + MARGIN_PX + inner * strength
        return SCALE * x, SCALE * (MARGIN_PX + inner * (1 - value))

    for number, lines in enumerate(panels):
        for tick in (0.0, 0.5, 1.0):
            draw.line([at(number, 0, tick), at(number, 1, tick)], GREY, SCALE)
            draw.text(at(number, -0.05, tick), f"{tick:g}", INK, font, anchor="rm")
            draw.text(at(number, tick, -0.05), f"{tick:g}", INK, font, anchor="ma")
        draw.text(at(number, 0.5, 1.08), f"{lines.unit} measured", INK, font, anchor="ms")
        draw.text(at(number, 0.5, -0.18), "strength", INK, font, anchor="ma")
        for rises, values in sorted(
            zip(lines.rising.tolist(), lines.values.tolist(), strict=True), reverse=True
        ):
            points = [at(number, s, v) for s, v in zip(lines.strengths.tolist(), values, strict=True)]
            draw.line(points, LINE if rises else FALLING, SCALE, joint="curve")
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def main() -> None:
    """Print the figures and draw the chart."""
    parser = argparse.ArgumentParser(description="measured action units along series, as a chart")
    parser.add_argument("tables", nargs="+", metavar="TABLE:UNIT")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    panels = [read(Path(table), unit) for table, unit in (word.rsplit(":", 1) for word in arguments.tables)]
    for lines in panels:
        print(lines.summary())
    chart(panels).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
