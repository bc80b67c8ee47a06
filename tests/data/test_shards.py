"""Shards equal the folder they were packed from, on disk and from a web server, and are checked."""

from __future__ import annotations

import gc
import hashlib
import http.server
import json
import pickle
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from exprgan.data.face_set import FaceSet, open_set, open_sets
from exprgan.data.prepare import prepare
from exprgan.errors import UsageError
from tests import made_sets

CONNECT = socket.socket.connect


def same(first: FaceSet, second: FaceSet) -> bool:
    """Whether two sets hold the same in the same order."""
    assert len(first) == len(second)
    for row in range(len(first)):
        if (first.image(row) != second.image(row)).any():
            return False
        one, other = first.mask(row), second.mask(row)
        if (one is None) != (other is None) or (one is not None and (one != other).any()):
            return False
    return bool(
        first.name == second.name
        and (first.expressions == second.expressions).all()
        and (first.subjects == second.subjects).all()
        and (first.splits == second.splits).all()
        and np.array_equal(first.action_units, second.action_units, equal_nan=True)
    )


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("renders")
    made_sets.make_synthetic_faces(folder)
    return folder


@pytest.fixture(scope="module")
def folder(renders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("folder") / "set"
    prepare("synthetic-faces", renders, output)
    return output


@pytest.fixture(scope="module")
def shards(renders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("shards") / "set"
    prepare("synthetic-faces", renders, output, shards=3)
    return output


def test_shards_equal_the_folder(folder: Path, shards: Path) -> None:
    assert same(open_set(folder), open_set(shards))
    assert sorted(path.name for path in shards.iterdir()) == [
        "index.csv",
        "index.json",
        "problems.csv",
        "shard-00000.tar",
        "shard-00001.tar",
        "shard-00002.tar",
    ]


def test_shards_are_the_same_bytes_each_time(renders: Path, shards: Path, tmp_path: Path) -> None:
    prepare("synthetic-faces", renders, tmp_path / "set", shards=3)
    for path in shards.iterdir():
        assert path.read_bytes() == (tmp_path / "set" / path.name).read_bytes()


def test_there_are_no_more_shards_than_faces(renders: Path, tmp_path: Path) -> None:
    prepare("synthetic-faces", renders, tmp_path / "set", shards=9)
    assert len(list((tmp_path / "set").glob("*.tar"))) == len(open_set(tmp_path / "set")) == 4


def test_a_finished_set_of_shards_is_left_alone(renders: Path, shards: Path) -> None:
    stamp = (shards / "shard-00000.tar").stat().st_mtime_ns
    done = prepare("synthetic-faces", renders, shards, shards=3)
    assert (done.faces, done.kept) == (4, 4)
    assert (shards / "shard-00000.tar").stat().st_mtime_ns == stamp
    with pytest.raises(UsageError, match="was begun with set synthetic-faces"):
        prepare("folder", renders, shards, shards=3)


def test_packing_that_was_stopped_is_done_again(
    renders: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exprgan.data import shards as module

    write = module._write_shard

    def stop(folder: Path, rows: object, path: Path) -> object:
        if path.name == "shard-00001.tar":
            raise KeyboardInterrupt
        return write(folder, rows, path)

    monkeypatch.setattr(module, "_write_shard", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare("synthetic-faces", renders, tmp_path / "set", shards=3)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="is not finished"):
        open_set(tmp_path / "set")
    assert prepare("synthetic-faces", renders, tmp_path / "set", shards=3).kept == 4
    assert same(open_set(shards), open_set(tmp_path / "set"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_webdataset_reads_the_shards(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = sorted(str(path) for path in shards.glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    gc.collect()
    data = open_set(shards)
    assert len(samples) == len(data)
    by_key = {sample["__key__"]: sample for sample in samples}
    surprise = by_key["0087_surprise"]
    assert {"jpg", "mask.png", "json"} <= set(surprise)
    labels = json.loads(surprise["json"])
    assert (labels["expression"], labels["subject"], labels["split"]) == ("surprise", "87", "train")
    assert labels["action_units"]["AU26"] == 0.5


def test_members_lie_where_the_table_says(shards: Path) -> None:
    with (shards / "index.csv").open() as table:
        assert "shard-00001.tar:512:" in table.read()
    with tarfile.open(shards / "shard-00000.tar") as archive:
        assert [member.name for member in archive][:3] == [
            "0007_neutral.jpg",
            "0007_neutral.mask.png",
            "0007_neutral.json",
        ]


def test_a_set_can_go_to_another_process(folder: Path, shards: Path) -> None:
    for place in (folder, shards):
        data = open_set(place)
        assert same(data, pickle.loads(pickle.dumps(data)))


@pytest.mark.parametrize("damage", ["cut", "gone", "index", "folder in a name"])
def test_damaged_shards_are_told(shards: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(shards, tmp_path / "set")
    shard, index = tmp_path / "set" / "shard-00001.tar", tmp_path / "set" / "index.json"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:2000])
    elif damage == "gone":
        shard.unlink()
    elif damage == "index":
        index.write_text(index.read_text()[:100])
    else:
        index.write_text(index.read_text().replace("shard-00001.tar", "../shard-00001.tar"))
    with pytest.raises(
        UsageError, match=r"shard-00001\.tar is missing or has not|no index of shards or is damaged"
    ):
        open_set(tmp_path / "set")


class Server:
    """A web server on this machine that counts what is asked for and can be switched to fail."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.failures: list[int] = []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object, **options: object) -> None:
                super().__init__(*arguments, directory=str(folder), **options)

            def do_GET(self) -> None:
                outer.asked.append(self.path.rpartition("/")[2])
                if outer.failures:
                    self.send_error(outer.failures.pop(0))
                else:
                    super().do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> Iterator[Server]:
    """The shards on a server of this machine, with an empty cache; no other machine can be reached."""
    shutil.copytree(shards, tmp_path / "www" / "set")
    monkeypatch.setenv("EXPRGAN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("exprgan.data.remote_shards.time.sleep", lambda seconds: None)

    def only_here(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1"
        CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Server(tmp_path / "www")
    yield running
    running.stop()


def test_remote_shards_equal_the_folder_and_are_fetched_once_when_needed(
    server: Server, folder: Path
) -> None:
    data = open_set(f"{server.address}/set/")
    assert server.asked == ["index.json", "index.csv"]
    data.image(0)
    data.image(3)  # of the same shard: rows are dealt out in turn
    assert server.asked == ["index.json", "index.csv", "shard-00000.tar"]
    assert same(open_set(folder), data)
    assert sorted(server.asked).count("shard-00001.tar") == 1
    again = open_sets([f"{server.address}/set/index.json"])[0]
    assert same(data, again)
    assert server.asked.count("index.json") == 2
    assert len(server.asked) == 6


def test_what_was_fetched_can_be_used_without_a_network(server: Server, folder: Path) -> None:
    data = open_set(f"{server.address}/set")
    assert same(open_set(folder), data)
    server.stop()
    assert same(open_set(folder), open_set(f"{server.address}/set"))


def test_offline_the_address_is_named_with_what_to_do(server: Server) -> None:
    partly = open_set(f"{server.address}/set")
    partly.image(0)
    server.stop()
    with pytest.raises(UsageError, match=r"shard-00001\.tar cannot be reached .*copy the shards to a folder"):
        partly.image(1)
    with pytest.raises(UsageError, match=r"index\.json cannot be reached"):
        open_set(f"{server.address}/other")


def test_an_address_without_shards_is_told(server: Server) -> None:
    with pytest.raises(UsageError, match="the server answers 404"):
        open_set(f"{server.address}/nothing")


def test_a_shard_that_is_not_what_the_index_says_is_refused(server: Server, tmp_path: Path) -> None:
    shard = tmp_path / "www" / "set" / "shard-00000.tar"
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UsageError, match="is not the file that its index"):
        open_set(f"{server.address}/set").image(0)
    assert not list((tmp_path / "home" / "shards").glob("*.tar"))


def test_a_server_that_falters_is_asked_again(server: Server) -> None:
    data = open_set(f"{server.address}/set")
    server.failures = [503, 503]
    data.image(0)
    assert server.asked.count("shard-00000.tar") == 3
    server.failures = [503] * 3
    with pytest.raises(UsageError, match="answers 503"):
        data.image(1)
    server.failures = [403]
    with pytest.raises(UsageError, match="answers 403"):
        data.image(1)
    assert server.asked.count("shard-00001.tar") == 4


def test_a_shard_that_ends_too_early_is_fetched_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_set(f"{server.address}/set")
    shard = tmp_path / "www" / "set" / "shard-00000.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:3000])
    monkeypatch.setattr("exprgan.data.remote_shards.time.sleep", lambda seconds: shard.write_bytes(whole))
    data.image(0)
    assert server.asked.count("shard-00000.tar") == 2


def test_many_readers_fetch_a_shard_once(server: Server) -> None:
    data = open_set(f"{server.address}/set")
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(data.image, [0] * 16))
    assert all((image == images[0]).all() for image in images)
    assert server.asked.count("shard-00000.tar") == 1


def test_shards_that_are_replaced_on_the_server_are_fetched_anew(
    server: Server, tmp_path: Path, renders: Path
) -> None:
    open_set(f"{server.address}/set").image(0)
    other = tmp_path / "other"
    shutil.copytree(renders, other)
    made_sets.save(other / "img" / "0007_neutral.jpg", made_sets.render("0047_happy"))
    prepare("synthetic-faces", other, tmp_path / "new", shards=3)
    shutil.rmtree(tmp_path / "www" / "set")
    shutil.copytree(tmp_path / "new", tmp_path / "www" / "set")
    fresh = open_set(f"{server.address}/set")
    assert (fresh.image(0) == open_set(other).image(0)).all()
    assert server.asked.count("shard-00000.tar") == 2


def test_the_index_states_sizes_and_hashes(shards: Path) -> None:
    index = json.loads((shards / "index.json").read_text())
    for entry in (*index["shardlist"], index["table"]):
        data = (shards / entry["url"]).read_bytes()
        assert (entry["filesize"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert sum(entry["nsamples"] for entry in index["shardlist"]) == 4
