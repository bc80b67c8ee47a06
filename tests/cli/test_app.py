"""`exprgan app` before anything is served; the page itself is in tests/app."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import RunCli


def test_without_gradio_it_says_what_to_install(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = run_cli("app", "--port", "0")
    assert result.code == 2
    assert 'pip install "exprgan[app]"' in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "unified"), "the page needs the face model"),
        (("--host", "203.0.113.7"), "give another --port"),
    ],
)
def test_mistakes(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr("exprgan.app.server.check_installed", lambda: None)
    result = run_cli("app", "--port", "0", *words)
    assert result.code == 2
    assert message.lower() in result.stderr.lower()
