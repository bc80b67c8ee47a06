"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from exprgan.cli.output import Format
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.vocabulary import control_names
from exprgan.face_parts import DENTITIONS
from exprgan.weights.find import SYSTEMS


def examples(*lines: str) -> str:
    """The end of a command's help: lines that are shown as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def _completion(*words: str) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


complete_expression = _completion(*EXPRESSIONS, "all")
complete_control = _completion(*(f"{name}=" for name in control_names()))
complete_transfer = _completion("corrections", "face_model", "transfer")
complete_one_face = _completion("largest", "center")
complete_teeth = _completion("auto", *DENTITIONS)

AuOption = Annotated[
    list[str] | None,
    typer.Option(
        "--au",
        metavar="UNIT=AMOUNT",
        help="A FACS action unit: 12=0.8, 4L=0.3 (the subject's left), -1.5 to 1.5; may be repeated.",
        show_default=False,
    ),
]
ControlOption = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        metavar="NAME=AMOUNT",
        help="A control or ARKit shape: smile=0.5, gaze_x=-0.4; see `exprgan expressions`; may be repeated.",
        show_default=False,
        autocompletion=complete_control,
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(metavar="LOOK.toml", help="An expression from a file.", show_default=False),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Of brows, eyes, nose and mouth those that may change, as eyes,brows. Without it: all.",
        show_default=False,
    ),
]
TeethOption = Annotated[
    str,
    typer.Option(
        "--teeth",
        metavar="NAME",
        help="Teeth of opened mouths: auto (their own if seen), even, broad, oval, gapped, crowded, worn or young.",
        autocompletion=complete_teeth,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="human text, or json: one object a line.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print errors alone (with --format json also the data).")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell more on stderr.")]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:1 ... or mps; auto takes a CUDA device if any.",
        autocompletion=_completion("auto", "cpu", "cuda", "mps"),
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FOLDER",
        help="Folder of weights instead of the bundled ones, or OWNER/NAME@REVISION as downloaded.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="corrections, face_model (geometry alone), or one of the eight expressions alone: unified, sargan, "
        "stargan, usgan, hierarchical; or the folder of a training run.",
        autocompletion=_completion(*SYSTEMS),
    ),
]
DetectorOption = Annotated[
    str,
    typer.Option(
        "--detector",
        metavar="NAME",
        help="builtin (offline), or retinaface (facexlib's network).",
        autocompletion=_completion("builtin", "retinaface"),
    ),
]
DetectorWeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights-dir",
        metavar="FOLDER",
        help="Folder of the retinaface detector's weights.",
        show_default=False,
    ),
]
RuntimeOption = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="What runs the networks: torch, onnx (starts faster), or auto: torch if installed.",
        autocompletion=_completion("auto", "torch", "onnx"),
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
SkipExistingOption = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave what an earlier run of the same edit has finished in --output FOLDER; so a batch goes on.",
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive/--no-recursive", help="Folders with all folders below, or without.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written; load no weights, write nothing.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        help="Photos in work at a time. Without it: one a core, 4 at most.",
        show_default=False,
    ),
]
FailFastOption = Annotated[
    bool, typer.Option("--fail-fast", help="Begin no further photo after one has failed.")
]
StripMetadataOption = Annotated[
    bool,
    typer.Option("--strip-metadata", help="Leave out EXIF, XMP, IPTC and text; keep the colour profile."),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--c2pa-cert",
        metavar="CHAIN.pem",
        help="Sign results as content credentials (C2PA) with this certificate; the signer's own is the first.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--c2pa-key",
        metavar="KEY.pem",
        help="The certificate's private key; the passphrase of an encrypted one is in EXPRGAN_C2PA_PASSPHRASE.",
        show_default=False,
    ),
]
TimestampOption = Annotated[
    str | None,
    typer.Option(
        "--c2pa-timestamp",
        metavar="URL",
        help="Ask this timestamp authority (RFC 3161) when each result is signed.",
        show_default=False,
    ),
]
NoProvenanceOption = Annotated[
    bool, typer.Option("--no-provenance", help="Leave out the mark that a trained model edited the file.")
]
FaceOption = Annotated[
    str,
    typer.Option(
        "--face",
        metavar="WHICH",
        help="largest, all, center, or a number as `faces` lists them.",
        autocompletion=_completion("largest", "all", "center"),
    ),
]
