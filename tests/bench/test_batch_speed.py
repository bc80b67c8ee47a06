"""The benchmark of batches, without its clocks."""

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


def test_figures_are_medians_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").touch()
    batches = iter([10.0, 20.0, 14.0, 40.0, 12.0, 30.0])  # --jobs 2 and --jobs 1, in turns
    monkeypatch.setattr(batch_speed, "time_batch", lambda *_: next(batches))
    monkeypatch.setattr(batch_speed, "time_loop", lambda copies, _: 3.0 * len(copies))
    monkeypatch.setattr(batch_speed, "time_networks", lambda copies, _: 0.9 * len(copies))
    report = batch_speed.measure(tmp_path, num_copies=10, num_looped=2, num_for_networks=4, rounds=3)
    seconds = report["seconds"]
    assert (seconds["--jobs 2"], seconds["--jobs 1"], seconds["shell loop"]) == (1.2, 3.0, 3.0)
    text = batch_speed.as_text({**report, "machine": {}})
    assert "| --jobs 2 | 1.200 | 50 | 2.50 |" in text
    assert "networks, 1 thread, as a share of --jobs 2: 75%." in text


def test_a_command_that_cannot_work_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(ExprganError, match="ended with 4"):
        batch_speed.time_loop([tmp_path / "none.jpg"], tmp_path / "out")
