"""Editing of many photos: several at a time, each by itself, with a record of what is finished.

Every worker takes a photo from its bytes to its written results, so that reading and writing of some go
beside the networks of others, and no more photos are in memory than there are workers. On a CPU the networks
of a photo run on one thread: sums then have one order, and the bytes of a result depend neither on the number
of workers nor on that of cores.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprgan.device import one_thread, use_one_thread
from exprgan.edit.manifest import Entry, Manifest, Origin, sha256_of
from exprgan.edit.plan import PIPE, Asked, Job
from exprgan.errors import UsageError
from exprgan.face_model.expression import Expression
from exprgan.files import PARTIAL_PREFIX, PARTIAL_SUFFIX
from exprgan.photos import image_io, places
from exprgan.photos.decode import reason
from exprgan.version import __version__
from exprgan.weights import NetworkFiles, read_manifest
from exprgan.weights.find import DEFAULT_SYSTEM

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.edit.scene import EditResult, FaceOutcome
    from exprgan.edit.table import Table
    from exprgan.face_model.teeth import Teeth
    from exprgan.photos.credentials import Signer
    from exprgan.photos.photo import Photo

BESIDE_THE_SYSTEM = ("bisenet", "face_model", "face_proposer", "landmarks", "unet")
"""Networks that an edit may need beside its generator; others, such as judges, have no effect on results."""
STALE_PART_S = 60
"""Age from which a half-written file of a killed run is removed."""
_MOST_DEFAULT_WORKERS = 4
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@dataclass(frozen=True)
class EditSettings:
    """What is the same for all photos of a batch and decides the bytes of the results."""

    face: str = "largest"
    detector: str = "builtin"
    provenance: bool = True
    strip_metadata: bool = False
    model: str = DEFAULT_SYSTEM
    teeth: str = "auto"  # name, or the hash of the photo that they are taken from
    crop_px: int = 0  # side of aligned crops of the edited face; 0 for whole photos
    signed_by: str = (
        ""  # hash of the certificates that results are signed with; empty for no content credentials
    )


@dataclass
class PhotoReport:
    """What became of one photo."""

    job: Job
    results: dict[str, Path] = field(default_factory=dict)  # written now, by expression
    sheet: Path | None = None  # written now
    skipped: dict[str, Path] = field(default_factory=dict)  # were finished already, "sheet" among them
    faces: tuple[FaceOutcome, ...] = ()  # of each face that was found
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)  # of read, prepare, edit and write
    error: Exception | None = None

    @property
    def status(self) -> str:
        """edited, skipped or failed."""
        if self.error is not None:
            return "failed"
        return "edited" if self.results or self.sheet else "skipped"

    @property
    def disk_is_full(self) -> bool:
        """Whether it failed for want of room, as all others would."""
        return isinstance(self.error, Exception) and getattr(self.error.__cause__, "errno", None) in _FULL

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to `seconds`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def weights_hash(files: NetworkFiles) -> str:
    """One sha256 over those of the system that edits and of the networks it works with in its folder of weights."""
    records = read_manifest(files.weights)
    lines = [f"{name} {records[name].sha256}" for name in BESIDE_THE_SYSTEM if name in records]
    return sha256_of("\n".join([*lines, f"{files.name} {files.sha256}"]).encode())


def default_workers() -> int:
    """As many as there are cores to use, four at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_DEFAULT_WORKERS)


def make_folder(folder: Path) -> None:
    """Make the folder of a result, and those above it.

    Raises:
        UsageError: That is not possible.
    """
    if places.is_remote(folder):
        return  # what is written there makes it
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {image_io.shown(folder)} cannot be made ({reason(error)}); choose another --output."
        ) from error


def left_alone(outcomes: Sequence[FaceOutcome]) -> list[str]:
    """A note on each face that was to be edited and could not be, or not as far as asked."""
    refused = [
        f"face {outcome.index} is left as it is: {outcome.reason}."
        for outcome in outcomes
        if outcome.reason and outcome.reason != "not chosen"
    ]
    return [*refused, *(f"face {outcome.index} is {outcome.note}." for outcome in outcomes if outcome.note)]


class PhotoWork:
    """The work on one photo: check what is finished, edit, record, write.

    Args:
        editor: Edits; None if only `unfinished` is asked.
        settings: See there.
        asked: What the labels of the jobs' outputs mean; those that are not here are parsed.
        manifest: The record of the output folder; None keeps none.
        weights: `weights_hash` of the editor's.
        overwrite: Whether files that exist may be replaced.
        skip_existing: Whether files that the manifest proves finished are left.
        teeth: Taken from a photo; None goes by the settings.
        signer: Signs the results, sheets left out; None signs none.
        used: The photos that teeth and the like are taken from.
        read, write: The way of a photo's bytes in and of a result's out.
    """

    def __init__(
        self,
        editor: Editor | None,
        settings: EditSettings,
        *,
        asked: Mapping[str, Asked] | None = None,
        manifest: Manifest | None = None,
        weights: str = "",
        overwrite: bool = False,
        skip_existing: bool = False,
        teeth: Teeth | None = None,
        signer: Signer | None = None,
        used: Sequence[Photo] = (),
        read: Callable[[Path], bytes] = image_io.read_bytes,
        write: Callable[[Path, bytes], None] = image_io.write_atomic,
    ) -> None:
        self.editor, self.settings, self.manifest, self.weights = editor, settings, manifest, weights
        self.asked = dict(asked or {})
        self.overwrite, self.skip_existing = overwrite, skip_existing
        self.read, self.write, self.teeth = read, write, teeth
        self.signer, self.used = signer, tuple(used)
        self.table: Table | None = None  # where each result gets rows
        self.ours: frozenset[Path] = frozenset()  # results that exist and are to be made again

    def __call__(self, job: Job) -> PhotoReport:
        """Do a job; an error is in the report."""
        report = PhotoReport(job)
        try:
            self._do(report)
        except Exception as error:  # one bad photo must not stop the others
            report.error = error
        return report

    def unfinished(self, job: Job, input_sha256: str = "") -> dict[str, Path]:
        """The files of a job that are to be written, by expression, and by "sheet" for the sheet.

        Args:
            job: See there.
            input_sha256: Of the photo's file; only needed with `skip_existing`.

        Raises:
            UsageError: One exists that is not proven finished and may not be replaced.
        """
        todo, in_the_way = {}, []
        for name, path in job.named_targets.items():
            if places.exists(path) and path not in self.ours:
                why = "exists"
                if self.skip_existing and self.manifest is not None:
                    why = self.manifest.why_not_finished(path, self._origin(name, job, input_sha256))
                    if not why:
                        continue
                if not self.overwrite:
                    in_the_way.append(f"{path} {'exists but ' * (why != 'exists')}{why}")
            todo[name] = path
        if in_the_way:
            raise UsageError(
                f"{', '.join(in_the_way)}; allow to replace it with --overwrite or choose another --output."
            )
        return todo

    def _do(self, report: PhotoReport) -> None:
        job = report.job
        with report.timed("read"):
            data = self.read(job.source)
            digest = sha256_of(data) if self.manifest is not None or self.table is not None else ""
            todo = self.unfinished(job, digest)
            report.skipped = {name: path for name, path in job.named_targets.items() if name not in todo}
            if not todo:
                return
            photo = image_io.read(data, path=None if job.source == PIPE else job.source)
        for name, encoded, result in self._results(photo, todo, report):
            path = todo[name]
            if self.table is not None and result is not None:
                names = {"input": str(job.source), "output": str(path), "input_sha256": digest}
                names["output_sha256"] = sha256_of(encoded)
                with report.timed("measure"):
                    self.table.record(result, self._meant_by(name), names)
            with report.timed("write"), self._row_of(path):
                make_folder(path.parent)
                if self.manifest is not None:
                    self.manifest.append(
                        Entry(
                            output=self.manifest.key(path),
                            sha256=sha256_of(encoded),
                            size_bytes=len(encoded),
                            input=str(job.source),
                            origin=self._origin(name, job, digest),
                            version=__version__,
                            runtime=self.editor.runtime if self.editor else "",
                        )
                    )
                self.write(path, encoded)
            if name == "sheet":
                report.sheet = path
            elif path != PIPE:
                report.results[name] = path

    def _results(
        self, photo: Photo, todo: Mapping[str, Path], report: PhotoReport
    ) -> Iterator[tuple[str, bytes, EditResult | None]]:
        """Name, bytes and edit of the files that are to be written, the sheet last."""
        if self.editor is None:
            raise ValueError("work without an editor can only be planned")
        with report.timed("prepare"):
            teeth = self.teeth or self.settings.teeth
            scene = self.editor.prepare(photo, self.settings.face, teeth=teeth)
        report.faces = scene.outcomes
        notes = (
            photo.notes
            if self.signer is None
            else self.signer.notes(photo, strip_metadata=self.settings.strip_metadata)
        )
        report.notes = (*notes, *left_alone(scene.outcomes))
        shown: list[EditResult] = []
        for label in report.job.outputs:
            if label not in todo and "sheet" not in todo:
                continue
            with report.timed("edit"):
                result = self.editor.edit(scene, *self._meant_by(label))
            said = left_alone(result.faces)
            report.notes = (*report.notes, *(note for note in said if note not in report.notes))
            if "sheet" in todo:
                shown.append(result)
            if label in todo:
                with report.timed("write"):
                    encoded = self._encode(result, todo[label])
                yield label, encoded, result
        if "sheet" in todo:
            from exprgan.edit.sheet import encode_sheet

            with report.timed("write"):
                encoded = encode_sheet(todo["sheet"], shown)
            yield "sheet", encoded, None

    @contextlib.contextmanager
    def _row_of(self, path: Path) -> Iterator[None]:
        """Take back the row of a result that cannot be written."""
        try:
            yield
        except BaseException:
            if self.table is not None:
                self.table.drop(path)
            raise

    def _encode(self, result: EditResult, path: Path) -> bytes:
        if self.settings.crop_px:
            result = aligned_crop(result, self.settings.crop_px)
        keeps = result.photo.format in image_io.EXTENSIONS.values()
        target = path if path != PIPE else None if keeps else Path("stdin.png")
        return replace(result, used=self.used).encode(
            target,
            provenance=self.settings.provenance,
            strip_metadata=self.settings.strip_metadata,
            signer=self.signer,
        )

    def _origin(self, name: str, job: Job, input_sha256: str) -> Origin:
        options: dict[str, Any] = asdict(self.settings)
        if not self.settings.signed_by:  # as in records of results from before there were signed ones
            del options["signed_by"]
        if name == "sheet":
            options["sheet"] = [_as_options(self._meant_by(label)) for label in job.outputs]
        else:
            options |= _as_options(self._meant_by(name))
        return Origin(input_sha256, options, self.weights)

    def _meant_by(self, label: str) -> Asked:
        return self.asked.get(label) or Asked(Expression.parse(label))


def aligned_crop(result: EditResult, size_px: int) -> EditResult:
    """The first edited face of a result as an aligned crop (size_px, size_px), sRGB, without the photo's metadata."""
    from exprgan.faces.align import crop_matrix, warp_crop
    from exprgan.photos import colour
    from exprgan.photos.photo import Photo

    face = next(outcome.face for outcome in result.faces if outcome.edited)
    matrix = crop_matrix(face.points5_xy, size_px)
    before, after = (
        warp_crop(colour.srgb_uint8(photo), matrix, size_px)
        for photo in (result.photo, replace(result.photo, pixels=result.image))
    )
    source = result.photo
    crop = Photo(pixels=before, format="PNG", mode="RGB", path=source.path, source=source.source)
    return replace(result, image=after, photo=crop, also=("c2pa.cropped", "c2pa.resized"))


def _as_options(asked: Asked) -> dict[str, Any]:
    return {"expression": asked.expression.text, "strength": asked.strength}


def run(
    jobs: Iterable[Job],
    work: Callable[[Job], PhotoReport],
    *,
    num_workers: int = 1,
    stop: threading.Event | None = None,
    fail_fast: bool = False,
) -> Iterator[PhotoReport]:
    """Do all jobs and give the report of each as it is finished, in no certain order.

    Args:
        jobs: What is to be done.
        work: Does one job; it must not raise.
        num_workers: Photos that are in work, and in memory, at a time.
        stop: Once it is set, no further job is begun; those in work are finished.
        fail_fast: Begin no further job after one has failed. A full disk always has this effect.
    """
    left, stop = iter(jobs), stop or threading.Event()
    halted = False
    with one_thread(), ThreadPoolExecutor(num_workers, "exprgan-photo", use_one_thread) as pool:
        running: set[Future[PhotoReport]] = set()
        while True:
            while len(running) < num_workers and not halted and not stop.is_set():
                job = next(left, None)
                if job is None:
                    break
                running.add(pool.submit(work, job))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                report = future.result()
                halted = halted or report.disk_is_full or (fail_fast and report.error is not None)
                yield report


def remove_stale_parts(folders: Iterable[Path]) -> None:
    """Remove the half-written files that killed runs have left in the folders."""
    for folder in folders:
        if places.is_remote(folder):
            continue
        for path in folder.glob(f"{PARTIAL_PREFIX}*{PARTIAL_SUFFIX}"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_PART_S:
                    path.unlink()
