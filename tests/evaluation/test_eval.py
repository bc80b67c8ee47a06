"""`exprgan eval` on made sets with made weights: what is measured, what is written, what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from exprgan.action_units import SCORES, column
from exprgan.data import prepared
from exprgan.data.face_set import open_sets
from exprgan.data.open_faces import OpenFaces
from exprgan.errors import UsageError, WeightsError
from exprgan.evaluation import summary as summary_module
from exprgan.evaluation.cases import LEAST_REFERENCE, Cases, choose, render_pairs
from exprgan.evaluation.contestants import NoEdit, Teacher
from exprgan.evaluation.evaluate import EvalOptions, evaluate
from exprgan.evaluation.judging import NAMES, Judges, face_region
from exprgan.evaluation.outside import Inception, Landmarker
from exprgan.evaluation.protocol import Protocol
from exprgan.evaluation.report import COLUMNS, SCHEMA
from exprgan.evaluation.sources import find_source, titles
from exprgan.evaluation.summary import WANTED, summarise, wanted_change
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import CLASS_NAMES
from exprgan.models.registry import build
from exprgan.weights import find_weights_dir, read_manifest, save_weights
from tests.conftest import RunCli
from tests.made_sets import FACES, RENDERS, make_open_faces, make_synthetic_faces

TINY: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "judge": (
        "expression_judge",
        {"stem": 4, "widths": [4, 4, 4], "num_features": 6},
        {
            "tested_classes": ["neutral", "happy"],
            "report": {"a set": {"n": 9, "accuracy": 0.5, "balanced_accuracy": 0.4}},
        },
    ),
    "judge_rendered": (
        "expression_judge",
        {"stem": 4, "widths": [4, 4, 4], "num_features": 6},
        {"tested_classes": list(EXPRESSIONS), "report": {"scores": {"jawOpen": 0.5}}},
    ),
    "judge_identity": (
        "identity_judge",
        {"stem": 4, "widths": [4, 4, 4], "num_dimensions": 8},
        {"report": {"people": {"auc": 1.0, "eer": 0.0, "same_pairs": 3, "different_pairs": 4}}},
    ),
    "unet": ("unet", {"width": 4, "patch": 2}, {}),
    "stargan": ("stargan", {"width": 4, "num_blocks": 1}, {"image_size": 64}),
    "usgan": ("usgan", {"width": 4}, {"image_size": 64}),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As `evaluate` runs: small networks on several threads wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny fresh networks under the names that an evaluation asks for."""
    folder = tmp_path_factory.mktemp("weights")
    for name, (architecture, arguments, more) in TINY.items():
        torch.manual_seed(5)
        network = build(architecture, **arguments)
        config = {"architecture": architecture, "arguments": arguments, **more}
        save_weights(folder, name, network.state_dict(), config, f"# {name}")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared set of four test faces with masks, and synthetic-faces with a test identity of four frames."""
    folder = tmp_path_factory.mktemp("data")
    crops = folder / "crops-of-four"
    crops.mkdir()
    rows = []
    for name in RENDERS:
        for ending in (".jpg", ".png"):
            shutil.copy(FACES / f"{name}{ending}", crops)
        subject, expression = name.split("_")
        rows.append(
            prepared.Row(
                name, f"{name}.jpg", f"{name}.png", EXPRESSIONS.index(expression), subject, "test", None
            )
        )
    (crops / prepared.TABLE).write_text(prepared.write_table(rows))
    make_synthetic_faces(folder / "synthetic-faces")
    table = folder / "synthetic-faces" / "set.csv"
    lines = table.read_text().splitlines()
    one_person = [line.replace(",train,", ",test,") for line in lines]
    identity = lines[0].split(",").index("identity")
    cells = [line.split(",") for line in one_person[1:]]
    for row in cells:
        row[identity] = "7"
    table.write_text("\n".join([one_person[0], *(",".join(row) for row in cells)]) + "\n")
    return folder


@pytest.fixture(scope="module")
def judges(weights: Path) -> Judges:
    return Judges(weights)


@pytest.fixture(scope="module")
def report(weights: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a report on two systems and a segmenter."""
    output = tmp_path_factory.mktemp("report") / "new"
    sources = [find_source(name, weights) for name in ("stargan", "usgan", "unet")]
    options = EvalOptions((str(data),), output, faces=3, size=128, weights=weights, compare=True, pictures=2)
    evaluate(sources, options, command=["exprgan", "eval", "stargan"])
    return output


@pytest.fixture(scope="module")
def record(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report / "metrics.json").read_text())
    return found


class _Copies:
    """Hands back another face of the set: a contestant whose figures are known."""

    name = "copies"

    def __init__(self, answer: Tensor) -> None:
        self.facts: dict[str, Any] = {"kind": "system"}
        self.answer = answer

    def edit(self, case: Any, expressions: Any) -> Tensor:
        return self.answer.expand(len(expressions), -1, -1, -1)

    def edit_crop(self, image: Tensor, expression: int, strength: float) -> Tensor:
        return self.answer

    def edit_by_shapes(self, image: Tensor, shapes: Any) -> Tensor | None:
        return None

    def cost(self, image: Tensor) -> None:
        return None


class _Refuses(_Copies):
    """Can do nothing, as the teacher with faces of another set."""

    name = "refuses"

    def edit(self, case: Any, expressions: Any) -> None:  # type: ignore[override]
        return None

    def edit_crop(self, image: Tensor, expression: int, strength: float) -> None:  # type: ignore[override]
        return None


def test_doing_nothing_has_the_figures_of_identity(data: Path, judges: Judges) -> None:
    cases = choose(open_sets([data]), 4, 0)
    measured = Protocol(cases, judges).measure(NoEdit())
    np.testing.assert_allclose(measured.edits["cosine"], 1, atol=1e-6)
    np.testing.assert_allclose(measured.edits["acd"], 0, atol=1e-6)
    for place in ("in", "out"):
        assert (measured.edits[f"psnr_{place}"] == 59).all()
        np.testing.assert_allclose(measured.edits[f"ssim_{place}"], 1, atol=1e-6)
        assert not measured.edits[f"l1_{place}"].any()
    np.testing.assert_allclose(measured.score_changes, 0, atol=1e-6)
    assert (measured.own["own_psnr"] == 59).all()
    assert (measured.predicted == measured.predicted[:, :1]).all()


def test_what_the_edited_face_covers_is_not_beyond_it(
    data: Path, judges: Judges, monkeypatch: pytest.MonkeyPatch
) -> None:
    chin = np.zeros((256, 256), bool)
    chin[200:256] = True
    monkeypatch.setattr(Judges, "face_mask", lambda self, image: chin)
    cases = choose(open_sets([data]), 4, 0)
    edited = cases.faces[0].image.clone()
    edited[:, :, 240:] += 0.5
    figures, _, _ = Protocol(cases, judges).measure_edit(0, edited.clamp(-1, 1))
    assert figures["psnr_out"][0] < 40
    assert figures["psnr_beyond"][0] == 59


def test_a_contestant_that_hands_out_the_truth_is_right_about_renders(data: Path, judges: Judges) -> None:
    cases = choose(open_sets([data]), 4, 0)
    assert {EXPRESSIONS[pair.expression] for pair in cases.pairs} == {"happy", "surprise", "anger"}
    surprise = next(pair for pair in cases.pairs if EXPRESSIONS[pair.expression] == "surprise")
    measured = Protocol(cases, judges).measure(_Copies(surprise.target))
    is_right = np.array([pair.expression == surprise.expression for pair in cases.pairs])
    assert (measured.pairs["psnr_pair"][is_right] == 59).all()
    assert (measured.pairs["psnr_pair"][~is_right] < 30).all()
    assert np.isnan(measured.pairs["psnr_shapes"]).all()  # it knows no shapes
    summary = summarise(measured, cases, judges.tested_classes, measured.features.flatten(0, 1), 0)
    assert summary.by_expression["psnr_pair"]["surprise"].value == 59
    assert summary.figures["psnr_pair"].count == 1  # one identity


def test_accuracy_counts_tested_expressions_alone(data: Path, judges: Judges) -> None:
    cases = choose(open_sets([data]), 4, 0)
    measured = Protocol(cases, judges).measure(NoEdit())
    measured.predicted[:] = EXPRESSIONS.index("happy")
    measured.predicted_rendered[:] = EXPRESSIONS.index("happy")
    summary = summarise(measured, cases, judges.tested_classes, measured.features.flatten(0, 1), 0)
    assert summary.figures["accuracy"].value == 0.5  # of neutral and happy
    assert summary.figures["accuracy_rendered"].value == 1 / 8
    assert summary.confusion[:, EXPRESSIONS.index("happy")].tolist() == [4] * 8


def test_what_a_contestant_cannot_do_counts_for_nothing(data: Path, judges: Judges) -> None:
    cases = choose(open_sets([data]), 4, 0)
    measured = Protocol(cases, judges).measure(_Refuses(cases.faces[0].image))
    summary = summarise(measured, cases, judges.tested_classes, torch.randn(9, 6), 0)
    assert all(figure.count == 0 for figure in summary.figures.values())
    assert not summary.confusion.any()


def test_the_same_seed_chooses_the_same_faces_and_another_one_others(data: Path) -> None:
    sets = open_sets([data])
    rows = [[case.row for case in choose(sets, 3, seed).faces] for seed in range(8)]
    assert rows[0] == [case.row for case in choose(sets, 3, 0).faces]
    assert len({tuple(order) for order in rows}) > 1


def test_only_rows_that_the_teacher_can_do_are_taken_in_its_order(data: Path) -> None:
    cases = choose(open_sets([data]), 2, 0, allowed={"crops-of-four": [3, 1, 2]})
    assert [case.row for case in cases.faces] == [3, 1]
    with pytest.raises(UsageError, match="--teacher"):
        choose(open_sets([data]), 2, 0, allowed={"crops-of-four": []})


def test_few_faces_that_are_left_make_no_reference(data: Path) -> None:
    cases = choose(open_sets([data]), 2, 0)
    assert len(cases.reference) == 2 < LEAST_REFERENCE
    assert [row for _, row in cases.reference] == [case.row for case in cases.faces]


def test_renders_alone_are_edited_from_neutral(data: Path) -> None:
    cases = choose(open_sets([data / "synthetic-faces"]), 9, 0)
    assert [EXPRESSIONS[case.expression] for case in cases.faces] == ["neutral"]
    assert len(cases.pairs) == 3


def test_identities_without_a_neutral_frame_make_no_pairs(tmp_path: Path) -> None:
    make_synthetic_faces(tmp_path)
    (synthetic,) = open_sets([tmp_path])
    assert render_pairs(synthetic, "test") == []


def test_data_without_held_out_faces_are_refused(tmp_path: Path) -> None:
    make_open_faces(tmp_path)
    (faces,) = open_sets([tmp_path])
    faces.splits[:] = "train"
    with pytest.raises(UsageError, match="no held-out faces"):
        choose([faces], 5, 0)


def test_face_region_is_the_face_with_its_margin() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[30:34, 30:34] = CLASS_NAMES.index("skin")
    labels[:4, :4] = CLASS_NAMES.index("hair")
    assert face_region(labels, 0).sum() == 16
    grown = face_region(labels, 8)
    assert grown[22, 31]
    assert not grown[21, 31]
    assert not grown[:4, :4].any()


def test_wanted_change_is_the_mean_of_the_raised_scores() -> None:
    columns = ("jawOpen", "browInnerUp", "browOuterUp", "mouthSmile")
    changes = np.zeros((1, 8, 4))
    changes[0, EXPRESSIONS.index("surprise")] = (0.6, 0.3, 0.3, 9.0)
    changes[0, EXPRESSIONS.index("happy")] = (9.0, 9.0, 9.0, 0.5)
    wanted = wanted_change(changes, columns)[0]
    assert wanted[EXPRESSIONS.index("surprise")] == pytest.approx(0.4)
    assert wanted[EXPRESSIONS.index("happy")] == 0.5
    assert np.isnan(wanted[EXPRESSIONS.index("neutral")])
    assert np.isnan(wanted_change(changes, columns, without=["mouthSmile"])[0, EXPRESSIONS.index("happy")])
    assert {name for parts in WANTED.values() for name in parts} <= set(SCORES)
    assert column({"mouthSmileRight": 0.5, "mouthSmileLeft": 0.2}, SCORES["smile R-L"]) == pytest.approx(0.3)


def test_metrics_hold_all_systems_beside_doing_nothing(record: dict[str, Any]) -> None:
    assert record["schema"] == SCHEMA
    assert [system["name"] for system in record["systems"]] == ["no edit", "stargan", "usgan"]
    for system in record["systems"]:
        for key in (
            "accuracy",
            "cosine",
            "fid",
            "kid",
            "psnr_out",
            "l1_in",
            "own_psnr",
            "psnr_pair",
        ):
            figure = system["figures"][key]
            assert figure["n"] > 0
            assert figure["low"] is None or figure["low"] <= figure["value"] <= figure["high"], key
    stargan = record["systems"][1]
    assert stargan["sha256"]
    assert stargan["cost"]["parameters"] == sum(
        weight.numel() for weight in build("stargan", **TINY["stargan"][1]).parameters()
    )
    for figure in stargan["by_expression"]["kid"].values():
        assert figure["n"] == 3
    assert record["action_units"] == {}
    assert record["data"]["num_faces"] == 3
    assert record["features"]["num_edits"] == 24
    assert record["features"]["reference"] == "photos, the edited ones themselves"
    (difference,) = record["differences"]
    expected = record["systems"][2]["figures"]["cosine"]["value"] - stargan["figures"]["cosine"]["value"]
    assert difference["figures"]["cosine"]["value"] == pytest.approx(expected, abs=1e-4)


def test_segmenters_are_measured_on_every_set_with_masks(record: dict[str, Any]) -> None:
    rows = {row["set"]: row for row in record["segmenters"]}
    assert set(rows) == {"crops-of-four", "synthetic-faces"}
    assert rows["crops-of-four"]["num_images"] == 4
    for row in rows.values():
        assert 0 <= row["mean_iou"] <= row["pixel_accuracy"] <= 1
        assert set(row["class_iou"]) == set(row["class_accuracy"]) <= set(CLASS_NAMES)


def test_the_same_evaluation_gives_the_same_figures(
    report: Path, record: dict[str, Any], weights: Path, data: Path, tmp_path: Path
) -> None:
    options = EvalOptions((str(data),), tmp_path, faces=3, size=128, weights=weights, pictures=0)
    again = evaluate([find_source("stargan", weights)], options)
    assert again["systems"][1]["figures"] == record["systems"][1]["figures"]


def test_runs_and_names_are_found_and_titled_apart(weights: Path, tmp_path: Path) -> None:
    run = tmp_path / "stargan"
    run.mkdir()
    arguments = TINY["stargan"][1]
    (run / "network.json").write_text(
        json.dumps({"architecture": "stargan", "arguments": arguments, "image_size": 64})
    )
    save_file(build("stargan", **arguments).state_dict(), run / "ema.safetensors")
    found = [find_source(source, weights) for source in ("stargan", str(run), str(weights / "unet"))]
    assert titles(found) == ["stargan (1)", "stargan (2)", "unet"]
    assert found[1].sha256 != found[0].sha256


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("stargam", UsageError, "did you mean stargan"),
        ("judge", UsageError, "cannot measure"),
        ("sargan", WeightsError, "exprgan train sargan"),
        ("runs/nowhere", UsageError, "no folder runs/nowhere"),
    ],
)
def test_sources_that_cannot_be_measured_say_why(
    weights: Path, source: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        find_source(source, weights)


def test_weights_without_judges_are_judged_by_the_bundled_ones(data: Path, tmp_path: Path) -> None:
    architecture, arguments, more = TINY["stargan"]
    config = {"architecture": architecture, "arguments": arguments, **more}
    weights = tmp_path / "weights"
    save_weights(weights, "stargan", build(architecture, **arguments).state_dict(), config, "# card")
    options = EvalOptions((str(data),), tmp_path / "report", faces=2, size=128, weights=weights, pictures=0)
    found = evaluate([find_source("stargan", weights)], options)
    bundled = read_manifest(find_weights_dir())
    assert [judge["sha256"] for judge in found["judges"]] == [bundled[name].sha256 for name in NAMES]


def test_weights_without_judges_are_named(tmp_path: Path) -> None:
    architecture, arguments, more = TINY["stargan"]
    config = {"architecture": architecture, "arguments": arguments, **more}
    save_weights(tmp_path, "stargan", build(architecture, **arguments).state_dict(), config, "# card")
    with pytest.raises(WeightsError, match="exprgan train judge"):
        Judges(tmp_path)


def test_command_writes_a_report_and_prints_where(
    run_cli: RunCli, weights: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "report"
    arguments = ("eval", "stargan", "--data", data, "--weights", weights, "--output", output)
    more = ("--faces", 2, "--size", 128, "--pictures", 1)
    result = run_cli(*arguments, *more)
    assert result.code == 0, result.stderr
    assert "stargan" in result.stdout
    assert result.stdout.rstrip().endswith("report.html")
    command = json.loads((output / "metrics.json").read_text())["command"]
    assert command[:3] == ["exprgan", "eval", "stargan"]
    again = run_cli(*arguments, *more)
    assert (again.code, again.stdout) == (2, "")
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("stargan", "--size", "100"), 2, "--size 128"),
        (("stargan", "--compare"), 2, "two or more"),
        (("stargan", "--teacher", "somewhere"), 2, "--cache"),
        (("stargan", "--teacher", "somewhere", "--cache", "there"), 2, "geometry_basis.npz"),
        (("runs/none",), 2, "runs/none"),
        (("sargan",), 5, "no weights of sargan"),
        (("stargan", "--data", "no-such-folder"), 2, "no-such-folder"),
        (("stargan", "--landmarker", "none.task"), 2, "none.task"),
    ],
)
def test_mistakes_end_with_one_sentence(
    run_cli: RunCli,
    weights: Path,
    data: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    result = run_cli("eval", *words, "--data", data, "--weights", weights, "--output", tmp_path / "new")
    assert (result.code, result.stdout) == (code, "")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_without_torchmetrics_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, weights: Path, data: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    options = EvalOptions((str(data),), tmp_path, weights=weights)
    with pytest.raises(UsageError, match=r"exprgan\[research\]"):
        evaluate([find_source("stargan", weights)], options)


def test_the_landmarker_needs_mediapipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tmp_path / "face_landmarker.task"
    model.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UsageError, match="pip install mediapipe"):
        Landmarker(model)


class _Scores:
    """Stands in for MediaPipe's landmarker: every crop smiles as much as it is bright."""

    def columns(self, image: np.ndarray) -> np.ndarray:
        found = np.zeros(len(SCORES))
        found[list(SCORES).index("mouthSmile")] = image.mean() / 255
        return found if image.mean() > 1 else found * np.nan


def test_scores_of_the_landmarker_become_changes(data: Path, judges: Judges) -> None:
    cases = choose(open_sets([data]), 4, 0)
    bright = torch.full((1, 3, 256, 256), 1.0)
    measured = Protocol(cases, judges, landmarker=_Scores()).measure(_Copies(bright))
    before = np.array([float((case.image.mean() + 1) / 2) for case in cases.faces])
    summary = summarise(measured, cases, [0], measured.features.flatten(0, 1), 0)
    assert summary.landmarker_scores is not None
    assert summary.landmarker_scores["sad"]["mouthSmile"] == pytest.approx(1 - before.mean(), abs=1e-3)
    wanted = summary.by_expression["wanted_landmarker"]
    assert wanted["happy"].value == pytest.approx(1 - before.mean(), abs=1e-3)
    dark = Protocol(cases, judges, landmarker=_Scores()).measure(_Copies(-bright))
    nothing = summarise(dark, cases, [0], measured.features.flatten(0, 1), 0)  # no face found in any edit
    assert nothing.figures["wanted_landmarker"].count == 0


def test_edits_are_held_against_photographs_of_the_same_expression(
    data: Path, judges: Judges, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = choose(open_sets([data]), 4, 0)
    protocol = Protocol(cases, judges)
    features, measured = protocol.reference_features(), protocol.measure(NoEdit())
    assert cases.reference_expressions.tolist() == [case.expression for case in cases.faces]
    assert summarise(measured, cases, [0], features, 0).figures["kid_like"].count == 0
    shown, known = np.array([1, 1, 4, 4]), [1, 4]
    monkeypatch.setattr(Cases, "reference_expressions", shown)
    monkeypatch.setattr(summary_module, "LEAST_LIKE", 2)
    for number in known:  # what is shown as that expression are its photographs
        rows = features[shown == number]
        measured.features[: len(rows), number] = rows
        measured.features[len(rows) :, number] = rows[0]
    near = summarise(measured, cases, [0], features, 0)
    measured.features[:, known] += 3
    far = summarise(measured, cases, [0], features, 0)
    assert near.figures["kid_like"].count == len(known)
    for number in known:
        name = EXPRESSIONS[number]
        assert near.by_expression["kid_like"][name].value < far.by_expression["kid_like"][name].value


class _MeanColour:
    """Stands in for the FID Inception."""

    def features(self, crops: np.ndarray) -> Tensor:
        return torch.from_numpy(crops).float().mean(dim=(1, 2)) / 255


def test_published_distances_are_given_where_the_network_is(data: Path, judges: Judges) -> None:
    cases = choose(open_sets([data]), 4, 0)
    protocol = Protocol(cases, judges, inception=_MeanColour())
    reference = protocol.reference_inception()
    assert reference is not None
    assert reference.shape == (4, 3)
    measured = protocol.measure(NoEdit())
    summary = summarise(measured, cases, [0], measured.features.flatten(0, 1), 0, reference)
    # eight copies of the reference: the same mean, and nearly the same covariance
    assert 0 <= summary.figures["fid_inception"].value < 0.1
    assert summary.figures["kid_inception"].count == 4
    far = summarise(measured, cases, [0], measured.features.flatten(0, 1), 0, reference + 2)
    assert far.figures["fid_inception"].value == pytest.approx(12, rel=0.02)  # three times 2 squared


@pytest.mark.parametrize(
    ("content", "installed", "message"),
    [(None, True, "no file"), (b"x", False, "torch-fidelity"), (b"x", True, "does not hold")],
)
def test_inception_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, installed: bool, message: str
) -> None:
    path = tmp_path / "inception.pth"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity") if installed else None)
    with pytest.raises(UsageError, match=message):
        Inception(path)


def test_the_teacher_shows_its_renders_of_its_own_set(
    monkeypatch: pytest.MonkeyPatch, data: Path, judges: Judges, tmp_path: Path
) -> None:
    make_open_faces(tmp_path / "open-faces")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "usable.json").write_text("[2, 3]")
    (photographs,) = open_sets([tmp_path / "open-faces"])
    assert isinstance(photographs, OpenFaces)
    teacher = Teacher(photographs, tmp_path, tmp_path / "cache")
    assert sorted(teacher.usable()) == [2, 3]

    def get(face: int, variant: int) -> SimpleNamespace:
        return SimpleNamespace(image=np.full((256, 256, 3), 10 * face + variant, np.uint8))

    monkeypatch.setattr(teacher.cache, "get", get)
    cases = choose([photographs], 5, 0, allowed={teacher.set_name: teacher.usable()})
    assert [case.row for case in cases.faces] == [2]  # the only one that is held out
    measured = Protocol(cases, judges, teacher=teacher).measure(teacher)
    assert [picture[0, 0, 0] for picture in measured.pictures[0]] == [20, 21, 22, 23, 24, 25, 26, 27]
    assert (measured.edits["teacher_psnr"] == 59).all()
    other = choose(open_sets([data]), 1, 0).faces[0]
    assert teacher.edit(other, [0]) is None


def test_every_column_says_what_it_is() -> None:
    assert len({column.key for column in COLUMNS}) == len(COLUMNS)
    assert all(column.what and column.better in ("higher", "lower", "") for column in COLUMNS)
