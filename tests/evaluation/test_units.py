"""Edits by single action units in an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from exprgan.data.face_set import open_sets
from exprgan.evaluation.cases import choose
from exprgan.evaluation.contestants import NoEdit, trained
from exprgan.evaluation.evaluate import EvalOptions, evaluate
from exprgan.evaluation.judging import Judges
from exprgan.evaluation.protocol import Protocol
from exprgan.evaluation.report import render
from exprgan.evaluation.sources import find_source
from exprgan.evaluation.units import UNITS, judged_score, measure_units, units_of
from exprgan.face_model.vocabulary import find_control
from exprgan.weights import find
from tests.evaluation.test_eval import data, judges, one_thread, weights  # noqa: F401


def test_the_twelve_are_known_and_some_are_judged() -> None:
    assert len(set(UNITS)) == 12
    for unit in UNITS:
        find_control(unit)
    judged = {unit: judged_score(unit) for unit in UNITS}
    assert judged["AU12"] == "mouthSmile"
    assert judged["AU1"] == "browInnerUp"
    assert judged["AU6"] is None


def test_units_are_measured_by_face_and_unit(data: Path, judges: Judges) -> None:  # noqa: F811
    protocol = Protocol(choose(open_sets([data]), 4, 0), judges)
    contestant = trained(find("face_model"), "face_model")
    system = units_of(contestant)
    assert system is not None
    assert units_of(NoEdit()) is None
    done: list[int] = []
    reference = torch.cat([before.features for before in protocol.before])
    rows = measure_units(
        protocol, system, reference, seed=0, units=("AU26", "AU9"), on_face=lambda: done.append(1)
    )
    assert len(done) == 4
    assert list(rows) == ["AU26", "AU9"]
    for row in rows.values():
        assert 0.2 < row["cosine"]["value"] < 1
        assert 30 < row["psnr_out"]["value"] < 59
        assert row["kid"]["n"] == row["cosine"]["n"] == 4
    assert rows["AU26"]["score"] == "jawOpen"
    assert rows["AU26"]["change"]["value"] is not None
    assert rows["AU9"]["change"]["value"] is None
    # an opened jaw changes more of a face than a wrinkled nose
    assert rows["AU26"]["psnr_out"]["value"] < rows["AU9"]["psnr_out"]["value"]


def test_the_report_shows_units_where_systems_know_them(
    weights: Path,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(protocol: Any, system: Any, reference: Any, *, seed: int, on_face: Any) -> dict[str, Any]:
        figures = {
            key: {"value": 0.5, "low": None, "high": None, "n": 2} for key in ("cosine", "psnr_out", "kid")
        }
        return {unit: {"score": None, "change": {"value": None}, **figures} for unit in ("AU1", "AU2")}

    monkeypatch.setattr(
        "exprgan.evaluation.evaluate.units_of", lambda each: each if each.name == "usgan" else None
    )
    monkeypatch.setattr("exprgan.evaluation.evaluate.measure_units", made)
    options = EvalOptions((str(data),), tmp_path, faces=2, size=128, weights=weights, pictures=0, units=True)
    sources = [find_source(name, weights) for name in ("stargan", "usgan")]
    record = evaluate(sources, options)
    assert list(record["action_units"]) == ["usgan"]
    page = (tmp_path / "report.html").read_text()
    assert '<section id="units">' in page
    assert ">AU2</button>" in page
    assert json.loads((tmp_path / "metrics.json").read_text())["action_units"] == record["action_units"]
    assert '<section id="units">' not in render({**record, "action_units": {}}, [])


def test_a_system_with_the_face_model_edits_by_shapes_and_others_do_not(data: Path) -> None:  # noqa: F811
    (pair, *_) = choose(open_sets([data]), 4, 0).pairs
    contestant = trained(find("face_model"), "face_model")
    edited = contestant.edit_by_shapes(pair.source, {"jawOpen": 0.5})
    assert edited is not None
    assert edited.shape == pair.source.shape
    change = (edited - pair.source).abs().amax(dim=1)[0]
    assert change[180:].max() > 0.3
    assert change[:90].max() < 0.1
    none = contestant.edit_by_shapes(pair.source, {})
    assert none is not None
    assert (none - pair.source).abs().max() < 0.02  # 8 bits
    assert trained(find("sargan"), "sargan").edit_by_shapes(pair.source, {"jawOpen": 0.5}) is None
