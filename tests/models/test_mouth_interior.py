"""The chart of the mouth's inside."""

from __future__ import annotations

import numpy as np
import pytest

from exprgan.face_parts import DENTITIONS
from exprgan.models import mouth_interior
from exprgan.models.mouth_interior import CHART_CM, LOWER_EDGE_CM, PX_PER_CM, UPPER_EDGE_CM
from exprgan.teacher.draw_mouth import draw


def at(x_cm: float, y_cm: float, px_per_cm: float = 64) -> np.ndarray:
    """Colour of a place."""
    return mouth_interior.drawn().sample(np.array([[[x_cm, y_cm]]], np.float32), px_per_cm)[0, 0]


@pytest.mark.parametrize("name", DENTITIONS)
def test_stored_chart_is_what_the_program_draws(name: str) -> None:
    stored, scale = mouth_interior.drawn(name).at()
    drawn = draw(name)
    assert scale == PX_PER_CM
    assert stored.shape == drawn.shape == (CHART_CM[1] * PX_PER_CM, CHART_CM[0] * PX_PER_CM, 3)
    assert np.abs(stored.astype(int) - drawn).max() <= 1  # processors may round differently


def test_teeth_stand_at_the_edges_and_the_throat_between() -> None:
    upper, lower = at(0.4, UPPER_EDGE_CM - 0.4), at(0.25, LOWER_EDGE_CM + 0.4)
    throat = at(0.4, UPPER_EDGE_CM + 0.3)
    tongue = at(0.4, LOWER_EDGE_CM - 0.3)
    assert upper.min() > 150
    assert lower.min() > 120
    assert throat.max() < 70
    assert tongue[0] > 1.5 * tongue[1]  # red
    assert tongue.mean() > throat.mean()


def test_sets_of_teeth_differ() -> None:
    charts = [mouth_interior.drawn(name).at(16)[0].astype(float) for name in DENTITIONS]
    for place, one in enumerate(charts):
        assert all(np.abs(one - other).mean() > 2 for other in charts[:place])
    gap, even = (mouth_interior.drawn(name).at()[0][96, 288] for name in ("gapped", "even"))
    assert gap.mean() < 0.6 * even.mean()


def test_chart_is_darker_towards_the_back_teeth() -> None:
    row = UPPER_EDGE_CM - 0.4
    assert at(0.4, row).mean() > 1.15 * at(2.5, row).mean() > 1.3 * at(3.9, row).mean()


@pytest.mark.parametrize(
    ("px_per_cm", "expected"), [(500, 64), (64, 64), (40, 64), (32, 32), (9.25, 16), (1, 8)]
)
def test_resolution_suits_the_view(px_per_cm: float, expected: float) -> None:
    picture, scale = mouth_interior.drawn().at(px_per_cm)
    assert scale == expected
    assert picture.shape[:2] == (round(CHART_CM[1] * expected), round(CHART_CM[0] * expected))


def test_levels_show_the_same_place() -> None:
    for x in (-2.1, -0.4, 0.4, 1.1):
        fine, coarse = at(x, 1.3, 64), at(x, 1.3, 16)
        assert np.abs(fine - coarse).max() < 25


def test_places_off_the_chart_show_its_border() -> None:
    np.testing.assert_allclose(at(-90, -90), at(-4.49, 0.005), atol=3)


def test_drawn_charts_are_shown_softer_and_own_ones_as_they_are() -> None:
    own = mouth_interior.Chart(mouth_interior.drawn().at()[0])
    x = np.arange(-2.0, 2.0, 1 / 30, dtype=np.float32)
    place = np.stack(np.meshgrid(x, np.array([1.3, 1.4], np.float32)), axis=-1)
    shown = {chart: np.log(chart.sample(place, 30.0)[0, :, 1]) for chart in (own, mouth_interior.drawn())}
    contrast = {chart: float(np.abs(np.diff(values)).mean()) for chart, values in shown.items()}
    assert contrast[mouth_interior.drawn()] < 0.97 * contrast[own]
    lightness = [float(np.median(values)) for values in shown.values()]
    assert abs(lightness[0] - lightness[1]) < 0.06


def column_of(throat_cm: float, scale: float = 37.0) -> np.ndarray:
    """Brightness (40,) down a front tooth, from .2 cm above its edge to .3 cm below."""
    rows = np.linspace(UPPER_EDGE_CM - 0.2, UPPER_EDGE_CM + 0.3, 40, dtype=np.float32)
    places = np.stack([np.full(40, 0.4, np.float32), rows], axis=1)[:, None]
    return mouth_interior.drawn().view(places, throat_cm, scale)[:, 0].mean(axis=1)


def test_lower_teeth_are_seen_behind_upper_ones_without_a_gap() -> None:
    shut, open_ = column_of(-0.2), column_of(0.5)
    assert shut.min() > 70  # teeth above, teeth below
    assert shut[:10].mean() > shut[-10:].mean()
    assert open_[20:].min() < 60  # the throat
    np.testing.assert_allclose(shut[:5], open_[:5], atol=3)


def test_rows_are_those_of_the_skull_the_throat_and_the_jaw() -> None:
    down = np.array([0.5, UPPER_EDGE_CM, UPPER_EDGE_CM + 0.25, UPPER_EDGE_CM + 0.5, UPPER_EDGE_CM + 0.9])
    middle = (UPPER_EDGE_CM + LOWER_EDGE_CM) / 2
    wanted = [0.5, UPPER_EDGE_CM, middle, LOWER_EDGE_CM, LOWER_EDGE_CM + 0.4]
    np.testing.assert_allclose(mouth_interior.rows_at(down, 0.5), wanted, atol=1e-5)
    overbite = mouth_interior.rows_at(down[2:3], -0.2)
    np.testing.assert_allclose(overbite, LOWER_EDGE_CM + 0.45, atol=1e-5)
