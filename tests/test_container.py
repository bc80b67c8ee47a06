"""What the Dockerfile needs is there and let in, and its pins are those of constraints.txt. No image is built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


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


def test_its_versions_are_those_of_the_constraints(lines: list[str], root: Path, tmp_path: Path) -> None:
    if shutil.which("sh") is None or sys.platform != "linux":
        pytest.skip("wants a shell with GNU sed")
    commands = [
        part.strip().replace("/tmp/", f"{tmp_path}/")
        for line in lines
        for part in line.removeprefix("RUN ").split("&&")
        if part.strip().startswith("sed ")
    ]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-ec", command], cwd=root, check=True)
    pins = dict(re.findall(r"^(\S+?)=+(\S+)$", (root / "constraints.txt").read_text(), re.MULTILINE))
    wanted = [f"{name}=={pins[name]}" for name in ("torch", "torchvision")]
    assert (tmp_path / "torch.txt").read_text().split() == wanted
    changed = (tmp_path / "constraints.txt").read_text().splitlines()
    assert f"opencv-python-headless=={pins['opencv-python']}" in changed
    assert wanted[0] in changed and not [line for line in changed if line.startswith("torch===")]
