"""What `exprgan edit` says about each photo, and about all of them at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exprgan.cli.output import Format, Output, message_of

if TYPE_CHECKING:
    from exprgan.edit.batch import PhotoReport
    from exprgan.edit.plan import Asked

_LISTED = 20  # failed photos named again at the end


def show_photo(report: PhotoReport, out: Output, *, is_single: bool, asked: Mapping[str, Asked]) -> None:
    """Data on stdout for each file, notes on stderr.

    An error is data in JSON, else on stderr, unless it is a single photo's, with which the command ends.
    """
    source = str(report.job.source)
    for note in report.notes:
        out.note(f"{source}: {note}")
    for label, path in report.results.items():
        out.data(_edited(report, label, str(path), asked[label]), str(path))
    if report.sheet:
        out.data({"status": "edited", "input": source, "sheet": str(report.sheet)}, str(report.sheet))
    for name, path in report.skipped.items():
        record = {"status": "skipped", "input": source}
        record |= {"sheet": str(path)} if name == "sheet" else {"output": str(path), "expression": name}
        if out.format is Format.json:
            out.data(record, "")
        else:
            out.detail(f"{source}: {path} is finished already.")
    if report.error is not None:
        if out.format is Format.json:
            record = {"status": "failed", "input": source, "error": type(report.error).__name__}
            out.data({**record, "message": message_of(report.error)}, "")
        elif not is_single:
            out.error(report.error, source=source)
    out.detail(f"{source}: {report.status} in {sum(report.seconds.values()):.2f} s.")


def _edited(report: PhotoReport, label: str, path: str, asked: Asked) -> dict[str, Any]:
    return {
        "status": "edited",
        "input": str(report.job.source),
        "output": path,
        "expression": label,
        "classes": dict(asked.expression.classes),
        "controls": dict(asked.expression.controls),
        "regions": list(asked.expression.regions),
        "strength": asked.strength,
        "faces": faces_record(report.faces),
        "seconds": {name: round(taken, 4) for name, taken in report.seconds.items()},
        "notes": list(report.notes),
    }


def faces_record(outcomes: Sequence[Any]) -> list[dict[str, Any]]:
    """What became of each face (`FaceOutcome`) that was found, for JSON."""
    return [
        {
            "index": outcome.index,
            "edited": outcome.edited,
            "reason": outcome.reason or None,
            "note": outcome.note or None,
            "box_xyxy": [round(value, 2) for value in outcome.face.box_xyxy.tolist()],
            "score": round(float(outcome.face.score), 4),
        }
        for outcome in outcomes
    ]


def show_plan(jobs: Sequence[tuple[str, str, str, str]], asked: Mapping[str, Asked], out: Output) -> None:
    """The lines of --dry-run: status, input, output and expression of each file."""
    for status, source, path, name in jobs:
        record: dict[str, Any] = {"status": status, "input": source}
        if name == "sheet":
            record["sheet"] = path
        else:
            record |= {"output": path, "expression": name, "strength": asked[name].strength}
        out.data(record, f"{source} -> {path}  ({status})")


class Tally:
    """What has become of the photos of a batch so far; the failed ones that are named at the end."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()  # by class
        self.disk_is_full = False
        self._named: list[str] = []

    def add(self, report: PhotoReport) -> None:
        """Count one more."""
        self.statuses[report.status] += 1
        if report.error is None:
            return
        self.errors[type(report.error).__name__] += 1
        self.disk_is_full |= report.disk_is_full
        if len(self._named) < _LISTED:
            message, source = message_of(report.error), str(report.job.source)
            self._named.append(message if source in message else f"{source}: {message}")

    def show(self, num_jobs: int, seconds: float, out: Output) -> None:
        """Photos edited, skipped and failed by class, the time, and the failed ones by name."""
        rows = [(name, str(self.statuses[name])) for name in ("edited", "skipped")]
        rows += [(f"failed: {name}", str(count)) for name, count in self.errors.most_common()]
        if self.statuses.total() < num_jobs:
            rows.append(("not begun", str(num_jobs - self.statuses.total())))
        rows.append(("time", f"{seconds:.1f} s"))
        out.table(f"{num_jobs} photos", rows)
        named = [] if out.format is Format.json else self._named  # in JSON they are on stdout
        for line in named:
            out.note(f"failed: {line}")
        if self.statuses["failed"] > len(named) > 0:
            out.note(f"... and {self.statuses['failed'] - len(named)} more.")
        if self.disk_is_full:
            out.note(
                "The disk is full, so no further photo was begun; make room and go on with --skip-existing."
            )
