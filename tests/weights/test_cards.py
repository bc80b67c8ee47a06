"""The heads of model cards, as the Hub's own reader sees them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from exprgan.models.registry import BUILDERS
from exprgan.weights import WeightsRecord, read_manifest
from exprgan.weights import hub as weights_hub
from exprgan.weights.cards import TASKS, licence_of, repository_card, text_of, with_head
from exprgan.weights.refresh import refresh
from tests.conftest import ROOT, RunCli

RECORD = WeightsRecord(
    file="small.safetensors",
    sha256="",
    size_bytes=5_000_000,
    architecture="sargan",
    licence="MIT",
    data=["my-faces, train split (MIT)", "a drawing: mine (MIT)"],
    metrics={
        "my-faces test": {"psnr_db": 27.123456, "psnr_none_db": 22.0, "pairs": 40},
        "other test: accuracy": 0.5,
        "identity cosine": 0.98,
        "found_percent": [1.0, 2.0],
        "set": "40 photos",
    },
    card="small.md",
)
NAMES = sorted(read_manifest(ROOT / "weights"))


def head_of(card: str) -> Any:
    """A card's head, as the Hub's client reads it."""
    return ModelCard(card).data


def test_a_head_says_licence_task_data_and_figures() -> None:
    card = with_head("# small\n\nText.\n", "small", RECORD)
    head = head_of(card)
    assert (head.license, head.to_dict()["library_name"]) == ("mit", "exprgan")
    assert (head.pipeline_tag, head.datasets) == ("image-to-image", ["my-faces"])
    assert "arxiv:2303.17212" in head.tags
    results = [(r.dataset_name, r.metric_name, r.metric_value) for r in head.eval_results]
    assert results == [
        ("my-faces test", "psnr_db", 27.12),
        ("other test", "accuracy", 0.5),
        ("held-out faces", "identity cosine", 0.98),
    ]
    assert text_of(card) == "# small\n\nText.\n"


def test_a_head_takes_the_place_of_an_older_one() -> None:
    once = with_head("# small\n---\nnot a head\n---\n", "small", RECORD)
    assert with_head(once, "small", RECORD) == once
    changed = with_head(once, "small", replace(RECORD, licence="Apache-2.0"))
    assert "license: apache-2.0" in changed and "license: mit" not in changed
    assert text_of(changed) == "# small\n---\nnot a head\n---\n"
    assert text_of("no head\n") == "no head\n"


@pytest.mark.parametrize("licence", ["Apache-2.0 AND MIT", "unknown", ""])
def test_licences_that_the_hub_has_no_name_for_are_other(licence: str) -> None:
    data = head_of(with_head("text", "small", replace(RECORD, licence=licence)))
    assert data.license == "other"
    assert (data.license_name or "").lower() == licence.lower().replace(" ", "-")


def test_every_architecture_has_a_task() -> None:
    assert set(TASKS) == set(BUILDERS)


def test_the_card_of_a_repository_lists_its_networks() -> None:
    records = {"one": RECORD, "two": replace(RECORD, licence="Apache-2.0", card="two.md", metrics={})}
    card = repository_card(records)
    assert (head_of(card).license, head_of(card).license_name) == ("other", "apache-2.0-and-mit")
    assert licence_of(records) == "Apache-2.0 AND MIT"
    assert "[one](small.md)" in card and "5.0 MB" in card
    own = repository_card(records, "# Mine\n")
    assert text_of(own) == "# Mine\n"
    assert repository_card(records, own) == own


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_card_is_in_step_with_the_manifest(name: str) -> None:
    record = read_manifest(ROOT / "weights")[name]
    card = (ROOT / "weights" / record.card).read_text(encoding="utf-8")
    expected = with_head(card, name, record)
    assert card == expected, "run `python -m exprgan.weights.refresh weights`"
    head = head_of(card)
    assert head.to_dict()["library_name"] == "exprgan"
    assert not {"widget", "inference"} & set(head.to_dict())
    for line in record.data:
        words = re.sub(r"\s+", " ", card)
        assert name == "face_model" or re.sub(r"\s+", " ", line) in words
    assert re.search(r"[Nn]ot (meant )?for\s+telling\s+people\s+apart", card) or name == "face_model"


def test_the_bundled_repository_card_is_in_step_and_names_every_network() -> None:
    card = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    assert card == repository_card(read_manifest(ROOT / "weights"), card)
    assert set(re.findall(r"\((\w+)\.md\)", card)) == set(NAMES)


def test_refresh_mends_what_is_out_of_step(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "weights", tmp_path / "weights")
    assert refresh(folder) == []
    (folder / "unet.md").write_text(text_of((folder / "unet.md").read_text()))
    (folder / "README.md").write_text("# Mine\n")
    assert refresh(folder) == ["unet.md", "README.md"]
    assert (folder / "unet.md").read_text() == (ROOT / "weights" / "unet.md").read_text()


def test_a_push_of_the_bundled_weights_has_all_that_the_hub_wants(run_cli: RunCli) -> None:
    planned = weights_hub.plan_push(ROOT / "weights")
    readme = planned["README.md"]
    assert isinstance(readme, bytes)
    links = re.findall(r"\]\((?!http)([^)]+)\)", readme.decode())
    assert links and set(links) <= set(planned)
    tracked = {path.name for path in (ROOT / "weights").iterdir() if path.is_file()}
    assert set(planned) - {"LICENSE"} == tracked - {"LICENSE"}
    licence = planned.get("LICENSE")
    assert licence is None or b"Apache License" in bytes(licence)  # type: ignore[arg-type]
    result = run_cli("weights", "push", ROOT / "weights", "someone/faces", "--dry-run")
    assert result.code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(planned)
