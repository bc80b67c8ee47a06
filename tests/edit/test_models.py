"""`exprgan edit --model`: edits with the generators that put out pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from exprgan.edit.batch import weights_hash
from exprgan.edit.editor import Editor
from exprgan.edit.regions import crop_bounds
from exprgan.errors import WeightsError
from exprgan.weights import find, save_weights
from exprgan.weights.find import find_system
from tests.conftest import RunCli
from tests.edit.test_systems import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small US-GAN, hardly trained."""
    return make_run(tmp_path_factory.mktemp("runs") / "mine", "usgan")


@pytest.fixture(scope="module")
def editor(run: Path) -> Editor:
    return Editor.from_pretrained(device="cpu", model=run)


@pytest.fixture(scope="module")
def image(sample_path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(sample_path).convert("RGB"))


def difference(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.int64]:
    return np.abs(after.astype(np.int64) - before)


def test_a_run_edits_the_face_and_leaves_the_rest_bit_identical(
    editor: Editor, image: NDArray[np.uint8], run: Path
) -> None:
    scene = editor.prepare(image)
    result = editor.edit(scene, "happy")
    assert result.weights == f"mine {find_system(run).sha256[:16]}"
    changed = difference(image, result.image).max(axis=2)
    rows, columns = crop_bounds(scene.faces[0].matrix, image.shape[:2])
    inside = np.zeros(image.shape[:2], bool)
    inside[rows, columns] = True
    assert changed[~inside].max() == 0
    assert changed.max() > 10
    on_crop = changed[inside]
    assert 0.1 < (on_crop > 0).mean() < 0.8  # a face, not the whole crop
    np.testing.assert_array_equal(editor.edit(scene, "happy", strength=0).image, image)


def test_strength_scales_the_change(editor: Editor, image: NDArray[np.uint8]) -> None:
    scene = editor.prepare(image)
    full, half = (
        difference(image, editor.edit(scene, "sad", strength).image).astype(float) for strength in (1.0, 0.5)
    )
    strong = (full > 20) & (full < 100)
    assert strong.sum() > 100
    assert float((half / np.maximum(full, 1))[strong].mean()) == pytest.approx(0.5, abs=0.06)


def test_a_large_photo_keeps_its_detail(editor: Editor, image: NDArray[np.uint8]) -> None:
    """Grain in the photo is there after the edit, though the network's pictures have 64 px."""
    large = np.asarray(Image.fromarray(image).resize((1600, 1600), Image.Resampling.BICUBIC)) // 2 + 64
    grain = np.random.default_rng(0).integers(-6, 7, large.shape)
    scene = editor.prepare((large.astype(int) + grain).astype(np.uint8))
    edited = editor.edit(scene, "happy", strength=0.3).image.astype(float)
    rows, columns = crop_bounds(scene.faces[0].matrix, large.shape[:2])
    middle = (slice(rows.start + 400, rows.start + 700), slice(columns.start + 400, columns.start + 700))
    change = edited[middle] - large[middle] - grain[middle]
    assert np.abs(change).mean() > 3
    fine = edited[middle] - cv2.GaussianBlur(edited[middle], (0, 0), 2)
    assert np.corrcoef(fine.ravel(), grain[middle].ravel())[0, 1] > 0.9


def test_the_command_edits_with_the_named_model(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, run: Path
) -> None:
    output = tmp_path / "out.png"
    result = run_cli("edit", sample_path, "--model", run, "-o", output, "--device", "cpu", "-v")
    assert result.code == 0, result.stderr
    assert "Loaded mine " in result.stderr
    assert output.exists()


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [("sargam", 2, "did you mean sargan?"), ("nothing/here", 2, "no folder nothing/here")],
)
@pytest.mark.parametrize("is_dry", [True, False])
def test_a_wrong_model_is_refused_before_any_work(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, model: str, code: int, words: str, is_dry: bool
) -> None:
    more = ("--dry-run",) if is_dry else ()
    result = run_cli("edit", sample_path, "--model", model, "-o", tmp_path / "x.png", *more)
    assert (result.code, words in result.stderr) == (code, True)


def test_a_model_without_weights_is_refused_with_the_way_to_get_them(tmp_path: Path, root: Path) -> None:
    stored = find("unet", root / "weights")
    save_weights(tmp_path, "unet", stored.state(), stored.config, "# unet")
    with pytest.raises(WeightsError, match="exprgan train usgan"):
        Editor.from_pretrained(tmp_path, "cpu", model="usgan")


def test_a_batch_by_one_model_does_not_count_as_done_by_another(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, run: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(sample_path.read_bytes())
    command = ("edit", photos, "-o", out, "--skip-existing", "--device", "cpu", "--format", "json")
    assert run_cli(*command, "--model", run).code == 0
    again = run_cli(*command, "--model", run, "--dry-run")
    assert json.loads(again.stdout)["status"] == "skipped"
    other = run_cli(*command, "--dry-run")
    assert (other.code, "other options" in other.stderr) == (1, True)


def test_the_hash_of_a_batch_depends_on_the_networks_that_edit_and_no_others(
    tmp_path: Path, run: Path, root: Path
) -> None:
    trained_on = make_run(tmp_path / "mine", "sargan")
    assert len({weights_hash(find_system(model)) for model in ("unified", run, trained_on)}) == 3
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("unified", "unet"):
        stored = find(name, root / "weights")
        save_weights(folder, name, stored.state(), stored.config, f"# {name}")
    before = weights_hash(find_system("unified", folder))
    save_weights(folder, "another", {"w": torch.ones(2)}, {"architecture": "features", "arguments": {}}, "#")
    assert weights_hash(find_system("unified", folder)) == before
    changed = {
        key: value * 1.01 if value.is_floating_point() else value for key, value in stored.state().items()
    }
    save_weights(folder, "unet", changed, stored.config, "# unet")
    assert weights_hash(find_system("unified", folder)) != before
