"""The commands of the pages for photographers, for stimuli and for data sets do what they say."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import RunCli

PAGES = ("photographers", "stimuli", "data-sets")
WRITTEN = {
    "photographers": "photo-happy.jpg softer.jpg before-after.png open-eyes.jpg own-teeth.jpg edited/a-look.jpg",
    "stimuli": "set/table.csv set/b-sheet.png steps/b-anger-02.jpg one-sided/a-AU12L_0.6.jpg grid.png onset.gif",
    "data-sets": "made/a-contempt.jpg made.csv graded/b-happy-02.jpg prepared/index.csv",
}


def blocks(root: Path, page: str, language: str = "") -> list[str]:
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(root: Path, page: str) -> list[list[str]]:
    lines = [line for block in blocks(root, page) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def photos(tmp_path: Path, sample_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all the inputs that the pages name."""
    with Image.open(sample_path) as portrait:
        small = portrait.resize((320, 320))
        group = Image.new("RGB", (660, 320))
        group.paste(small, (0, 0))
        group.paste(small.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (340, 0))
    for folder in ("people", "shoot", "sorted/happy", "sorted/sad"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a.jpg", "b.jpg"):
            small.save(tmp_path / folder / name, quality=92)
    small.save(tmp_path / "photo.jpg", quality=92)
    group.save(tmp_path / "group.jpg", quality=92)
    shutil.copy(sample_path, tmp_path / "smile-source.jpg")
    (tmp_path / "look.toml").write_text("[controls]\nAU12 = 0.5\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_do_what_they_say(
    run_cli: RunCli, root: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    served: list[str] = []
    monkeypatch.setattr("exprgan.app.server.check_installed", lambda: None)
    monkeypatch.setattr("exprgan.app.server.serve", lambda *_, **options: options["ready"]())
    monkeypatch.setattr("typer.launch", served.append)
    assert (
        run_cli(
            "edit", "smile-source.jpg", "--au", "12=1", "--au", "25=1", "--au", "26=0.4", "-o", "smile.jpg"
        ).code
        == 0
    )
    for design in blocks(root, page, "toml"):
        (photos / "design.toml").write_text(design)
    run = commands(root, page)
    assert len(run) >= 5
    for words in run:
        assert words[0] == "exprgan", words
        if words[1] == "app":
            words = [*words, "--port", "0"]
        result = run_cli(*words[1:])
        assert result.code == 0, (words, result.stderr)
    missing = [name for name in WRITTEN[page].split() if not (photos / name).exists()]
    assert missing == []
    assert len(served) == sum("--open" in words for words in run)


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(root: Path, page: str) -> None:
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([\w./-]+?)(?:#[\w-]+)?\)", text)
    assert targets
    assert all((root / "docs" / target).exists() for target in targets)
