"""Expressions as data: words in, amounts of shapes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.amounts import CARRIED, amounts_for, amounts_of, on_face, region_of, shown_by
from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.expression import Expression
from exprgan.face_model.fit import FaceAnalysis, Pose
from exprgan.face_model.vocabulary import class_recipes, control_names, controls, find_control


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def parse(to: str | None = None, region: str | None = None, **amounts: float) -> Expression:
    return Expression.parse(to, amounts, region)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("12", "AU12"),
        ("au4l", "AU4L"),
        ("AU04R", "AU4R"),
        ("Wink_Left", "wink_left"),
        ("mouthsmileleft", "mouthSmileLeft"),
    ]
    + [("jawOpen", "jawOpen"), ("gaze_x", "gaze_x")],
)
def test_names_are_found_as_people_write_them(written: str, found: str) -> None:
    assert find_control(written)[0] == found


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("smil", "smile"),
        ("AU99", "AU"),
        ("26L", "AU26 has no sides"),
        ("xyzzy", "exprgan expressions"),
        ("jawOpenLeft", "jawOpen"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(written: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        find_control(written)


@pytest.mark.parametrize(
    ("to", "amounts", "region", "reason"),
    [
        ("happy:2", {}, None, "0 to 1.5"),
        ("happy:-1", {}, None, "0 to 1.5"),
        ("happy:x", {}, None, "give a number"),
        ("hapy", {}, None, "did you mean happy"),
        ("wink_left", {}, None, "--control wink_left"),
        ("", {}, None, "no expression ''"),
        (None, {"AU12": 1.6}, None, "-1.5 to 1.5"),
        (None, {"AU12": float("nan")}, None, "give a number"),
        ("happy", {}, "mout", "did you mean mouth"),
        ("happy:1+smile:1", {}, None, "0 to 1.5"),
    ],
)
def test_what_means_nothing_is_refused(
    to: str | None, amounts: dict, region: str | None, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        Expression.parse(to, amounts, region)


def test_labels_and_texts_say_what_is_asked() -> None:
    assert parse("smile").label == parse("smile").text == "happy"
    assert parse("happy:.6+surprise:.4", AU12=0.8).label == "happy0.6+surprise0.4+AU12_0.8"
    assert parse("happy:.6", "mouth, eyes").text == "happy:0.6 @eyes @mouth"
    assert parse("happy", "brows,eyes,nose,mouth") == parse("happy")
    assert parse("surprise+happy").text == parse("happy+surprise").text
    assert parse("happy").class_name == "happy"
    assert parse("happy", AU4=1).class_name is None


def test_expressions_add_and_scale() -> None:
    total = 0.5 * parse("happy", AU4=1) + parse("sad:.2", AU4=0.5)
    assert total == Expression({"happy": 0.5, "sad": 0.2}, {"AU4": 1.0})
    with pytest.raises(UsageError, match="same region"):
        parse("happy", "mouth") + parse("sad")
    with pytest.raises(UsageError, match=r"1\.5"):
        parse("happy") * 2
    assert parse("happy", "mouth") + Expression() == parse("happy", "mouth")


def test_a_saved_recipe_is_loaded_as_it_was(tmp_path: Path) -> None:
    look = parse("happy:.6+surprise:.4", "mouth,eyes", AU4L=-0.5, gaze_x=0.3)
    look.save(tmp_path / "look.toml")
    loaded = Expression.load(tmp_path / "look.toml")
    assert (loaded.classes, loaded.controls, loaded.regions) == (look.classes, look.controls, look.regions)
    assert loaded.label == "look"
    assert loaded.text == look.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[to", "is no TOML"),
        ("[looks]\na=1", "no key 'looks'"),
        ("to = 3", "write \\[to\\]"),
        ("[to]\nhapy = 1", "did you mean happy"),
        ("[controls]\nAU12 = 'much'", "give a number"),
        ("region = 3", "name one or more"),
        ("[controls]\nAU12 = true", "give a number"),
    ],
)
def test_bad_recipes_are_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "look.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason) as error:
        Expression.load(path)
    assert str(path) in str(error.value)
    with pytest.raises(UsageError, match="cannot be read"):
        Expression.load(tmp_path / "none.toml")


def test_every_word_of_the_vocabulary_moves_something(basis: FaceBasis) -> None:
    for name in control_names():
        for amount in (1.0, -1.0):
            amounts = amounts_for(basis, Expression({}, {name: amount}))
            assert any({**amounts.measured, **amounts.sculpted}.values()), name
            assert amounts.replaced == 0
        assert controls()
    assert set(EXPRESSIONS) <= set(class_recipes())


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("strength", [0.25, 1.0, 1.5])
def test_one_of_the_eight_is_its_recipe(basis: FaceBasis, name: str, strength: float) -> None:
    alone, whole = (
        amounts_of(basis, class_recipes()[name], strength),
        amounts_for(basis, parse(name), strength),
    )
    assert whole == alone
    assert alone.replaced == min(1.0, strength)


def test_sides_and_regions_keep_to_themselves(basis: FaceBasis) -> None:
    left = amounts_for(basis, parse(AU12L=1.0, wink_right=1.0))
    assert left.measured == {"mouthSmileLeft": 1.0}
    assert all(name.endswith("_R") for name in left.sculpted)
    mouth = amounts_for(basis, parse("happy", "mouth"))
    assert mouth.regions == ("mouth",)
    assert {region_of(name) for name in [*mouth.measured, *mouth.sculpted]} == {"mouth"}


def test_negative_amounts_take_away_what_a_face_has(basis: FaceBasis) -> None:
    scores = basis.neutral_scores.copy()
    scores[basis.measured_names.index("mouthSmileLeft")] += 0.4
    less = on_face(amounts_for(basis, parse(AU12=-1.0)), basis, scores)
    assert less.measured == pytest.approx({"mouthSmileLeft": -0.4, "mouthSmileRight": 0.0})
    part = on_face(amounts_for(basis, parse(mouthSmile=-0.1)), basis, scores)
    assert part.measured["mouthSmileLeft"] == pytest.approx(-0.1)
    assert not part.sculpted
    closed = on_face(amounts_for(basis, parse(jawOpen=-1.0)), basis, scores)
    assert closed.measured == pytest.approx({"jawOpen": 0.0})


def test_what_is_added_has_a_limit_with_what_is_there(basis: FaceBasis) -> None:
    scores = basis.neutral_scores.copy()
    for side in ("Left", "Right"):
        scores[basis.measured_names.index(f"mouthSmile{side}")] += 0.9
    for amount in (0.5, 1.0, 1.5):  # equal steps
        more = on_face(amounts_for(basis, parse(AU12=amount)), basis, scores)
        assert more.measured == pytest.approx(
            dict.fromkeys(("mouthSmileLeft", "mouthSmileRight"), amount / 4)
        )
    frown = amounts_for(basis, parse(AU4=1.0))
    assert on_face(frown, basis, scores) == frown


def test_what_another_face_shows_is_held_against_the_own(basis: FaceBasis) -> None:
    place = basis.measured_names.index("browDownLeft")
    own, more = basis.neutral_scores.copy(), basis.neutral_scores.copy()
    own[place], more[place] = own[place] + 0.5, more[place] + 0.3
    rest, pose = basis.canonical, Pose(1.0, np.eye(3), np.zeros(3))
    frowns, shown = (
        FaceAnalysis(np.zeros((478, 3)), (256, 256), pose, rest, rest, scores, scores, 0.0)
        for scores in (own, more)
    )
    amounts = on_face(shown_by(basis, shown), basis, own)
    assert amounts.measured["browDownLeft"] == pytest.approx(
        CARRIED["brow"] * 0.3 - (CARRIED["brow"] - 1) * 0.5
    )
    assert amounts.replaced == 1
    half = on_face(shown_by(basis, shown, 0.5), basis, own)
    assert half.measured == pytest.approx({name: value / 2 for name, value in amounts.measured.items()})
    itself = on_face(shown_by(basis, frowns), basis, own)  # is what it was
    assert itself.measured["browDownLeft"] == pytest.approx(0.5)
    assert on_face(amounts, basis, own) == amounts  # once


def test_what_takes_the_place_of_the_own_expression_is_not_limited_by_it(basis: FaceBasis) -> None:
    scores = basis.neutral_scores + 0.9
    happy = amounts_for(basis, parse("happy"))
    assert on_face(happy, basis, scores).sculpted == happy.sculpted
    half = amounts_for(basis, parse("happy:0.5"))
    assert on_face(half, basis, scores).sculpted == pytest.approx(dict(half.sculpted))
    sizes = [
        on_face(amounts_for(basis, parse(f"happy:{share}", AU1=1.0)), basis, scores).sculpted["browInnerUp_L"]
        for share in (0.01, 0.1, 0.2, 0.3)
    ]
    assert np.all(np.diff([0.25, *sizes]) > 0)  # without a jump
    assert np.diff([0.25, *sizes]).max() < 0.4


def test_gaze_goes_both_ways(basis: FaceBasis) -> None:
    right, left = (amounts_for(basis, parse(gaze_x=amount)).sculpted for amount in (0.5, -0.5))
    assert right == {"eyeLookOut_L": 0.5, "eyeLookIn_R": 0.5}
    assert left == {"eyeLookIn_L": 0.5, "eyeLookOut_R": 0.5}
    assert np.isclose(sum(right.values()), sum(left.values()))
