"""What a network, or a system of networks, brings to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from exprgan.errors import UsageError

Losses = tuple[Tensor, dict[str, Tensor]]
"""The loss to minimise, and its terms for the log."""


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training run finds its data and puts its results."""

    data: tuple[str, ...]  # sets of faces, or folders that contain such sets; shards may be addresses
    output: Path  # folder of the run
    teacher: Path | None = None  # folder with the geometry teacher's basis; None takes the bundled one
    cache: Path | None = None  # folder for the teacher's renders
    synthetic_labels: Path | None = None  # landmarks made by exprgan.data.mediapipe_faces; landmarks alone
    initial: Path | None = None  # weights (safetensors) that a new run starts from
    weights: Path | None = None  # folder of the weights of networks that help; None takes the bundled ones

    @property
    def folder(self) -> Path:
        """The one folder with open-faces and synthetic-faces, for the networks that need just that.

        Raises:
            UsageError: Several sources are named.
        """
        if len(self.data) != 1:
            raise UsageError("This network takes one --data: the folder with open-faces and synthetic-faces.")
        return Path(self.data[0])


@dataclass(frozen=True)
class Turn:
    """One optimiser's part of a step: which weights it moves, and down which loss.

    Attributes:
        name: For the log, for example discriminator or generator.
        parameters: The weights; with "lr_share" in a group of them, a factor on the loop's learning rate.
        loss: Loss and terms of a batch on the networks' device.
        every: The turn is taken in every n-th step (n_critic of a generator).
    """

    name: str
    parameters: Iterable[nn.Parameter] | list[dict[str, Any]]
    loss: Callable[[dict[str, Tensor]], Losses]
    every: int = 1

    def groups(self) -> list[dict[str, Any]]:
        """The weights as groups for an optimiser."""
        groups: list[Any] = list(self.parameters)
        if groups and isinstance(groups[0], dict):
            return [{**group, "params": list(group["params"])} for group in groups]
        return [{"params": groups}]


class Task:
    """Networks, samples and losses; the methods that a task must write are `build`, `sample` and `loss` or `turns`.

    Attributes:
        may_stay_fresh: Beginnings of names of weights that a file to start from may lack.
    """

    may_stay_fresh: tuple[str, ...] = ()

    def build(self) -> nn.Module:
        """All networks of the task with fresh weights, as one module."""
        raise NotImplementedError

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of the endless stream of a seed: arrays, tensors or numbers by name.

        A pure function: what training draws by sample (a target expression, a place of the gradient penalty)
        is part of it, which makes resumed and distributed runs exact.
        """
        raise NotImplementedError

    def sample_settings(self) -> str:
        """All that `sample` depends on beside the data; samples are shared by runs where it is the same."""
        return repr(getattr(self, "config", None))

    def loss(self, model: Any, batch: dict[str, Tensor]) -> Losses:
        """Loss of the only turn, for tasks with one optimiser."""
        raise NotImplementedError

    def turns(self, model: Any) -> list[Turn]:
        """The turns of a step, in order."""
        return [Turn("", model.parameters(), lambda batch: self.loss(model, batch))]

    def averaged(self, model: Any) -> nn.Module:
        """The part of the networks that is kept: its moving average is what a run gives."""
        module: nn.Module = model
        return module

    def as_start(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Stored weights to start from as those of the averaged part, where other networks' will do, too."""
        return state

    def description(self) -> dict[str, Any]:
        """How to build the averaged part, and what else its user must know; network.json of a run.

        "architecture" is a name of `exprgan.models.registry.BUILDERS`, "arguments" are the builder's; the loop adds to
        them the defaults of those that are left out.
        """
        return {}

    def picture(self, averaged: Any, batch: dict[str, Tensor]) -> Tensor | None:
        """Sample results of the averaged part as one uint8 picture (3, H, W), or None."""
        return None

    def alarm(self, means: dict[str, float]) -> str:
        """Why training must stop, judged by the means of the terms since the last log line; empty if it need not."""
        return ""
