"""The server of the page: on this machine alone unless told otherwise, nothing from elsewhere, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import filelock

from exprgan.errors import UsageError
from exprgan.photos.decode import reason

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor

FOLDER_PREFIX = "exprgan-app-"
LOCK = "in-use.lock"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
"""What browsers let the page fetch: nothing from other hosts. Its framework needs scripts and styles in the page."""


def check_installed() -> None:
    """Raise unless the page's framework is there.

    Raises:
        UsageError: It is not.
    """
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UsageError('The page needs gradio; install it with `pip install "exprgan[app]"`.') from error


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes any that is free.

    Raises:
        UsageError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"The page cannot be served at {host}, port {port} ({why}); give another --port, or 0 for any that is free."
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """What a browser is told to open."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for uploads on their way, which is removed at the end; those of killed servers are removed, too."""
    for old in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        _remove_unused(old)
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True) as name:
        lock = filelock.FileLock(Path(name) / LOCK)
        with lock:
            yield Path(name)


def _remove_unused(folder: Path) -> None:
    import shutil

    with suppress(OSError, filelock.Timeout):
        if (folder / LOCK).exists():
            with filelock.FileLock(folder / LOCK, timeout=0):
                pass
            shutil.rmtree(folder)


def serve(
    editor: Editor, listener: socket.socket, *, most_mb: float, folder: Path, ready: Callable[[], None]
) -> None:
    """Serve the page until the process is told to end.

    Args:
        editor: Edits by the face model.
        listener: Where to listen.
        most_mb: Larger uploads are refused.
        folder: For uploads on their way.
        ready: Called once the page can be opened.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # read when gradio is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import uvicorn

    app = web_app(editor, most_mb=most_mb, is_local=listener.getsockname()[0] in LOCAL_HOSTS)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Let Ctrl-C and a request to end stop the server, and what is around it clean up."""
            before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    Server(config).run(sockets=[listener])


def web_app(editor: Editor, *, most_mb: float, is_local: bool) -> Any:
    """The page and the addresses that it fetches pictures and files from, as an ASGI application."""
    import gradio as gr
    from fastapi import FastAPI, Response
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from exprgan.app import page
    from exprgan.app.desk import ADDRESS, Desk
    from exprgan.app.sessions import Sessions

    desk = Desk(Sessions(editor))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(ADDRESS + "{key}")
    def waiting(key: str) -> Response:
        found = desk.sessions.take(key)
        if found is None:
            return Response("This is not there any more; go back to the page.", 404)
        headers = {"Cache-Control": "no-store"}
        if found.name:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
        return Response(found.data, media_type=found.media_type, headers=headers)

    app.add_middleware(_Policy)
    if is_local:  # so that no page of another host can reach it under a name of its own
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "::1"])
    return gr.mount_gradio_app(
        app,
        page.build(desk),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        max_file_size=int(most_mb * 1e6),
        theme=page.theme(),
        css=page.style(),
    )


class _Policy:
    """Says in every answer what the page may fetch."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self.app(scope, receive, send_with_policy)
