"""Change the expression of the faces in a photo and leave the rest of the photo alone.

>>> from exprgan import Editor
>>> editor = Editor.from_pretrained()  # doctest: +SKIP
>>> editor.edit("photo.jpg", to="happy", strength=0.8).save("photo-happy.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from exprgan.errors import (
    DeviceError,
    ExprganError,
    NoFaceFound,
    UnreadableImage,
    UsageError,
    WeightsError,
)
from exprgan.expressions import EXPRESSIONS

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.edit.scene import EditResult, FaceOutcome
    from exprgan.edit.transfer import Transfer
    from exprgan.face_model.expression import Expression
    from exprgan.faces.face import Face
    from exprgan.photos.credentials import Signer

from exprgan.version import __version__

__all__ = [
    "EXPRESSIONS",
    "DeviceError",
    "EditResult",
    "Editor",
    "Expression",
    "ExprganError",
    "Face",
    "FaceOutcome",
    "NoFaceFound",
    "Signer",
    "Transfer",
    "UnreadableImage",
    "UsageError",
    "WeightsError",
    "__version__",
]

_LAZY = {
    "Editor": "exprgan.edit.editor",
    "Expression": "exprgan.face_model.expression",
    "EditResult": "exprgan.edit.scene",
    "FaceOutcome": "exprgan.edit.scene",
    "Face": "exprgan.faces.face",
    "Signer": "exprgan.photos.credentials",
    "Transfer": "exprgan.edit.transfer",
}  # imported at first use, because they need torch


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
