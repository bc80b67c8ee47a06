"""The two open sets through the one protocol, in miniature and, where they are on disk, whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exprgan.action_units import ACTION_UNITS
from exprgan.data.face_set import open_set, open_sets
from exprgan.data.open_faces import OpenFaces
from exprgan.errors import UnreadableImage, UsageError
from exprgan.expressions import EXPRESSIONS
from tests import made_sets


@pytest.fixture
def sets_dir(tmp_path: Path) -> Path:
    made_sets.make_open_faces(tmp_path / "photos")
    made_sets.make_synthetic_faces(tmp_path / "renders")
    (tmp_path / "photos-of-nothing").mkdir()
    return tmp_path


def named(labels: np.ndarray) -> list[str]:
    return [EXPRESSIONS[label] if label >= 0 else "" for label in labels]


def test_open_faces_are_labelled_only_where_the_soft_labels_can_be_trusted(sets_dir: Path) -> None:
    data = open_set(sets_dir / "photos")
    assert data.name == "open-faces"
    assert named(data.expressions) == [
        "neutral",
        "",  # called neutral, and smiles
        "happy",
        "surprise",
        "",  # not sure enough
        "",  # called sad for closed eyes
        "sad",
        "",  # anger, disgust and fear are never trusted
        "",
        "happy",  # sitters of London were asked for it, whatever a classifier says
        "neutral",
        "",  # neither of the two files that we know
    ]
    assert data.subjects.tolist() == [""] * 9 + ["007"] * 3
    assert data.splits.tolist() == ["train", "train", "val"] + ["train"] * 9


def test_crops_have_one_size_and_type(sets_dir: Path) -> None:
    for data in open_sets([sets_dir]):
        assert data.image(1).shape == (256, 256, 3)
        assert data.image(1).dtype == np.uint8
        assert data.action_units.shape == (len(data), len(ACTION_UNITS))
        assert data.action_units.dtype == np.float32
        assert (data.image(1) == data.image(1)).all()
        for column in (data.expressions, data.subjects, data.splits):
            assert len(column) == len(data)


def test_synthetic_faces_bring_masks_and_exact_units(sets_dir: Path) -> None:
    data = open_set(str(sets_dir / "renders"))
    assert named(data.expressions) == ["neutral", "happy", "surprise", "anger"]
    assert data.splits.tolist() == ["train", "train", "train", "test"]
    mask = data.mask(2)
    assert mask is not None
    assert (mask == made_sets.render_mask("0087_surprise")).all()
    assert (data.image(2) == made_sets.render("0087_surprise")).all()
    assert data.action_units[:, ACTION_UNITS.index("AU26")].tolist() == [0, 0.25, 0.5, 0]
    assert not np.isnan(data.action_units).any()
    assert open_set(sets_dir / "photos").mask(0) is None


def test_a_source_may_be_a_folder_of_sets(sets_dir: Path) -> None:
    assert [data.name for data in open_sets([sets_dir])] == ["open-faces", "synthetic-faces"]
    assert [data.name for data in open_sets([sets_dir / "renders", sets_dir])] == [
        "synthetic-faces",
        "open-faces",
        "synthetic-faces",
    ]


def test_sources_without_a_set_are_named(sets_dir: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        open_sets([sets_dir / "nowhere"])
    with pytest.raises(UsageError, match="photos-of-nothing holds no prepared faces"):
        open_sets([sets_dir / "photos-of-nothing"])
    (sets_dir / "half" / "crops").mkdir(parents=True)
    (sets_dir / "half" / "crops" / "prepared.json").touch()
    with pytest.raises(UsageError, match="half is not finished"):
        open_sets([sets_dir])
    with pytest.raises(UsageError, match="no address of http"):
        open_set("s3://bucket/set")


def test_a_damaged_picture_is_an_error_of_ours(sets_dir: Path) -> None:
    (sets_dir / "renders" / "img" / "0047_happy.jpg").write_bytes(b"")
    with pytest.raises(UnreadableImage, match="damaged"):
        open_set(sets_dir / "renders").image(1)


def test_the_real_open_faces_have_the_labels_that_the_guide_counts(data_dir: Path) -> None:
    data = OpenFaces(data_dir / "open-faces")
    train = data.expressions[data.splits == "train"]
    counts = {
        name: int((train == label).sum()) for label, name in enumerate(EXPRESSIONS) if (train == label).any()
    }
    assert counts == {"neutral": 1502, "happy": 598, "sad": 73, "surprise": 32}
    assert np.isnan(data.action_units[:, ACTION_UNITS.index("AU06")]).all()
    known = [unit for unit in ACTION_UNITS if unit not in ("AU06", "AU09")]
    assert not np.isnan(data.action_units[:, [ACTION_UNITS.index(unit) for unit in known]]).any()
    london = [row for row in data.rows if row["source"] == "london"]
    assert len(london) == 204
    people = {row["subject"]: row["split"] for row in london}
    assert all(people[row["subject"]] == row["split"] for row in london)
