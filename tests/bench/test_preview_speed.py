"""Times of the page's previews."""

from __future__ import annotations

from pathlib import Path

from exprgan.bench import preview_speed


def test_medians_and_ninth_deciles() -> None:
    times = {"moving": [0.1 * step for step in range(11)]}
    assert preview_speed.summary(times) == {
        "moving": {"median_s": 0.5, "ninth_decile_s": 0.9, "previews": 11}
    }


def test_both_kinds_are_measured_on_every_photo(sample_path: Path) -> None:
    times = preview_speed.measure([sample_path], steps=2)
    assert {kind: len(values) for kind, values in times.items()} == {"moving": 2, "at rest": 2}
    assert min(value for values in times.values() for value in values) > 0
