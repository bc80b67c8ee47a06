"""The unified generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from exprgan.face_parts import WINDOW
from exprgan.models import mouth_interior
from exprgan.models.registry import build
from exprgan.models.unified import PAINT_WINDOW, UnifiedGenerator, apply_maps, warp

SMALL = {"global_widths": (8, 8, 8), "local_widths": (8, 8)}


def make(**arguments: object) -> UnifiedGenerator:
    """A small generator whose heads are not near zero."""
    torch.manual_seed(0)
    model = build("unified", **{**SMALL, **arguments}).eval()
    assert isinstance(model, UnifiedGenerator)
    with torch.no_grad():
        for branch in [model.global_branch, *model.local_branches.values()]:
            branch.head.weight.normal_(0, 0.1)
    return model


def inputs(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 3, 256, 256, generator=generator) * 2 - 1
    regions = torch.rand(count, 3, 256, 256, generator=generator)
    return image, regions, torch.arange(count) % 8, torch.linspace(0.5, 1, count)


@torch.no_grad()
def test_maps_have_the_crops_size_and_stay_inside_the_window() -> None:
    maps = make()(*inputs())
    assert maps.residual is None
    parts = [part for part in maps if part is not None]
    assert [part.shape[1] for part in parts] == [2, 3, 3, 1, 5]
    assert all(part.shape[::2] == (2, 256) and part.shape[3] == 256 for part in parts)
    top, left, height, width = WINDOW
    outside = torch.ones(256, 256, dtype=torch.bool)
    outside[top : top + height, left : left + width] = False
    assert all(float(part[..., outside].abs().max()) == 0 for part in parts)
    assert float(maps.flow_px.abs().max()) > 0.01
    unpainted = torch.ones(256, 256, dtype=torch.bool)
    y, x, rows, columns = PAINT_WINDOW
    unpainted[top + y : top + y + rows, left + x : left + x + columns] = False
    assert float(maps.mask[..., unpainted].max()) == 0


@pytest.mark.parametrize("flow_head", [True, False])
@torch.no_grad()
def test_strength_zero_is_exactly_the_identity(flow_head: bool) -> None:
    image, regions, expression, _ = inputs()
    maps = make(flow_head=flow_head)(image, regions, expression, torch.zeros(2))
    assert float(maps.flow_px.abs().max()) == 0
    assert float(maps.shade.abs().max()) == 0
    assert float(maps.mask.abs().max()) == 0
    torch.testing.assert_close(apply_maps(image, maps), image, atol=3e-4, rtol=0)


@torch.no_grad()
def test_paint_is_the_chart_at_its_places_in_its_light() -> None:
    model = make()
    assert model.chart is not None
    interior = torch.zeros(1, 5, 8, 8)
    interior[:, 1] = mouth_interior.UPPER_EDGE_CM - 0.5  # on the upper teeth
    interior[:, 0, :, :4], interior[:, 0, :, 4:] = -0.4, 0.4  # one central incisor each
    teeth = (model.chart(interior) + 1) / 2
    assert float(teeth.min()) > 0.6
    interior[:, 2:] = math.log(0.5)
    torch.testing.assert_close((model.chart(interior) + 1) / 2, teeth / 2)
    maps = model(*inputs())
    y, x, rows, columns = PAINT_WINDOW
    box = np.s_[:, :, WINDOW[0] + y : WINDOW[0] + y + rows, WINDOW[1] + x : WINDOW[1] + x + columns]
    torch.testing.assert_close(maps.paint[box], model.chart(maps.interior[box]))


@torch.no_grad()
def test_without_the_interior_head_the_paint_is_colours() -> None:
    maps = make(interior_head=False)(*inputs())
    assert maps.interior is None
    assert float(maps.paint.abs().max()) <= 1


@pytest.mark.parametrize("fusion", ["sum", "composite"])
@torch.no_grad()
def test_faces_of_a_batch_do_not_mix(fusion: str) -> None:
    model = make(fusion=fusion)
    batch = inputs(3)
    together = model(*batch)
    alone = model(*(part[1:2] for part in batch))
    for one, many in zip(alone, together, strict=True):
        if one is None or many is None:
            assert one is many  # residual
            continue
        torch.testing.assert_close(one[0], many[1], atol=1e-4, rtol=1e-4)


def test_gradient_reaches_every_parameter_and_the_masks() -> None:
    model = make().train()
    image, regions, expression, strength = inputs(8)
    regions.requires_grad_()
    maps = model(image, regions, expression, strength)
    sum(part.square().mean() for part in maps if part is not None).backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.parameters())
    assert regions.grad is not None
    assert float(regions.grad.abs().sum()) > 0


@torch.no_grad()
def test_region_masks_and_expression_change_the_edit() -> None:
    model = make()
    image, regions, expression, strength = inputs(1)
    maps = model(image, regions, expression, strength)
    other_mouth = regions.clone()
    other_mouth[:, 2] = 0
    assert not torch.equal(maps.flow_px, model(image, other_mouth, expression, strength).flow_px)
    assert not torch.equal(maps.flow_px, model(image, regions, expression + 1, strength).flow_px)


def test_warp_is_backward_in_pixels() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 1
    moved = warp(image, flow)
    torch.testing.assert_close(moved[..., :-1], image[..., 1:])
    torch.testing.assert_close(moved[..., -1], image[..., -1])
    corner = warp(image, torch.zeros(1, 2, 3, 4), (2, 1))
    torch.testing.assert_close(corner, image[..., 1:4, 2:6])


@torch.no_grad()
def test_paper_form_has_no_flow() -> None:
    maps = make(flow_head=False)(*inputs())
    assert float(maps.flow_px.abs().max()) == 0
    assert float(maps.mask.max()) > 0


def test_unknown_fusion_is_named() -> None:
    with pytest.raises(ValueError, match="fusion"):
        build("unified", fusion="mix")
