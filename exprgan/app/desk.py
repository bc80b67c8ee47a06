"""What the page's functions answer: photos opened, edits drawn and files made, as addresses, texts and values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from exprgan.app.look import Look
from exprgan.app.opened import ALL, Opened, Result
from exprgan.app.sessions import Sessions, Waiting
from exprgan.errors import ExprganError, UsageError
from exprgan.face_model.expression import Expression

ADDRESS = "/waiting/"
"""Where pictures and files are fetched, by their key."""
LONGEST_RECIPE = 100_000
"""Bytes; no recipe has as many."""
_log = logging.getLogger(__name__)


class Shown(NamedTuple):
    """What stands on the page about an edit."""

    compare: dict[str, Any] | None  # addresses of the pictures before and after, boxes of faces
    status: str  # HTML
    command: str  # that repeats the edit; empty where there is none


class OpenedPhoto(NamedTuple):
    """What the page needs to know of a photo that was opened."""

    faces: list[tuple[str, str]]  # what can be chosen: title and value
    face: str  # chosen at first
    view: str  # chosen at first
    shown: Shown


class Desk:
    """Answers the page; each call names the session."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def open(self, session: str, data: bytes, name: str, values: Mapping[str, Any]) -> OpenedPhoto:
        """Open a photo and show it by the page's values.

        Raises: as `Opened`.
        """
        opened = self.sessions.open(session, data, name)
        face = opened.first_face()
        view = opened.first_view()
        choices = [(f"face {row.number}", str(row.number)) for row in opened.faces() if not row.reason]
        return OpenedPhoto(
            [*choices, ("all faces", ALL)],
            face,
            view,
            self._shown(session, opened, Look.of(values), face, view),
        )

    def draw(self, session: str, values: Mapping[str, Any], face: str, view: str) -> Shown:
        """Show the session's photo by the page's values; roughly where they say that a slider is `moving`.

        Raises:
            UsageError: There is no photo, or a value is impossible.
        """
        rough = values.get("moving") is True
        return self._shown(session, self.sessions.photo(session), Look.of(values), face, view, rough=rough)

    def take_teeth(
        self, session: str, data: bytes, name: str, values: Mapping[str, Any], face: str, view: str
    ) -> Shown:
        """Show the teeth of another photo, a file called `name`, in the session's photo.

        Raises: as `Opened.take_teeth`.
        """
        opened = self.sessions.photo(session)
        opened.take_teeth(data, name)
        return self._shown(session, opened, Look.of(values), face, view)

    def photo_file(self, session: str, values: Mapping[str, Any], face: str) -> str:
        """The address of the edited photo at full size.

        Raises:
            UsageError: There is no photo, nothing is asked for, or a value is impossible.
        """
        return self._address_of(session, self.sessions.photo(session).result(Look.of(values), face))

    def recipe_file(self, session: str, values: Mapping[str, Any]) -> str:
        """The address of the recipe.

        Raises:
            UsageError: There is no photo, nothing is asked for, or a value is impossible.
        """
        return self._address_of(session, self.sessions.photo(session).recipe(Look.of(values)))

    def close(self, session: str) -> None:
        """Forget all of a session."""
        self.sessions.close(session)

    def _address_of(self, session: str, result: Result) -> str:
        return ADDRESS + self.sessions.put(
            session, Waiting(result.data, "application/octet-stream", result.name)
        )

    def _shown(
        self, session: str, opened: Opened, look: Look, face: str, view: str, *, rough: bool = False
    ) -> Shown:
        after = opened.preview(look, face, view, rough=rough)
        before = opened.before(face, view)
        addresses = [
            ADDRESS + self.sessions.put(session, Waiting(jpeg, "image/jpeg")) for jpeg in (before, after.jpeg)
        ]
        faces = opened.faces()
        boxes = [
            {
                "number": row.number,
                "box": row.box,
                "chosen": not row.reason and face in (ALL, str(row.number)),
            }
            for row in (faces if view == "photo" and len(faces) > 1 else ())
        ]
        width, height = opened.size_px
        lines = [f"{opened.name}, {width} × {height} px", *opened.notes, *after.notes]
        if opened.teeth_from:
            lines.append(f"Mouths that open show the teeth of {opened.teeth_from}.")
        if not look.regions:
            lines.append("No region is switched on, so nothing changes.")
        elif not look.asks:
            lines.append("Choose an expression or move a slider.")
        return Shown(
            {"before": addresses[0], "after": addresses[1], "faces": boxes},
            status_of(lines),
            look.command(opened.name, opened.face_option(face), opened.teeth_from) if look.asks else "",
        )


def look_of_recipe(path: Path, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The page's values for a recipe, a file that somebody calls `name`; the teeth stay those of `values`.

    Raises:
        UsageError: It is no recipe.
    """
    try:
        if path.stat().st_size > LONGEST_RECIPE:
            raise UsageError(f"The recipe {path} is too long; name a TOML file that --save-recipe wrote.")
        expression = Expression.load(path)
    except UsageError as error:
        raise UsageError(str(error).replace(str(path), name)) from error
    return {**Look.of_recipe(expression).values(), "teeth": Look.of(values).teeth}


def status_of(lines: list[str]) -> str:
    """HTML of what is to be known, a sentence a line."""
    return f'<p role="status">{"<br>".join(escape(line) for line in lines)}</p>'


def trouble_of(error: Exception) -> str:
    """HTML of an error; one of our own making is also logged."""
    message = str(error)
    if not isinstance(error, ExprganError):
        _log.error("the page met an error", exc_info=error)
        message = f"Something went wrong inside exprgan ({type(error).__name__}: {error}); please report it."
    return f'<p role="alert" class="exp-error">{escape(message)}</p>'
