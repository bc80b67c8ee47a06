"""A photo that is open in the page: its faces found and fitted once, small previews, and the file at full size."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.app.look import Look
from exprgan.device import one_thread
from exprgan.edit.batch import left_alone
from exprgan.edit.regions import crop_bounds
from exprgan.errors import UsageError
from exprgan.faces.choice import choose_faces
from exprgan.photos import colour, image_io
from exprgan.photos.photo import Photo

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.edit.scene import EditResult, Scene
    from exprgan.face_model.teeth import Teeth

PREVIEW_PX = 1000
"""Longer side of a preview at most."""
NEAR_MARGIN = 0.15
"""Beside the crop of a face in its close-up, as a share of the crop."""
SMALL_FACE = 0.3
"""Of the photo's longer side: smaller faces are first shown from near."""
JPEG_QUALITY = 90
MOST_PIXELS = 128_000_000
"""Larger photos are refused: several are open at a time."""
ALL = "all"
VIEWS = ("photo", "near")


class Preview(NamedTuple):
    """A small picture, as JPEG, and what is to be said of the edit."""

    jpeg: bytes
    notes: tuple[str, ...] = ()


class Result(NamedTuple):
    """A file to be handed out."""

    name: str
    data: bytes


@dataclass(frozen=True)
class FaceRow:
    """A face as the page lists it."""

    number: int  # as `exprgan faces` numbers it
    box: tuple[float, float, float, float]  # left, top, width, height as shares of the photo
    reason: str  # why it cannot be edited; empty if it can


class Opened:
    """An open photo; its edits are made one after the other.

    Args:
        editor: Edits by the face model.
        data: The photo's file.
        name: What the file is called; its extension chooses the format of results.
        lock: Held while the editor works; the same for all photos of an editor, as they share torch's threads.

    Raises:
        UsageError: The name is none.
        NoFaceFound: There is no face, or none that can be edited.
        UnreadableImage: The photo cannot be decoded.
        DeviceError: The device's memory does not suffice.
    """

    def __init__(self, editor: Editor, data: bytes, name: str, lock: threading.Lock) -> None:
        self.editor, self.name, self._lock = editor, Path(name).name, lock
        if not self.name:
            raise UsageError("The photo has no name; give its file one.")
        self._rough = type(editor)(
            detector=editor.detector,
            face_model=editor.face_model,
            device=editor.device,
            weights=editor.weights,
        )
        photo = image_io.read(data, max_pixels=MOST_PIXELS, path=Path(self.name))
        with self._lock, one_thread():  # as the command line, so that results are the same
            self._scene = editor.prepare(photo, ALL)
        self._seen = _on_white(colour.srgb_uint8(photo), photo)
        self._other_teeth: Teeth | None = None
        self.teeth_from = ""
        """The photo whose teeth are shown where the page leaves them open; empty for none."""
        self._windows: dict[tuple[str, str], Scene] = {}
        self._befores: dict[tuple[str, str], bytes] = {}

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the photo."""
        height, width = self._scene.photo.size_hw
        return width, height

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the photo's file."""
        return self._scene.photo.notes

    def faces(self) -> list[FaceRow]:
        """All faces of the photo."""
        width, height = self.size_px
        rows = []
        for outcome in self._scene.outcomes:
            x0, y0, x1, y1 = (float(value) for value in outcome.face.box_xyxy)
            box = (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
            rows.append(FaceRow(outcome.index, box, outcome.reason))
        return rows

    def take_teeth(self, data: bytes, name: str) -> None:
        """Show the teeth of another photo of the person, a file called `name`, wherever they are left open.

        Raises:
            UsageError: It shows too few of them, is turned too far or too small.
            NoFaceFound: There is no face, or none that can be edited.
            UnreadableImage: The photo cannot be decoded.
        """
        photo = image_io.read(data, max_pixels=MOST_PIXELS, path=Path(name))
        with self._lock, one_thread():
            self._other_teeth = self.editor.teeth_from(photo)
        self.teeth_from = Path(name).name

    def first_face(self) -> str:
        """The face that is chosen at first: the largest, by its number."""
        faces = [outcome.face for outcome in self._scene.outcomes]
        return str(choose_faces(faces, "largest", self._scene.photo.size_hw)[0])

    def first_view(self) -> str:
        """How the photo is shown at first: from near if it shows one small face; several need to be seen to choose."""
        (_, _, *sides), *others = (row.box for row in self.faces())
        width, height = self.size_px
        size = max(sides[0] * width, sides[1] * height) / max(width, height)
        return "near" if not others and size < SMALL_FACE else "photo"

    def face_option(self, face: str) -> str:
        """The word after --face for a choice of faces; a photo of one face needs none."""
        return face if len(self._scene.outcomes) > 1 else "largest"

    def before(self, face: str, view: str) -> bytes:
        """The photo as `preview` shows it, unchanged, as JPEG."""
        window = self._window(face, view)
        if (face, view) not in self._befores:
            self._befores[face, view] = _jpeg(window.photo.pixels)
        return self._befores[face, view]

    def preview(self, look: Look, face: str, view: str, *, rough: bool = False) -> Preview:
        """A small picture of an edit.

        Args:
            look: What is asked for.
            face: The number of a face, or all.
            view: photo, or near for the surroundings of the face alone.
            rough: By geometry alone, without the generator's corrections, in half the time: for sliders that move.

        Raises:
            UsageError: There is no such face, or none that can be edited.
        """
        window = self._window(face, view)
        if not look.asks:
            return Preview(self.before(face, view))
        with self._lock:
            result = self._edit(window, look, self._rough if rough else self.editor)
        return Preview(_jpeg(result.image), tuple(left_alone(result.faces)))

    def result(self, look: Look, face: str) -> Result:
        """The edited photo at full size, the file that `exprgan edit` writes.

        Raises:
            UsageError: There is no such face, or nothing is asked for.
        """
        if not look.asks:
            raise UsageError("Nothing is asked for yet; choose an expression or move a slider first.")
        with self._lock, one_thread():
            result = self._edit(self._chosen(face), look, self.editor)
        name = look.file_name(self.name)
        return Result(name, result.encode(name))

    def recipe(self, look: Look) -> Result:
        """The expression as a recipe for `exprgan edit --recipe`.

        Raises:
            UsageError: Nothing is asked for.
        """
        if not look.asks:
            raise UsageError("Nothing is asked for yet; choose an expression or move a slider first.")
        return Result(Path(look.file_name(self.name)).with_suffix(".toml").name, look.recipe().encode())

    def _edit(self, scene: Scene, look: Look, editor: Editor) -> EditResult:
        shown = _with_teeth(scene, look.teeth, self._other_teeth)
        return editor.edit(shown, look.expression(), look.strength)

    def _chosen(self, face: str) -> Scene:
        """The photo with those faces to be edited that are chosen, at full size."""
        if face == ALL:
            return self._scene
        faces = tuple(each for each in self._scene.faces if str(each.index) == face)
        if not faces:
            raise UsageError(f"Face {face} cannot be edited; choose another one.")
        outcomes = tuple(
            outcome if str(outcome.index) == face else replace(outcome, edited=False, reason="not chosen")
            for outcome in self._scene.outcomes
        )
        return replace(self._scene, faces=faces, outcomes=outcomes)

    def _window(self, face: str, view: str) -> Scene:
        """The chosen faces in a small picture of the photo, or of their surroundings; sRGB, 8 bits."""
        if view not in VIEWS:
            raise UsageError(f"There is no view {view!r}; choose photo or near.")
        if (face, view) not in self._windows:
            chosen = self._chosen(face)
            rows, columns = slice(0, self._seen.shape[0]), slice(0, self._seen.shape[1])
            if view == "near":
                rows, columns = _around([each.matrix for each in chosen.faces], self._seen.shape)
            self._windows[face, view] = _small_scene(chosen, self._seen, rows, columns)
        return self._windows[face, view]


def _with_teeth(scene: Scene, teeth: str, other: Teeth | None) -> Scene:
    """The scene whose mouths show a set of drawn teeth; auto leaves those that were found, unless there are others."""
    from exprgan.face_model.teeth import Teeth

    shown = other if teeth == "auto" else Teeth(teeth)
    if shown is None:
        return scene
    return replace(scene, faces=tuple(replace(face, teeth=shown) for face in scene.faces))


def _on_white(pixels: NDArray[np.uint8], photo: Photo) -> NDArray[np.uint8]:
    """sRGB pixels (H, W, 3) as they look on a white page."""
    if photo.alpha is None:
        return pixels
    cover = photo.alpha[..., None] / np.float32(np.iinfo(photo.alpha.dtype).max)
    return np.rint(255 + (pixels - np.float32(255)) * cover).astype(np.uint8)


def _around(matrices: Sequence[NDArray[np.float64]], shape: Sequence[int]) -> tuple[slice, slice]:
    """Rows and columns of the photo that the crops of faces cover, with a margin."""
    bounds = []
    for matrix in matrices:
        px_per_crop = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
        bounds.append(crop_bounds(matrix, (shape[0], shape[1]), round(NEAR_MARGIN * 256 * px_per_crop)))
    return (
        slice(min(rows.start for rows, _ in bounds), max(rows.stop for rows, _ in bounds)),
        slice(min(columns.start for _, columns in bounds), max(columns.stop for _, columns in bounds)),
    )


def _small_scene(scene: Scene, seen: NDArray[np.uint8], rows: slice, columns: slice) -> Scene:
    """The scene of a part of the photo, sRGB pixels (H, W, 3), at `PREVIEW_PX` at most."""
    part = seen[rows, columns]
    scale = min(1.0, PREVIEW_PX / max(part.shape[:2]))
    size = [max(1, round(side * scale)) for side in (part.shape[1], part.shape[0])]
    pixels = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    step_x, step_y = part.shape[1] / size[0], part.shape[0] / size[1]
    to_photo = np.array(  # centres of pixels go to centres
        [
            [step_x, 0, columns.start + (step_x - 1) / 2],
            [0, step_y, rows.start + (step_y - 1) / 2],
            [0, 0, 1],
        ]
    )
    faces = tuple(replace(face, matrix=face.matrix @ to_photo) for face in scene.faces)
    mode = "L" if scene.photo.is_grey else "RGB"
    return replace(scene, photo=Photo(pixels=pixels, format="PNG", mode=mode), faces=faces)


def _jpeg(pixels: NDArray[Any]) -> bytes:
    """uint8 RGB (H, W, 3) as a JPEG without loss of colour resolution."""
    settings = [
        *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    pixels_bgr = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", pixels_bgr, settings)[1])
