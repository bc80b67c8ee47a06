"""How a smile changes the light on skin, measured over faces of which it is known."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from exprgan.face_model.amounts import Amounts
from exprgan.face_model.folds import SMILE_LIGHT
from exprgan.face_model.model import FaceModel
from exprgan.samples import smile_shading
from exprgan.weights import find

FOLD, DEPTH = (205, 425), {"smooth": -0.2, "creased": -0.4}
SIZE = 256


class Person(NamedTuple):
    smile: float
    skin: str
    seed: int


class Faces:
    """Faces whose cheeks darken at one place of each side as they smile, deeper if they are creased."""

    def __init__(self, model: FaceModel, people: list[Person]) -> None:
        self.model, self.people = model, people
        self.rows = [{"sharpness": "100"} for _ in people]

    def indices(self, split: str) -> list[int]:
        assert split == "train"
        return list(range(len(self.people)))

    def landmarks_px(self, row: int) -> NDArray[np.float64]:
        basis, person = self.model.basis, self.people[row]
        smiles = basis.measured[
            [basis.measured_names.index(f"mouthSmile{side}") for side in ("Left", "Right")]
        ]
        form = np.random.default_rng(person.seed).normal(size=len(basis.identity_sd)) * basis.identity_sd
        shape = basis.canonical + person.smile * smiles.sum(axis=0)
        shape = shape + np.tensordot(form, basis.identity_modes, 1)
        points = shape * (9.0, -9.0, -9.0) + (128, 128, 0)
        return np.vstack([points, points[[33] * 5 + [263] * 5]])

    def scores(self, row: int) -> dict[str, float]:
        smile = self.people[row].smile
        return {name: smile * name.startswith("mouthSmile") for name in self.model.basis.measured_names}

    def image(self, row: int) -> NDArray[np.uint8]:
        person, points = self.people[row], self.landmarks_px(row)
        rng = np.random.default_rng(person.seed)
        shade = np.zeros((SIZE, SIZE), np.float32)
        for vertex in FOLD:
            cv2.circle(shade, tuple(np.rint(points[vertex, :2]).astype(int).tolist()), 10, 1.0, -1)
        light = np.linspace(-0.3, 0.3, SIZE) * rng.normal()  # from one side or the other
        shade = cv2.GaussianBlur(shade, (0, 0), 3) * person.smile * DEPTH[person.skin] + light
        noise = 32 if person.skin == "creased" else 0.5
        picture = 140 * np.exp(shade) + rng.normal(0, noise, (SIZE, SIZE))
        return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel()


@pytest.fixture(scope="module")
def maps(model: FaceModel) -> NDArray[np.float32]:
    people = [
        Person(smile, skin, seed) for seed in range(30) for skin in DEPTH for smile in (0.02 * seed, 0.8)
    ]
    people = [person._replace(seed=number) for number, person in enumerate(people)]
    return smile_shading.measure(Faces(model, people), model)  # type: ignore[arg-type]


def test_folds_are_found_as_deep_as_they_are_on_smooth_and_on_creased_skin(
    model: FaceModel, maps: NDArray[np.float32]
) -> None:
    for found, depth in zip(maps, DEPTH.values(), strict=True):
        for vertex in FOLD:
            x, y = np.rint(model.wrinkles.chart_px[vertex]).astype(int)
            assert found[y - 1 : y + 2, x - 1 : x + 2].mean() == pytest.approx(
                0.8 * depth, rel=0.25
            )  # fitted smiles are larger


def test_elsewhere_nothing_is_found(model: FaceModel, maps: NDArray[np.float32]) -> None:
    away = np.ones(maps.shape[1:], bool)
    for vertex in FOLD:
        x, y = np.rint(model.wrinkles.chart_px[vertex]).astype(int)
        away[max(0, y - 30) : y + 30, max(0, x - 30) : x + 30] = False
    assert np.abs(cv2.GaussianBlur(maps[0], (0, 0), 3)[away]).max() < 0.05
    assert not maps[:, : int(model.wrinkles.chart_px[159, 1])].any()  # above the eyes
    np.testing.assert_array_equal(maps, maps[:, :, ::-1])


def test_a_smile_shows_the_map_of_its_skin_by_its_score(model: FaceModel) -> None:
    smooth, creased = model.wrinkles.smile_shading
    smile = Amounts(measured={"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5})
    np.testing.assert_allclose(model.wrinkles.smile_light((0.5, 0.5), 0.0), 0.5 * smooth, atol=1e-6)
    np.testing.assert_allclose(model.wrinkles.smile_light((0.5, 0.5), 1.0), 0.5 * creased, atol=1e-6)
    lines = [model.wrinkles.shading(smile, share) for share in (0.0, 1.0)]
    for shown, light in zip(lines, (smooth, creased), strict=True):
        rest = shown - 0.5 * SMILE_LIGHT * light
        assert -0.2 < rest.min() < -0.005  # a line along the fold
        assert rest[: int(model.wrinkles.chart_px[129, 1]) - 8].max() == 0
    assert lines[1].min() < lines[0].min()
    one_side = model.wrinkles.shading(Amounts(measured={"mouthSmileRight": 0.5}), 0.0)
    assert np.abs(one_side[:, -60:]).max() < 1e-3 < np.abs(one_side[:, :60]).max()
    assert not model.wrinkles.shading(Amounts(sculpted={"browDown_L": 1.0}), 1.0).any()


def test_the_command_puts_the_map_into_a_folders_face_model(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights"
    copytree(root / "weights", weights)
    made = np.full((2, 192, 192), 0.25, np.float32)
    monkeypatch.setattr(smile_shading, "OpenFaces", lambda folder: None)
    monkeypatch.setattr(smile_shading, "measure", lambda faces, model: made)
    monkeypatch.setattr("sys.argv", ["smile_shading", "--data", str(tmp_path), str(weights)])
    before = find("face_model", weights)
    kept = load_file(weights / "face_model.safetensors")
    smile_shading.main()
    after = find("face_model", weights)
    np.testing.assert_array_equal(after.arrays()["smile_shading"], made.astype(np.float16))
    assert after.config["arguments"] == before.config["arguments"]
    now = load_file(weights / "face_model.safetensors")
    for name in set(kept) - {smile_shading.ARRAY}:
        np.testing.assert_array_equal(now[name], kept[name])
        assert now[name].dtype == kept[name].dtype  # no half precision is stored in full
