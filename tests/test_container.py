"""What the Dockerfile needs is there and let in, and its pins are those of constraints.txt. No image is built."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def lines(root: Path) -> list[str]:
    """The Dockerfile's instructions, each on one line."""
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return text.replace("\\\n", " ").splitlines()


def test_all_that_is_copied_is_there_and_nothing_else_is_let_in(lines: list[str], root: Path) -> None:
    copied = {
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert all((root / name).exists() for name in copied)
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_whoever_runs_it_is_not_root_and_the_hub_is_not_asked(lines: list[str]) -> None:
    last = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM")) :]
    users = [line.split()[1] for line in last if line.startswith("USER")]
    assert users and all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users)
    assert "HF_HUB_OFFLINE=1" in " ".join(last)
    assert 'ENTRYPOINT ["exprgan"]' in last


def test_what_is_needed_without_torch_is_what_the_package_needs(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["onnx"]]
    listed = (root / "requirements-onnx.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in listed if not line.startswith("#")} == {
        name for name in needed if not name.startswith("torch")
    }
    pinned = (root / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    for line in needed:
        name = re.split(r"[<>=;]", line)[0]
        assert re.search(rf"^{name}==", pinned, re.MULTILINE) or name == "tomli", name
