"""Weights on the Hub: the real client against a stand-in for the Hub's server."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors

from exprgan import weights
from exprgan.errors import UsageError, WeightsError
from exprgan.models import registry
from exprgan.weights import hub as weights_hub
from tests.conftest import RunCli

httpx = sys.modules[errors.HfHubHTTPError.__bases__[0].__module__.partition(".")[0]]  # the client's own
FIRST, SECOND = "1" * 40, "2" * 40
REPO = "someone/faces"


class Hub:
    """A server with one repository: commits by hash, branches, and a record of what it was asked."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, str] = {}
        self.private = False
        self.down = False
        self.status = 0  # of every answer, if not 0
        self.asked: list[str] = []
        self.published: dict[str, bytes] = {}

    def answer(self, request: Any) -> Any:
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        if self.down:
            raise httpx.ConnectError("no route", request=request)
        if self.status:
            return httpx.Response(self.status, text="no")
        if path == "/api/repos/create":
            return httpx.Response(200, json={"url": f"https://huggingface.co/{REPO}"})
        if path == "/api/validate-yaml":
            return httpx.Response(200, json={"errors": [], "warnings": []})
        if path.startswith(f"/api/models/{REPO}"):
            return self._api(path.removeprefix(f"/api/models/{REPO}").strip("/").split("/"), request)
        if path.startswith(f"/{REPO}/resolve/"):
            revision, name = path.removeprefix(f"/{REPO}/resolve/").split("/", 1)
            return self._file(self.branches.get(revision, revision), name, request.method)
        return self._error(401, "RepoNotFound")

    def _api(self, words: list[str], request: Any) -> Any:
        if words[0] == "preupload":
            files = json.loads(request.read())["files"]
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for file in files
            ]
            return httpx.Response(200, json={"files": modes})
        if words[0] == "commit":
            for line in request.read().decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.published[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            url = f"https://huggingface.co/{REPO}/commit/{SECOND}"
            return httpx.Response(200, json={"commitOid": SECOND, "commitUrl": url, "success": True})
        commit = self.branches["main"] if len(words) < 2 else self.branches.get(words[1], words[1])
        if words[0] == "tree":
            tree = [{"type": "file", "path": name, "size": 1, "oid": ""} for name in self.commits[commit]]
            return httpx.Response(200, json=tree)
        files = [{"rfilename": name} for name in self.commits.get(commit, {})]
        info = {"id": REPO, "sha": commit, "private": self.private, "siblings": files, "tags": []}
        return httpx.Response(200, json={**info, "downloads": 0, "likes": 0})

    def _file(self, commit: str, name: str, method: str) -> Any:
        if commit not in self.commits:
            return self._error(404, "RevisionNotFound")
        if name not in self.commits[commit]:
            return self._error(404, "EntryNotFound", commit)
        content = self.commits[commit][name]
        headers = {
            "x-repo-commit": commit,
            "etag": f'"{hashlib.sha256(content + name.encode()).hexdigest()}"',
            "content-length": str(len(content)),
        }
        return httpx.Response(200, headers=headers, content=b"" if method == "HEAD" else content)

    @staticmethod
    def _error(status: int, code: str, commit: str = "") -> Any:
        return httpx.Response(status, headers={"x-error-code": code, "x-repo-commit": commit})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = {
        "architecture": "unet",
        "arguments": {"width": 4},
        "licence": "MIT",
        "data": ["made up, CC0"],
    }
    state = registry.build("unet", width=4).state_dict()
    weights.save_weights(tmp_path / "own", "small", state, config, "# Small\n")
    return tmp_path / "own"


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    hub.commits[FIRST] = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.commits[FIRST]["pytorch_model.bin"] = b"pickled"
    hub.branches["main"] = FIRST
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    huggingface_hub.set_client_factory(
        lambda: httpx.Client(transport=httpx.MockTransport(hub.answer), follow_redirects=True)
    )
    yield hub
    from huggingface_hub.utils import _http

    huggingface_hub.set_client_factory(_http.default_client_factory)


def test_a_branch_is_resolved_to_its_commit_and_no_pickle_is_fetched(
    hub: Hub, tmp_path: Path, folder: Path
) -> None:
    done = weights_hub.download(REPO, tmp_path / "out")
    assert (done.revision, done.commit, done.pinned) == ("main", FIRST, f"{REPO}@{FIRST}")
    assert not [line for line in hub.asked if ".bin" in line]
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert json.loads(files.pop("origin.json")) == {"repository": REPO, "commit": FIRST}
    assert files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert weights.find("small", tmp_path / "out").load().training is False


def test_a_pinned_revision_stays_when_the_branch_moves(hub: Hub) -> None:
    hub.commits[SECOND] = {"README.md": b"empty"}
    hub.branches["main"] = SECOND
    assert weights_hub.download(f"{REPO}@{FIRST}").commit == FIRST
    with pytest.raises(WeightsError, match=r"has no manifest\.json"):
        weights_hub.download(REPO)


def test_offline_takes_the_cache_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"not in the cache.*weights download"):
        weights_hub.download(REPO, offline=True)
    assert hub.asked == []
    weights_hub.download(REPO)
    hub.asked.clear()
    assert weights_hub.download(REPO, offline=True).commit == FIRST
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights_hub.download(REPO).commit == FIRST
    assert hub.asked == []


def test_edits_use_downloaded_weights_and_never_download(hub: Hub, run_cli: RunCli) -> None:
    with pytest.raises(WeightsError, match=f"weights download {REPO}@main"):
        weights.find_weights_dir(f"{REPO}@main")
    weights_hub.download(REPO)
    hub.asked.clear()
    for revision in ("main", FIRST):
        found = weights.find_weights_dir(Path(f"{REPO}@{revision}"))
        assert weights.verify_weights("small", found).is_file()
    assert run_cli("weights", "verify", "--weights", f"{REPO}@{FIRST}").code == 0
    assert run_cli("weights", "verify", "--weights", f"{REPO}@{SECOND}").code == 5
    assert hub.asked == []


@pytest.mark.parametrize("broken", ["small.safetensors", "small.json"])
def test_a_changed_file_is_refused_and_not_copied(hub: Hub, tmp_path: Path, broken: str) -> None:
    content = hub.commits[FIRST][broken]
    hub.commits[FIRST][broken] = content[:-3] + b"\0\0\0"
    with pytest.raises(WeightsError, match=f"small of {REPO}@{FIRST} is not what"):
        weights_hub.download(REPO, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_error_says_to_delete_mends_the_cache(hub: Hub) -> None:
    done = weights_hub.download(REPO)
    blob = (done.folder / "small.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(WeightsError) as refused:
        weights_hub.download(REPO)
    assert f"delete {blob}" in str(refused.value)
    blob.unlink()
    assert weights.verify_weights("small", weights_hub.download(REPO).folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "small.bin"}, "pickles"),
        ({"file": "../small.safetensors"}, "outside"),
        ({"card": "/etc/small.md"}, "outside"),
        ({"card": "setup.py"}, "only .safetensors"),
        ({"file": "other.safetensors"}, r"has no other\.safetensors"),
    ],
)
def test_a_manifest_that_names_other_files_is_refused(hub: Hub, change: dict[str, str], message: str) -> None:
    manifest = json.loads(hub.commits[FIRST]["manifest.json"])
    manifest["weights"]["small"].update(change)
    hub.commits[FIRST]["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(WeightsError, match=message):
        weights_hub.download(REPO)


def test_a_repository_of_pickles_is_refused_with_the_reason(hub: Hub) -> None:
    del hub.commits[FIRST]["manifest.json"]
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is a Python pickle.*weights convert"):
        weights_hub.download(REPO)
    assert not [line for line in hub.asked if ".bin" in line]


def test_what_cannot_be_had_says_why(hub: Hub) -> None:
    with pytest.raises(WeightsError, match="no revision 'v9'"):
        weights_hub.download(f"{REPO}@v9")
    with pytest.raises(WeightsError, match="is not there, or is private"):
        weights_hub.download("nobody/nothing")
    for text in ("faces", "a/b/c", "https://huggingface.co/a/b", "a/b@", "../b", ""):
        with pytest.raises(UsageError, match="OWNER/NAME"):
            weights_hub.download(text)


def test_an_output_folder_with_files_needs_overwrite(hub: Hub, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="--overwrite"):
        weights_hub.download(REPO, folder)
    assert hub.asked == []
    weights_hub.download(REPO, folder, overwrite=True)
    assert (folder / "origin.json").is_file()


def test_push_publishes_the_checked_files_in_one_commit(hub: Hub, folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    assert weights_hub.push(folder, REPO) == SECOND
    readme = hub.published.pop("README.md").decode()
    assert readme.startswith("---\n")
    assert "license: mit" in readme and "[small](small.md)" in readme
    assert hub.published == {
        name: (folder / name).read_bytes()
        for name in ("manifest.json", "small.safetensors", "small.json", "small.md")
    }
    assert len([line for line in hub.asked if "/commit/" in line]) == 1


def test_what_was_pushed_can_be_downloaded(hub: Hub, folder: Path) -> None:
    hub.branches["main"] = weights_hub.push(folder, REPO)
    hub.commits[SECOND] = hub.published
    assert weights_hub.download(REPO).commit == SECOND


def test_push_refuses_before_anything_is_published(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="is public"):
        weights_hub.push(folder, REPO, private=True)
    hub.asked.clear()
    with pytest.raises(WeightsError, match="no folder of weights"):
        weights_hub.push(tmp_path, REPO)
    with pytest.raises(UsageError, match="no revision"):
        weights_hub.push(folder, f"{REPO}@main")
    for name, message in (("small.md", "model card"), ("small.safetensors", "missing")):
        broken = shutil.copytree(folder, tmp_path / name)
        (broken / name).unlink()
        with pytest.raises(WeightsError, match=message):
            weights_hub.push(broken, REPO)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["weights"]["small"]["licence"] = "unknown"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="no licence"):
        weights_hub.push(folder, REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE"):
        weights_hub.push(folder, REPO)
    assert (hub.asked, hub.published) == ([], {})


@pytest.mark.parametrize(("status", "message"), [(403, "log in"), (418, "status 418")])
def test_a_push_that_the_hub_refuses_says_why(hub: Hub, folder: Path, status: int, message: str) -> None:
    hub.status = status
    with pytest.raises(WeightsError, match=message):
        weights_hub.push(folder, REPO)
    hub.status, hub.down = 0, True
    with pytest.raises(WeightsError, match="check the connection"):
        weights_hub.push(folder, REPO)


def test_hub_commands(hub: Hub, run_cli: RunCli, folder: Path, tmp_path: Path) -> None:
    got = run_cli("weights", "download", REPO, "--output", tmp_path / "out")
    assert got.code == 0, got.stderr
    assert FIRST in got.stderr and "MIT" in got.stdout and "MB" in got.stdout
    got = run_cli("weights", "download", f"{REPO}@{FIRST}", "--offline", "--format", "json")
    assert json.loads(got.stdout)["commit"] == FIRST
    assert run_cli("weights", "download", f"{REPO}@{SECOND}", "--offline").code == 5
    assert run_cli("weights", "download", "faces").code == 2
    got = run_cli("weights", "push", folder, REPO, "--dry-run")
    planned = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in got.stdout.splitlines()}
    assert list(planned) == ["README.md", "small.safetensors", "small.json", "small.md", "manifest.json"]
    assert "would be published" in got.stderr
    assert hub.published == {}
    got = run_cli("weights", "push", folder, REPO)
    assert (got.code, got.stdout) == (0, f"{REPO}@{SECOND}\n")
    assert {name: len(content) for name, content in hub.published.items()} == planned


def test_without_a_connection_there_is_one_line_and_the_cache(
    hub: Hub, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's retries
    hub.down = True
    got = run_cli("weights", "download", REPO)
    assert (got.code, got.stderr.count("\n")) == (5, 1)
    assert "--offline" in got.stderr
    hub.down = False
    weights_hub.download(REPO)
    hub.down = True
    assert weights_hub.download(REPO).commit == FIRST
