"""A folder with hostile images is trained on, and predicted for, in bounded memory; every file is read or named."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.hostile_images import list_makers, make_hostile_images
from PIL import Image

pytestmark = pytest.mark.slow
MAX_MEMORY = 2 << 30
"""Bytes at the peak: torch, and two of the largest images that are decoded at a time."""
CHILD = """
import pathlib, re, sys
import yisheng
from yisheng.cli import main
folder, out = sys.argv[1:]
run = yisheng.train(data=folder, model="linear", epochs=1, doctor="off", out=out, quiet=True)
assert main(["predict", str(run.path), folder, f"out={out}/answers.jsonl", "--quiet"]) == 0
status = pathlib.Path("/proc/self/status")
peak = int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) * 1024 if status.exists() else 0
print(peak)
"""


def test_hostile_images_among_others_cost_bounded_memory(tmp_path):
    random = np.random.default_rng(0)
    folder, healthy = tmp_path / "set", 0
    for label, brightness in (("dark", 60), ("light", 180)):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            noise = random.normal(brightness, 20, (32, 32)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / label / f"healthy-{number}.png")
            healthy += 1
    hostile = list(make_hostile_images(len(list_makers())))
    for number, image in enumerate(hostile):
        suffix = image.media_type.removeprefix("image/")
        (folder / ("dark", "light")[number % 2] / f"hostile-{number}.{suffix}").write_bytes(image.content)
    environment = os.environ | {"YISHENG_HOME": str(tmp_path / "home")}
    result = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=500,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.splitlines()[-1]) < MAX_MEMORY
    lines = list(map(json.loads, (tmp_path / "out" / "answers.jsonl").read_text(encoding="utf-8").splitlines()))
    assert len(lines) == healthy + len(hostile)
    for line in lines:
        is_healthy = Path(line["input"]).name.startswith("healthy")
        assert bool(line["error"]) != (line["prediction"] is not None), line
        assert not (is_healthy and line["error"]), line
