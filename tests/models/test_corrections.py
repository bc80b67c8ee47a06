"""The generator on the face model's prior."""

from __future__ import annotations

import pytest
import torch

from exprgan.face_parts import WINDOW
from exprgan.models.corrections import (
    MAX_FLOW_PX,
    MAX_LIGHT,
    MAX_SHADE,
    CorrectionGenerator,
    Corrections,
    PriorMaps,
    compose,
)
from exprgan.models.registry import build

SMALL = {"global_widths": (16, 16, 16), "local_widths": (16, 16)}
COUNTS = (2, 1, 2, 1, 1, 5, 1)  # channels of PriorMaps


def make(*, trained: bool) -> CorrectionGenerator:
    """A small generator; "trained" has heads that are not zero."""
    torch.manual_seed(0)
    model = build("corrections", **SMALL).eval()
    assert isinstance(model, CorrectionGenerator)
    for branch in (model.global_branch, *model.local_branches.values()) if trained else ():
        torch.nn.init.normal_(branch.head.weight, 0, 0.3)
    return model


def priors(count: int = 2, size: int = 256) -> PriorMaps:
    generator = torch.Generator().manual_seed(2)
    return PriorMaps(*(torch.rand(count, channels, size, size, generator=generator) for channels in COUNTS))


def inputs(extent: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, PriorMaps, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, 256, 256, generator=generator) * 2 - 1
    regions = torch.rand(2, 3, 256, 256, generator=generator)
    return image, regions, priors(), torch.rand(2, 109, generator=generator), torch.full((2,), extent)


@torch.no_grad()
def test_a_fresh_generator_corrects_nothing() -> None:
    change = make(trained=False)(*inputs())
    assert [tuple(part.shape) for part in change] == [(2, channels, 256, 256) for channels in (2, 3, 3, 1)]
    assert all(float(part.abs().max()) == 0 for part in change)


@torch.no_grad()
def test_corrections_stay_in_the_window_and_within_their_limits() -> None:
    change = make(trained=True)(*inputs())
    top, left, height, width = WINDOW
    outside = torch.ones(256, 256, dtype=torch.bool)
    outside[top : top + height, left : left + width] = False
    for part, limit in zip(change, (MAX_FLOW_PX, MAX_SHADE, MAX_LIGHT, 1.0), strict=True):
        assert float(part[..., outside].abs().max()) == 0
        assert 1e-4 < float(part.abs().max()) <= limit


@torch.no_grad()
def test_nothing_asked_is_nothing_corrected() -> None:
    assert all(float(part.abs().max()) == 0 for part in make(trained=True)(*inputs(extent=0.0)))


@torch.no_grad()
def test_what_is_asked_for_and_each_region_matter() -> None:
    model, (image, regions, prior, coefficients, extent) = make(trained=True), inputs()
    before = model(image, regions, prior, coefficients, extent)
    assert not torch.equal(before.flow_px, model(image, regions, prior, coefficients + 1, extent).flow_px)
    for place in range(3):
        other = regions.clone()
        other[:, place] = 0
        assert not torch.equal(before.flow_px, model(image, other, prior, coefficients, extent).flow_px)


@torch.no_grad()
def test_an_empty_prior_without_corrections_is_the_picture() -> None:
    image = inputs()[0]
    nothing = PriorMaps(*(torch.zeros(2, channels, 256, 256) for channels in COUNTS))
    change = Corrections(*(torch.zeros(2, channels, 256, 256) for channels in (2, 3, 3, 1)))
    torch.testing.assert_close(
        compose(image, nothing, change, make(trained=False).chart), image, atol=1e-4, rtol=0
    )


@torch.no_grad()
def test_cuts_and_interior_cover_the_skin() -> None:
    chart = make(trained=False).chart
    image = inputs()[0]
    nothing = PriorMaps(*(torch.zeros(2, channels, 256, 256) for channels in COUNTS))
    change = Corrections(*(torch.zeros(2, channels, 256, 256) for channels in (2, 3, 3, 1)))
    far = torch.full((2, 2, 256, 256), 10.0)
    moved = compose(image, nothing._replace(flow_px=far), change, chart)
    covered = nothing._replace(flow_px=far, cut_cover=torch.ones(2, 1, 256, 256))
    torch.testing.assert_close(compose(image, covered, change, chart), image, atol=1e-4, rtol=0)
    assert not torch.allclose(moved, image)
    inside = covered._replace(cover=torch.ones(2, 1, 256, 256))
    dark = change._replace(light=torch.full((2, 3, 256, 256), -20.0))
    assert float(compose(image, inside, dark, chart).max()) == pytest.approx(-1, abs=1e-3)


@torch.no_grad()
def test_folds_darken_less_red_and_hold_back_near_white() -> None:
    chart = make(trained=False).chart
    nothing = PriorMaps(*(torch.zeros(1, channels, 8, 8) for channels in COUNTS))
    change = Corrections(*(torch.zeros(1, channels, 8, 8) for channels in (2, 3, 3, 1)))
    grey = torch.zeros(1, 3, 8, 8)
    dark = compose(grey, nothing._replace(folds=torch.full((1, 1, 8, 8), -0.4)), change, chart)
    assert float(dark[0, 0].mean()) > float(dark[0, 2].mean())
    white = torch.full((1, 3, 8, 8), 0.98)
    assert float(compose(white, nothing._replace(folds=torch.ones(1, 1, 8, 8)), change, chart).max()) < 1.02
