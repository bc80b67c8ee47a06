"""`exprgan transfer` and `exprgan.edit.transfer` with the bundled weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from exprgan import Editor, EditResult, Transfer, UsageError
from exprgan.edit.regions import crop_bounds
from exprgan.edit.scene import Scene
from exprgan.edit.transfer import TRANSFERRED
from exprgan.errors import WeightsError
from exprgan.weights import MANIFEST, find_weights_dir
from tests.conftest import CliResult, RunCli
from tests.weights.test_bundled import found_again, mouth_opening, smile


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(device="cpu")


@pytest.fixture(scope="module", params=["corrections", "transfer"])
def transfers(request: pytest.FixtureRequest) -> Transfer:
    return Transfer.from_pretrained(device="cpu", model=request.param)


@pytest.fixture(scope="module")
def scene(transfers: Transfer, sample_path: Path) -> Scene:
    return transfers.prepare(sample_path)


@pytest.fixture(scope="module")
def shown(editor: Editor, sample_path: Path) -> dict[str, NDArray[Any]]:
    """The portrait with expressions for others to take over, mirrored so that it is not the same picture."""
    scene = editor.prepare(sample_path)
    return {
        name: np.ascontiguousarray(editor.edit(scene, name).image[:, ::-1])
        for name in ("neutral", "happy", "surprise")
    }


@pytest.fixture(scope="module")
def results(transfers: Transfer, scene: Scene, shown: dict[str, NDArray[Any]]) -> dict[str, EditResult]:
    return {name: transfers.transfer(picture, scene) for name, picture in shown.items()}


def test_a_smile_and_an_open_mouth_get_across(editor: Editor, results: dict[str, EditResult]) -> None:
    faces = {name: found_again(editor, result.image) for name, result in results.items()}
    assert smile(faces["happy"]) > smile(faces["neutral"]) + 0.02
    assert mouth_opening(faces["surprise"]) > mouth_opening(faces["neutral"]) + 0.1


def test_the_rest_of_the_photo_is_left_alone(
    transfers: Transfer, scene: Scene, results: dict[str, EditResult]
) -> None:
    rows, columns = crop_bounds(scene.faces[0].matrix, scene.photo.size_hw, 2)
    outside = np.ones(scene.photo.size_hw, bool)
    outside[rows, columns] = False
    for result in results.values():
        assert result.image.shape == scene.photo.pixels.shape
        assert np.array_equal(result.image[outside], scene.photo.pixels[outside])
        assert result.expression == TRANSFERRED and result.weights == transfers.weights


def test_strength_zero_keeps_every_pixel_and_more_changes_more(
    transfers: Transfer, scene: Scene, shown: dict[str, NDArray[Any]], results: dict[str, EditResult]
) -> None:
    def change(result: EditResult) -> float:
        return float(np.abs(result.image.astype(float) - scene.photo.pixels).mean())

    source = transfers.prepare(shown["surprise"])
    none, half = (transfers.transfer(source, scene, strength=strength) for strength in (0.0, 0.5))
    assert np.array_equal(none.image, scene.photo.pixels)
    assert 0 < change(half) < change(results["surprise"])


def test_the_same_expression_changes_little(
    transfers: Transfer, scene: Scene, results: dict[str, EditResult]
) -> None:
    def change(result: EditResult) -> float:
        return float(np.abs(result.image.astype(float) - scene.photo.pixels).mean())

    assert change(transfers.transfer(scene, scene)) < 0.5 * change(results["surprise"])


def test_swap_gives_both_ways(
    transfers: Transfer, scene: Scene, shown: dict[str, NDArray[Any]], results: dict[str, EditResult]
) -> None:
    first, second = transfers.swap(scene, shown["surprise"])
    assert np.array_equal(first.image, results["surprise"].image)
    assert second.image.shape == shown["surprise"].shape
    assert not np.array_equal(second.image, shown["surprise"])


def test_impossible_options_are_refused(transfers: Transfer, scene: Scene) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        transfers.transfer(scene, scene, strength=1.5)
    several = Scene(scene.photo, scene.outcomes, scene.faces * 2)
    with pytest.raises(UsageError, match="one of the source's faces"):
        transfers.transfer(several, scene)


def test_weights_without_this_network_are_told(tmp_path: Path) -> None:
    bundled = find_weights_dir()
    for path in bundled.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    del manifest["weights"]["transfer"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="no weights named 'transfer'"):
        Transfer.from_pretrained(tmp_path, device="cpu", model="transfer")


@pytest.fixture
def photos(tmp_path: Path, sample_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a.jpg and b.png; the command runs in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample_path, "a.jpg")
    picture = np.asarray(cv2.imread(str(sample_path)))
    cv2.imwrite("b.png", np.ascontiguousarray(picture[:, ::-1]))
    return tmp_path


@pytest.fixture
def transfer(run_cli: RunCli, photos: Path) -> RunCli:
    """Runs `exprgan transfer ARGUMENTS...` in the folder of the photos."""

    def run(*arguments: object) -> CliResult:
        return run_cli("transfer", *arguments, "--device", "cpu")

    return run


def test_command_writes_beside_the_target(transfer: RunCli, photos: Path) -> None:
    result = transfer("a.jpg", "b.png")
    assert (result.code, result.stdout, result.stderr) == (0, "b-like-a.png\n", "")
    assert sorted(path.name for path in photos.iterdir()) == ["a.jpg", "b-like-a.png", "b.png"]
    again = transfer("a.jpg", "b.png")
    assert again.code == 2 and "--overwrite" in again.stderr
    first = (photos / "b-like-a.png").read_bytes()
    assert transfer("a.jpg", "b.png", "--overwrite").code == 0
    assert (photos / "b-like-a.png").read_bytes() == first


def test_swap_writes_two_photos_and_tells_them_in_json(transfer: RunCli, photos: Path) -> None:
    result = transfer("a.jpg", "b.png", "--swap", "--output", "out", "--strength", 0.8, "--format", "json")
    assert result.code == 0, result.stderr
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["input"], first["output"], first["source"]) == ("b.png", "out/b-like-a.png", "a.jpg")
    assert (second["input"], second["output"], second["source"]) == ("a.jpg", "out/a-like-b.jpg", "b.png")
    assert first["strength"] == 0.8 and first["faces"][0]["edited"] and first["source_face"] == 0
    assert (photos / "out/b-like-a.png").stat().st_size and (photos / "out/a-like-b.jpg").stat().st_size
    blocked = transfer("a.jpg", "b.png", "--swap", "--output", "out")
    assert blocked.code == 2 and "out/b-like-a.png" in blocked.stderr


def test_file_is_marked_and_named_by_output(transfer: RunCli, photos: Path) -> None:
    assert transfer("b.png", "a.jpg", "-o", "c.webp").code == 0
    data = (photos / "c.webp").read_bytes()
    assert data[8:12] == b"WEBP" and b"compositeWithTrainedAlgorithmicMedia" in data
    assert transfer("b.png", "a.jpg", "-o", "d.jpg", "--no-provenance").code == 0
    assert b"TrainedAlgorithmicMedia" not in (photos / "d.jpg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.jpg", "b.png"), 4, "none.jpg does not exist"),
        (("a.jpg", "none.png"), 4, "none.png does not exist"),
        (("a.jpg",), 2, "Missing argument"),
        (("a.jpg", "b.png", "--strength", "2"), 2, "from 0 to 1"),
        (("a.jpg", "b.png", "--source-face", "all"), 2, "takes one face"),
        (("a.jpg", "b.png", "--source-face", "left"), 2, "There is no face 'left'"),
        (("a.jpg", "b.png", "--source-face", "3"), 2, "There is no face 3"),
        (("a.jpg", "b.png", "--swap", "--face", "all"), 2, "not all"),
        (("a.jpg", "b.png", "--swap", "-o", "c.jpg"), 2, "name a folder"),
        (("a.jpg", "a.jpg", "--swap"), 2, "Both photos would be written"),
        (("a.jpg", "."), 2, "--output FOLDER"),
        (("a.jpg", "b.png", "-o", "a.jpg"), 2, "--overwrite"),
        (("a.jpg", "b.png", "-o", "c.pdf"), 2, "cannot be written"),
        (("plain.png", "a.jpg"), 3, "No face was found in plain.png"),
        (("a.jpg", "b.png", "--weights", "nowhere"), 5, "no folder of weights"),
    ],
)
def test_mistakes_have_their_exit_code(
    transfer: RunCli, photos: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    cv2.imwrite("plain.png", np.full((200, 200, 3), 90, np.uint8))
    before = {path: path.read_bytes() for path in photos.iterdir()}
    result = transfer(*arguments)
    assert result.code == code, result
    assert message in result.stderr and result.stdout == ""
    assert {path: path.read_bytes() for path in photos.iterdir()} == before
