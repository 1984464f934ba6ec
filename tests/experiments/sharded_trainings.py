"""Train several small configs and print what they ended with: one JSON object per training, from the first process.

python tests/experiments/sharded_trainings.py FOLDER
torchrun --standalone --nproc-per-node=4 tests/experiments/sharded_trainings.py FOLDER
"""

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch.distributed as dist
from torch import nn

import yisheng


class ConvNet(nn.Module):
    """A small LeNet with dropout and a residual block with batch norm."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6, momentum=None), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(6 * 16, 10))

    def forward(self, x):
        x = self.first(x)
        return self.head(nn.functional.max_pool2d(x + self.block(x), 2))


def make_weighted_rows():
    """Return rows, two targets, and weights of which some are 0."""
    random = np.random.default_rng(0)
    x = random.normal(size=(150, 6)).astype(np.float32)
    y = np.stack([x[:, 0] - x[:, 1] ** 2, x[:, 2] * x[:, 3]], 1).astype(np.float32)
    return (x, y), random.integers(0, 3, 150).astype(np.float64)


def make_images():
    """Return a few colored images whose class is the brightest channel."""
    x = np.random.default_rng(0).integers(0, 256, (120, 3, 32, 32), dtype=np.uint8)
    y = np.arange(120) % 3
    x[np.arange(120), y] //= 2
    return x, y


ROWS, WEIGHTS = make_weighted_rows()
PLAIN = {"doctor": "off", "ood": False, "boosting": False, "quiet": True}
TRAININGS = {
    "conv net, dropout, batch norm": {"data": "digits", "model": ConvNet, "batch": 100, "epochs": 2},
    "lenet, augmentation with mixup": {
        "data": "digits",
        "model": "lenet",
        "augment": "crop,mixup",
        "epochs": 2,
    },
    "resnet-18": {
        "data": make_images(),
        "model": "resnet18",
        "batch": 40,
        "epochs": 1,
        "precision": "fp32",
        "memory_format": "contiguous",
    },
    "tabm, a table": {"data": "wine", "model": "tabm", "batch": 50, "epochs": 3},
    "accumulation, clipping, l1": {
        "data": "digits",
        "model": "mlp",
        "hidden": [32],
        "batch_norm": True,
        "dropout": 0.2,
        "batch": 48,
        "accumulate": 3,
        "clip_norm": 0.5,
        "clip_value": 0.1,
        "l1": 1e-4,
        "epochs": 3,
    },
    "early stopping": {"data": "digits", "model": "mlp", "lr": 0.02, "patience": 1, "epochs": 60},
    "weights, several targets, tiny last batch": {
        "data": ROWS,
        "sample_weight": WEIGHTS,
        "model": "mlp",
        "hidden": [16],
        "batch": 38,
        "optimizer": "adamw",
        "epochs": 4,
    },
    "bf16": {"data": "digits", "model": "lenet", "precision": "bf16", "epochs": 1},
    "muon, channels-last": {
        "data": "digits",
        "model": "lenet",
        "optimizer": "muon",
        "memory_format": "channels-last",
        "epochs": 1,
    },
}


def describe(folder):
    """Return hashes of the weights, of the log without its seconds, and of the scores."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    events = [{key: value for key, value in event.items() if key != "seconds"} for event in events]
    contents = {
        "weights": (folder / "model.safetensors").read_bytes(),
        "events": json.dumps(events).encode(),
        "scores": (folder / "scores.json").read_bytes(),
    }
    return {name: hashlib.sha256(content).hexdigest()[:16] for name, content in contents.items()}


@contextlib.contextmanager
def own_group():
    """Use torch.distributed as a program of the user's own would."""
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    yield
    if "RANK" in os.environ:
        dist.destroy_process_group()


def main(out):
    with own_group():
        for name, settings in TRAININGS.items():
            run = yisheng.train(**settings, **PLAIN, shards=4, out=Path(out) / name.replace(" ", "-"))
            if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0":
                print(json.dumps({"name": name, **describe(run.path)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
