"""`exprgan expressions`: all that a face can be asked to show."""

from __future__ import annotations

from exprgan.cli import options
from exprgan.cli.output import Format, start

TITLES = {
    "classes": ("The eight expressions", "--to NAME, --to NAME:0.6+NAME:0.4"),
    "action_units": ("Action units (FACS)", "--au 12=0.8, --au 4L=0.3 for the subject's left"),
    "controls": ("Controls", "--control NAME=0.5; NAME_left, NAME_right for one side"),
    "shapes": ("ARKit's shapes", "--control NAME=0.5; NAMELeft, NAMERight for one side"),
}


def expressions(
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """List what faces can be asked to show: expressions, action units, controls and shapes."""
    out = start(format, quiet, verbose)
    from exprgan.expressions import EXPRESSIONS
    from exprgan.face_model.vocabulary import controls

    for kind, entries in controls().items():
        title, written = TITLES[kind]
        if out.format is Format.human:
            out.data({}, f"{title}: {written}")
        for name, control in entries.items():
            if kind == "classes" and name not in EXPRESSIONS:
                continue
            record = {"kind": kind, "name": name, "does": control.does, "sides": control.has_sides}
            out.data(record, f"  {name:<16} {control.does}")
