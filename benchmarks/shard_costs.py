"""Measure what shards and processes cost: CPU time of an update, bytes that each process sends, seconds of an epoch.

CPU times are the shortest of several rounds with one thread, in which the variants take turns, so that other programs
disturb all of them alike. Seconds are those of the clock, and other programs do disturb them.

    python -m benchmarks.shard_costs [rounds=20] [processes=1,2]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch

import yisheng
from yisheng.core import registry
from yisheng.core.events import Batch
from yisheng.core.spec import Spec
from yisheng.training.shards import Sharding
from yisheng.training.state import State
from yisheng.training.update import make_update

SHARDS = (1, 2, 4)
UPDATES_PER_ROUND = 5
NETWORKS = {
    "mlp, 64 inputs": ("mlp", (64,), {"hidden": (64,)}),
    "lenet, 28 x 28": ("lenet", (1, 28, 28), {}),
}


def measure_updates(name: str, rounds: int) -> dict[int, float]:
    """Return the CPU milliseconds of an update on 128 samples by its number of shards."""
    model_name, shape, options = NETWORKS[name]
    spec = Spec("classification", shape, classes=tuple("0123456789"))
    batch = Batch(torch.randn(128, *shape), torch.randint(0, 10, (128,)), torch.arange(128))
    loss = torch.nn.CrossEntropyLoss(reduction="none")
    steps = {}
    for shards in SHARDS:
        model = registry.find("models", model_name).build(spec, **options)
        state = State(model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
        steps[shards] = state, make_update(sharding=Sharding(shards, None, seed=0) if shards > 1 else None)
    shortest = dict.fromkeys(SHARDS, float("inf"))
    for _ in range(rounds):
        for shards, (state, step) in steps.items():
            start = time.thread_time()
            for _ in range(UPDATES_PER_ROUND):
                step(state, batch, loss)
            shortest[shards] = min(shortest[shards], (time.thread_time() - start) / UPDATES_PER_ROUND * 1000)
    parameters = sum(p.numel() for p in steps[1][0].model.parameters())
    print(f"{name}: {4 * parameters / 1e6:.2f} MB of weights; an update sends log2(N) times as much in N processes")
    return shortest


def measure_training(processes: int, out: Path) -> float:
    """Return the seconds of training of LeNet for two epochs on 4,000 random images, over 4 shards."""
    torch.manual_seed(0)
    data = torch.randint(0, 256, (5000, 1, 28, 28), dtype=torch.uint8), torch.randint(0, 10, (5000,))
    settings = {"model": "lenet", "epochs": 2, "batch": 128, "shards": 4, "validation": 500, "test": 500}
    extras = {"doctor": "off", "ood": False, "quiet": True, "checkpoint_every": 1000.0}
    run = yisheng.train(data=data, **settings, **extras, processes=processes, out=out / str(processes))
    return float(json.loads((run.path / "environment.json").read_text())["seconds"]["training"])


def main(words: list[str]) -> None:
    """Measure and print."""
    options = dict(word.split("=", 1) for word in words)
    torch.set_num_threads(1)
    for name in NETWORKS:
        shortest = measure_updates(name, int(options.get("rounds", 20)))
        times = ", ".join(f"{shards}: {ms:.2f} ms" for shards, ms in shortest.items())
        print(f"    CPU time of an update by shards: {times}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        for processes in map(int, options.get("processes", "1,2").split(",")):
            print(f"{processes} processes: {measure_training(processes, Path(home)):.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
