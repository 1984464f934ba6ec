"""An epoch's data path beside the compute of a ResNet-18 epoch, on data of CIFAR-10's size.

The data path is all that stands between the block of images and the network: the order of the epoch, and for each
batch the gather, the augmentations and the scaling. It is run for a whole epoch of 50,000 random images of 3x32x32.
The compute is that of the updates on such batches (forward, backward, optimiser, the watch for NaN); a few are timed
and multiplied. Both come from the parts that `yisheng.train` puts together, and take turns (A B A B ...) in one
process.

    python benchmarks/augment.py [rounds=3] [steps=3] [augment=crop,flip] [batch=128] [model=resnet18] [precision=fp32]
                                 [device=auto]

Further keys are the config's, such as augment.crop.pad=2.
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

from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.core.types import Dataset, Spec, Split  # noqa: E402
from yisheng.data.batches import Batches  # noqa: E402
from yisheng.training.setup import Assembly, assemble  # noqa: E402

ROWS = 50_000
DEFAULTS = {"model": "resnet18", "augment": "crop,flip", "scale": "standard", "batch": "128", "epochs": "1"}


def data() -> Dataset:
    """Random images of CIFAR-10's size."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (ROWS, 3, 32, 32), dtype=np.uint8)
    spec = Spec("classification", (3, 32, 32), classes=tuple("0123456789"))
    return Dataset("random", spec, x, np.arange(ROWS) % 10)


def data_path(train: Batches, device: torch.device) -> float:
    """Seconds of an epoch's batches with nothing done to them."""
    wait(device)
    start = time.perf_counter()
    for _ in train.epoch(0):
        pass
    wait(device)
    return time.perf_counter() - start


def compute(parts: Assembly, steps: int, device: torch.device) -> float:
    """Seconds of an epoch's updates, from a few of them on batches that are ready."""
    ready = [batch for batch, _ in zip(parts.train.epoch(1), range(steps), strict=False)]
    parts.state.model.train()
    wait(device)
    start = time.perf_counter()
    for batch in ready:
        parts.step(parts.state, batch, parts.loss)
    wait(device)
    return (time.perf_counter() - start) / steps * len(parts.train)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(words: list[str]) -> None:
    """Measure and print."""
    options = DEFAULTS | dict(word.split("=", 1) for word in words)
    rounds, steps = int(options.pop("rounds", 3)), int(options.pop("steps", 3))
    config = merge_settings([(key, value, "command line") for key, value in options.items()]).config
    device = machine.select_device(config.device)
    no_augmentation = np.arange(0)
    parts = assemble(config, data(), Split(np.arange(ROWS), no_augmentation, no_augmentation), device)
    name, flags = machine.describe_processor()
    print(
        f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, {torch.get_num_threads()} threads, {device}, ",
        end="",
    )
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {rounds} rounds of {steps} updates\n")
    resolved = parts.config
    changes = ",".join(choice.name for choice in resolved.augment) or "none"
    print(f"{resolved.model.name}, {resolved.precision}, batch {resolved.batch}, augment={changes}\n")
    compute(parts, 1, device)  # both are warm before they count
    data_path(parts.train, device)
    rows = []
    for _ in range(rounds):
        a, b = data_path(parts.train, device), compute(parts, steps, device)
        rows.append((a, b, a / b))
    path, updates, fraction = (statistics.median(column) for column in zip(*rows, strict=True))
    minimum, maximum = min(r for *_, r in rows), max(r for *_, r in rows)
    print("data path s/epoch   compute s/epoch   data path/compute: median (least to most)")
    print(f"{path:>17.2f}   {updates:>15.1f}   {fraction:.3%} ({minimum:.3%} to {maximum:.3%})")


if __name__ == "__main__":
    main(sys.argv[1:])
