"""Edits by the face model with the bundled weights, on the bundled portrait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from exprgan.edit.blend import Edit, apply_edit
from exprgan.edit.editor import Editor
from exprgan.edit.proposals import POOR_FIT_CM, by_face_model, fit_share
from exprgan.edit.scene import Scene
from exprgan.edit.systems import load_system
from exprgan.edit.transfer import Transfer
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.amounts import amounts_for, on_face
from exprgan.face_model.expression import Expression
from exprgan.faces.mesh import BLENDSHAPES
from exprgan.models.corrections import Corrections, PriorMaps, compose
from exprgan.models.pixels import to_tensor
from exprgan.models.unified import MouthChart
from tests.conftest import RunCli


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def geometry() -> Editor:
    return Editor.from_pretrained(device="cpu", model="face_model")


@pytest.fixture(scope="module")
def scene(editor: Editor, sample_path: Path) -> Scene:
    return editor.prepare(sample_path)


def rows_changed(result: NDArray[Any], scene: Scene) -> NDArray[np.intp]:
    return np.nonzero((result != scene.photo.pixels).any(axis=(1, 2)))[0]


def test_amount_0_is_the_photo(editor: Editor, scene: Scene) -> None:
    for expression, strength in (("happy", 0.0), ("happy:0", 1.0)):
        result = editor.edit(scene, expression, strength)
        np.testing.assert_array_equal(result.image, scene.photo.pixels)
    result = editor.edit(scene, controls={"AU12": 0.0, "gaze_x": 0.0})
    np.testing.assert_array_equal(result.image, scene.photo.pixels)


def test_growing_amounts_begin_without_a_jump(geometry: Editor, sample_path: Path) -> None:
    parted = geometry.edit(sample_path, controls={"mouth_open": 0.5, "smile": 0.5}).image
    for photo in (sample_path, parted):
        scene = geometry.prepare(photo)
        for expression in ("happy", "surprise", "sad"):
            for amount, most in ((0.005, 8), (0.01, 22)):
                result = geometry.edit(scene, expression, amount).image.astype(int)
                assert np.abs(result - scene.photo.pixels).max() < most


def test_each_way_of_asking_gives_an_edit_of_its_own(editor: Editor, scene: Scene) -> None:
    asked: list[dict[str, Any]] = [
        {"to": "happy"},
        {"to": "happy", "strength": 1.5},
        {"to": "happy:.6+surprise:.4"},
        {"controls": {"AU12": 0.8}},
        {"controls": {"AU12L": 0.8}},
        {"to": "happy", "region": "mouth"},
        {"to": Expression.parse("sad") + Expression.parse(None, {"gaze_x": -1})},
    ]
    images = [editor.edit(scene, **words).image for words in asked]
    for number, image in enumerate(images):
        assert len(rows_changed(image, scene)) > 40
        assert all((image != other).any() for other in images[:number])


def test_a_region_leaves_the_rest_of_the_face_alone(geometry: Editor, sample_path: Path) -> None:
    scene = geometry.prepare(sample_path)
    points = scene.outcomes[0].face.points5_xy
    eyes, mouth = points[:2, 1].mean(), points[3:, 1].mean()
    changed = rows_changed(geometry.edit(scene, "happy", region="mouth").image, scene)
    assert changed.min() > eyes
    changed = rows_changed(geometry.edit(scene, "surprise", region="brows").image, scene)
    assert changed.max() < (eyes + mouth) / 2


def test_more_than_the_skin_allows_is_held_back_and_said(geometry: Editor, sample_path: Path) -> None:
    scene = geometry.prepare(sample_path)
    wild = {"mouthPucker": 1.5, "jawLeft": 1.5, "mouthLeft": 1.5, "noseSneer": 1.5, "browDown": 1.5}
    outcome = geometry.edit(scene, controls=wild, strength=1.5).faces[0]
    assert "of what was asked, as the skin would fold" in outcome.note
    assert not geometry.edit(scene, "happy").faces[0].note


def test_a_poor_fit_fades_out_and_is_said(geometry: Editor, sample_path: Path) -> None:
    from dataclasses import replace

    face = geometry.prepare(sample_path).faces[0]
    assert geometry.face_model is not None and face.analysis is not None
    amounts = amounts_for(geometry.face_model.basis, Expression.parse("happy"))
    good, poor = POOR_FIT_CM
    assert fit_share(face.analysis) == 1
    shares = []
    for residual in ((good + poor) / 2, poor + 0.01):
        worse = replace(face, analysis=replace(face.analysis, residual_cm=residual))
        edit, note = by_face_model(geometry.face_model, None, worse, amounts)
        assert "do not look like a face's" in note
        shares.append(0.0 if edit is None else float(np.abs(edit.flow_px).max()))
    whole_edit = by_face_model(geometry.face_model, None, face, amounts).edit
    assert whole_edit is not None
    whole = float(np.abs(whole_edit.flow_px).max())
    assert whole > shares[0] > shares[1] == 0


def test_the_blend_shows_what_the_generator_was_trained_on(geometry: Editor, sample_path: Path) -> None:
    """`Edit.from_prior` with corrections is `compose`, but for its sharper edges and the fade at the border."""
    model, face = geometry.face_model, geometry.prepare(sample_path).faces[0]
    assert model is not None and face.analysis is not None
    amounts = on_face(amounts_for(model.basis, Expression.parse("happy")), model.basis, face.analysis.scores)
    prior = model.prior(face.pixels, face.analysis, amounts)
    bump = np.zeros((256, 256, 1), np.float32)
    bump[120:220, 80:176] = 1
    change = (bump * [2.0, -1.5], bump * [0.1, 0.2, -0.1], bump * [0.3, 0.3, 0.2], bump * -0.5)
    edit = Edit.from_prior(prior, tuple(part.astype(np.float32) for part in change))
    shown = apply_edit(face.pixels, edit, np.eye(2, 3)).astype(np.float32)

    maps = PriorMaps(**{name: torch.from_numpy(part)[None] for name, part in prior.maps().items()})
    parts = Corrections(
        *(torch.from_numpy(part.astype(np.float32)).permute(2, 0, 1)[None] for part in change)
    )
    composed = compose(to_tensor(face.pixels), maps, parts, MouthChart())
    expected = (composed[0].permute(1, 2, 0).clamp(-1, 1).numpy() + 1) * 127.5
    away = np.abs(shown - expected)[60:230, 60:196].mean(axis=2)
    plain = np.abs(shown - apply_edit(face.pixels, Edit.from_prior(prior), np.eye(2, 3)))[120:220, 80:176]
    assert np.median(away) < 1.0
    assert away.mean() < 0.3 * plain.mean()


def test_a_system_edits_crops_as_the_editor_does(scene: Scene) -> None:
    system = load_system("face_model")
    crop = to_tensor(scene.faces[0].pixels).expand(2, -1, -1, -1)
    labels = torch.tensor([EXPRESSIONS.index("happy"), EXPRESSIONS.index("sad")])
    edited = system(crop, labels, torch.ones(2))
    assert edited.shape == crop.shape
    assert float((edited[0] - edited[1]).abs().max()) > 0.2
    torch.testing.assert_close(system(crop, labels, torch.zeros(2)), crop, atol=1e-6, rtol=0)
    blank = torch.zeros(1, 3, 256, 256)
    torch.testing.assert_close(system(blank, labels[:1], torch.ones(1)), blank, atol=0.01, rtol=0)


def test_a_photo_without_colour_gets_none(editor: Editor, scene: Scene) -> None:
    grey = np.repeat(scene.photo.pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    for expression in ("happy", "surprise", "anger"):
        result = editor.edit(grey, expression)
        assert (result.image != grey).any()
        assert not np.ptp(result.image, axis=2).any()


def test_a_toned_photo_keeps_its_tone(editor: Editor, scene: Scene) -> None:
    grey = scene.photo.pixels.mean(axis=2, keepdims=True)
    sepia = np.rint(grey * (1.0, 0.93, 0.82)).astype(np.uint8)
    for expression in ("happy", "surprise"):
        result = editor.edit(sepia, expression).image.astype(float)
        assert (result != sepia).any()
        off = np.abs(result[..., 1:] - result[..., :1] * (0.93, 0.82))
        assert off.max() < 8


def test_models_of_the_eight_refuse_the_rest(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    for words in (["--au", "12=1"], ["--to", "happy+sad"], ["--to", "happy", "--region", "mouth"]):
        result = run_cli("edit", sample_path, "-o", tmp_path / "o", "--model", "unified", *words)
        assert result.code == 2
        assert "leave out --model" in result.stderr
    result = run_cli("edit", sample_path, "-o", tmp_path / "o", "--model", "unified", "--strength", "1.2")
    assert result.code == 2 and "from 0 to 1." in result.stderr
    assert not (tmp_path / "o").exists()
    with pytest.raises(UsageError, match="takes one expression, not list"):
        Editor.from_pretrained(device="cpu").edit(sample_path, to=["happy"])  # type: ignore[arg-type]


def test_recipes_units_and_regions_on_the_command_line(
    run_cli: RunCli, sample_path: Path, tmp_path: Path
) -> None:
    words = [
        "--to",
        "happy:0.6+surprise:0.4",
        "--au",
        "4L=0.5",
        "--control",
        "gaze_x=-0.4",
        "--region",
        "eyes,brows",
    ]
    look = tmp_path / "look.toml"
    first = run_cli(
        "edit", sample_path, "-o", tmp_path / "a.png", *words, "--save-recipe", look, "--format", "json"
    )
    record = json.loads(first.stdout)
    assert record["classes"] == {"happy": 0.6, "surprise": 0.4}
    assert record["controls"] == {"AU4L": 0.5, "gaze_x": -0.4}
    assert record["regions"] == ["brows", "eyes"]
    assert run_cli("edit", sample_path, "-o", tmp_path / "b.png", "--recipe", look).code == 0
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as two:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    again = run_cli("edit", sample_path, "-o", tmp_path / "c.png", *words, "--save-recipe", look)
    assert again.code == 2 and "--save-recipe" in again.stderr
    assert not (tmp_path / "c.png").exists()


def test_a_batch_knows_a_recipe_by_what_it_says(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    look, out = tmp_path / "look.toml", tmp_path / "out"
    Expression.parse("happy:0.5").save(look)
    words = ["edit", sample_path, "-o", out, "--recipe", look, "--skip-existing"]
    assert run_cli(*words).code == 0
    (written,) = (path for path in out.iterdir() if not path.name.startswith("."))
    before = written.stat().st_mtime_ns
    assert run_cli(*words).code == 0
    assert written.stat().st_mtime_ns == before
    Expression.parse("happy:0.7").save(look)
    changed = run_cli(*words)
    assert changed.code != 0 and "other options" in changed.stderr


def test_expressions_lists_all_words(run_cli: RunCli) -> None:
    listed = run_cli("expressions", "--format", "json")
    names = [json.loads(line)["name"] for line in listed.stdout.splitlines()]
    assert {*EXPRESSIONS, "AU12", "smile", "mouthSmile"} <= set(names)
    assert "AU12" in run_cli("expressions").stdout


def test_transfer_by_the_face_model_gets_across_and_keeps_the_rest(
    editor: Editor, scene: Scene, run_cli: RunCli, tmp_path: Path, sample_path: Path
) -> None:
    smiling = tmp_path / "smiling.png"
    editor.edit(scene, "happy").save(smiling)
    transfers = Transfer.from_pretrained(device="cpu", model="face_model")
    result = transfers.transfer(smiling, sample_path)
    (before,), (after,) = (editor.detector.detect(image) for image in (scene.photo.pixels, result.image))
    assert before.blendshapes is not None and after.blendshapes is not None
    smile = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    assert (after.blendshapes - before.blendshapes)[smile].min() > 0.3
    (shown,) = editor.detector.detect(editor.prepare(smiling).photo.pixels)
    gaps = [np.ptp(np.asarray(face.landmarks_xy)[[13, 14], 1]) for face in (before, shown, after)]
    assert gaps[2] - gaps[0] == pytest.approx(gaps[1] - gaps[0], rel=0.25)  # lips are as far apart
    assert (result.image[:100] == scene.photo.pixels[:100]).all()
    same = transfers.transfer(smiling, sample_path, strength=0)
    np.testing.assert_array_equal(same.image, scene.photo.pixels)
    refused = run_cli("transfer", smiling, sample_path, "-o", tmp_path / "o.png", "--model", "face_modl")
    assert refused.code == 2 and "did you mean face_model" in refused.stderr
