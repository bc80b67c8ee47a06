"""The one sink of all commands: data to stdout, everything else to stderr; human, JSON or quiet."""

from __future__ import annotations

import enum
import json
import logging
import sys
from typing import Any

from exprgan.errors import ExprganError


class Format(str, enum.Enum):
    """How results are printed."""

    human = "human"
    json = "json"


class Output:
    """Prints what a command has to say.

    Args:
        format: human for text, json for one object a line.
        quiet: Leave out all but errors and, in JSON, data.
        verbose: Tell more, also the library's log.
    """

    def __init__(self, format: Format = Format.human, *, quiet: bool = False, verbose: bool = False) -> None:
        self.format, self.quiet, self.verbose = format, quiet, verbose

    def data(self, record: dict[str, Any], text: str) -> None:
        """A result: the record as a line of JSON, or the text; to stdout."""
        if self.format is Format.json:
            _print(json.dumps(record, ensure_ascii=False), sys.stdout)
        elif not self.quiet:
            _print(text, sys.stdout)

    def note(self, text: str) -> None:
        """What is good to know; to stderr."""
        if not self.quiet:
            _print(text, sys.stderr)

    def detail(self, text: str) -> None:
        """What only the curious want to know; to stderr with --verbose."""
        if self.verbose:
            _print(text, sys.stderr)

    def error(self, error: Exception, *, source: str | None = None) -> None:
        """An error as one line; in JSON as an object with the class's name. Both go to stderr."""
        message = str(error)
        if not isinstance(error, ExprganError):
            message = (
                f"Something went wrong inside exprgan ({type(error).__name__}: {message}); "
                "run again with EXPRGAN_DEBUG=1 and report what it shows."
            )
        if self.format is Format.json:
            record = {"error": type(error).__name__, "message": message}
            _print(
                json.dumps({**record, "input": source} if source else record, ensure_ascii=False), sys.stderr
            )
        else:
            _print(f"exprgan: {message}", sys.stderr)


_current = Output()


def current() -> Output:
    """The sink of the command that runs; plain text before one has begun."""
    return _current


def start(format: Format, quiet: bool, verbose: bool) -> Output:
    """Begin a command's output; -v also shows the library's log on stderr."""
    global _current
    _current = Output(format, quiet=quiet, verbose=verbose)
    logging.basicConfig(
        stream=sys.stderr,
        format="%(message)s",
        level=logging.INFO if verbose else logging.WARNING,
        force=True,
    )
    return _current


def _print(text: str, stream: Any) -> None:
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:  # a terminal without the letters of a file name
        encoding = stream.encoding or "ascii"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
