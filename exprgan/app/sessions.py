"""Who has which photo open, and the pictures and files that wait to be fetched; all of it in memory alone."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from exprgan.app.opened import Opened
from exprgan.errors import UsageError

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor

MOST_PHOTOS = 8
"""That are open at a time; then the one that was not used for longest is closed."""
MOST_PICTURES = 12
"""That a session has waiting; older ones have been shown or passed over."""


class Waiting(NamedTuple):
    """Bytes that a browser is told the address of."""

    data: bytes
    media_type: str
    name: str = ""  # of a file to be saved; pictures have none


class Sessions:
    """The open photos by session, as gradio names them.

    Args:
        editor: Edits by the face model.
    """

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self._edits, self._books = threading.Lock(), threading.Lock()
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._waiting: dict[str, OrderedDict[str, Waiting]] = {}

    def __len__(self) -> int:
        return len(self._opened)

    def open(self, session: str, data: bytes, name: str) -> Opened:
        """Open a photo in the place of the session's last one.

        Raises: as `Opened`; the last one then stays open.
        """
        opened = Opened(self.editor, data, name, self._edits)
        with self._books:
            self._forget(session)
            self._opened[session] = opened
            while len(self._opened) > MOST_PHOTOS:
                self._forget(next(iter(self._opened)))
        return opened

    def photo(self, session: str) -> Opened:
        """The session's open photo.

        Raises:
            UsageError: It has none, or none any more.
        """
        with self._books:
            if session not in self._opened:
                raise UsageError("The photo is not open any more; load it again.")
            self._opened.move_to_end(session)
            return self._opened[session]

    def close(self, session: str) -> None:
        """Forget all of a session."""
        with self._books:
            self._forget(session)

    def put(self, session: str, waiting: Waiting) -> str:
        """Keep bytes for the session's browser; returns the key to `take` them by, the same for the same bytes."""
        with self._books:
            shelf = self._waiting.setdefault(session, OrderedDict())
            key = next((key for key, known in shelf.items() if known == waiting), secrets.token_urlsafe(16))
            shelf[key] = waiting
            shelf.move_to_end(key)
            while len(shelf) > MOST_PICTURES:
                shelf.popitem(last=False)
        return key

    def take(self, key: str) -> Waiting | None:
        """What waits under a key, None if nothing does; a file is handed out once, a picture as often as asked."""
        with self._books:
            for shelf in self._waiting.values():
                if key in shelf:
                    return shelf.pop(key) if shelf[key].name else shelf[key]
        return None

    def _forget(self, session: str) -> None:
        self._opened.pop(session, None)
        self._waiting.pop(session, None)
