"""Runs turned into weights: files, cards, licences."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from exprgan.edit.systems import load_system
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.models.registry import BUILDERS
from exprgan.training import publish
from exprgan.training.publish import CARDS, Notes
from exprgan.weights import find, read_manifest
from exprgan.weights.cards import text_of
from tests.edit.test_systems import SMALL, inputs, make_run

JUDGED = {
    "expression_judge": {
        name: {
            "n": 3,
            "accuracy": 0.75,
            "balanced_accuracy": 0.5,
            "confusion": (2 * np.eye(8, dtype=int)).tolist(),
        }
        for name in ("open-faces val", "synthetic-faces test")
    },
    "identity_judge": {
        "synthetic-faces test": {
            "same_pairs": 2,
            "different_pairs": 5,
            "auc": 0.9,
            "eer": 0.1,
            "cosine_same": 0.8,
            "cosine_different": 0.1,
        }
    },
}
"""Figures of judges, which are published with them alone."""
OPTIONS = {"batch_size": 16, "learning_rate": 1e-4, "max_minutes": float("inf")}
TASK = {
    "adversarial": "wgan-gp",
    "lambda_cls": 1.0,
    "lambda_rec": 10.0,
    "lambda_paired": 0.0,
    "region": {"segmenter_training": "joint", "lambda_seg": 1.0},
}


def finished_run(folder: Path, architecture: str, **command: Any) -> Path:
    make_run(folder, architecture)
    (folder / "options.json").write_text(json.dumps(OPTIONS))
    (folder / "log.jsonl").write_text('{"kimg": 1.0}\n{"kimg": 12.3, "loss": 1.5}\n')
    if command:
        (folder / "command.json").write_text(json.dumps(command))
    return folder


@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_a_published_run_is_the_same_system(architecture: str, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", architecture, network=architecture, task=TASK, command=["train"])
    name = publish.publish(run, tmp_path / "weights")
    assert name == architecture
    image, expression, strength = inputs(1)
    ours = load_system(tmp_path / "weights" / name)(image, expression, strength)
    theirs = load_system(run)(image, expression, strength)
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)  # half precision
    config = find(name, tmp_path / "weights").config
    assert (config["image_size"], config["training"]["done_kimg"]) == (64, 12.3)
    assert config["training"]["task"] == TASK
    assert "command" not in json.dumps(config)  # paths of the machine it was trained on
    card = (tmp_path / "weights" / f"{name}.md").read_text()
    assert f"exprgan edit --model {name}" in card
    assert "12.3 thousand samples from fresh weights" in card
    is_joint = architecture == "hierarchical"
    losses = (
        "classification, cycle and segmentation losses" if is_joint else "classification and cycle losses"
    )
    assert f"Trained with WGAN-GP, {losses}" in card
    assert "{" not in card


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "with the published layers and"),
        ({"width": 16, "label_map": "window"}, "(16 channels for 64, labels"),
    ],
)
def test_the_card_says_how_a_paper_s_layers_were_changed(
    arguments: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run = finished_run(tmp_path / "run", "usgan")
    described = {"architecture": "usgan", "arguments": arguments, "image_size": 128}
    (run / "network.json").write_text(json.dumps(described))
    publish.publish(run, tmp_path / "w")
    assert words in (tmp_path / "w/usgan.md").read_text().replace("\n", " ")


def test_what_a_run_started_from_must_be_said(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "usgan", command=["train", "--initial", "x.safetensors"])
    with pytest.raises(UsageError, match="--start"):
        publish.publish(run, tmp_path / "w")
    assert publish.publish(run, tmp_path / "w", notes=Notes(start="the weights of a paired run")) == "usgan"


def test_there_is_a_card_for_every_network() -> None:
    assert {path.stem for path in CARDS.glob("*.md")} == set(BUILDERS)


@pytest.mark.parametrize("architecture", sorted(BUILDERS))
def test_every_card_can_be_filled_in_and_says_what_is_due(architecture: str, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "usgan")
    (run / "network.json").write_text(
        json.dumps(
            {
                "architecture": architecture,
                "arguments": {},
                "segmenter": "unet",
                "image_size": 128,
                "classes": EXPRESSIONS,
            }
        )
    )
    publish.publish(run, tmp_path / "w", name="mine", notes=Notes(JUDGED.get(architecture)))
    card = (tmp_path / "w/mine.md").read_text()
    assert text_of(card).startswith("# mine: ")
    assert "{" not in card
    assert "\n\n\n" not in card
    for words in (f"`{architecture}`", "Licence of the weights: Apache-2.0", "MIT", "Not for telling people"):
        assert words in card.replace("\n", " ")
    record = read_manifest(tmp_path / "w")["mine"]
    assert (record.licence, record.architecture, len(record.data) >= 2) == ("Apache-2.0", architecture, True)


def test_the_bundled_unified_card_comes_out_as_it_is(root: Path, tmp_path: Path) -> None:
    config, tensors = (files := find("unified", root / "weights")).config, files.state()
    record = read_manifest(root / "weights")["unified"]
    run = tmp_path
    save_file(tensors, run / "ema.safetensors")
    described = {"architecture": "unified", "arguments": {}, "segmenter": "unet"}
    (run / "network.json").write_text(json.dumps(described))
    (run / "options.json").write_text("{}")
    (run / "log.jsonl").write_text(json.dumps({"kimg": config["training"]["done_kimg"]}))
    metrics = {name: {"all": figures} for name, figures in record.metrics.items()}
    notes = Notes(metrics, start=config["training"]["start"])
    publish.publish(run, tmp_path / "w", notes=notes)
    made = read_manifest(tmp_path / "w")["unified"]
    assert (tmp_path / "w/unified.md").read_text() == (root / "weights/unified.md").read_text()
    assert (made.data, made.metrics, made.sha256) == (record.data, record.metrics, record.sha256)


def test_notes_are_in_the_card_and_the_manifest(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "sargan")
    notes = Notes(
        {"val": {"accuracy": 0.625, "faces": 40}},
        "Trained briefly.",
        "StarGAN's weights",
        ["mine (CC0)"],
        "MIT",
    )
    publish.publish(run, tmp_path / "w", name="brief", notes=notes)
    card = (tmp_path / "w/brief.md").read_text()
    for words in (
        "Trained briefly.",
        "- val: accuracy 0.62, faces 40",
        "from StarGAN's weights",
        "- mine (CC0)\n",
    ):
        assert words in card
    record = read_manifest(tmp_path / "w")["brief"]
    assert (record.licence, record.data, record.metrics["val"]["faces"]) == ("MIT", ["mine (CC0)"], 40)


@pytest.mark.parametrize("words", [["--data", "a"], ["--data=a"]])
def test_data_are_those_of_the_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        publish, "open_sets", lambda sources: [SimpleNamespace(name="synthetic-faces")] * len(sources)
    )
    stargan = {"architecture": "stargan"}
    assert publish.data_of(stargan, ["exprgan", "train", *words]) == [publish.DATA["synthetic-faces"]]
    assert publish.data_of(stargan, [*words, "--teacher", "t"])[0] == publish.DATA["teacher"]
    monkeypatch.setattr(publish, "open_sets", lambda sources: [SimpleNamespace(name="rafd")] * len(sources))
    with pytest.raises(UsageError, match="trained on rafd"):
        publish.data_of(stargan, words)


def test_what_cannot_be_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no network\.json"):
        publish.publish(tmp_path, tmp_path / "w")
    run = finished_run(tmp_path / "run", "usgan")
    (run / "network.json").write_text('{"architecture": "identity_judge", "arguments": {}}')
    with pytest.raises(UsageError, match=r"exprgan\.evaluation\.examine"):
        publish.publish(run, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_the_command_says_where_the_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(tmp_path / "run", "usgan")
    (tmp_path / "m.json").write_text('{"accuracy": 0.5}')
    arguments = [str(run), "--weights", str(tmp_path / "w"), "--metrics", str(tmp_path / "m.json")]
    monkeypatch.setattr(sys, "argv", ["publish", *arguments])
    publish.main()
    assert capsys.readouterr().out == f"{tmp_path / 'w/usgan.safetensors'}\n"
    assert read_manifest(tmp_path / "w")["usgan"].metrics == {"accuracy": 0.5}


def test_figures_that_are_not_known_are_left_out() -> None:
    assert publish._of_all({"median_s": float("nan"), "found_percent": 99.5, "names": ["a"]}) == {
        "found_percent": 99.5,
        "names": ["a"],
    }
    assert publish._of_all({"happy": {"x": 1.0}, "all": {"x": 2.0, "y": float("nan")}}) == {"x": 2.0}
    assert publish._of_all(3) == 3
