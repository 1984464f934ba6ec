"""Measure start-up: `yisheng --help` and `import yisheng` compared with Python and three light modules.

The commands that need torch are compared with its bare import: a prediction for one image by a saved LeNet, and a
complete training of one epoch on the 1,797 digits with evaluation and report. The commands alternate; wall and CPU
milliseconds are medians over the rounds, and the ratio is that of a command's CPU time to the first command's.

    python benchmarks/startup.py [rounds=30]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

YISHENG = str(Path(sys.executable).with_name("yisheng"))
COMMANDS = {
    "python -c 'import argparse, json, pathlib'": [sys.executable, "-c", "import argparse, json, pathlib"],
    "python -c 'import yisheng'": [sys.executable, "-c", "import yisheng"],
    "yisheng --help": [YISHENG, "--help"],
    "python -c 'import torch'": [sys.executable, "-c", "import torch"],
    "yisheng predict RUN photo.png": [YISHENG, "predict", "runs/0001-digits-lenet", "photo.png"],
    "yisheng train data=digits epochs=1": [YISHENG, "train", "data=digits", "epochs=1", "--quiet"],
}


def make_photo() -> Image.Image:
    """Return an image of a dark digit one on light paper."""
    image = Image.new("L", (60, 80), 230)
    image.paste(30, (26, 15, 34, 65))
    return image


def measure(command: list[str], folder: str) -> tuple[float, float]:
    """Return the wall and CPU milliseconds of a command in a folder."""
    usage_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    usage_after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage_after.ru_utime + usage_after.ru_stime - usage_before.ru_utime - usage_before.ru_stime
    return wall * 1000, cpu * 1000


def main(words: list[str]) -> None:
    """Measure and print the table."""
    rounds = int(dict(word.split("=", 1) for word in words).get("rounds", 30))
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        make_photo().save(Path(folder) / "photo.png")
        subprocess.run([YISHENG, "train", "data=digits", "epochs=1", "--quiet"], check=True, cwd=folder)
        for _ in range(rounds):
            for name, command in COMMANDS.items():
                results[name].append(measure(command, folder))
    base = statistics.median(cpu for _, cpu in results[next(iter(results))])
    print(f"{'command':<44} {'wall ms':>8} {'CPU ms':>8} {'ratio of CPU':>13}")
    for name, pairs in results.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:<44} {wall:>8.1f} {cpu:>8.1f} {cpu / base:>13.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
