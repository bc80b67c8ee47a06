"""What the page is answered, and that nothing is kept for longer than it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from exprgan.app import sessions as module
from exprgan.app.desk import ADDRESS, Desk, look_of_recipe, status_of, trouble_of
from exprgan.app.look import Look
from exprgan.app.opened import Opened
from exprgan.app.sessions import Sessions, Waiting
from exprgan.edit.editor import Editor
from exprgan.errors import NoFaceFound, UsageError
from exprgan.face_model.expression import Expression

HAPPY = Look.of({"shares": {"happy": 1}}).values()


@pytest.fixture(scope="module")
def desk(sample_path: Path) -> Desk:
    made = Desk(Sessions(Editor.from_pretrained(device="cpu", model="face_model")))
    made.open("ann", sample_path.read_bytes(), "portrait.jpg", HAPPY)
    return made


def taken(desk: Desk, address: str) -> Waiting:
    assert address.startswith(ADDRESS)
    found = desk.sessions.take(address.removeprefix(ADDRESS))
    assert found is not None
    return found


def test_a_photo_is_opened_and_shown(desk: Desk, sample_path: Path) -> None:
    opened = desk.open("ben", sample_path.read_bytes(), "<b>.jpg", HAPPY)
    assert (opened.faces, opened.face, opened.view) == ([("face 0", "0"), ("all faces", "all")], "0", "photo")
    assert opened.shown.command == "exprgan edit '<b>.jpg' --to happy"
    assert "&lt;b&gt;.jpg, 768 × 768 px" in opened.shown.status
    assert opened.shown.compare is not None
    assert opened.shown.compare["faces"] == []
    assert taken(desk, opened.shown.compare["after"]).data.startswith(b"\xff\xd8")
    desk.close("ben")


def test_the_photo_before_keeps_its_address_and_edits_get_new_ones(desk: Desk) -> None:
    shown = []
    for share in range(1, 2 * module.MOST_PICTURES):
        values = Look.of({"shares": {"happy": share / 20}}).values()
        shown.append(desk.draw("ann", values, "0", "photo").compare or {})
    assert len({compare["before"] for compare in shown}) == 1
    assert len({compare["after"] for compare in shown}) == len(shown)
    assert taken(desk, shown[-1]["before"]) != taken(desk, shown[-1]["after"])
    assert desk.sessions.take(shown[0]["after"].removeprefix(ADDRESS)) is None  # passed over
    assert len(desk.sessions._waiting["ann"]) <= module.MOST_PICTURES


def test_moving_sliders_are_drawn_roughly(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    preview = Opened.preview

    def watch(self: Opened, *words: object, rough: bool) -> object:
        asked.append(rough)
        return preview(self, *words, rough=rough)

    monkeypatch.setattr(Opened, "preview", watch)
    for values in ({**HAPPY, "moving": True}, HAPPY):
        desk.draw("ann", values, "0", "photo")
    assert asked == [True, False]


def test_files_are_handed_out_once(desk: Desk) -> None:
    address = desk.photo_file("ann", HAPPY, "0")
    waiting = taken(desk, address)
    assert waiting.name == "portrait-happy.jpg"
    assert b"DigitalSourceType" in waiting.data
    assert desk.sessions.take(address.removeprefix(ADDRESS)) is None
    recipe = taken(desk, desk.recipe_file("ann", HAPPY))
    assert recipe.name == "portrait-happy.toml"
    assert recipe.data.decode() == Expression.parse("happy").to_toml()


def test_a_closed_session_leaves_nothing(desk: Desk, sample_path: Path) -> None:
    shown = desk.open("cid", sample_path.read_bytes(), "a.jpg", HAPPY).shown
    assert shown.compare is not None
    desk.close("cid")
    desk.close("cid")
    with pytest.raises(UsageError, match="load it again"):
        desk.draw("cid", HAPPY, "0", "photo")
    assert desk.sessions.take(shown.compare["after"].removeprefix(ADDRESS)) is None
    assert "cid" not in desk.sessions._waiting


def test_a_photo_that_does_not_do_leaves_the_last_one_open(desk: Desk) -> None:
    import io

    from PIL import Image

    plain = io.BytesIO()
    Image.new("RGB", (200, 200)).save(plain, "PNG")
    with pytest.raises(NoFaceFound):
        desk.open("ann", plain.getvalue(), "sky.png", HAPPY)
    assert "portrait.jpg" in desk.draw("ann", HAPPY, "0", "photo").status


def test_the_photo_that_was_not_used_for_longest_is_closed(
    desk: Desk, sample_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Sessions(desk.sessions.editor)
    monkeypatch.setattr(module, "MOST_PHOTOS", 2)
    monkeypatch.setattr(module, "Opened", lambda *words: words)
    sessions.open("a", b"", "a.jpg")
    sessions.open("b", b"", "b.jpg")
    sessions.photo("a")
    sessions.open("c", b"", "c.jpg")
    assert len(sessions) == 2
    sessions.photo("a")
    with pytest.raises(UsageError, match="not open any more"):
        sessions.photo("b")


def test_recipes_set_the_sliders(tmp_path: Path) -> None:
    (tmp_path / "tmp123").write_text('region = "eyes"\n[to]\nsad = 0.5\n[controls]\nAU4 = 0.25\n')
    values = {**HAPPY, "teeth": "worn", "strength": 0.5}
    assert look_of_recipe(tmp_path / "tmp123", "look.toml", values) == {
        "shares": {"sad": 0.5},
        "amounts": {"AU4": 0.25},
        "regions": ["eyes"],
        "strength": 1.0,
        "teeth": "worn",
    }
    (tmp_path / "tmp123").write_text("[to]\nsadd = 1\n")
    with pytest.raises(UsageError, match=r"^In the recipe look\.toml: There is no expression 'sadd'"):
        look_of_recipe(tmp_path / "tmp123", "look.toml", values)
    (tmp_path / "tmp123").write_bytes(b"#" * 200_000)
    with pytest.raises(UsageError, match=r"recipe look\.toml is too long"):
        look_of_recipe(tmp_path / "tmp123", "look.toml", values)


def test_texts_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    assert status_of(["a<b", "c"]) == '<p role="status">a&lt;b<br>c</p>'
    trouble = trouble_of(UsageError("There is no <x>; try y."))
    assert trouble == '<p role="alert" class="exp-error">There is no &lt;x&gt;; try y.</p>'
    assert not caplog.records
    assert "inside exprgan (ValueError: odd)" in trouble_of(ValueError("odd"))
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_teeth_of_another_photo_are_named(desk: Desk, sample_path: Path, tmp_path: Path) -> None:
    smile = Expression.parse(None, {"mouthUpperUp": 0.8, "smile": 1.0})
    Image.fromarray(desk.sessions.editor.edit(sample_path, smile).image).save(tmp_path / "smile.png")
    data = (tmp_path / "smile.png").read_bytes()
    desk.open("eve", sample_path.read_bytes(), "portrait.jpg", HAPPY)
    shown = desk.take_teeth("eve", data, "my smile.png", HAPPY, "0", "photo")
    assert "Mouths that open show the teeth of my smile.png." in shown.status
    assert shown.command.endswith("--teeth-from 'my smile.png'")
    # the next photo, of somebody else perhaps, begins without
    again = desk.open("eve", sample_path.read_bytes(), "portrait.jpg", HAPPY)
    assert "teeth" not in again.shown.status
    desk.close("eve")
    with pytest.raises(UsageError, match="not open any more"):
        desk.take_teeth("eve", data, "my smile.png", HAPPY, "0", "photo")
