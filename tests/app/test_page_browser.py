"""The page in a real browser: load, slide, compare, save; keyboard, labels, narrow screens; nothing from elsewhere."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from exprgan.edit.editor import Editor
from exprgan.face_model.expression import Expression
from tests.conftest import ROOT, RunCli
from tests.evaluation.test_report_browser import BROWSERS

pytest.importorskip("gradio", reason='the page needs gradio: pip install -e ".[app]"')
playwright = pytest.importorskip(
    "playwright.sync_api", reason='a browser is led by playwright: pip install -e ".[browser]"'
)
WAIT_MS = 90_000  # machines may be busy
DESKTOP, PHONE = {"width": 1400, "height": 950}, {"width": 390, "height": 844}


class Server(NamedTuple):
    """A running `exprgan app`."""

    process: subprocess.Popen[str]
    address: str
    folder: Path  # for temporary files


def start_server(folder: Path, *options: str) -> Server:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "exprgan", "app", "--port", "0", "--device", "cpu", "--format", "json"]
    process = subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return Server(process, json.loads(line)["address"], folder)


def end(server: Server, number: int) -> int:
    """Send a signal; the exit code."""
    server.process.send_signal(number)
    server.process.communicate(timeout=60)
    return server.process.returncode


def left_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = start_server(tmp_path_factory.mktemp("tmp"), "--model", "face_model", "--max-mb", "2")
    yield started
    assert end(started, signal.SIGINT) == 0
    assert left_in(started.folder) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser to look at the page with: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Visit:
    """A page in the browser with all that it fetched and said."""

    def __init__(self, browser: Any, server: Server, viewport: dict[str, int], **options: Any) -> None:
        self.context = browser.new_context(viewport=viewport, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.fetched: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.fetched.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.address = server.address
        self.page.goto(server.address)
        self.page.wait_for_selector(".exp-panel")

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def load(self, photo: Path) -> None:
        self.page.set_input_files(".exp-load input[type=file]", str(photo))

    def shown(self) -> str:
        """Address of the picture that is shown, once there is one."""
        self.page.wait_for_selector(".exp-after:not([hidden])")
        return str(self.page.get_attribute(".exp-after", "src"))

    def after_change_from(self, address: str) -> str:
        self.page.wait_for_function(
            "before => document.querySelector('.exp-after').getAttribute('src') !== before", arg=address
        )
        return self.shown()

    def command(self) -> str:
        return str(self.page.input_value("#exp-command"))

    def wait_for_command(self, part: str) -> None:
        self.page.wait_for_function(
            "part => document.querySelector('#exp-command').value.includes(part)",
            arg=part,
        )

    def says(self, part: str) -> None:
        self.page.wait_for_function(
            "part => document.querySelector('.exp-status').innerText.includes(part)", arg=part
        )

    def save(self, title: str) -> tuple[str, bytes]:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=title).click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    made = Visit(browser, server, DESKTOP)
    yield made
    made.context.close()


def set_slider(visit: Visit, name: str, value: float) -> None:
    visit.page.evaluate(
        """([name, value]) => {
            const range = document.querySelector(`[data-amount="${name}"], [data-share="${name}"]`);
            range.closest("details").open = true;
            range.value = value;
            range.dispatchEvent(new Event("input", {bubbles: true}));
        }""",
        [name, value],
    )


def test_a_photo_is_loaded_edited_compared_and_saved(
    visit: Visit, server: Server, sample_path: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "Müller's photo.jpg"
    shutil.copy(sample_path, photo)
    visit.load(photo)
    first = visit.shown()
    visit.says("Choose an expression or move a slider")
    assert [path for path in left_in(server.folder) if not path.endswith(".lock")] == []  # read, and removed
    visit.page.get_by_role("button", name="happy", exact=True).click()
    second = visit.after_change_from(first)
    set_slider(visit, "AU4", 0.4)
    third = visit.after_change_from(second)
    visit.wait_for_command("--au 4=0.4")
    assert visit.command() == "exprgan edit 'Müller'\"'\"'s photo.jpg' --to happy --au 4=0.4"
    # left and right apart: the amount goes to both sides, each of which then has its own
    visit.page.get_by_role("button", name="Left and right apart: brow lowerer").click()
    visit.wait_for_command("--au 4R=0.4 --au 4L=0.4")
    set_slider(visit, "AU4L", -0.25)
    visit.wait_for_command("--au 4R=0.4 --au 4L=-0.25")
    visit.after_change_from(third)
    visit.page.fill(".exp-divide", "50")
    assert "50%" in visit.page.evaluate("document.querySelector('.exp-after').style.clipPath")
    visit.page.get_by_role("button", name="Show the photo").click()
    assert "100%" in visit.page.evaluate("document.querySelector('.exp-after').style.clipPath")

    name, data = visit.save("Save the photo")
    assert name == "Müller's photo-happy+AU4R_0.4+AU4L_-0.25.jpg"
    editor = Editor.from_pretrained(device="cpu", model="face_model")
    asked = Expression.parse("happy", {"AU4R": 0.4, "AU4L": -0.25})
    expected = editor.edit(sample_path, asked)
    with Image.open(io.BytesIO(data)) as saved, Image.open(sample_path) as source:
        assert saved.format == "JPEG"
        assert saved.quantization == source.quantization  # type: ignore[attr-defined]
        assert np.abs(np.asarray(saved).astype(int) - expected.image).mean() < 2
    assert b"DigitalSourceType" in data
    name, data = visit.save("Save the recipe")
    assert data.decode() == asked.to_toml()
    assert visit.complaints == []

    # a recipe sets the sliders again
    (tmp_path / "look.toml").write_bytes(data)
    visit.page.get_by_role("button", name="Reset all").click()
    visit.says("Choose an expression or move a slider")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Load a recipe").click()
    chooser.value.set_files(str(tmp_path / "look.toml"))
    visit.wait_for_command("--to happy --au 4R=0.4 --au 4L=-0.25")
    assert visit.page.input_value('[data-amount="AU4L"]') == "-0.25"


def test_nothing_is_fetched_from_elsewhere_and_nothing_goes_wrong(visit: Visit, sample_path: Path) -> None:
    visit.load(sample_path)
    visit.shown()
    visit.page.get_by_role("button", name="sad", exact=True).click()
    visit.wait_for_command("--to sad")
    assert len(visit.fetched) > 10
    outside = [url for url in visit.fetched if not url.startswith((visit.address, "data:", "blob:"))]
    assert outside == []
    assert visit.complaints == []
    # and could not be, had something tried
    visit.page.evaluate("fetch('http://127.0.0.2:9/').catch(() => {})")
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)


def test_every_input_has_a_label_and_is_reached_by_keyboard(visit: Visit, sample_path: Path) -> None:
    visit.load(sample_path)
    before = visit.shown()
    unnamed = visit.page.evaluate(
        """() => Array.from(document.querySelectorAll("input, select, textarea, button")).filter((one) => {
            if (one.type === "hidden" || one.type === "file" || one.closest("[hidden]")) return false;
            const labels = Array.from(one.labels || [], (label) => label.textContent.trim()).join("");
            return !(labels || one.getAttribute("aria-label") || one.textContent.trim() || one.title);
        }).map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    visit.page.get_by_label("smile", exact=True).first.focus()
    for _ in range(20):
        visit.page.keyboard.press("ArrowRight")
    visit.wait_for_command("--control smile=0.2")
    visit.after_change_from(before)
    visit.page.keyboard.press("Tab")  # from one control to the next, without a mouse
    focused = visit.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "Left and right apart: frown"
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_keeps_the_picture_in_sight_and_scrolls_one_way(
    browser: Any, server: Server, sample_path: Path, scheme: str
) -> None:
    visit = Visit(browser, server, PHONE, color_scheme=scheme)
    try:
        assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        visit.load(sample_path)
        visit.shown()
        visit.page.get_by_role("button", name="happy", exact=True).click()
        visit.wait_for_command("--to happy")
        visit.page.evaluate("for (const group of document.querySelectorAll('details')) group.open = true")
        assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        visit.page.evaluate("scrollTo(0, 1500)")
        box = visit.page.locator(".exp-after").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 60
        background = visit.page.evaluate(
            "getComputedStyle(document.querySelector('.gradio-container')).color"
        )
        channels = [int(word) for word in background[background.index("(") + 1 : -1].split(",")[:3]]
        assert (min(channels) > 150) == (scheme == "dark")  # light letters on dark
    finally:
        visit.context.close()


def test_photos_that_do_not_do_are_told_of_on_the_page(
    visit: Visit, sample_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    visit.load(tmp_path / "notes.jpg")
    visit.says("notes.jpg")
    Image.new("RGB", (300, 200), (90, 140, 200)).save(tmp_path / "sky.png")
    visit.load(tmp_path / "sky.png")
    visit.says("No face was found in sky.png")
    noise = np.random.default_rng(3).integers(0, 255, (900, 900, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "huge.png")
    assert (tmp_path / "huge.png").stat().st_size > 2e6
    visit.load(tmp_path / "huge.png")
    visit.page.wait_for_function("document.body.innerText.includes('exceed the maximum allowed size')")
    visit.load(sample_path)  # and it goes on
    visit.shown()


def test_pages_do_not_see_each_others_photos(browser: Any, server: Server, sample_path: Path) -> None:
    ann, ben = (Visit(browser, server, DESKTOP) for _ in range(2))
    try:
        ann.load(sample_path)
        address = ann.address.rstrip("/") + ann.shown()
        ben.page.get_by_role("button", name="happy", exact=True).click()
        ben.says("not open")
        assert ben.context.request.get(address).status == 200
        ann.context.close()
        deadline = time.monotonic() + 60
        while ben.context.request.get(address).status == 200:  # what is closed is forgotten
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        ben.context.close()


def test_other_hosts_names_are_refused(browser: Any, server: Server) -> None:
    context = browser.new_context()
    answer = context.request.get(server.address, headers={"Host": "photos.example"})
    assert answer.status == 400
    assert context.request.get(server.address + "waiting/unknown").status == 404
    context.close()


def test_a_killed_server_leaves_what_the_next_one_removes(tmp_path: Path, server: Server) -> None:
    killed = start_server(tmp_path, "--model", "face_model")
    (folder,) = tmp_path.glob("exprgan-app-*")
    (folder / "half an upload").write_bytes(b"secret")
    running = start_server(tmp_path, "--model", "face_model")
    assert folder.exists()  # that of a server that runs is left
    assert end(killed, signal.SIGKILL) == -signal.SIGKILL
    assert end(running, signal.SIGTERM) == 0
    assert folder.exists()
    last = start_server(tmp_path, "--model", "face_model")
    assert not folder.exists()
    assert end(last, signal.SIGINT) == 0
    assert left_in(tmp_path) == []


def test_a_taken_port_is_told_of_before_anything_is_loaded(run_cli: RunCli, server: Server) -> None:
    port = server.address.rstrip("/").rpartition(":")[2]
    result = run_cli("app", "--port", port)
    assert result.code == 2
    assert f"port {port}" in result.stderr
    assert "--port" in result.stderr
