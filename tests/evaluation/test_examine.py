"""One network's own figures: what is measured by what, what is refused, what the command writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from exprgan.errors import UsageError
from exprgan.evaluation import examine
from exprgan.models.registry import BUILDERS, build
from exprgan.training.publish import Notes, publish
from exprgan.weights import NetworkFiles, find, read_manifest, save_weights
from exprgan.weights.find import END_TO_END, PIXEL_SYSTEMS
from tests.made_sets import make_open_faces, make_synthetic_faces


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """open-faces and synthetic-faces in miniature."""
    folder = tmp_path_factory.mktemp("sets")
    make_open_faces(folder / "open-faces")
    make_synthetic_faces(folder / "synthetic-faces")
    return folder


def files_of(architecture: str) -> NetworkFiles:
    return NetworkFiles("net", {"architecture": architecture, "arguments": {}}, Path())


def test_every_network_but_the_adversarial_systems_has_figures_of_its_own() -> None:
    assert set(BUILDERS) - set(examine.EXAMINERS) == {*PIXEL_SYSTEMS, *END_TO_END}
    assert set(examine.EXAMINERS) - set(BUILDERS) == {"face_model"}  # geometry, no network


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("sargan", {}, "exprgan eval"),
        ("features", {"teacher": Path()}, "--teacher means nothing for 'features'"),
        ("unet", {"photo_labels": Path()}, "--photo-labels means nothing"),
        ("face_proposer", {"detector": "retinaface"}, "--detector means nothing"),
        ("unified", {"teacher": Path()}, "give --cache"),
        ("transfer", {"cache": Path(), "faces": 3}, "give --teacher"),
    ],
)
def test_what_means_nothing_or_is_missing_is_refused(
    architecture: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        examine.examine(files_of(architecture), Path("nowhere"), **options)


def run_command(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["examine", *map(str, words)])
    try:
        examine.main()
    finally:
        torch.set_num_threads(threads)


def test_a_segmenter_s_figures_are_written_and_published(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    run = tmp_path / "run"
    run.mkdir()
    network = build("unet", width=4)
    save_file(network.state_dict(), run / "ema.safetensors")
    (run / "network.json").write_text('{"architecture": "unet", "arguments": {"width": 4}}')
    (run / "options.json").write_text("{}")
    (run / "log.jsonl").write_text('{"kimg": 1.0}\n')
    run_command(monkeypatch, run, "--data", data, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert json.loads(capsys.readouterr().out) == figures
    assert set(figures) == {"synthetic_test", "open_val"}
    assert 0 <= figures["open_val"]["edited_iou"] <= 1
    publish(run, tmp_path / "weights", notes=Notes(figures))
    assert read_manifest(tmp_path / "weights")["unet"].metrics == {
        f"{title}: {key}": figures[title][key] for title in figures for key in ("mean_iou", "edited_iou")
    }


def test_a_name_in_a_folder_of_weights_is_examined(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    arguments = {"stem": 4, "widths": [4, 4, 4], "num_features": 6}
    state = build("expression_judge", **arguments).state_dict()
    save_weights(tmp_path, "judge", state, {"architecture": "expression_judge", "arguments": arguments}, "#")
    figures = examine.examine(find("judge", tmp_path), data)
    assert figures["synthetic-faces test"]["n"] == 1
    assert "correlation with MediaPipe's scores, open-faces val" in figures


def test_mistakes_end_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run_command(monkeypatch, "unet", "--data", tmp_path / "nowhere")
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nowhere" in captured.err
    assert len(captured.err.strip().splitlines()) == 1
