"""The help texts are those of tests/data/help; `make help-texts` renews them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from exprgan.cli import build
from exprgan.expressions import EXPRESSIONS
from tests.conftest import RunCli

FOLDER = Path(__file__).resolve().parents[1] / "data" / "help"


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*words, name))


COMMANDS = tuple(_commands(typer.main.get_command(build())))


def _file(words: tuple[str, ...]) -> Path:
    return FOLDER / ("-".join(("exprgan", *words)) + ".txt")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_the_committed_one(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run_cli(*words, "--help")
    assert (result.code, result.stderr) == (0, "")
    if os.environ.get("RENEW_HELP_TEXTS") == "1":
        FOLDER.mkdir(exist_ok=True)
        _file(words).write_text(result.stdout, encoding="utf-8")
    expected = _file(words).read_text(encoding="utf-8")
    assert result.stdout == expected, "the help has changed; read it, then renew it with `make help-texts`"


def test_every_committed_help_text_belongs_to_a_command() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {_file(words).name for words in COMMANDS}


def test_help_has_no_lines_wider_than_a_terminal() -> None:
    for path in FOLDER.iterdir():
        wide = [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 80]
        assert not wide, path.name


def _complete(root: Path, line: str) -> list[str]:
    """What bash offers for the last word of a line, asked of the real command."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "_EXPRGAN_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    code = (
        "import sys; sys.argv = ['exprgan']; from exprgan.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'cv2', 'numpy', 'PIL'} & set(sys.modules)\n"
        "    if heavy: print('heavy', heavy)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("exprgan se", ["series", "segment"]),
        ("exprgan weights co", ["convert"]),
        ("exprgan edit a.jpg --to ", [*EXPRESSIONS, "all"]),
        ("exprgan edit a.jpg --to s", ["sad", "surprise"]),
        ("exprgan edit a.jpg --device c", ["cpu", "cuda"]),
        ("exprgan edit a.jpg --face ", ["largest", "all", "center"]),
        ("exprgan faces a.jpg --detector r", ["retinaface"]),
        ("exprgan faces a.jpg --format j", ["json"]),
        ("exprgan train un", ["unified", "unified_end_to_end", "unet"]),
    ],
)
def test_completion_offers_the_words_of_an_option(root: Path, line: str, offered: list[str]) -> None:
    assert _complete(root, line) == offered


@pytest.mark.parametrize(("own", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    root: Path, own: str | None, expected: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"PYTHONPATH": str(root)} | ({"OMP_WAIT_POLICY": own} if own else {})
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            print('torch sees', os.environ.get('OMP_WAIT_POLICY'))\n"
        "            raise SystemExit(0)\n"
        "sys.meta_path.insert(0, Watch())\n"
        "sys.argv = ['exprgan', 'doctor', '--quiet']\n"
        "from exprgan.cli import main; main()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "torch sees " + expected in run.stdout, run.stderr
