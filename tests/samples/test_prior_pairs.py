"""Samples for the generator on the prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.face_model.model import FaceModel
from exprgan.face_model.motion import displacement
from exprgan.face_parts import class_ids
from exprgan.faces.mesh import BLENDSHAPE_MIRROR, MIRROR
from exprgan.models.corrections import PriorMaps
from exprgan.samples.own_fits import Fits
from exprgan.samples.prior_pairs import Person, PriorMix, PriorPairs, moved
from exprgan.samples.segmentation import IGNORE

KINDS = {
    "photo": PriorMix(synthetic=0, between=0),
    "between": PriorMix(synthetic=0, between=1),
    "frames": PriorMix(synthetic=1, between=0),
}


@pytest.fixture(scope="module")
def sources(data_dir: Path) -> tuple[OpenFaces, SyntheticFaces, Fits, FaceModel]:
    """The sets, and for fits the photographs' own landmarks with an error of a pixel."""
    faces, synthetic = OpenFaces(data_dir / "open-faces"), SyntheticFaces(data_dir / "synthetic-faces")
    face_model, rng, row = FaceModel(), np.random.default_rng(0), faces.indices("train")[0]
    true = faces.landmarks_px(row)
    scores = face_model.analyse((256, 256), true, faces.scores(row)).scores
    arrays: dict[str, np.ndarray] = {}
    for name, count in (("open-faces", len(faces)), ("synthetic-faces", len(synthetic))):
        landmarks = np.zeros((count, 478, 3), np.float16)
        landmarks[:] = true + rng.normal(0, 1, true.shape)
        arrays |= {f"landmarks_{name}": landmarks, f"found_{name}": np.ones(count, bool)}
        arrays |= {f"{part}_{name}": np.tile(scores, (count, 1)) for part in ("scores", "true_scores")}
    return faces, synthetic, Fits(arrays), face_model


def samples(sources: tuple[OpenFaces, SyntheticFaces, Fits, FaceModel], mix: PriorMix) -> PriorPairs:
    faces, synthetic, fits, face_model = sources
    return PriorPairs(faces, faces.indices("train")[:1], synthetic, fits, face_model, mix)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_a_pure_function_of_seed_and_number(kind: str, sources) -> None:
    stream = samples(sources, KINDS[kind])
    first, again, other = stream(0, 3), stream(0, 3), stream(0, 4)
    assert first.keys() == again.keys() == other.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert any(not np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_have_the_windows_size(kind: str, sources) -> None:
    sample = samples(sources, KINDS[kind])(0, 0)
    for name in ("source", "seen", "target", "regions"):
        assert sample[name].shape == (3, 192, 192)
        assert sample[name].dtype == np.uint8
    channels = PriorMaps(2, 1, 2, 1, 1, 5, 1)._asdict()
    assert {name: len(sample[f"prior_{name}"]) for name in channels} == channels
    assert all(np.isfinite(sample[f"prior_{name}"].astype(np.float32)).all() for name in channels)
    assert sample["true_flow_px"].shape == (2, 96, 96)
    assert sample["coefficients"].shape == (109,)
    assert sample["true_flow_weight"].any() == (kind == "photo")
    assert sample["labels"].shape == (192, 192)
    known = {class_ids((name,))[0] for name in ("u_lip", "l_lip", "nose", "l_brow", "r_brow")}
    assert known <= set(np.unique(sample["labels"]).tolist())
    is_exact = set(np.unique(sample["labels"]).tolist()) <= {*range(19), IGNORE}
    assert is_exact == (kind == "frames")


def test_target_differs_from_the_source_where_it_matters(sources) -> None:
    stream = samples(sources, PriorMix(synthetic=0, between=0, classes=1, full_strength=1))
    for number in range(4):
        sample = stream(0, number)
        change = np.abs(sample["target"].astype(int) - sample["source"]).max(axis=0)
        important = sample["importance"][0]
        assert change[important == 255].mean() > 3 * change[important == 0].mean()


def test_what_is_asked_for_is_of_every_kind(sources) -> None:
    stream = samples(sources, PriorMix())
    drawn = [stream.draw(np.random.default_rng(number)) for number in range(200)]
    assert 0.5 < np.mean([amounts.replaced > 0 for amounts in drawn]) < 0.95
    assert any(amounts.regions for amounts in drawn)
    assert max(max(amounts.sculpted.values(), default=0) for amounts in drawn) > 1
    for amounts in drawn:
        assert np.isfinite(displacement(stream.face_model.basis, amounts)).all()


def test_a_mirrored_person_is_the_mirror_image(sources) -> None:
    faces, _, fits, _ = sources
    row = faces.indices("train")[0]
    own = fits.of("open-faces", row)
    person = Person(faces.image(row), own.landmarks_px, own.scores, faces.landmarks_px(row), own.true_scores)
    mirror = np.array([[-1.0, 0, 255], [0, 1, 0]])
    other = moved(person, mirror)
    np.testing.assert_array_equal(other.image, person.image[:, ::-1])
    np.testing.assert_allclose(other.true_px[MIRROR][:, 0], 255 - person.true_px[:, 0])
    np.testing.assert_allclose(other.true_px[MIRROR][:, 1:], person.true_px[:, 1:])
    np.testing.assert_array_equal(other.own_scores[BLENDSHAPE_MIRROR], person.own_scores)
