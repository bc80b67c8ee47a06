"""Sliders mean expressions, and the command line that is shown means the same."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprgan.app.look import GROUPS, Look, groups
from exprgan.edit.plan import parse_amounts, parse_strengths, wanted_expressions
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import MOST, REGIONS, Expression
from exprgan.face_model.vocabulary import control_names, controls, find_control

UNITS = [unit for units in groups().values() for unit in units]
NAMES = [name for unit in UNITS for name in (unit.name, *unit.sides)]
HUNDREDTHS = st.integers(-150, 150).map(lambda number: number / 100)


def meant_by(words: list[str]) -> tuple[Expression, float]:
    """What `exprgan edit` makes of words: expression and strength."""
    assert words[:2] == ["exprgan", "edit"]
    given: dict[str, list[str]] = {}
    for option, value in zip(words[3::2], words[4::2], strict=True):
        given.setdefault(option, []).append(value)
    (expression,) = wanted_expressions(
        given.get("--to", []),
        controls=parse_amounts(given.get("--au", []), given.get("--control", [])),
        region=given.get("--region", [None])[0],
    ).values()
    return expression, parse_strengths(given.get("--strength", ["1"])[0])[0]


def test_every_control_has_a_slider() -> None:
    assert sorted(unit.name for unit in UNITS) == sorted(control_names())
    assert len(set(NAMES)) == len(NAMES)


def test_sides_are_names_of_one_side_each() -> None:
    for unit in UNITS:
        control = find_control(unit.name)[1]
        assert bool(unit.sides) == control.has_sides
        recipes = [find_control(side)[1].recipe for side in unit.sides]
        assert [find_control(side)[0] for side in unit.sides] == list(unit.sides)
        assert all(recipe != control.recipe for recipe in recipes)
        if unit.sides:
            assert recipes == [control.recipe.of_side("R"), control.recipe.of_side("L")]


def test_groups_name_what_there_is() -> None:
    known = {*controls()["action_units"], *controls()["controls"]}
    assert {name for names in GROUPS.values() for name in names} == known
    assert {unit.code for unit in groups()["Brows"]} == {"AU1", "AU2", "AU4"}


@given(
    shares=st.dictionaries(
        st.sampled_from(EXPRESSIONS), st.integers(0, 150).map(lambda n: n / 100), max_size=3
    ),
    amounts=st.dictionaries(st.sampled_from(NAMES), HUNDREDTHS, max_size=5),
    regions=st.lists(st.sampled_from(REGIONS), min_size=1, unique=True),
    strength=st.integers(0, 150).map(lambda n: n / 100),
)
def test_the_command_means_what_the_sliders_say(
    shares: dict[str, float], amounts: dict[str, float], regions: list[str], strength: float
) -> None:
    values = {"shares": shares, "amounts": amounts, "regions": regions, "strength": strength}
    look = Look.of(values)
    assert Look.of(look.values()) == look
    if not look.asks:
        return
    words = shlex.split(look.command("it's a photo.jpg", "1"))
    assert words[2] == "it's a photo.jpg"
    expression, factor = meant_by(words)
    assert (expression.text, factor) == (look.expression().text, strength)
    assert list(expression.controls) == list(look.expression().controls)  # sums are taken in this order
    assert expression.classes == {name: share for name, share in shares.items() if share}
    assert expression.controls == {name: amount for name, amount in amounts.items() if amount}
    assert set(expression.regions or REGIONS) == set(regions)


def test_a_linked_unit_is_one_amount_and_an_unlinked_one_two() -> None:
    assert Look.of({"amounts": {"AU4": 0.5}}).command("a.jpg") == "exprgan edit a.jpg --au 4=0.5"
    sides = Look.of({"amounts": {"AU4L": 0.5, "AU4R": -0.2, "gaze_x": 1}})
    assert sides.command("a.jpg") == "exprgan edit a.jpg --au 4L=0.5 --au 4R=-0.2 --control gaze_x=1"


def test_what_is_as_usual_is_not_said() -> None:
    look = Look.of({"shares": {"happy": 1, "sad": 0}, "strength": 1, "teeth": "auto", "regions": REGIONS})
    assert look.command("a.jpg", "largest") == "exprgan edit a.jpg --to happy"
    more = Look.of({"shares": {"happy": 1}, "strength": 0.8, "teeth": "worn", "regions": ["mouth", "brows"]})
    assert more.command("a.jpg", "all") == (
        "exprgan edit a.jpg --to happy --region brows,mouth --strength 0.8 --face all --teeth worn"
    )


def test_long_names_of_files_are_shortened_and_the_command_says_so() -> None:
    look = Look.of(
        {"amounts": dict.fromkeys(("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU12", "AU25"), 0.5)}
    )
    assert look.file_name("group.heic") == "group-edited.png"
    assert look.words("group.heic")[-2:] == ["--output", "group-edited.png"]
    assert Look.of({"shares": {"happy": 1}}).file_name("my photo.JPG") == "my photo-happy.JPG"


def test_a_recipe_is_the_one_that_edit_writes_and_reads(tmp_path: Path) -> None:
    look = Look.of({"shares": {"sad": 0.6}, "amounts": {"gaze_y": -0.5, "AU4L": 0.3}, "regions": ["eyes"]})
    look.expression().save(tmp_path / "saved.toml")
    assert look.recipe() == (tmp_path / "saved.toml").read_text()
    stronger = Look.of({**look.values(), "strength": 1.2})
    assert "--strength 1.2" in stronger.recipe()
    (tmp_path / "look.toml").write_text(stronger.recipe(), encoding="utf-8")
    loaded = Expression.load(tmp_path / "look.toml")
    assert loaded.text == look.expression().text
    assert Look.of_recipe(loaded) == look


def test_nothing_is_asked_for_without_a_region_or_an_amount() -> None:
    assert not Look.of({}).asks
    assert not Look.of({"amounts": {"AU12": 0.0}}).asks
    assert not Look.of({"shares": {"happy": 1}, "regions": []}).asks
    assert Look.of({"shares": {"happy": 1}}).asks


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shares": {"hapy": 1}}, "There is no expression 'hapy'"),
        ({"shares": {"happy": 2}}, "happy is asked for at 2"),
        ({"shares": {"happy": -0.5}}, "happy"),
        ({"amounts": {"AU99": 1}}, "AU99"),
        ({"amounts": {"AU12": float("nan")}}, "AU12 is asked for at nan"),
        ({"amounts": {"AU12": "much"}}, "AU12 is asked for at much"),
        ({"amounts": {"AU12": True}}, "AU12 is asked for at True"),
        ({"amounts": [1]}, "reload the page"),
        ({"regions": ["ears"]}, "There are no regions"),
        ({"regions": 7}, "There are no regions"),
        ({"strength": -1}, "The strength is -1"),
        ({"strength": MOST + 1}, "strength is asked for at 2.5"),
        ({"teeth": "golden"}, "no teeth called 'golden'"),
    ],
)
def test_impossible_values_are_refused(values: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match=message):
        Look.of(values)
