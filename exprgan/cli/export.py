"""`exprgan export`: the networks as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import UsageError

INDEX = "export.json"


def export(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK]...",
            help="Networks by name, or folders of training runs. Without it: those that an edit needs.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write to.", show_default=False),
    ] = None,
    graphs: Annotated[
        bool,
        typer.Option(
            "--graphs",
            help="Write the graphs that --runtime onnx takes, without weights, into the folder of weights instead.",
        ),
    ] = False,
    overwrite: options.OverwriteOption = False,
    weights: options.WeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Write networks as ONNX files, each checked against torch, and export.json with what goes in and out."""
    out = start(format, quiet, verbose)
    if (output is None) == (not graphs):
        raise UsageError(
            "Say where to with --output FOLDER, or --graphs for the folder of weights; one of them."
        )
    if output is not None and (output / INDEX).exists() and not overwrite:
        raise UsageError(
            f"{output / INDEX} exists; allow to replace it with --overwrite or choose another --output."
        )
    from exprgan.weights import find
    from exprgan.weights import onnx_export as onnx

    sources = [find(name, weights) for name in names or onnx.EXPORTED]
    written: list[dict[str, Any]] = []
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        with out.progress(len(sources), "exporting") as advance:
            for files in sources:
                exported = onnx.export(files)
                path = onnx.write_graph(exported, files) if output is None else output / f"{files.name}.onnx"
                record = {"name": files.name, "file": str(path)}
                record |= {} if output is None else onnx.write_network(exported, path)
                size = path.stat().st_size
                written.append(record)
                out.data(record, f"{path}: {size / 1e6:.2f} MB, at most {exported.difference:.1e} off torch")
                advance()
        if output is not None:
            (output / INDEX).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        folder = output or sources[0].weights
        raise UsageError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
