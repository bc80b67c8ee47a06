"""`exprgan weights`: which weights there are, under which licence, and whether they are the recorded ones."""

from __future__ import annotations

from dataclasses import asdict

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import WeightsError

app = typer.Typer(help="List and verify the weights.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_weights(
    weights: options.WeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """List the weights with size, licence, data and figures."""
    out = start(format, quiet, verbose)
    from exprgan.weights import find_weights_dir, read_manifest

    folder = find_weights_dir(weights)
    out.note(f"Weights in {folder}:")
    for name, record in sorted(read_manifest(folder).items()):
        lines = [
            f"{name:12} {record.size_bytes / 1e6:6.2f} MB  {record.architecture:13} "
            f"version {record.version}  {record.licence}"
        ]
        if verbose:
            lines += [f"    data: {line}" for line in record.data]
            lines += [f"    {key}: {value}" for key, value in record.metrics.items()]
            lines += [f"    sha256 {record.sha256}", f"    card: {folder / record.card}"]
        out.data({"name": name, **asdict(record)}, "\n".join(lines))


@app.command("verify")
def verify(
    weights: options.WeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Check every file against the sha256 of the manifest; exit code 5 when one differs."""
    out = start(format, quiet, verbose)
    from exprgan.weights import find_weights_dir, read_manifest, verify_weights

    folder = find_weights_dir(weights)
    failed = []
    for name in sorted(read_manifest(folder)):
        try:
            path = verify_weights(name, folder)
        except WeightsError as error:
            failed.append(name)
            out.error(error)
        else:
            out.data({"name": name, "file": str(path), "ok": True}, f"{name}: as recorded")
    if failed:
        raise WeightsError(f"{', '.join(failed)} in {folder} must be restored from the release.")
