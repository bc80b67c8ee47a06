"""`exprgan weights`: list, verify and convert weights, and bring them from and to the Hugging Face Hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import UsageError, WeightsError

app = typer.Typer(
    help="List, verify, fetch and convert weights.", no_args_is_help=True, rich_markup_mode=None
)


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


@app.command("verify", short_help="Check every file against the manifest.")
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


@app.command(
    "download",
    short_help="Fetch weights from the Hugging Face Hub.",
    epilog=options.examples(
        "exprgan weights download OWNER/NAME@REVISION", "exprgan weights download OWNER/NAME --output FOLDER"
    ),
)
def download(
    repository: Annotated[
        str,
        typer.Argument(metavar="OWNER/NAME[@REVISION]", help="Repository on the Hub.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Copy them here. Without it: the cache alone.",
            show_default=False,
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take what the cache has, like HF_HUB_OFFLINE=1.")
    ] = False,
    overwrite: options.OverwriteOption = False,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Fetch weights from the Hugging Face Hub and check them; safetensors alone, never pickles."""
    out = start(format, quiet, verbose)
    from exprgan.weights import hub

    _prepare_hub(bars=out.wants_bars)
    done = hub.download(repository, output, offline=offline, overwrite=overwrite)
    if done.revision != done.commit:
        out.note(
            f"{done.repo}@{done.revision} is the commit {done.commit}; name it to get the same weights again."
        )
    out.note(f"Use them with --weights {done.folder if output else done.pinned}")
    for name, record in sorted(done.records.items()):
        text = f"{name:12} {record.size_bytes / 1e6:6.2f} MB  {record.licence}  {done.folder / record.file}"
        out.data({"name": name, "commit": done.commit, "folder": str(done.folder), **asdict(record)}, text)


@app.command(
    "push",
    short_help="Publish weights on the Hugging Face Hub.",
    epilog=options.examples(
        "exprgan weights push FOLDER OWNER/NAME --dry-run", "exprgan weights push FOLDER OWNER/NAME --private"
    ),
)
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of weights.", show_default=False)],
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub.", show_default=False)
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Only into a private repository; made if not there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all and list the files; publish nothing.")
    ] = False,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Check a folder of weights and publish it with its model cards on the Hugging Face Hub."""
    out = start(format, quiet, verbose)
    from exprgan.weights import hub

    if dry_run:
        hub.parse_repository(repository)
        total = 0
        for name, content in hub.plan_push(folder).items():
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            total += size
            out.data({"status": "planned", "file": name, "size_bytes": size}, f"{name:32} {size:>12,} bytes")
        out.note(f"{total / 1e6:.1f} MB would be published in {repository}; nothing was.")
        return
    _prepare_hub(bars=out.wants_bars)
    commit = hub.push(folder, repository, private=private)
    out.data({"repository": repository, "commit": commit}, f"{repository}@{commit}")


def _prepare_hub(*, bars: bool) -> None:
    """Let the Hub's client show bars and retries where people read them, and keep it still elsewhere."""
    from huggingface_hub.utils import disable_progress_bars, logging  # type: ignore[attr-defined]

    logging.disable_propagation()  # its own handler shows them
    if not bars:
        logging.set_verbosity_error()
        disable_progress_bars()


@app.command(
    "convert",
    short_help="Turn a PyTorch checkpoint into safetensors.",
    epilog=options.examples("exprgan weights convert net.pth --architecture unet --set width=16 -o FOLDER"),
)
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoint (.pth).", show_default=False)],
    architecture: Annotated[
        str,
        typer.Option(metavar="NAME", help="Network the tensors belong to, e.g. unet.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of weights to write into.", show_default=False
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name in the manifest. Without it: the file's.", show_default=False
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Entry of the checkpoint with the tensors, if not found.", show_default=False
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Argument of the network.", show_default=False),
    ] = None,
    licence: Annotated[str, typer.Option(metavar="SPDX", help="Licence of the weights.")] = "unknown",
    overwrite: options.OverwriteOption = False,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Turn a PyTorch checkpoint into safetensors; files that need more than tensors are refused."""
    out = start(format, quiet, verbose)
    arguments = dict(_setting(text) for text in settings or [])
    from exprgan.weights.convert import convert as convert_checkpoint

    done = convert_checkpoint(
        file,
        output,
        architecture=architecture,
        arguments=arguments,
        name=name,
        key=key,
        licence=licence,
        overwrite=overwrite,
    )
    if done.left_out:
        out.note(f"Took the tensors of {done.key!r} and left out: {', '.join(done.left_out)}.")
    record = {"name": done.name, "folder": str(done.folder), "tensors": done.tensors}
    out.data(record, f"{done.name}: {done.tensors} tensors in {done.folder}")


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--set {text} is no NAME=VALUE; for example --set width=16.")
    try:
        return name, json.loads(value)
    except ValueError:  # a plain word
        return name, value
