"""What a set holds, counted, without preparing it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from exprgan.data.readers import Problem, Record
from exprgan.data.splits import split_of
from exprgan.expressions import EXPRESSIONS

UNLABELLED = "unlabelled"


@dataclass
class Survey:
    """Counts of a set's records, and its problems by reason.

    Attributes:
        name: The set.
        counts: Pictures by split and expression.
        subjects: Who is in which split; pictures of nobody in particular are not counted.
        num_masks: Pictures with a mask.
        num_coded: Pictures with action units.
        problems: Names of what is left out, by reason.
    """

    name: str
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    subjects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    num_masks: int = 0
    num_coded: int = 0
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def usable(self) -> int:
        """Pictures that can be prepared."""
        return sum(sum(counter.values()) for counter in self.counts.values())

    def add(self, item: Record | Problem) -> None:
        """Count one item."""
        if isinstance(item, Problem):
            self.problems[item.reason].append(item.name)
            return
        split = split_of(self.name, item)
        self.counts[split][EXPRESSIONS[item.expression] if item.expression >= 0 else UNLABELLED] += 1
        if item.subject:
            self.subjects[split].add(item.subject)
        self.num_masks += bool(item.mask or item.mask_parts)
        self.num_coded += item.action_units is not None

    def record(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "set": self.name,
            "usable": self.usable,
            "left_out": sum(len(names) for names in self.problems.values()),
            "expressions": {split: dict(counter) for split, counter in sorted(self.counts.items())},
            "subjects": {split: len(who) for split, who in sorted(self.subjects.items())},
            "masks": self.num_masks,
            "action_units": self.num_coded,
            "problems": dict(sorted(self.problems.items())),
        }


def survey(name: str, items: Iterable[Record | Problem]) -> Survey:
    """Count what a reader gives."""
    counted = Survey(name)
    for item in items:
        counted.add(item)
    return counted
