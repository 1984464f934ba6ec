"""Measure trainings on the GPUs of this machine: rows a second by precision, place of the data and processes.

Each row of the table is a training of `yisheng.train` of a ResNet-18 on random images; the seconds are those of the
clock from the first update to the last, validation with it. It is part of `scripts/gpu_check.sh`.

    python -m benchmarks.gpu [device=cuda] [rows=20000] [epochs=3] [model=resnet18]
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import yisheng

BATCH = 256
SIZE = 32
"""Height and width of the images."""


def make_images(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images ``(rows, 3, 32, 32)`` and classes."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (rows, 3, SIZE, SIZE), dtype=np.uint8), rng.integers(0, 10, rows)


@contextlib.contextmanager
def without_gpu_memory(*, active: bool) -> Iterator[None]:
    """Let no data set fit on the GPU, so that each batch is copied to it."""
    read = torch.cuda.mem_get_info
    if active:
        torch.cuda.mem_get_info = lambda *_: (0, 0)
    try:
        yield
    finally:
        torch.cuda.mem_get_info = read


def measure(settings: dict[str, Any], data: tuple[np.ndarray, np.ndarray], *, on_host: bool) -> float:
    """Return the training rows of a second."""
    with tempfile.TemporaryDirectory() as folder, without_gpu_memory(active=on_host):
        run = yisheng.train(data=data, out=folder, quiet=True, **settings)
        environment = json.loads((run.path / "environment.json").read_text(encoding="utf-8"))
    rows = len(data[0]) - settings["validation"] - settings["test"]
    return float(rows * settings["epochs"] / environment["seconds"]["training"])


def main(arguments: list[str]) -> int:
    """Measure and print the table."""
    options = {"device": "cuda", "rows": "20000", "epochs": "3", "model": "resnet18"}
    options |= dict(argument.split("=", 1) for argument in arguments)
    device, rows = options["device"], int(options["rows"])
    if device == "cuda" and not torch.cuda.is_available():
        print("there is no GPU that torch can use: nothing was measured", file=sys.stderr)
        return 3
    gpus = torch.cuda.device_count() if device == "cuda" else 1
    data = make_images(rows)
    plain = {"model": options["model"], "epochs": int(options["epochs"]), "batch": BATCH, "device": device}
    plain |= {
        "validation": rows // 20,
        "test": rows // 20,
        "doctor": "off",
        "ood": False,
        "memory_format": "contiguous",
    }
    print(f"{options['model']}, {rows} images of {SIZE} x {SIZE}, batches of {BATCH}, {gpus} x {device}")
    print("| precision | data | processes | rows a second |\n|---|---|---|---|")
    for precision in ("fp32", "bf16"):
        for on_host in (False, True):
            speed = measure({**plain, "precision": precision}, data, on_host=on_host)
            print(f"| {precision} | {'host' if on_host else 'device'} | 1 | {speed:,.0f} |", flush=True)
    if gpus > 1:
        speed = measure({**plain, "precision": "bf16", "processes": "auto"}, data, on_host=False)
        print(f"| bf16 | device | {1 << gpus.bit_length() - 1} | {speed:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
