"""Action units of blendshapes and of OpenFace's csv files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exprgan.action_units import (
    ACTION_UNITS,
    BLENDSHAPES,
    from_blendshapes,
    from_openface,
    read_openface,
    read_openface_csv,
)
from exprgan.errors import UsageError

# the head of FaceLandmarkImg's csv, with the blanks that OpenFace writes
HEAD = "face, confidence, gaze_0_x, AU01_r, AU02_r, AU06_r, AU12_r, AU25_r, AU45_r, AU12_c"


def unit(units: np.ndarray, name: str) -> float:
    return float(units[..., ACTION_UNITS.index(name)])


def test_both_sides_of_a_face_are_averaged() -> None:
    names = sorted({name for sources in BLENDSHAPES.values() for name in sources})
    scores = np.zeros((1, len(names)), np.float16)
    scores[0, names.index("mouthSmileLeft")] = 1
    scores[0, names.index("mouthSmileRight")] = 0.5
    scores[0, names.index("cheekSquintLeft")] = 1
    scores[0, names.index("jawOpen")] = 0.25
    units = from_blendshapes(scores, names, is_mediapipe=False)[0]
    assert unit(units, "AU12") == 0.75
    assert unit(units, "AU06") == 0.5
    assert unit(units, "AU26") == unit(units, "AU25") == 0.25  # an open jaw parts the lips
    blind = from_blendshapes(scores, names)[0]
    assert np.isnan(unit(blind, "AU06")) and np.isnan(unit(blind, "AU09"))
    assert np.array_equal(np.delete(blind, [4, 6]), np.delete(units, [4, 6]))


def test_openface_intensities_become_shares_of_five() -> None:
    units = from_openface({" AU12_r": "2.5", " AU01_r": " 0.00", "AU25_r": "5.5", "AU45_r": ""})
    assert unit(units, "AU12") == 0.5
    assert unit(units, "AU01") == 0
    assert unit(units, "AU25") == 1  # OpenFace can go a little past 5
    assert np.isnan(unit(units, "AU45")) and np.isnan(unit(units, "AU09"))


def test_the_csv_of_one_picture_is_named_by_its_file_and_gives_the_surest_face(tmp_path: Path) -> None:
    path = tmp_path / "anna.csv"
    path.write_text(
        f"{HEAD}\n0, 0.7, 0, 1, 1, 1, 1, 0, 0, 1\n1, 0.98, 0, 0, 0, 0, 4, 0, 0, 1\n2, 0.5, 0, 0, 0, 0, 5, 0, 0, 1\n"
    )
    units = read_openface_csv(path)
    assert list(units) == ["anna"]
    assert unit(units["anna"], "AU12") == pytest.approx(0.8)


def test_a_csv_of_many_pictures_names_them_in_a_column(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("input,success,AU12_r\nhappy\\a.jpg,1,5\nb.jpg,0,5\n")
    units = read_openface_csv(path)
    assert list(units) == ["happy/a.jpg"]  # b was not seen


def test_a_folder_of_csv_files_is_read_as_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"{HEAD}\n0, 1, 0, 1, 1, 1, 1, 1, 1, 1\n")
    assert sorted(read_openface(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no column AU12_r"),
        (b"name,smile\na,1\n", "no column AU12_r"),
        (b"name,AU12_r\na,many\n", "no number"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_what_is_no_csv_of_openface_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(UsageError, match=told):
        read_openface(tmp_path / "x.csv")


def test_absent_csv_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no csv"):
        read_openface(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_openface(tmp_path / "none.csv")
