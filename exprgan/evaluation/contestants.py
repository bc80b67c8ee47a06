"""Who is measured: trained systems, doing nothing, and the geometry teacher."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from exprgan.data.open_faces import OpenFaces
from exprgan.edit.systems import FaceModelSystem, load_system
from exprgan.evaluation.cases import Case
from exprgan.face_model.amounts import Amounts
from exprgan.models.pixels import to_tensor, to_uint8
from exprgan.teacher.cache import TeacherCache
from exprgan.weights import NetworkFiles

Call = Callable[[Tensor, Tensor, Tensor], Tensor]

NO_EDIT = "no edit"
TEACHER = "geometry teacher"
TIMED_RUNS = 7


@dataclass(frozen=True)
class Cost:
    """What an edit takes: median milliseconds of CPU a face on one thread, and the parameters of all networks."""

    ms_per_face: float
    parameters: int


class Contestant(Protocol):
    """Something that edits faces.

    Attributes:
        name: Title of its row, unique in a report.
        facts: What the report says of it: source, architecture, sha256 ...
    """

    name: str
    facts: dict[str, Any]

    def edit(self, case: Case, expressions: Sequence[int]) -> Tensor | None:
        """A face in several expressions at full strength, (E, 3, 256, 256) in [-1, 1]; None if it cannot."""
        ...

    def edit_crop(self, image: Tensor, expression: int, strength: float) -> Tensor | None:
        """An aligned crop (1, 3, 256, 256) in [-1, 1] edited; None if it can only do cases."""
        ...

    def edit_by_shapes(self, image: Tensor, shapes: Mapping[str, float]) -> Tensor | None:
        """The same with ICT-FaceKit's shapes added to the face; None if it knows the eight expressions alone."""
        ...

    def cost(self, image: Tensor) -> Cost | None:
        """Time and size, measured on a crop."""
        ...


class NoEdit:
    """y = x: what every figure is worth when nothing is done."""

    name = NO_EDIT

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"kind": "baseline", "what": "the photo itself, y = x"}

    def edit(self, case: Case, expressions: Sequence[int]) -> Tensor | None:
        return case.image.expand(len(expressions), -1, -1, -1)

    def edit_crop(self, image: Tensor, expression: int, strength: float) -> Tensor | None:
        return image

    def edit_by_shapes(self, image: Tensor, shapes: Mapping[str, float]) -> Tensor | None:
        return image

    def cost(self, image: Tensor) -> Cost | None:
        return None


class Teacher:
    """The geometry teacher's renders: what its students are trained to do, and no more than that.

    Args:
        data: The open-faces set.
        teacher_dir: Folder with geometry_basis.npz.
        cache_dir: Its renders; missing ones are made.
    """

    name = TEACHER

    def __init__(self, data: OpenFaces, teacher_dir: Path, cache_dir: Path) -> None:
        self.set_name = data.name
        self.cache = TeacherCache(data, teacher_dir, cache_dir)
        self.facts: dict[str, Any] = {"kind": "baseline", "what": "renders by geometry, no network"}

    def usable(self) -> list[int]:
        """Rows of its set that it can do."""
        return self.cache.usable()

    def edit(self, case: Case, expressions: Sequence[int]) -> Tensor | None:
        if case.set_name != self.set_name:
            return None
        # a cache's variants 0 to 7 are the eight expressions at full strength
        return torch.cat([to_tensor(self.cache.get(case.row, number).image) for number in expressions])

    def edit_crop(self, image: Tensor, expression: int, strength: float) -> Tensor | None:
        return None

    def edit_by_shapes(self, image: Tensor, shapes: Mapping[str, float]) -> Tensor | None:
        return None

    def cost(self, image: Tensor) -> Cost | None:
        return None


class Network:
    """A network behind one call, an aligned crop in and the edited crop out; its time and size.

    Args:
        name: Title of its row.
        facts: What the report says of it.
        call: (image, expression, strength) -> edited, as a `System` takes them.
        modules: All networks that a call runs.
    """

    def __init__(
        self, name: str, facts: dict[str, Any], call: Call, modules: Sequence[torch.nn.Module]
    ) -> None:
        self.name, self.facts, self.call, self.modules = name, facts, call, modules

    def edit(self, case: Case, expressions: Sequence[int]) -> Tensor | None:
        count = len(expressions)
        image = case.image.expand(count, -1, -1, -1).contiguous()
        return self.call(image, torch.tensor(list(expressions)), torch.ones(count))

    def edit_crop(self, image: Tensor, expression: int, strength: float) -> Tensor | None:
        return self.call(image, torch.tensor([expression]), torch.tensor([strength]))

    def edit_by_shapes(self, image: Tensor, shapes: Mapping[str, float]) -> Tensor | None:
        if not isinstance(self.call, FaceModelSystem):
            return None
        pixels = to_uint8(image[0])
        return to_tensor(self.call.edit(pixels, self.call.prepare(pixels), Amounts(sculpted=dict(shapes))))

    def cost(self, image: Tensor) -> Cost | None:
        def once() -> float:
            begun = time.thread_time()
            self.call(image, torch.tensor([1]), torch.ones(1))
            return (time.thread_time() - begun) * 1000

        once()
        times = [once() for _ in range(TIMED_RUNS)]
        parameters = sum(weight.numel() for module in self.modules for weight in module.parameters())
        return Cost(statistics.median(times), parameters)


def trained(files: NetworkFiles, name: str) -> Network:
    """A trained system that takes expressions by name.

    Args:
        files: Where it is.
        name: Title of its row.
    """
    system = load_system(files)
    modules = [part for part in vars(system).values() if isinstance(part, torch.nn.Module)]
    return Network(name, _facts(files), system, modules)


def transferring(files: NetworkFiles, name: str, drivers: Tensor) -> Network:
    """A trained `transfer` network: an expression is asked for by a face that shows it.

    Args:
        files: Where it is.
        name: Title of its row.
        drivers: One person in the eight expressions, (8, 3, 256, 256) in [-1, 1].
    """
    network: Any = files.load()
    size: int = network.image_size
    small_drivers = F.interpolate(drivers, (size, size), mode="area")

    @torch.inference_mode()
    def call(image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        small = F.interpolate(image, (size, size), mode="area")
        change = network(small_drivers[expression], small, strength).float() - small
        enlarged = F.interpolate(change, image.shape[-2:], mode="bicubic", align_corners=False)
        return (image + enlarged).clamp(-1, 1)

    return Network(name, _facts(files), call, [network])


def _facts(files: NetworkFiles) -> dict[str, Any]:
    return {
        "kind": "system",
        "source": str(files.run or files.name),
        "architecture": files.architecture,
        "sha256": files.sha256,
    }
