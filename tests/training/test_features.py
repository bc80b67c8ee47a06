"""The feature network of training losses, its views and its training."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from exprgan.action_units import ACTION_UNITS
from exprgan.edit.systems import load_system
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.faces.mesh import FACE_OVAL
from exprgan.models.features import FEATURE_PX, FeatureNet, _centres_px
from exprgan.models.pixels import to_tensor
from exprgan.models.registry import build
from exprgan.samples.views import PHOTO, POINTS, FaceViews, ViewMix, one_hot, to_small, warp_small
from exprgan.training import losses
from exprgan.training.features import (
    FeatureConfig,
    FeatureNetConfig,
    FeatureTask,
    points_error_px,
    units_loss,
)
from exprgan.training.losses import contrast
from exprgan.weights import find

SMALL = FeatureNetConfig(widths=(4, 8, 8, 16, 16), num_dimensions=16)


def make() -> FeatureNet:
    torch.manual_seed(0)
    network = build("features", widths=(4, 8, 8, 16, 16), num_dimensions=16)
    assert isinstance(network, FeatureNet)
    return network


def images(count: int, size: int = FEATURE_PX) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_shapes_and_samples_are_independent_of_one_another() -> None:
    network = make().eval()
    said = network(images(3))
    assert [tuple(part.shape) for part in said] == [(3, 16), (3, 8), (3, len(ACTION_UNITS)), (3, 40, 2)]
    torch.testing.assert_close(said.embedding.norm(dim=1), torch.ones(3))
    alone = network(images(3)[1:2])
    for part, one in zip(said, alone, strict=True):
        torch.testing.assert_close(part[1:2], one, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network.embed(images(3)), said.embedding)
    assert [part.shape[1:] for part in network.maps(images(1))] == [
        (4, 128, 128),
        (8, 64, 64),
        (8, 32, 32),
        (16, 16, 16),
    ]


@pytest.mark.parametrize("size", [64, 256])
@torch.no_grad()
def test_pictures_of_any_size_are_seen_at_128_px(size: int) -> None:
    network = make().eval()
    smooth = torch.linspace(-1, 1, size)[None, None, None].expand(1, 3, size, size).contiguous()
    same = torch.linspace(-1, 1, FEATURE_PX)[None, None, None].expand(1, 3, FEATURE_PX, FEATURE_PX)
    torch.testing.assert_close(network.embed(smooth), network.embed(same.contiguous()), atol=0.05, rtol=0)


def test_gradients_reach_every_weight_and_the_picture() -> None:
    network = make()
    picture = images(4).requires_grad_()
    said = network(picture)
    torch.manual_seed(2)
    sum((part * torch.randn_like(part)).sum() for part in said).backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert without == []
    assert float(picture.grad.abs().sum()) > 0


def test_losses_of_the_network_are_zero_for_the_same_picture_and_lead_back_to_the_other() -> None:
    network = make().eval().requires_grad_(False)
    true, other = images(2), images(2).flip(0).requires_grad_()
    assert float(losses.perceptual(network.maps, true, true)) == 0
    assert float(losses.identity(network.embed, true, true)) == pytest.approx(0, abs=1e-6)
    total = losses.perceptual(network.maps, other, true) + losses.identity(network.embed, other, true)
    total.backward()
    assert float(total.detach()) > 0
    assert float(other.grad.abs().max()) > 0


def test_a_peak_of_a_map_is_a_place_in_the_crop() -> None:
    heat = torch.full((1, 1, 32, 32), -50.0)
    heat[0, 0, 8, 20] = 50
    torch.testing.assert_close(_centres_px(heat), torch.tensor([[[81.5, 33.5]]]))


def test_contrast_of_perfect_pairs_and_of_one_person_twice() -> None:
    vectors = torch.eye(3)
    loss, top1 = contrast(vectors, vectors, torch.arange(3), 0.5)
    assert float(loss) == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 2)), rel=1e-5)
    assert float(top1) == 1
    loss, _ = contrast(vectors, vectors, torch.tensor([0, 0, 1]), 0.5)
    two, three = (-math.log(math.exp(2) / (math.exp(2) + n)) for n in (1, 2))
    assert float(loss) == pytest.approx((2 * two + three) / 3, rel=1e-5)


def test_what_is_unknown_does_not_count() -> None:
    nan = float("nan")
    logits = torch.zeros(1, 3)
    assert float(units_loss(logits, torch.tensor([[nan, 1.0, nan]]))) == pytest.approx(math.log(2))
    assert float(units_loss(logits, torch.full((1, 3), nan))) == 0
    places = torch.tensor([[[1.0, 2.0], [5.0, 5.0]]])
    assert float(points_error_px(places, torch.tensor([[[2.0, 4.0], [nan, nan]]]))) == pytest.approx(1.5)


class MadeCache:
    """Two faces, each a coloured oval with a bright dot at a landmark; the expression is its mouth's height."""

    def __init__(self) -> None:
        angles = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
        points = np.full((478, 2), 128.0)
        points[list(FACE_OVAL)] = 128 + 70 * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
        points[POINTS[0]] = (100, 90)
        self.points = points
        self.faces = SimpleNamespace(
            image=lambda face: self._draw(face, 0),
            landmarks_px=lambda face: np.column_stack([points, np.zeros(478)]),
            soft_expressions=np.tile(one_hot("neutral"), (2, 1)),
            action_units=np.full((2, len(ACTION_UNITS)), 0.5, np.float32),
            __len__=lambda: 2,
        )

    def _draw(self, face: int, height: int) -> NDArray[np.uint8]:
        image = np.full((256, 256, 3), 90, np.uint8)
        cv2.ellipse(image, (128, 128), (70, 70), 0, 0, 360, ((200, 120, 90), (90, 120, 200))[face], -1)
        cv2.ellipse(image, (128, 165), (25, 2 + 3 * height), 0, 0, 360, (40, 20, 20), -1)
        cv2.circle(image, (100, 90), 4, (255, 255, 255), -1)
        return image

    def picture(self, face: int, variant: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return self._draw(face, variant), self.points.astype(np.float32)

    def expression_of(self, face: int, variant: int) -> tuple[str, float]:
        return EXPRESSIONS[variant % 8], 1.0 if variant < 8 else 0.3


def made_views(**mix: Any) -> FaceViews:
    return FaceViews(MadeCache(), [0, 1], None, [], ViewMix(**mix))


def test_a_sample_is_a_pure_function_of_seed_and_number() -> None:
    views = made_views()
    first, again, other = views(1, 7), views(1, 7), views(1, 8)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["image"], other["image"])
    assert first["image"].shape == (2, 3, 128, 128)
    assert first["points_px"].shape == (2, len(POINTS), 2)


def test_points_stay_on_what_they_mark() -> None:
    view = made_views().view(0, PHOTO)
    linear = 1.05 * np.array([[math.cos(0.05), -math.sin(0.05)], [math.sin(0.05), math.cos(0.05)]])
    matrix = to_small(np.column_stack([linear, (-3.0, 4.0)]))
    seen = warp_small(view.image, matrix).astype(float).min(axis=2)
    x, y = view.points_xy[0] @ matrix[:, :2].T + matrix[:, 2]
    bright = np.argwhere(seen > 200).mean(axis=0)
    np.testing.assert_allclose((x, y), bright[::-1], atol=0.3)


def test_weak_renders_have_no_expression_and_photos_have_soft_ones() -> None:
    views = made_views()
    assert views.view(0, 9).expression.sum() == 0
    assert views.view(0, 4).expression.argmax() == 4
    photo = views.view(0, PHOTO)
    assert photo.expression.argmax() == EXPRESSIONS.index("neutral")
    assert np.isfinite(photo.action_units).all()
    assert np.isnan(views.view(0, 4).action_units).all()
    assert (photo.inside[128, 128], photo.inside[5, 5]) == (255, 0)


def test_no_faces_is_an_error() -> None:
    with pytest.raises(UsageError, match="open-faces"):
        FaceViews(MadeCache(), [], None, [])


def test_the_losses_can_be_learned() -> None:
    """A small network learns one batch by heart."""
    config = FeatureConfig(net=SMALL, mix=ViewMix(variants=8, background=0.0, light=0.0))
    task = FeatureTask(made_views(variants=8), config)
    batch = torch.utils.data.default_collate([task.sample(0, number) for number in range(6)])
    torch.manual_seed(0)
    network = task.build()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    history: list[dict[str, float]] = []
    for _ in range(30):
        loss, terms = task.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append({name: float(value.detach()) for name, value in terms.items()})
    first, last = history[0], history[-1]
    assert last["contrast"] < 0.3 * first["contrast"]
    assert last["expression"] < 0.3 * first["expression"]
    assert last["points_px"] < 0.7 * first["points_px"]
    assert last["accuracy"] > 0.9


@torch.inference_mode()
def test_the_bundled_embedding_knows_a_face_whose_expression_was_changed(root: Path) -> None:
    weights = root / "weights"
    network = find("features", weights).load()
    files = sorted((root / "tests/data/faces").glob("*.jpg"))
    crops = torch.cat([to_tensor(np.array(Image.open(file).convert("RGB")), "cpu") for file in files])
    named = [EXPRESSIONS.index(file.stem.split("_")[1]) for file in files]
    said = network(crops)
    assert (said.expression.argmax(dim=1) == torch.tensor(named)).sum() >= len(files) - 1
    edit = load_system("unified", weights=weights)
    for expression in ("happy", "anger"):
        label = torch.full((len(files),), EXPRESSIONS.index(expression))
        edited = edit(crops, label, torch.ones(len(files)))
        cosine = network.embed(edited) @ said.embedding.T
        own = cosine.diagonal()
        assert (cosine.argmax(dim=1) == torch.arange(len(files))).all()
        assert own.min() > 0.7
        assert (own - (cosine - 2 * torch.eye(len(files))).amax(dim=1)).min() > 0.2
