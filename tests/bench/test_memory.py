"""The memory benchmark makes photos of the right size and sees what a process took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from exprgan.bench import memory


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_photo_has_the_size_asked_for(extension: str, tmp_path: Path, sample_path: Path) -> None:
    memory.make_photo(sample_path, 0.3, tmp_path / f"photo{extension}")
    with Image.open(tmp_path / f"photo{extension}") as photo:
        assert photo.size == (632, 474)
        assert photo.width * photo.height == pytest.approx(0.3e6, rel=0.01)


def test_peak_of_a_process_is_seen_and_failures_are_told() -> None:
    program = (
        "from exprgan.bench.memory import peak_mib\n"
        "print(peak_mib(['-c', 'pass']), peak_mib(['-c', 'data = bytearray(b\"x\") * 200_000_000']))"
    )  # in a small process: a child inherits its parent's peak
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    small, large = map(float, done.stdout.split())
    assert 170 < large - small < 210
    with pytest.raises(RuntimeError, match="ended with 7: sorry"):
        memory.peak_mib(["-c", "import sys; print('sorry', file=sys.stderr); sys.exit(7)"])


def test_growth_is_counted_above_the_smallest_photo() -> None:
    records = [{"megapixels": 1, "peak_mib": 500}, {"megapixels": 101, "peak_mib": 500 + 100e6 * 9 / 2**20}]
    assert memory.bytes_per_pixel(records) == pytest.approx(9)
