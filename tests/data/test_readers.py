"""The layouts of data sets, read in miniature: what is found, and what is named as not fitting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exprgan.action_units import ACTION_UNITS
from exprgan.data.crops import read_mask
from exprgan.data.readers import SETS, Problem, Record, check_name, key_of, read
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from tests import made_sets


def read_all(name: str, folder: Path) -> tuple[dict[str, Record], dict[str, str]]:
    """Records by key, and reasons by the names of what is left out."""
    items = list(read(name, folder))
    records = [item for item in items if isinstance(item, Record)]
    problems = [item for item in items if isinstance(item, Problem)]
    assert len({record.key for record in records}) == len(records)
    return {record.key: record for record in records}, {problem.name: problem.reason for problem in problems}


def expression(record: Record) -> str:
    return EXPRESSIONS[record.expression] if record.expression >= 0 else ""


def test_class_folders_take_aliases_and_what_lies_below(tmp_path: Path) -> None:
    made_sets.make_class_folders(tmp_path)
    records, problems = read_all("folder", tmp_path)
    assert {key: expression(record) for key, record in records.items()} == {
        "neutral/anna": "neutral",
        "neutral/anna-2": "neutral",  # .jpg and .png of one name
        "Smile/deep/Ünal_1_b": "happy",
        "surprised/s": "surprise",
        "angry/a": "anger",
        "angry/nobody": "anger",  # found out only when faces are looked for
        "angry/torn": "anger",
    }
    assert problems == {
        "grumpyish/": "the folder's name is no expression",
        "stray.jpg": "the picture lies in no folder of an expression",
    }
    assert {record.split for record in records.values()} == {""}


def test_class_folders_below_split_folders_keep_the_split(tmp_path: Path) -> None:
    made_sets.make_split_folders(tmp_path)
    records, problems = read_all("folder", tmp_path)
    assert {key: record.split for key, record in records.items()} == {
        "train/happy/train": "train",
        "valid/happy/valid": "val",
        "test/happy/test": "test",
    }
    assert not problems


def test_rafd_by_file_names(tmp_path: Path) -> None:
    made_sets.make_rafd(tmp_path)
    records, problems = read_all("rafd", tmp_path)
    assert [(record.subject, expression(record)) for record in records.values()] == [
        ("28", "neutral"),
        ("28", "anger"),
        ("28", "contempt"),
        ("57", "happy"),
        ("61", "sad"),
        ("57", "surprise"),
    ]
    assert problems == {
        "Rafd180_57_Caucasian_female_surprised_frontal.jpg": "a profile, which shows half a face",
        "Rafd090_61_Kid_female_bored_frontal.jpg": "bored is no expression of RaFD's",
        "cover.jpg": "the name is none of RaFD's",
    }


def test_kdef_by_file_names_takes_both_sessions_as_one_person(tmp_path: Path) -> None:
    made_sets.make_kdef(tmp_path)
    records, problems = read_all("kdef", tmp_path)
    assert {key.rpartition("/")[2]: (r.subject, expression(r)) for key, r in records.items()} == {
        "AF01AFS": ("F01", "fear"),
        "AF01HAS": ("F01", "happy"),
        "AF01NEHL": ("F01", "neutral"),
        "BF01SUS": ("F01", "surprise"),
        "AM31ANS": ("M31", "anger"),
        "AM31DIS": ("M31", "disgust"),
        "AM31SAHR": ("M31", "sad"),
    }
    assert problems == {
        "KDEF/AF01/AF01NEFL.JPG": "a profile, which shows half a face",
        "KDEF/AF31/AF31V.JPG": "the name is none of KDEF's",
    }


def test_cfd_by_file_names_with_its_extensions(tmp_path: Path) -> None:
    made_sets.make_cfd(tmp_path)
    records, problems = read_all("cfd", tmp_path)
    assert sorted((record.subject, expression(record)) for record in records.values()) == [
        ("AF-212", "happy"),
        ("AF-212", "happy"),
        ("AF-212", "neutral"),
        ("BM-010", "anger"),
        ("BM-010", "fear"),
        ("IM-647", "neutral"),
        ("MF-300", "neutral"),
    ]
    assert list(problems.values()) == ["the name is none of CFD's"]


def test_affectnet_lists_with_boxes_and_official_splits(tmp_path: Path) -> None:
    made_sets.make_affectnet_lists(tmp_path)
    records, problems = read_all("affectnet", tmp_path)
    assert {key: (expression(r), r.split) for key, r in records.items()} == {
        "train/1/two": ("neutral", "train"),
        "train/2/angry": ("anger", "train"),
        "val/689/happy": ("happy", "val"),
    }
    assert records["train/1/two"].face_xyxy == (390, 90, 570, 310)
    below = "Manually_Annotated_Images/3"
    assert problems == {
        f"{below}/none.jpg": "labelled none",
        f"{below}/uncertain.jpg": "labelled uncertain",
        f"{below}/house.jpg": "labelled no face",
        f"{below}/gone.jpg": "the file is not there",
        f"{below}/odd.jpg": "its label is no number",
        f"{below}/eleven.jpg": "its label is none of AffectNet's",
    }


def test_affectnet_arrays(tmp_path: Path) -> None:
    made_sets.make_affectnet_arrays(tmp_path)
    records, problems = read_all("affectnet", tmp_path)
    assert {key: (expression(r), r.split) for key, r in records.items()} == {
        "train/0": ("neutral", "train"),
        "train/2": ("surprise", "train"),
        "train/10": ("anger", "train"),
        "val/1": ("happy", "val"),
    }
    assert problems == {
        "train_set/images/77.jpg": "its annotation _exp.npy is not there",
        "train_set/images/99.jpg": "its label is no number",
        "train_set/annotations/88_exp.npy": "an annotation without its picture",
    }


def test_an_affectnet_array_that_would_run_code_is_not_unpickled(tmp_path: Path) -> None:
    made_sets.make_affectnet_arrays(tmp_path)
    np.save(tmp_path / "val_set/annotations/1_exp.npy", np.array({"a": 1}, object), allow_pickle=True)
    records, problems = read_all("affectnet", tmp_path)
    assert "val/1" not in records
    assert problems["val_set/images/1.jpg"] == "its label is no number"


def test_celebamask_hq_splits_by_celebas_ids_and_puts_masks_together(tmp_path: Path) -> None:
    made_sets.make_celebamask_hq(tmp_path)
    records, problems = read_all("celebamask-hq", tmp_path)
    assert {key: (r.split, r.subject) for key, r in records.items()} == {
        "00000": ("train", "2880"),
        "00001": ("train", ""),
        "00002": ("val", ""),
        "00003": ("test", ""),
        "02000": ("train", "2880"),
    }
    assert {expression(record) for record in records.values()} == {""}
    assert problems == {
        "CelebA-HQ-img/4.jpg": "no file of its mask is there",
        "CelebA-HQ-img/5.jpg": "not in the mapping to CelebA",
        "CelebA-HQ-img/contact-sheet.jpg": "the name is none of CelebAMask-HQ's",
    }
    for number, name in enumerate(made_sets.RENDERS):
        labels = read_mask(records[f"{number:05d}"])
        assert labels is not None
        assert (labels[::2, ::2] == made_sets.render_mask(name)).all()


def test_later_classes_of_celebamask_hq_lie_over_earlier_ones(tmp_path: Path) -> None:
    made_sets.make_celebamask_hq(tmp_path)
    below = tmp_path / "CelebAMask-HQ-mask-anno" / "0"
    everywhere = np.full((512, 512, 3), 1, np.uint8)  # any value but 0 counts
    made_sets.save(below / "00000_skin.png", everywhere)
    made_sets.save(below / "00000_hat.png", everywhere)
    labels = read_mask(read_all("celebamask-hq", tmp_path)[0]["00000"])
    assert labels is not None
    assert set(np.unique(labels).tolist()) == {14, 17, 18}  # hat, and what comes after it
    assert (labels == 17).sum() > 0


def test_mmi_gives_the_first_frame_and_the_peak(tmp_path: Path) -> None:
    made_sets.make_mmi(tmp_path)
    records, problems = read_all("mmi", tmp_path)
    assert {key: (expression(r), r.frame, r.subject) for key, r in records.items()} == {
        "1-S001-001-first": ("neutral", 0, "S001"),
        "1-S001-001-peak": ("happy", 5, "S001"),  # markers from 3 to 9, counted from 1
        "2-S002-005-first": ("neutral", 0, "S002"),
        "2-S002-005-peak": ("surprise", 1, "S002"),
        "10-S002-007": ("", None, "S002"),
    }
    peak = dict(zip(ACTION_UNITS, records["1-S001-001-peak"].action_units or (), strict=True))
    assert {unit for unit, value in peak.items() if value == 1} == {"AU06", "AU12"}
    assert set(records["1-S001-001-first"].action_units or ()) == {0.0}
    assert records["2-S002-005-peak"].action_units is None
    assert records["2-S002-005-peak"].may_lie
    damaged = problems.pop("Sessions/16")
    assert damaged.startswith("an XML file is damaged")
    assert problems == {
        "Sessions/11": "a profile, which shows half a face",
        "Sessions/12": "emotion 9 is none of the six basic ones",
        "Sessions/13": "neither an emotion nor action units are coded",
        "Sessions/14": "the video cannot be read",
        "Sessions/15": "neither a video nor a picture is there",
    }


def test_aligned_sets_come_with_all_they_know(tmp_path: Path) -> None:
    made_sets.make_synthetic_faces(tmp_path / "renders")
    records, problems = read_all("synthetic-faces", tmp_path / "renders")
    assert not problems
    surprise = records["0087_surprise"]
    assert (surprise.subject, surprise.split, expression(surprise)) == ("87", "train", "surprise")
    assert surprise.is_aligned
    assert surprise.mask == tmp_path / "renders" / "seg" / "0087_surprise.png"
    assert (surprise.action_units or ())[ACTION_UNITS.index("AU26")] == 0.5

    made_sets.make_open_faces(tmp_path / "photos")
    records, problems = read_all("open-faces", tmp_path / "photos")
    assert not problems
    assert expression(records["sfhq_00002"]) == "happy"
    assert records["london_00009"].subject == "007"


MAKERS: dict[str, Callable[[Path], None]] = {
    "affectnet": made_sets.make_affectnet_lists,
    "rafd": made_sets.make_rafd,
    "kdef": made_sets.make_kdef,
    "celebamask-hq": made_sets.make_celebamask_hq,
    "mmi": made_sets.make_mmi,
    "cfd": made_sets.make_cfd,
    "folder": made_sets.make_class_folders,
    "open-faces": made_sets.make_open_faces,
    "synthetic-faces": made_sets.make_synthetic_faces,
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_read_in_the_same_order_each_time(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path)
    first, second = (repr(list(read(name, tmp_path))) for _ in range(2))  # a text, since NaN is not NaN
    assert first == second != "[]"


@pytest.mark.parametrize("name", ["affectnet", "celebamask-hq", "mmi", "open-faces", "synthetic-faces"])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "readme.txt").touch()
    with pytest.raises(UsageError, match="give the folder"):
        list(read(name, tmp_path))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        read("rafd", tmp_path / "nowhere")


def test_names_of_sets_are_taken_loosely_and_the_nearest_is_offered() -> None:
    assert check_name(" CelebAMask_HQ") == "celebamask-hq"
    with pytest.raises(UsageError, match="did you mean affectnet"):
        check_name("afectnet")
    with pytest.raises(UsageError, match="choose from affectnet"):
        check_name("zzz")


def test_keys_hold_no_dots() -> None:
    assert key_of("a.b/c d.e.jpg") == "a_b/c_d_e"
