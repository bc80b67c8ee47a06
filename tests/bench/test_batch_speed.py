"""The benchmark of batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from exprgan.bench import batch_speed
from exprgan.errors import ExprganError, UsageError


def test_copies_take_the_photos_in_turn(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "notes.txt"):
        (tmp_path / name).write_text(name)
    copies = batch_speed.make_copies(tmp_path, 3, tmp_path / "copies")
    assert [path.name for path in copies] == ["0000-a.jpg", "0001-b.png", "0002-a.jpg"]
    assert copies[2].read_text() == "a.jpg"
    with pytest.raises(UsageError, match="has no photos"):
        batch_speed.make_copies(tmp_path / "none", 3, tmp_path / "more")


@pytest.mark.slow
def test_every_way_of_working_is_timed(sample_path: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(sample_path.read_bytes())
    report = batch_speed.measure(
        tmp_path / "photos", num_copies=2, num_looped=1, num_for_networks=1, rounds=1
    )
    assert len(report["seconds"]) == 5
    assert all(0 < seconds < 120 for seconds in report["seconds"].values())
    assert report["seconds"]["networks, 1 thread"] < report["seconds"]["shell loop"]


def test_a_report_compares_ways_by_photos_a_minute() -> None:
    seconds = {"--jobs 2": 1.2, "--jobs 1": 3.0, "networks, 1 thread": 0.9, "shell loop": 6.0}
    text = batch_speed.as_text({"seconds": seconds, "machine": {}})
    assert "| --jobs 2 | 1.200 | 50 | 2.50 |" in text
    assert "networks, 1 thread, as a share of --jobs 2: 75%." in text


def test_a_command_that_cannot_work_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(ExprganError, match="ended with 4"):
        batch_speed.time_loop([tmp_path / "none.jpg"], tmp_path / "out")
