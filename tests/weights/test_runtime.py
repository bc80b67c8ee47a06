"""Networks by ONNX Runtime: the same answers as by torch, and no torch where they are used."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from exprgan import Editor
from exprgan.cli import build
from exprgan.device import one_thread
from exprgan.errors import UsageError, WeightsError
from exprgan.models.pixel_edits import edits_of
from exprgan.weights import find, find_weights_dir, graphs
from exprgan.weights.graphs import FOLDER, INDEX, read_graph
from exprgan.weights.runtime import ROLE_OF, ROLES, resolve_runtime, signed

ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

PORTRAIT = Path(__file__).parents[2] / "docs" / "samples" / "portrait.jpg"
EDITING = ("landmarks", "face_proposer", "unet", "bisenet", "corrections", "unified")
BLOCKED = """
import sys
sys.modules.update(dict.fromkeys({names!r}))  # importing them fails as where they are not installed
sys.argv = ["exprgan", *{arguments!r}]
from exprgan.cli import main
main()
"""


def run_without(names: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process where some packages are not installed."""
    script = BLOCKED.format(names=names, arguments=arguments)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", EDITING)
def test_bundled_graphs_answer_as_the_networks_do(name: str) -> None:
    from exprgan.weights.onnx_export import TOLERANCE, examples

    files = find(name)
    role = ROLE_OF[files.architecture]
    network = files.load()
    network = edits_of(network, files.config) if role == "edits" else network
    by_torch, by_onnx = files.open(), files.open(runtime="onnx")
    for count in (1, 3):  # the batch is open
        given = [part.numpy() for part in examples(role, network, count, seed=7 + count)]
        with one_thread():
            answers = list(zip(ROLES[role].outputs, by_torch(*given), by_onnx(*given), strict=True))
        for output, wanted, found in answers:
            assert (wanted is None) == (found is None), output
            if wanted is not None:
                np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0, err_msg=output)


def test_both_runtimes_edit_a_photo_alike() -> None:
    results = []
    for runtime in ("torch", "onnx"):
        editor = Editor.from_pretrained(runtime=runtime, device="cpu")
        with one_thread():
            results.append(editor.edit(PORTRAIT, "surprise").image.astype(int))
    difference = np.abs(results[0] - results[1]).max(axis=2)
    # a pixel in some ten thousand is rounded the other way
    assert difference.max() <= 2
    assert (difference > 0).mean() < 1e-3


def test_an_edit_by_onnx_needs_no_torch(tmp_path: Path) -> None:
    output = tmp_path / "happy.png"
    blocked = ("torch", "torchvision", "facexlib", "onnx", "onnxscript")
    done = run_without(blocked, "edit", str(PORTRAIT), "--to", "happy", "--output", str(output), "--quiet")
    assert done.returncode == 0, done.stderr
    assert output.exists()


def test_an_edit_by_torch_needs_neither_torchvision_nor_facexlib(tmp_path: Path) -> None:
    output = tmp_path / "happy.png"
    blocked = ("torchvision", "facexlib", "onnxruntime")
    done = run_without(blocked, "edit", str(PORTRAIT), "--to", "happy", "--output", str(output), "--quiet")
    assert done.returncode == 0, done.stderr
    assert output.exists()


def test_without_any_runtime_the_message_says_what_to_install() -> None:
    done = run_without(
        ("torch", "onnxruntime"), "edit", str(PORTRAIT), "--to", "happy", "--output", "never.png"
    )
    assert done.returncode == 2
    assert 'pip install "exprgan[onnx]"' in done.stderr
    arguments = ("edit", str(PORTRAIT), "--output", "never.png", "--runtime", "torch")
    done = run_without(("torch",), *arguments)
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr


def test_impossible_runtimes_and_devices_are_refused() -> None:
    assert resolve_runtime("onnx", "auto")[1] in ("cpu", "cuda")
    with pytest.raises(UsageError, match="no runtime 'tensorrt'"):
        resolve_runtime("tensorrt")
    with pytest.raises(UsageError, match="no device 'mps'"):
        resolve_runtime("onnx", "mps")
    with pytest.raises(UsageError, match="needs torch"):
        Editor.from_pretrained(runtime="onnx", detector="retinaface")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of weights with one graph."""
    copy, bundled = tmp_path / "weights", find_weights_dir()
    copy.mkdir()
    manifest = json.loads((bundled / "manifest.json").read_text())
    manifest["weights"] = {"face_proposer": manifest["weights"]["face_proposer"]}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    for path in bundled.glob("face_proposer.*"):
        shutil.copy(path, copy)
    (copy / FOLDER).mkdir()
    for name in (INDEX, "face_proposer.onnx"):
        shutil.copy(bundled / FOLDER / name, copy / FOLDER)
    return copy


def test_weights_without_graphs_take_the_bundled_ones(folder: Path) -> None:
    shutil.rmtree(folder / FOLDER)
    assert find("face_proposer", folder).open(runtime="onnx")


def test_a_graph_goes_with_its_own_weights_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_graph(find("face_proposer", folder))[1]
    monkeypatch.setattr(graphs, "BUNDLED", ())
    graph = folder / FOLDER / "face_proposer.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + b"x")
    with pytest.raises(WeightsError, match="not the file"):
        find("face_proposer", folder).open(runtime="onnx")
    graph.write_bytes(whole)
    description = folder / "face_proposer.json"
    config = json.loads(description.read_text())
    config["arguments"]["widths"] = [64, 96, 160]
    description.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="exprgan export face_proposer --graphs"):
        find("face_proposer", folder).open(runtime="onnx")
    (folder / FOLDER / INDEX).write_text("[]}")
    with pytest.raises(WeightsError, match="damaged"):
        find("face_proposer", folder).open(runtime="onnx")


@pytest.mark.slow
def test_a_network_is_exported_with_its_weights(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the exporter's packages are not installed")
    from typer.testing import CliRunner

    runner, output = CliRunner(), tmp_path / "onnx"
    arguments = ["export", "face_proposer", "--weights", str(folder), "--output", str(output)]
    done = runner.invoke(build(), arguments)
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((output / "export.json").read_text())
    assert entry["inputs"] == {"picture": ["n", 3, "height", "width"]}
    assert list(entry["outputs"]) == ["heat", "offset", "log_side"]
    assert entry["largest_difference_to_torch"] < 1e-3
    session = ort.InferenceSession(output / entry["file"], providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).integers(0, 256, (2, 128, 320, 3)).astype(np.uint8)
    with one_thread(), torch.inference_mode():
        logit = find("face_proposer", folder).load()(torch.from_numpy(signed(pictures))).logit
    heat = session.run(["heat"], {"picture": signed(pictures)})[0]
    np.testing.assert_allclose(heat, logit.sigmoid().numpy(), atol=1e-3)
    assert isinstance(runner.invoke(build(), arguments).exception, UsageError)  # it is there already


def test_the_folder_of_an_export_is_asked_for() -> None:
    from typer.testing import CliRunner

    error = CliRunner().invoke(build(), ["export"]).exception
    assert isinstance(error, UsageError)
    assert "--output FOLDER" in str(error)


@pytest.mark.parametrize("name", EDITING)
def test_graphs_hold_no_weight_of_their_network(name: str, root: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(root / "weights" / "graphs" / f"{name}.onnx", load_external_data=False).graph
    state = find(name, root / "weights").state()
    inside = [each.name.rpartition("network.")[2] for each in graph.initializer if each.raw_data]
    assert not set(inside) & set(state)
