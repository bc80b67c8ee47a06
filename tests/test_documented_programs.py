"""Every program that the documentation or the code tells somebody to run is there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("README.md", "CONTRIBUTING.md", "Makefile", *("docs", "weights", "exprgan"))


def named_programs() -> list[str]:
    """Modules after `python -m` in Markdown, Makefile, cards and source."""
    paths = [path for place in PLACES for path in (ROOT / place, *(ROOT / place).rglob("*"))]
    texts = [
        path.read_text(encoding="utf-8")
        for path in paths
        if path.suffix in (".md", ".py", "") and path.is_file()
    ]
    return sorted({name for text in texts for name in re.findall(r"python -m (exprgan(?:\.\w+)*)", text)})


def test_programs_are_named_somewhere() -> None:
    assert len(named_programs()) >= 10


@pytest.mark.parametrize("name", named_programs())
def test_a_named_program_can_be_started(name: str) -> None:
    spec = find_spec(f"{name}.__main__" if name == "exprgan" else name)
    assert spec is not None, f"there is no {name}"
    assert spec.origin is not None
    assert name == "exprgan" or 'if __name__ == "__main__":' in Path(spec.origin).read_text(encoding="utf-8")
