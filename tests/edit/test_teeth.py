"""Teeth of opened mouths: their colour in a photo's light, whose they are, and own ones from a photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from exprgan.device import one_thread
from exprgan.edit.editor import Editor
from exprgan.edit.scene import PreparedFace, Scene
from exprgan.errors import UsageError
from exprgan.face_model.expression import Expression
from exprgan.face_model.mouth import DentalArch
from exprgan.face_model.teeth import LIMITS, Teeth, colour_of, suiting, whites_of
from exprgan.face_model.uneven import ASIDE_CM, LIGHTER, LONGER_CM, LOWER_CM, uneven_of
from exprgan.face_parts import DENTITIONS
from exprgan.faces.mesh import CHIN
from exprgan.models.mouth_interior import PX_PER_CM, UPPER_EDGE_CM
from tests.conftest import RunCli

SMILE = Expression.parse("happy")


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(device="cpu", model="face_model")


@pytest.fixture(scope="module")
def scene(editor: Editor, sample_path: Path) -> Scene:
    return editor.prepare(sample_path, teeth="even")


def lightness_of(rgb: NDArray[np.float64]) -> float:
    return float(cv2.cvtColor((rgb[None, None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0, 0, 0])


def prepared(scene: Scene) -> PreparedFace:
    return scene.faces[0]


def test_teeth_go_with_the_light_of_the_photo(scene: Scene) -> None:
    face = prepared(scene)
    assert face.analysis is not None
    points = face.analysis.landmarks_px
    colours = [colour_of((face.pixels * light).astype(np.uint8), points) for light in (1.0, 0.6, 0.3)]
    lightness = [lightness_of(colour) for colour in colours]
    assert lightness[0] > lightness[1] > lightness[2] >= LIMITS[0][0] - 1
    yellow = colour_of((face.pixels * (1.0, 0.95, 0.7)).astype(np.uint8), points)
    assert yellow[2] / yellow[0] < 0.97 * colours[0][2] / colours[0][0]


def test_teeth_go_with_the_whites_of_the_eyes_too(scene: Scene) -> None:
    face = prepared(scene)
    assert face.analysis is not None
    points = face.analysis.landmarks_px
    assert whites_of(face.pixels, points) is not None
    darker = face.pixels.copy()
    for first in (33, 263):  # both eyes, by their outer corners
        x, y = np.rint(points[first, :2]).astype(int)
        darker[y - 15 : y + 15, max(0, x - 35) : x + 35] //= 2
    assert lightness_of(colour_of(darker, points)) < lightness_of(colour_of(face.pixels, points)) - 2


def test_closed_eyes_leave_the_skin_to_tell(scene: Scene) -> None:
    face = prepared(scene)
    assert face.analysis is not None
    points = face.analysis.landmarks_px.copy()
    points[[159, 145, 158, 160, 153, 144, 157, 161, 154, 163, 173, 246, 155, 7], 1] = points[33, 1]
    points[[386, 374, 385, 387, 380, 373, 384, 388, 381, 390, 398, 466, 382, 249], 1] = points[263, 1]
    assert whites_of(face.pixels, points) is None
    assert 40 < lightness_of(colour_of(face.pixels, points)) < 92


def test_each_set_of_teeth_shows_and_nothing_else_changes(editor: Editor, sample_path: Path) -> None:
    images = [editor.edit(sample_path, SMILE, teeth=name).image for name in DENTITIONS]
    face = prepared(editor.prepare(sample_path))
    mouth = cv2.invertAffineTransform(face.matrix) @ (128, 190, 1)
    for number, image in enumerate(images[1:], 1):
        rows, columns = np.nonzero((image != images[0]).any(axis=2))
        assert len(rows) > 200, DENTITIONS[number]
        assert np.hypot(rows - mouth[1], columns - mouth[0]).max() < 60 / np.hypot(*face.matrix[0, :2])


def test_a_scene_keeps_its_teeth_and_a_wrong_name_is_refused(editor: Editor, sample_path: Path) -> None:
    scene = editor.prepare(sample_path, teeth="worn")
    assert prepared(scene).teeth == Teeth("worn")
    with pytest.raises(UsageError, match="no teeth called 'golden'; choose one of auto, even"):
        editor.prepare(sample_path, teeth="golden")


def test_automatic_teeth_are_the_same_for_the_same_face(editor: Editor, sample_path: Path) -> None:
    chosen = [prepared(editor.prepare(sample_path)).teeth for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert chosen[0] is not None
    assert chosen[0].name in ("even", "broad", "oval")


def test_no_two_people_have_the_same_drawn_teeth(scene: Scene) -> None:
    face = prepared(scene)
    assert face.analysis is not None
    shape = face.analysis.neutral_cm
    own, wider = uneven_of(shape), uneven_of(shape * (1.06, 1, 1))
    a_hair_off = uneven_of(shape + 1e-4 * np.random.default_rng(0).standard_normal(shape.shape))
    for size, here, there, near in zip(
        (LONGER_CM, ASIDE_CM, LIGHTER), own[:3], wider[:3], a_hair_off[:3], strict=True
    ):
        assert np.abs(here).max() < 1.5 * size
        assert np.abs(here - there).mean() > 0.5 * size
        assert np.abs(here - near).max() < 0.1 * size
    suited = suiting(face.pixels, face.analysis)
    assert suited.uneven is not None
    teeth = [suited, replace(suited, uneven=wider), replace(suited, uneven=None)]
    target = face.analysis.shape_cm - np.where(np.arange(468)[:, None] == CHIN, (0, 2.0, 0), 0)
    places = [
        DentalArch(face.analysis, target, each.uneven).place(np.arange(110.0, 146.0), np.full(36, 185.0))
        for each in teeth
    ]
    assert np.abs(places[0] - places[2]).max() < 3 * (LONGER_CM + LOWER_CM)
    assert np.abs(places[0] - places[1]).mean() > 0.01


def test_places_lead_to_pixels_and_back(scene: Scene) -> None:
    analysis = prepared(scene).analysis
    assert analysis is not None
    arch = DentalArch(analysis, analysis.neutral_cm)
    place = np.array([[x, y] for x in (-2, -0.5, 0, 1.5) for y in (0.9, 1.3, 1.7)], np.float32)
    pixels = arch.upper_pixels(place)
    np.testing.assert_allclose(arch.place(pixels[:, 0], pixels[:, 1]), place, atol=0.02)


def smiling(editor: Editor, path: Path, teeth: str) -> NDArray[np.uint8]:
    """A photo of a wide smile with known teeth."""
    wide = Expression.parse(None, {"mouthUpperUp": 0.8, "mouthLowerDown": 0.5, "smile": 1.0})
    return editor.edit(path, wide, teeth=teeth).image


def gap_depth(teeth: Teeth) -> float:
    """Brightness at the midline of the upper teeth against that beside it."""
    row = round((UPPER_EDGE_CM - 0.3) * PX_PER_CM)
    grey = teeth.chart.at()[0][row].mean(axis=1)
    middle = len(grey) // 2
    return float(grey[middle - 4 : middle + 4].min() / np.median(grey[middle - 40 : middle + 40]))


def test_own_teeth_are_those_of_the_photo(editor: Editor, sample_path: Path) -> None:
    found = {name: editor.teeth_from(smiling(editor, sample_path, name)) for name in ("even", "gapped")}
    assert all(teeth.own is not None for teeth in found.values())
    assert gap_depth(found["gapped"]) < 0.85 * gap_depth(found["even"])
    scene = editor.prepare(smiling(editor, sample_path, "gapped"))
    own = prepared(scene).teeth
    assert own is not None
    assert own.own is not None  # without being asked
    assert gap_depth(own) < 0.85 * gap_depth(found["even"])


def test_teeth_from_another_photo_show_in_an_edit(editor: Editor, sample_path: Path) -> None:
    gapped = editor.teeth_from(smiling(editor, sample_path, "gapped"))
    with_gap, without = (editor.edit(sample_path, SMILE, teeth=teeth).image for teeth in (gapped, "even"))
    assert (with_gap != without).any()


def test_a_shut_mouth_gives_no_teeth(editor: Editor, sample_path: Path) -> None:
    with pytest.raises(UsageError, match="too little of the upper teeth; give one in which"):
        editor.teeth_from(sample_path)


def test_options_of_the_command(run_cli: RunCli, editor: Editor, sample_path: Path, tmp_path: Path) -> None:
    from PIL import Image

    smile, output = tmp_path / "smile.png", tmp_path / "out.png"
    Image.fromarray(smiling(editor, sample_path, "gapped")).save(smile)
    result = run_cli("edit", sample_path, "--teeth-from", smile, "-o", output, "--model", "face_model")
    assert result.code == 0, result.stderr
    with one_thread():
        expected = editor.edit(sample_path, "happy", teeth=editor.teeth_from(smile)).image
    np.testing.assert_array_equal(np.asarray(Image.open(output)), expected)
    refused = run_cli("edit", sample_path, "--teeth-from", smile, "--teeth", "worn", "-o", tmp_path / "b.png")
    assert refused.code == 2
    assert "give one of them" in refused.stderr
    refused = run_cli("edit", sample_path, "--model", "unified", "--teeth", "worn", "-o", tmp_path / "b.png")
    assert refused.code == 2
    assert "go with the face model" in refused.stderr
    refused = run_cli("edit", sample_path, "--teeth-from", sample_path, "-o", tmp_path / "b.png")
    assert refused.code == 2
    assert "smiles widely" in refused.stderr
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("command", ["animate", "series"])
def test_animations_and_series_take_the_teeth_that_are_named(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "design.toml").write_text(
        "strengths = [1]\n[expressions]\nwide = { controls = { AU27 = 1 } }\n"
    )
    shown = []
    for teeth in ("even", "gapped"):
        out = tmp_path / teeth
        words = {
            "animate": ["animate", sample_path, "--au", "27=1", "--no-back", "--fps", "1", "--seconds", "2"],
            "series": ["series", sample_path, "--design", tmp_path / "design.toml"],
        }[command]
        output = out / "a.png" if command == "animate" else out
        result = run_cli(*words, "--teeth", teeth, "--model", "face_model", "--output", output)
        assert result.code == 0, result.stderr
        shown.append(
            next(path for path in sorted(out.rglob("*")) if path.suffix in (".png", ".jpg")).read_bytes()
        )
    assert shown[0] != shown[1]
    wrong = run_cli(*words, "--teeth", "golden", "--output", tmp_path / "b.png")
    assert wrong.code == 2
    assert "no teeth called 'golden'" in wrong.stderr


@pytest.mark.parametrize("yaw_degrees", [-30, 0, 20, 30])
def test_teeth_of_a_turned_head_stand_in_order_to_the_corners(scene: Scene, yaw_degrees: float) -> None:
    analysis = prepared(scene).analysis
    assert analysis is not None
    turn = np.radians(yaw_degrees)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    turned = replace(analysis, pose=replace(analysis.pose, rotation=rotation))
    arch = DentalArch(turned, turned.neutral_cm)
    middle = arch.upper_pixels(np.array([[0, UPPER_EDGE_CM - 0.1]], np.float32))[0]
    columns = middle[0] + np.arange(-32, 32)  # from one corner of a wide mouth to the other
    along = arch.place(columns, np.full(len(columns), middle[1]))[:, 0]
    steps = np.diff(along) * analysis.pose.scale  # 1 where teeth face the camera
    assert steps.min() > 0.5
    assert steps.max() < 8  # squeezed, not torn
    back = arch.upper_pixels(arch.place(columns, np.full(len(columns), middle[1])))
    seen = slice(24, 40)  # what faces the camera well
    np.testing.assert_allclose(back[seen, 0], columns[seen], atol=0.3)
