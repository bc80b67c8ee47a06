"""docs/expressions.md names everything that the vocabulary has, as it is there."""

from __future__ import annotations

from pathlib import Path

from exprgan.bench.expression_pictures import sheets
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.vocabulary import controls

DOCS = Path(__file__).parents[1] / "docs"


def test_every_name_is_documented_with_what_it_does() -> None:
    text = (DOCS / "expressions.md").read_text(encoding="utf-8")
    for kind, entries in controls().items():
        for name, control in entries.items():
            if kind != "classes" or name in EXPRESSIONS:
                assert f"| `{name}` | {control.does} |" in text


def test_every_sheet_is_there_and_shown() -> None:
    text = (DOCS / "expressions.md").read_text(encoding="utf-8")
    for name in sheets():
        assert f"samples/expressions-{name}.jpg" in text
        assert (DOCS / "samples" / f"expressions-{name}.jpg").stat().st_size > 30_000
