"""Measured action units along series."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exprgan.bench import series_chart


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three faces at three strengths: one rises, one falls, one has a gap."""
    rows = [
        *({"input": "a.jpg", "strength": s, "after_AU04": s / 2} for s in (0, 0.5, 1)),
        *({"input": "b.jpg", "strength": s, "after_AU04": 0.5 - 0.3 * s} for s in (1, 0, 0.5)),
        *({"input": "c.jpg", "strength": s, "after_AU04": s if s else ""} for s in (0, 0.5, 1)),
    ]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["input", "face", "strength", "after_AU04"])
        writer.writeheader()
        writer.writerows({"face": 0, **row} for row in rows)
    return tmp_path / "t.csv"


def test_faces_that_rise_are_counted(table: Path) -> None:
    lines = series_chart.read(table, "AU04")
    np.testing.assert_array_equal(lines.strengths, [0, 0.5, 1])
    np.testing.assert_allclose(lines.values, [[0, 0.25, 0.5], [0.5, 0.35, 0.2]])
    assert lines.rising.tolist() == [True, False]
    assert (
        lines.summary()
        == "AU04: 1 of 2 rise at every step; from 0 to 1 by 0.10 (-0.30 to 0.50), 0.50 of it at .5"
    )


def test_the_command_draws_a_chart(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "chart.png"
    monkeypatch.setattr(
        "sys.argv", ["series_chart", f"{table}:AU04", f"{table}:AU04", "--output", str(output)]
    )
    series_chart.main()
    assert capsys.readouterr().out.count("AU04: 1 of 2") == 2
    with Image.open(output) as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (250, 480, 3)
    assert (pixels[..., 0] - pixels[..., 1] > 60).any()  # a falling line is red
    assert (pixels[..., 1] - pixels[..., 0] > 40).any()
