"""Damaged files of every kind: no crash, no hang, no output; one sentence and the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from exprgan.edit.editor import Editor
from exprgan.errors import UnreadableImage
from exprgan.photos import image_io
from tests.conftest import ROOT, RunCli
from tests.photos.damaged_files import DAMAGES, damaged, outcome, sources

NUM_DEFAULT = 462  # about two of each kind of file and damage
NUM_SLOW = 12_000


def tried(first: int, last: int) -> Iterator[tuple[str, str]]:
    """Name and outcome of the corpus's files, tried in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.photos.damaged_files", str(first), str(last)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended with {done.returncode} in {lines[-1:]}: {done.stderr[-3000:]}"
    names: list[dict[str, Any]] = lines[::2]
    assert [line["number"] for line in names] == list(range(first, last))
    for before, after in zip(names, lines[1::2], strict=True):
        yield f"{before['number']} ({before['name']})", after["outcome"]


def check(outcomes: list[tuple[str, str]]) -> None:
    faults = {name: result for name, result in outcomes if result not in ("read", "refused")}
    assert not faults, json.dumps(faults, indent=1)[:4000]
    counts = Counter(result for _, result in outcomes)
    assert min(counts["read"], counts["refused"]) > len(outcomes) // 5, counts


def test_undamaged_files_are_read_and_written(tmp_path: Path) -> None:
    for name, data in sources().items():
        assert outcome(data, tmp_path) == "read", name


def test_damaged_files_are_read_or_refused() -> None:
    check(list(tried(0, NUM_DEFAULT)))


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused() -> None:
    step = NUM_SLOW // 8
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda first: list(tried(first, first + step)), range(NUM_DEFAULT, NUM_SLOW, step))
        check([result for part in parts for result in part])


@pytest.mark.parametrize("kind", list(sources()))
def test_command_ends_with_code_4_and_writes_nothing(
    kind: str, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoFaces:
        def detect(self, image: object) -> list[object]:
            return []

    editor = Editor(detector=NoFaces(), segmenter=None, generator=torch.nn.Identity())
    monkeypatch.setattr(Editor, "from_pretrained", lambda *_, **__: editor)
    photo, place = tmp_path / "photo.jpg", list(sources()).index(kind)
    seen = set()
    for number in range(place, len(sources()) * len(DAMAGES), len(sources())):
        _, data = damaged(number)
        photo.write_bytes(data)
        try:
            image_io.read(photo)
            expected = 3  # no face in what is left
        except UnreadableImage:
            expected = 4
        result = run_cli("edit", photo, "--to", "happy", "--device", "cpu")
        assert result.code == expected, (number, result)
        assert result.stdout == "" and len(result.stderr.splitlines()) <= 1 + (expected == 3) * 5
        assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
        seen.add(expected)
    assert 4 in seen
