"""The one sink of all commands: data to stdout, everything else to stderr; human, JSON or quiet."""

from __future__ import annotations

import enum
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from exprgan.errors import ExprganError

if TYPE_CHECKING:
    from rich.console import Console


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
        self._live: Console | None = None  # of the progress bar that is shown

    def data(self, record: dict[str, Any], text: str) -> None:
        """A result: the record as a line of JSON, or the text; to stdout."""
        if self.format is Format.json:
            self._write(json.dumps(record, ensure_ascii=False), sys.stdout)
        elif not self.quiet:
            self._write(text, sys.stdout)

    def note(self, text: str) -> None:
        """What is good to know; to stderr."""
        if not self.quiet:
            self._write(text, sys.stderr)

    def detail(self, text: str) -> None:
        """What only the curious want to know; to stderr with --verbose."""
        if self.verbose:
            self._write(text, sys.stderr)

    def error(self, error: Exception, *, source: str | None = None) -> None:
        """An error as one line; in JSON as an object with the class's name. Both go to stderr."""
        message = message_of(error)
        if self.format is Format.json:
            record = {"error": type(error).__name__, "message": message}
            self._write(
                json.dumps({**record, "input": source} if source else record, ensure_ascii=False), sys.stderr
            )
        else:
            self._write(f"exprgan: {message}", sys.stderr)

    @property
    def wants_bars(self) -> bool:
        """Whether stderr is a terminal and people read it."""
        return not self.quiet and self.format is not Format.json and sys.stderr.isatty()

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[], None]]:
        """A progress bar on stderr, if that is a terminal and people read it; call what it gives for each step."""
        if not self.wants_bars:
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)  # heeds NO_COLOR and TERM=dumb
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bar:
            task = bar.add_task(what, total=total)
            self._live = console
            try:
                yield lambda: bar.advance(task)
            finally:
                self._live = None

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """A table of two columns; to stderr."""
        if self.quiet:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left", show_header=False, box=box.SIMPLE)
        table.add_column(overflow="fold")
        table.add_column(justify="right")
        for row in rows:
            table.add_row(*row)
        Console(file=sys.stderr, markup=False, highlight=False).print(table)

    def _write(self, text: str, stream: Any) -> None:
        if self._live is not None and stream.isatty():  # above the bar
            self._live.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            _print(text, stream)


def message_of(error: Exception | None) -> str:
    """What people are told of an error."""
    if isinstance(error, ExprganError):
        return str(error)
    return (
        f"Something went wrong inside exprgan ({type(error).__name__}: {error}); "
        "run again with EXPRGAN_DEBUG=1 and report what it shows."
    )


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
