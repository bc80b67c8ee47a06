"""Photos that lie on a side or on their head, without an orientation in EXIF."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exprgan.faces.detect import BuiltinDetector, _turned_back
from exprgan.faces.detectors import open_detector
from exprgan.faces.face import Face
from exprgan.faces.mesh import five_points, roll_degrees
from exprgan.photos.image_io import read
from tests.conftest import RunCli


def face_at(landmarks_xy: np.ndarray) -> Face:
    points = landmarks_xy.astype(np.float32)
    box = np.concatenate([points.min(0), points.max(0)])
    return Face(box, 0.9, five_points(points), points, (0.0, 0.0, roll_degrees(points)))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_points_go_back_to_the_pixels_they_came_from(quarters: int) -> None:
    photo = np.arange(7 * 5).reshape(7, 5)
    turned = np.rot90(photo, quarters)
    rng = np.random.default_rng(quarters)
    places = np.column_stack([rng.integers(0, turned.shape[1], 478), rng.integers(0, turned.shape[0], 478)])
    back = _turned_back(face_at(places), quarters, photo.shape).landmarks_xy.astype(int)
    np.testing.assert_array_equal(photo[back[:, 1], back[:, 0]], turned[places[:, 1], places[:, 0]])


@pytest.mark.parametrize(("quarters", "roll"), [(1, -90), (2, 180), (3, 90)])
def test_a_lying_face_is_the_upright_one(sample_path: Path, quarters: int, roll: float) -> None:
    pixels = read(sample_path).pixels
    detector = open_detector()
    (upright,) = detector.detect(pixels)
    (lying,) = detector.detect(np.ascontiguousarray(np.rot90(pixels, quarters)))
    assert lying.size_px == pytest.approx(upright.size_px, rel=0.02)
    assert abs((lying.pose[2] - upright.pose[2] - roll + 180) % 360 - 180) < 2


def test_json_tells_the_faces_own_expression(run_cli: RunCli, sample_path: Path) -> None:
    record = json.loads(run_cli("faces", sample_path, "--format", "json").stdout)
    assert 0 <= record["action_units"]["AU12"] < 0.5
    assert record["action_units"]["AU09"] is None  # its landmarks do not show it
    assert len(record["blendshapes"]) == 51
    assert 0 < record["fit"]["residual_cm"] < 0.06
    x0, _, x1, _ = record["box_xyxy"]
    assert 10 < (x1 - x0) / record["fit"]["px_per_cm"] < 20  # faces are some 15 cm wide


@pytest.mark.parametrize(
    ("score", "roll", "is_looked_for"), [(0.999, 5, False), (0.95, 5, True), (0.999, 50, True)]
)
def test_doubtful_faces_are_also_looked_for_on_the_sides(
    score: float, roll: float, is_looked_for: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = np.random.default_rng(0).integers(20, 80, (478, 2))
    doubtful = replace(face_at(places), score=score, pose=(0.0, 0.0, float(roll)))
    surer = replace(doubtful, score=0.9999, pose=(0.0, 0.0, 90.0))
    detector = BuiltinDetector(_Nothing(), None)  # type: ignore[arg-type]
    monkeypatch.setattr(detector, "_judge", lambda image, proposals: [doubtful])
    monkeypatch.setattr(detector, "_turned", lambda image: [surer])
    (found,) = detector.detect(np.zeros((100, 100, 3), np.uint8))
    assert found is (surer if is_looked_for else doubtful)


class _Nothing:
    """Proposes no place."""

    def propose(self, image: np.ndarray) -> np.ndarray:
        return np.zeros((0, 5))
