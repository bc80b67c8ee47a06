"""The benchmark adds up its times rightly, takes networks in turns and prints what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from exprgan.bench import speed
from exprgan.errors import WeightsError
from exprgan.photos import image_io
from exprgan.weights import find_weights_dir, read_manifest

SAMPLE = Path(__file__).parents[2] / "docs/samples/portrait.jpg"


def test_stopwatch_adds_up_calls_and_splits_a_whole() -> None:
    watch = speed.Stopwatch()
    assert watch.run("a", lambda: 7) == 7
    assert watch.part("a", lambda x, *, y: x + y)(1, y=2) == 3
    assert watch.times["a"][0] > 0
    watch.times = {"whole": (10.0, 8.0), "part": (3.0, 2.0)}
    watch.split("whole", "part", "absent", rest="left")
    assert watch.times == {"part": (3.0, 2.0), "left": (7.0, 6.0)}


def test_time_of_nested_networks_counts_once() -> None:
    watch = speed.Stopwatch()
    slow = nn.Identity()
    network = nn.Sequential(nn.Sequential(slow, nn.Identity()))
    slow.register_forward_hook(lambda *_: time.sleep(0.02))
    with watch.networks("net"):
        time.sleep(0.2)
        network(torch.zeros(1))
        network(torch.zeros(1))
    network(torch.zeros(1))
    assert watch.times["net"][0] >= 0.04
    assert list(watch.times) == ["net"]
    counted = watch.times["net"]
    network(torch.zeros(1))
    assert watch.times["net"] == counted


def test_networks_are_timed_in_turns() -> None:
    order: list[str] = []
    times = speed.time_in_turns({name: partial(order.append, name) for name in "abc"}, rounds=3)
    assert "".join(order) == "abc" * 5  # two rounds of warming up
    assert set(times) == set("abc") and all(len(t) == 2 for t in times.values())


def test_scene_shows_the_portrait_in_full() -> None:
    portrait = np.zeros((60, 50, 3), np.uint8)
    portrait[:, :, 0] = 250
    portrait[20:40, 15:35] = (0, 250, 0)
    scene = speed.make_scene(portrait, 400, 300)
    assert scene.shape == (300, 400, 3) and scene.dtype == np.uint8
    shown = Image.fromarray(scene[120:, 125:275]).resize((50, 60), Image.Resampling.BOX)
    assert np.abs(np.asarray(shown).astype(int) - portrait).mean() < 8


def test_report_shows_medians_ratios_and_memory() -> None:
    times = {stage: [1.0, 0.5] for stage in speed.STAGES}
    report: dict[str, Any] = {
        "edit": {"times": times, "peak_rss_mb": 812.3, "size_hw": [3000, 4000], "repeats": 5},
        "generators": {"256": {"unified": [0.2, 0.1], "unified, whole": [0.4, 0.2], "sargan": [1.0, 0.4]}},
        "help": {"exprgan --help": [0.3, 0.2]},
        "machine": {"cores": 2},
    }
    text = speed.as_text(report)
    assert "4000x3000" in text and "812 MB" in text
    assert "| sargan | 1000.0 | 400.0 | 0.25 |" in text
    assert f"Wall: networks 3.00 s, the rest {len(speed.STAGES) - 4:.2f} s." in text


def test_every_stage_of_a_real_edit_is_timed(tmp_path: Path) -> None:
    try:
        names = read_manifest(find_weights_dir())
    except WeightsError as error:
        pytest.skip(f"no weights to edit with: {error}")
    if "unified" not in names:
        pytest.skip("the weights have no generator yet")
    photo = tmp_path / "scene.jpg"
    Image.fromarray(speed.make_scene(image_io.read(SAMPLE).pixels, 640, 480)).save(photo)
    command = [sys.executable, "-m", "exprgan.bench.speed", "--single", str(photo)]
    run = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert set(run["times"]) == set(speed.STAGES)
    assert all(wall >= 0 for wall, _ in run["times"].values())
    assert run["size_hw"] == [480, 640] and 200 < run["peak_rss_mb"] < 4000
