"""How long an edit takes, stage by stage, and how the generator compares with the baselines.

    python -m exprgan.bench.speed --output out/speed.json

Stages are taken from the real `Editor`, whose parts are wrapped in stopwatches, in a fresh process for every
run, as a user's single edit meets them. Networks are compared in one process, in turns (A, B, C, A, B ...),
so that a change of the machine's load falls on all of them. Wall-clock time is what a user waits; CPU time is
given beside it because it stays comparable on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exprgan.errors import ExprganError, UsageError
from exprgan.face_parts import CROP_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAGES = (
    "import torch",
    "import rest",
    "load weights",
    "read",
    "detect",
    "face networks",
    "align",
    "segment",
    "fit",
    "prior",
    "generate",
    "blend",
    "write",
)
NETWORK_STAGES = ("face networks", "segment", "generate")
"""The face networks belong to the detector; 'detect' is what it takes without them. Fit and prior are geometry."""
FACE_HEIGHT_SHARE = 0.6
"""Height of the pasted portrait as a share of the scene's."""

Times = dict[str, tuple[float, float]]  # stage -> wall seconds, CPU seconds


class Stopwatch:
    """Adds up wall and CPU time by name."""

    def __init__(self) -> None:
        self.times: Times = {}

    def run(self, name: str, work: Callable[[], Any]) -> Any:
        """The result of a piece of work, whose time is added to a name."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        before = self.times.get(name, (0.0, 0.0))
        self.times[name] = (before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu)
        return result

    def part(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose calls are timed under a name."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            return self.run(name, lambda: call(*args, **kwargs))

        return timed

    @contextmanager
    def networks(self, name: str) -> Iterator[None]:
        """Time all networks that run inside the block under a name."""
        from torch.nn.modules import module

        depth, start = 0, (0.0, 0.0)

        def enter(*_: Any) -> None:
            nonlocal depth, start
            if depth == 0:
                start = time.perf_counter(), time.process_time()
            depth += 1

        def leave(*_: Any) -> None:
            nonlocal depth
            depth -= 1
            if depth == 0:
                before = self.times.get(name, (0.0, 0.0))
                wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
                self.times[name] = (before[0] + wall, before[1] + cpu)

        hooks = [
            module.register_module_forward_pre_hook(enter),
            module.register_module_forward_hook(leave),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def split(self, whole: str, *parts: str, rest: str) -> None:
        """Replace a whole by what is left of it without the parts timed inside it."""
        wall, cpu = self.times.pop(whole)
        inside = [self.times.get(part, (0.0, 0.0)) for part in parts]
        self.times[rest] = (wall - sum(t[0] for t in inside), cpu - sum(t[1] for t in inside))


def make_scene(portrait: NDArray[np.uint8], width: int = 4000, height: int = 3000) -> NDArray[np.uint8]:
    """A large photo with one face: a portrait, enlarged, on a soft background with a little grain.

    Args:
        portrait: uint8 RGB (h, w, 3) of one person.
        width: Pixels of the scene.
        height: Pixels of the scene.

    Returns:
        uint8 RGB (height, width, 3).
    """
    import cv2

    rng = np.random.default_rng(0)
    scene = cv2.resize(
        cv2.resize(portrait, (8, 6), interpolation=cv2.INTER_AREA),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    side = int(height * FACE_HEIGHT_SHARE)
    shown = cv2.resize(
        portrait, (side * portrait.shape[1] // portrait.shape[0], side), interpolation=cv2.INTER_LANCZOS4
    )
    top, left = height - side, (width - shown.shape[1]) // 2
    scene[top:, left : left + shown.shape[1]] = shown
    grain = rng.standard_normal((height, width, 1), np.float32) * 2.5
    return np.clip(scene + grain, 0, 255).astype(np.uint8)


def time_edit(photo: Path, weights: str | None) -> dict[str, Any]:
    """Time of each stage of one edit in this process, which should be fresh.

    Returns:
        `times` (stage -> [wall s, CPU s]), `peak_rss_mb` and the photo's `size_hw`.
    """
    watch = Stopwatch()
    watch.run("import torch", lambda: __import__("torch"))
    watch.run("import rest", lambda: __import__("exprgan.edit.editor"))
    from exprgan.edit.editor import Editor

    editor = watch.run("load weights", lambda: Editor.from_pretrained(weights, device="cpu"))
    find_faces = editor.detector.detect

    def detect(image: NDArray[np.uint8]) -> Any:
        with watch.networks("face networks"):
            return watch.run("find faces", lambda: find_faces(image))

    editor.detector.detect = detect
    editor.face_model.analyse_face = watch.part("fit", editor.face_model.analyse_face)
    editor.face_model.prior = watch.part("prior", editor.face_model.prior)
    editor.segmenter = watch.part("segment", editor.segmenter)
    editor.generator = watch.part("generate", editor.generator)
    from exprgan.photos import image_io

    source = watch.run("read", lambda: image_io.read(photo))
    prepared = watch.run("prepare", lambda: editor.prepare(source))
    watch.split("prepare", "find faces", "segment", "fit", rest="align")
    watch.split("find faces", "face networks", rest="detect")
    result = watch.run("edit", lambda: editor.edit(prepared, to="happy"))
    watch.split("edit", "prior", "generate", rest="blend")
    with tempfile.TemporaryDirectory() as folder:
        watch.run("write", lambda: result.save(Path(folder) / "edited.jpg"))
    return {"times": watch.times, "peak_rss_mb": _peak_rss_mb(), "size_hw": source.size_hw}


def _peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def time_edits(photo: Path, weights: str | None, repeats: int) -> dict[str, Any]:
    """Medians over edits in fresh processes; see `time_edit`."""
    command = [sys.executable, "-m", "exprgan.bench.speed", "--single", str(photo)]
    command += ["--weights", weights] if weights else []
    runs = [json.loads(_output(command)) for _ in range(repeats)]
    times = {
        stage: [statistics.median(run["times"][stage][i] for run in runs) for i in (0, 1)] for stage in STAGES
    }
    return {
        "times": times,
        "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
        "size_hw": runs[0]["size_hw"],
        "repeats": repeats,
    }


def _output(command: list[str]) -> str:
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}  # as `exprgan.cli.main` sets it
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def time_help(repeats: int) -> dict[str, Any]:
    """Wall and CPU seconds of `exprgan --help`, beside an empty run of the interpreter."""
    commands = {
        "exprgan --help": [sys.executable, "-m", "exprgan", "--help"],
        "empty interpreter": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            wall, before = time.perf_counter(), os.times()
            _output(command)
            after = os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            times[name].append((time.perf_counter() - wall, cpu))
    return {name: [statistics.median(t[i] for t in taken) for i in (0, 1)] for name, taken in times.items()}


def generator_calls(weights: str | None, side: int) -> dict[str, Callable[[], Any]]:
    """The calls to time: each generator on one picture (1, 3, side, side), fp32, eval mode.

    `unified` is what the editor calls; it looks only at the window of a 256-px crop where faces change.
    `unified, whole` is the same network on every pixel, as the baselines work.
    """
    import torch

    from exprgan.errors import WeightsError
    from exprgan.expressions import EXPRESSIONS
    from exprgan.models.registry import build
    from exprgan.models.unified import UnifiedGenerator
    from exprgan.weights import find

    try:
        unified = find("unified", weights).load()
    except WeightsError:  # the speed does not depend on the values
        unified = build("unified").eval()
    if not isinstance(unified, UnifiedGenerator):
        raise UsageError(f"The weights {weights} hold another network than the unified generator.")
    image, regions = torch.rand(1, 3, side, side) * 2 - 1, torch.rand(1, 3, side, side)
    label, strength = torch.tensor([1]), torch.ones(1)
    calls: dict[str, Callable[[], Any]] = {}
    if side == CROP_PX:
        calls["unified"] = lambda: unified(image, regions, label, strength)
    calls["unified, whole"] = lambda: unified.edit_window(image, regions, label, strength)
    for name in ("sargan", "usgan", "stargan"):
        network = build(name, num_classes=len(EXPRESSIONS)).eval()
        calls[name] = partial(network, image, label)
    return calls


def time_in_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Median wall and CPU seconds of calls made in turns, after two rounds of warming up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(rounds + 2):
        for name, call in calls.items():
            watch = Stopwatch()
            watch.run(name, call)
            if turn >= 2:
                taken[name].append(watch.times[name])
    return {name: [statistics.median(t[i] for t in times) for i in (0, 1)] for name, times in taken.items()}


def time_generators(
    weights: str | None, rounds: int, sides: tuple[int, ...] = (128, CROP_PX)
) -> dict[str, Any]:
    """Medians (wall s, CPU s) of the generators at several sizes."""
    import torch

    with torch.inference_mode():
        return {str(side): time_in_turns(generator_calls(weights, side), rounds) for side in sides}


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "threads": torch.get_num_threads(),
        "load_average": load,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    lines = []
    if edit := report.get("edit"):
        height, width = edit["size_hw"]
        lines += [f"One face, {width}x{height} JPEG, median of {edit['repeats']} fresh processes.", ""]
        lines += ["| stage | wall s | CPU s |", "|---|---|---|"]
        lines += [f"| {stage} | {wall:.3f} | {cpu:.3f} |" for stage, (wall, cpu) in edit["times"].items()]
        for i, kind in enumerate(("Wall", "CPU")):
            taken = {stage: times[i] for stage, times in edit["times"].items() if stage != "import torch"}
            networks = sum(taken[stage] for stage in NETWORK_STAGES)
            lines += [
                "",
                f"{kind}: networks {networks:.2f} s, the rest {sum(taken.values()) - networks:.2f} s.",
            ]
        lines += ["", f"Peak resident memory {edit['peak_rss_mb']:.0f} MB.", ""]
    for side, times in report.get("generators", {}).items():
        lines += [
            f"Generators, one picture of {side} px, fp32:",
            "",
            "| generator | wall ms | CPU ms | unified / it |",
        ]
        lines.append("|---|---|---|---|")
        own = times.get("unified", times["unified, whole"])[1]
        lines += [
            f"| {name} | {1e3 * w:.1f} | {1e3 * c:.1f} | {own / c:.2f} |" for name, (w, c) in times.items()
        ]
        lines.append("")
    for name, (wall, cpu) in report.get("help", {}).items():
        lines.append(f"`{name}`: {wall:.3f} s wall, {cpu:.3f} s CPU.")
    return "\n".join([*lines, "", f"Machine: {json.dumps(report['machine'])}"]) + "\n"


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m exprgan.bench.speed", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--portrait", type=Path, default=Path("docs/samples/portrait.jpg"), help="the face to paste"
    )
    parser.add_argument("--photo", type=Path, help="edit this photo in place of a made scene")
    parser.add_argument("--size", default="4000x3000", help="width x height of the scene")
    parser.add_argument("--weights", help="folder of weights")
    parser.add_argument("--repeats", type=int, default=5, help="fresh processes for the stages")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each network")
    parser.add_argument(
        "--parts", nargs="+", choices=("edit", "generators", "help"), default=["edit", "generators", "help"]
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/speed.json"), help="where the figures go as JSON"
    )
    parser.add_argument(
        "--single", type=Path, help=argparse.SUPPRESS
    )  # one edit in this process, figures to stdout
    options = parser.parse_args()
    if options.single:
        sys.stdout.write(json.dumps(time_edit(options.single, options.weights)))
        return
    report: dict[str, Any] = {}
    if "edit" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            photo = options.photo or _saved_scene(options.portrait, options.size, Path(folder))
            report["edit"] = time_edits(photo, options.weights, options.repeats)
    if "generators" in options.parts:
        report["generators"] = time_generators(options.weights, options.rounds)
    if "help" in options.parts:
        report["help"] = time_help(options.repeats)
    report["machine"] = machine()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(as_text(report))


def _saved_scene(portrait: Path, size: str, folder: Path) -> Path:
    from PIL import Image

    from exprgan.photos import image_io

    width, height = (int(number) for number in size.split("x"))
    path = folder / "scene.jpg"
    Image.fromarray(make_scene(image_io.read(portrait).pixels, width, height)).save(path, quality=92)
    return path


if __name__ == "__main__":
    try:
        main()
    except ExprganError as error:
        sys.exit(str(error))
