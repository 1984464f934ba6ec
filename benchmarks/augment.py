"""Measure the data path of an epoch against the compute of a ResNet-18 epoch, on data of CIFAR-10's size.

The data path is everything between the block of images and the network: the order of the epoch, and for each batch
the gather, the augmentations and the scaling. It is measured for a complete epoch of 50,000 random images of 3x32x32.
The compute is that of the updates on such batches (forward, backward, optimizer, the check for NaN); a few are timed
and multiplied. Both use the parts that `yisheng.train` assembles, and alternate (A B A B ...) in one process.

    python benchmarks/augment.py [rounds=3] [steps=3] [augment=crop,flip] [batch=128] [model=resnet18] [precision=fp32]
                                 [device=auto]

Further keys are keys of the config, such as augment.crop.pad=2.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time

from yisheng.core import machine, process

process.prepare()  # as `yisheng.train` does

import numpy as np  # noqa: E402
import torch  # noqa: E402

from yisheng.core.dataset import Dataset, Split  # noqa: E402
from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.core.spec import Spec  # noqa: E402
from yisheng.data.batches import Batches  # noqa: E402
from yisheng.training.setup import Assembly, assemble  # noqa: E402

ROWS = 50_000
DEFAULTS = {"model": "resnet18", "augment": "crop,flip", "scale": "standard", "batch": "128", "epochs": "1"}


def make_dataset() -> Dataset:
    """Return random images of CIFAR-10's size."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (ROWS, 3, 32, 32), dtype=np.uint8)
    spec = Spec("classification", (3, 32, 32), classes=tuple("0123456789"))
    return Dataset("random", spec, x, np.arange(ROWS) % 10)


def time_data_path(train: Batches, device: torch.device) -> float:
    """Return the seconds of making an epoch's batches."""
    synchronize(device)
    start = time.perf_counter()
    for _ in train.epoch(0):
        pass
    synchronize(device)
    return time.perf_counter() - start


def time_compute(assembly: Assembly, steps: int, device: torch.device) -> float:
    """Return the seconds of an epoch's updates, extrapolated from a few of them on prepared batches."""
    batches = [batch for batch, _ in zip(assembly.train.epoch(1), range(steps), strict=False)]
    assembly.state.model.train()
    synchronize(device)
    start = time.perf_counter()
    for batch in batches:
        assembly.step(assembly.state, batch, assembly.loss)
    synchronize(device)
    return (time.perf_counter() - start) / steps * len(assembly.train)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(words: list[str]) -> None:
    """Measure and print the table."""
    options = DEFAULTS | dict(word.split("=", 1) for word in words)
    rounds, steps = int(options.pop("rounds", 3)), int(options.pop("steps", 3))
    config = merge_settings([(key, value, "command line") for key, value in options.items()]).config
    device = machine.select_device(config.device)
    no_rows = np.arange(0)
    assembly = assemble(config, make_dataset(), Split(np.arange(ROWS), no_rows, no_rows), device)
    name, flags = machine.describe_processor()
    print(
        f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, {torch.get_num_threads()} threads, {device}, ",
        end="",
    )
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {rounds} rounds of {steps} updates\n")
    resolved = assembly.config
    augmentations = ",".join(choice.name for choice in resolved.augment) or "none"
    print(f"{resolved.model.name}, {resolved.precision}, batch {resolved.batch}, augment={augmentations}\n")
    time_compute(assembly, 1, device)  # warm up both
    time_data_path(assembly.train, device)
    rows = []
    for _ in range(rounds):
        path_seconds, compute_seconds = time_data_path(assembly.train, device), time_compute(assembly, steps, device)
        rows.append((path_seconds, compute_seconds, path_seconds / compute_seconds))
    path, updates, fraction = (statistics.median(column) for column in zip(*rows, strict=True))
    minimum, maximum = min(r for *_, r in rows), max(r for *_, r in rows)
    print("data path s/epoch   compute s/epoch   data path/compute: median (min to max)")
    print(f"{path:>17.2f}   {updates:>15.1f}   {fraction:.3%} ({minimum:.3%} to {maximum:.3%})")


if __name__ == "__main__":
    main(sys.argv[1:])
