"""Imports go down: no part of the package knows those above it, and none goes round in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FLOORS = (
    ("exprgan.__main__",),
    ("exprgan.cli", "exprgan.bench"),
    ("exprgan.app", "exprgan.evaluation"),
    ("exprgan.training",),
    ("exprgan.samples",),
    ("exprgan.teacher",),
    ("exprgan.data", "exprgan.edit"),
    ("exprgan.face_model",),
    ("exprgan.faces",),
    ("exprgan.weights",),
    ("exprgan.models", "exprgan.photos"),
    ("exprgan",),  # the package itself and the words: errors, expressions, files and the like
)
"""From the top down; rooms of one floor do not know each other."""
FRONT = "exprgan"
"""The package's front may hand out what lies above it, as long as nothing inside imports it."""


def modules(root: Path) -> dict[str, Path]:
    paths = (root / "exprgan").rglob("*.py")
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a file imports anywhere, inside functions too, but not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.dump(guard.test)
        for node in ast.walk(guard)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in for_types:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def floor(module: str) -> tuple[int, str]:
    """Number of a module's floor, counted from the top, and its room there."""
    for number, rooms in enumerate(FLOORS):
        for room in rooms:
            if module == room or module.startswith(room + "."):
                return number, room
    raise AssertionError(f"{module} has no floor")


def graph(root: Path) -> dict[str, set[str]]:
    known = modules(root)
    return {
        name: {found for found in imports(path, known) if found in known and found != name}
        for name, path in known.items()
    }


def test_imports_go_down(root: Path) -> None:
    wrong = []
    for module, targets in graph(root).items():
        if module == FRONT:
            continue
        number, room = floor(module)
        for target in targets:
            to_number, to_room = floor(target)
            if to_number < number or (to_number == number and to_room != room) or target == FRONT:
                wrong.append(f"{module} -> {target}")
    assert not wrong


def test_no_imports_go_round(root: Path) -> None:
    left = {module: set(targets) for module, targets in graph(root).items()}
    while free := [
        module
        for module, targets in left.items()
        if not targets & left.keys() or not any(module in others for others in left.values())
    ]:
        for module in free:
            del left[module]
    assert not left, f"in a circle: {sorted(left)}"


def test_packages_that_the_command_line_opens_first_are_empty(root: Path) -> None:
    for name in ("edit", "photos"):
        assert not (root / "exprgan" / name / "__init__.py").read_text().strip()
