"""`exprgan app`: a page in the browser to edit a photo by sliders."""

from __future__ import annotations

from typing import Annotated

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import UsageError
from exprgan.weights.find import DEFAULT_SYSTEM, FACE_MODEL_SYSTEMS

HOST, PORT = "127.0.0.1", 7860
MOST_MB = 100.0
LOCAL = ("127.0.0.1", "localhost", "::1")


def app(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; by default for this computer alone.")
    ] = HOST,
    port: Annotated[
        int, typer.Option(metavar="NUMBER", min=0, max=65535, help="0 takes any that is free.")
    ] = PORT,
    open: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    max_mb: Annotated[
        float, typer.Option(metavar="MB", min=0.001, help="Larger photos are refused.")
    ] = MOST_MB,
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    model: options.ModelOption = DEFAULT_SYSTEM,
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    runtime: options.RuntimeOption = "auto",
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Serve a page in which the faces of a photo are edited by sliders; Ctrl-C ends it."""
    out = start(format, quiet, verbose)
    from exprgan.app import server

    server.check_installed()
    listener = server.listen(host, port)
    try:
        from exprgan.cli.edit import load_editor
        from exprgan.weights import find_system

        files = find_system(model, weights)
        if files.architecture not in FACE_MODEL_SYSTEMS:
            raise UsageError(
                "The page needs the face model; leave out --model, or give corrections or face_model."
            )
        editor = load_editor(files, device, detector, weights_dir, runtime, out)
        address = server.address_of(listener)
        if host not in LOCAL:
            out.note(
                f"Whoever reaches {host} on port {listener.getsockname()[1]} can use the page; there is no password."
            )

        def ready() -> None:
            out.data({"status": "serving", "address": address}, address)
            out.note(
                "Open this address in a browser; Ctrl-C ends the page. Photos are kept while it is open, no longer."
            )
            if open:
                typer.launch(address)

        with server.private_folder() as folder:
            server.serve(editor, listener, most_mb=max_mb, folder=folder, ready=ready)
    finally:
        listener.close()
