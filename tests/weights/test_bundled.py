"""The bundled weights on the bundled portrait: what would show a broken edit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exprgan import EXPRESSIONS, Editor, EditResult
from exprgan.edit.regions import crop_bounds
from exprgan.edit.scene import Scene
from exprgan.faces import mesh
from exprgan.faces.face import Face
from exprgan.weights import find_weights_dir
from tests.conftest import RunCli


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def scene(editor: Editor, sample_path: Path) -> Scene:
    return editor.prepare(sample_path)


@pytest.fixture(scope="module")
def results(editor: Editor, scene: Scene) -> dict[str, EditResult]:
    return {name: editor.edit(scene, name) for name in EXPRESSIONS}


def smile(face: Face) -> float:
    """Height of the mouth's corners above the middle of the lips, in shares of the eyes' distance."""
    right_eye, left_eye, _, right_corner, left_corner = face.points5_xy
    across = (left_eye - right_eye) / np.linalg.norm(left_eye - right_eye)
    down = np.array([-across[1], across[0]])
    lips = face.landmarks_xy[list(mesh.OUTER_LIPS)].mean(axis=0)
    corners = (right_corner + left_corner) / 2
    return float((lips - corners) @ down / np.linalg.norm(left_eye - right_eye))


def mouth_opening(face: Face) -> float:
    """Height of the opening between the lips in shares of the eyes' distance."""
    inner = face.landmarks_xy[list(mesh.INNER_LIPS)]
    across = face.points5_xy[1] - face.points5_xy[0]
    down = np.array([-across[1], across[0]]) / np.linalg.norm(across)
    return float(np.ptp(inner @ down) / np.linalg.norm(across))


def found_again(editor: Editor, image: NDArray[Any]) -> Face:
    return editor.detector.detect(image)[0]


def test_strength_0_is_the_input(editor: Editor, scene: Scene) -> None:
    for name in EXPRESSIONS:
        np.testing.assert_array_equal(editor.edit(scene, name, 0).image, scene.photo.pixels)


def test_a_tiny_strength_is_a_tiny_edit(editor: Editor, scene: Scene) -> None:
    tiny = editor.edit(scene, "happy", 0.02).image.astype(int)
    assert np.abs(tiny - scene.photo.pixels).mean() < 0.2


def test_every_expression_changes_the_face_and_nothing_else(
    results: dict[str, EditResult], scene: Scene
) -> None:
    rows, columns = crop_bounds(scene.faces[0].matrix, scene.photo.size_hw)
    for name, result in results.items():
        outside = result.image.copy()
        outside[rows, columns] = scene.photo.pixels[rows, columns]
        np.testing.assert_array_equal(outside, scene.photo.pixels)
        difference = np.abs(result.image.astype(int) - scene.photo.pixels)
        assert difference.max() > 12, name
        edge = np.concatenate([difference[rows.start, columns], difference[rows.stop - 1, columns]])
        assert not edge.any(), name


def test_the_eight_expressions_differ(results: dict[str, EditResult]) -> None:
    pictures = [result.image.astype(int) for result in results.values()]
    for place, first in enumerate(pictures):
        for second in pictures[place + 1 :]:
            assert np.abs(first - second).mean() > 0.05


def test_happy_raises_the_corners_of_the_mouth_and_sad_does_not(
    editor: Editor, scene: Scene, results: dict[str, EditResult]
) -> None:
    before = smile(scene.outcomes[0].face)
    assert smile(found_again(editor, results["happy"].image)) > before + 0.012
    assert smile(found_again(editor, results["sad"].image)) < before - 0.005


def test_more_strength_is_more_smile(editor: Editor, scene: Scene) -> None:
    smiles = [smile(found_again(editor, editor.edit(scene, "happy", s).image)) for s in (0.0, 0.5, 1.0)]
    assert smiles[0] < smiles[1] < smiles[2]


def test_surprise_opens_the_mouth(editor: Editor, scene: Scene, results: dict[str, EditResult]) -> None:
    before = mouth_opening(scene.outcomes[0].face)
    assert mouth_opening(found_again(editor, results["surprise"].image)) > before + 0.03


def test_happy_shows_single_teeth_and_not_a_band(editor: Editor, results: dict[str, EditResult]) -> None:
    image = results["happy"].image
    face = found_again(editor, image)
    inner = face.landmarks_xy[list(mesh.INNER_LIPS)]
    inside = cv2.fillPoly(np.zeros(image.shape[:2], np.uint8), [np.rint(inner).astype(np.int32)], 1) > 0
    pixels = image[inside].astype(float)
    bright = (pixels.min(axis=1) > 0.55 * pixels.max()) & (np.ptp(pixels, axis=1) < 0.35 * pixels.max(axis=1))
    assert bright.mean() > 0.25  # teeth: light, and hardly coloured
    top, bottom = inner[:, 1].min(), inner[:, 1].max()
    left, right = inner[:, 0].min(), inner[:, 0].max()
    deepest = 0
    for row in range(int(top + 0.2 * (bottom - top)), int(top + 0.7 * (bottom - top))):
        line = image[row, int(left + 0.2 * (right - left)) : int(right - 0.2 * (right - left))].mean(axis=1)
        line = line - cv2.GaussianBlur(line[None], (0, 0), 8)[0]
        dips = (line[1:-1] < line[:-2]) & (line[1:-1] <= line[2:]) & (line[1:-1] < -3)
        deepest = max(deepest, int(dips.sum()))
    assert deepest >= 4  # dark lines between teeth


@pytest.mark.parametrize("expression", ["happy", "anger"])
def test_a_mirrored_photo_gives_the_mirrored_edit(
    editor: Editor, scene: Scene, results: dict[str, EditResult], expression: str
) -> None:
    source = scene.photo.pixels
    mirrored = editor.edit(np.ascontiguousarray(source[:, ::-1]), expression).image[:, ::-1]
    straight = results[expression].image
    edit = np.abs(straight.astype(int) - source)
    difference = np.abs(straight.astype(int) - mirrored)
    assert difference.sum() < 0.6 * edit.sum()
    assert difference[edit.max(axis=2) > 0].mean() < 4


def test_the_same_photo_gives_the_same_bytes(editor: Editor, sample_path: Path, tmp_path: Path) -> None:
    for name in ("first.jpg", "second.jpg"):
        editor.edit(sample_path, "happy").save(tmp_path / name)
    assert (tmp_path / "first.jpg").read_bytes() == (tmp_path / "second.jpg").read_bytes()


def test_a_larger_photo_gets_the_same_edit_with_its_own_detail(editor: Editor, scene: Scene) -> None:
    source = Image.fromarray(scene.photo.pixels)
    width, height = source.size
    large = source.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    edited = editor.edit(large, "happy").to_pil().resize((width, height), Image.Resampling.BOX)
    assert smile(found_again(editor, np.asarray(edited))) > smile(scene.outcomes[0].face) + 0.012


def test_edit_command_writes_photo_and_sheet(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    source = shutil.copy(sample_path, tmp_path / "ünï photo.jpg")
    sheet = tmp_path / "sheet.png"
    result = run_cli("edit", source, "--to", "smile", "--compare", sheet, "--device", "cpu")
    assert result.code == 0, result.stderr
    written = tmp_path / "ünï photo-happy.jpg"
    assert result.stdout.splitlines() == [str(written), str(sheet)]
    with Image.open(written) as edited, Image.open(source) as before, Image.open(sheet) as drawn:
        assert (edited.size, edited.format) == (before.size, "JPEG")
        assert edited.quantization == before.quantization  # type: ignore[attr-defined]
        assert drawn.width > 1.9 * 512
    again = run_cli("edit", source, "--to", "smile")
    assert (again.code, again.stdout) == (2, "")
    assert "--overwrite" in again.stderr


def test_edit_command_to_all_as_json(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_cli("edit", sample_path, "--to", "all", "-o", out, "--format", "json", "--device", "cpu")
    assert result.code == 0, result.stderr
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["expression"] for record in records[:-1]] == list(EXPRESSIONS)
    (face,) = records[0]["faces"]
    assert (face["index"], face["edited"], face["reason"]) == (0, True, None)
    assert face["score"] > 0.5
    assert records[-1]["sheet"] == str(out / "portrait-sheet.png")
    assert {path.name for path in out.iterdir()} == {
        "portrait-sheet.png",
        *(f"portrait-{name}.jpg" for name in EXPRESSIONS),
    }


def test_a_bad_file_does_not_stop_a_folder(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    shutil.copy(sample_path, photos / "sub/good.jpg")
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff no photo")
    Image.new("RGB", (200, 200), "grey").save(photos / "empty.png")
    result = run_cli("edit", photos, "--output", tmp_path / "out", "--device", "cpu", "--format", "json")
    assert result.code == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["output"] for record in records if record["status"] == "edited"] == [
        str(tmp_path / "out/sub/good-happy.jpg")
    ]
    errors = {record["error"] for record in records if record["status"] == "failed"}
    assert errors == {"UnreadableImage", "NoFaceFound"}


def test_faces_command(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    result = run_cli("faces", sample_path, "--format", "json")
    assert result.code == 0, result.stderr
    (record,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert np.shape(record["landmarks_xy"]) == (478, 2)
    assert record["editable"]
    assert run_cli("faces", sample_path).stdout.startswith("face 0  box ")
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "empty.png")
    assert run_cli("faces", tmp_path / "empty.png").code == 3
    assert run_cli("edit", sample_path, "-o", tmp_path / "x.jpg", "--face", "5").code == 2


def test_a_detector_without_its_weights_says_where_to_get_them(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPRGAN_HOME", str(tmp_path))
    result = run_cli("faces", sample_path, "--detector", "retinaface", "--device", "cpu")
    assert result.code == 5
    assert "fetch https://" in result.stderr
    assert run_cli("faces", sample_path, "--detector", "other").code == 2


def test_segment_command(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    result = run_cli("segment", sample_path, "--output", tmp_path / "labels.png", "--format", "json")
    assert result.code == 0, result.stderr
    assert {"skin", "nose", "l_eye", "r_eye", "u_lip", "l_lip", "hair"} <= set(
        json.loads(result.stdout)["classes"]
    )
    with Image.open(tmp_path / "labels.png") as labels, Image.open(sample_path) as photo:
        assert (labels.mode, labels.size) == ("L", photo.size)
    assert run_cli("segment", sample_path, "--overlay", "-o", tmp_path / "look.png").code == 0
    with Image.open(tmp_path / "look.png") as look:
        assert look.mode == "RGB"


def test_weights_commands_and_doctor(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    assert run_cli("weights", "verify").code == 0
    listed = run_cli("weights", "list", "--format", "json")
    records = {record["name"]: record for record in map(json.loads, listed.stdout.splitlines())}
    assert {"landmarks", "unified"} <= set(records)
    assert all(record["licence"] and record["data"] for record in records.values())
    assert run_cli("doctor").code == 0
    damaged = shutil.copytree(find_weights_dir(), tmp_path / "w")
    path = damaged / "corrections.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    assert run_cli("weights", "verify", "--weights", damaged).code == 5
    assert run_cli("doctor", "--weights", damaged).code == 1
    assert run_cli("edit", sample_path, "-o", tmp_path, "--weights", damaged).code == 5


def test_bundled_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in find_weights_dir().iterdir()) <= 60e6
