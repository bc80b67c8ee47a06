"""The report in a real browser: no errors, all pictures there, tables that sort, nothing fetched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.evaluation.test_eval import data, one_thread, report, weights  # noqa: F401

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROBE = """<script>
addEventListener("load", function () {
  var main = document.getElementById("main");
  function names() {
    return Array.from(main.tBodies[0].rows, function (row) { return row.children[0].dataset.value; });
  }
  function click(column) { main.querySelector('button[data-column="' + column + '"]').click(); return names(); }
  var cosine = Array.from(main.tHead.querySelectorAll("button"), function (b) { return b.textContent.trim(); })
    .findIndex(function (text) { return text.startsWith("cosine"); });
  var found = {
    opened: names(),
    by_cosine: click(cosine),
    by_cosine_again: click(cosine),
    by_name: click(0),
    sorted: main.tHead.querySelectorAll("th[aria-sort]").length,
    broken: Array.from(document.images)
      .filter(function (image) { return !(image.complete && image.naturalWidth); }).length,
    pictures: document.images.length,
    fetched: performance.getEntriesByType("resource").map(function (entry) { return entry.name; })
      .filter(function (name) { return !name.startsWith("data:"); }),
    reachable: document.querySelectorAll('a[href^="#"], button, summary, [tabindex="0"]').length,
    anchors: Array.from(document.querySelectorAll('a[href^="#"]'))
      .every(function (link) { return document.querySelector(link.getAttribute("href")); }),
    wider: document.documentElement.scrollWidth - innerWidth
  };
  document.title = JSON.stringify(found);
});
</script></body>"""


class _Title(HTMLParser):
    """The text of a page's title, entities resolved."""

    text, inside = "", False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = tag == "title"

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:  # noqa: F811
        if self.inside:
            self.text += data


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser to look at the report with: none of {', '.join(BROWSERS)} is installed")
    return found


def run(browser: str, address: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--no-first-run", f"--user-data-dir={folder / 'profile'}", "--window-size=1300,1400"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=4000", *options, address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)


@pytest.mark.parametrize("hash", ["", "#sort=main.0.descending"])
def test_report_works_in_a_browser(
    browser: str,
    report: Path,  # noqa: F811
    tmp_path: Path,
    hash: str,
) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    probed = tmp_path / "report.html"
    probed.write_text(page.replace("</body>", PROBE), encoding="utf-8")
    result = run(browser, probed.as_uri() + hash, tmp_path, "--dump-dom")
    assert not re.findall(r"CONSOLE.*", result.stderr)
    title = _Title()
    title.feed(result.stdout)
    found = json.loads(title.text)
    systems = json.loads((report / "metrics.json").read_text())["systems"]
    own = [system["name"] for system in systems]
    cosine = {system["name"]: system["figures"]["cosine"]["value"] for system in systems}
    assert found["opened"] == (sorted(own, reverse=True) if hash else own)
    assert found["by_cosine"] == sorted(own, key=lambda name: -cosine[name])
    assert found["by_cosine_again"] == found["by_cosine"][::-1]
    assert found["by_name"] == sorted(own, reverse=True)
    assert found["sorted"] == 1
    assert found["pictures"] == 2 * 2 * 9  # faces, systems, photo and expressions
    assert found["broken"] == 0
    assert found["fetched"] == []
    assert found["anchors"]
    assert found["reachable"] > 20
    assert found["wider"] <= 0  # wide tables scroll in their own frames


def test_report_can_be_photographed(browser: str, report: Path, tmp_path: Path) -> None:  # noqa: F811
    from PIL import Image

    picture = tmp_path / "report.png"
    run(browser, (report / "report.html").as_uri(), tmp_path, f"--screenshot={picture}")
    with Image.open(picture) as shown:
        assert shown.size == (1300, 1400)
        colours = shown.convert("RGB").getcolors(maxcolors=1 << 24)
    assert colours is not None
    assert len(colours) > 50


def test_report_names_nothing_outside_itself(report: Path) -> None:  # noqa: F811
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://", page)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', page))
