"""Compare an epoch of `yisheng.train`, with all features on, with a plain loop in torch.

Both train the same network with the same updates on the same rows of Fashion-MNIST, batch 256, and score the same
validation rows after each epoch. The plain loop uses scaled float32 tensors in memory and does nothing else.
`yisheng.train` runs as users call it: progress, log, a checkpoint every second, best weights. Both alternate
(A B A B ...) in one process.

    python benchmarks/loop.py [rounds=5] [epochs=5] [model=mlp|linear|lenet ...]
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time

from yisheng.core import machine, process

process.prepare()  # threads and memory behave the same in both loops

import torch  # noqa: E402
from torch import nn  # noqa: E402

import yisheng  # noqa: E402
from yisheng.core.dataset import Dataset, Split  # noqa: E402
from yisheng.core.resolved_config import resolve_config  # noqa: E402
from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.experiments.load_data import load_dataset, split_dataset  # noqa: E402
from yisheng.training.network import build_network  # noqa: E402

SETTINGS = {"batch": 256, "optimizer": "sgd", "lr": 0.1, "schedule": "constant", "scale": "unit", "seed": 0}


def time_plain_loop(data: Dataset, split: Split, model: str, epochs: int) -> tuple[float, float]:
    """Return the seconds per epoch and the final validation accuracy of a plain loop."""
    config = merge_settings([(k, v, "command line") for k, v in {**SETTINGS, "model": model}.items()]).config
    resolved = resolve_config(config, data.spec, len(split.train))
    net = build_network(config, resolved, data.spec, data.spec, lambda: data.x[:1]).model
    x, y = torch.from_numpy(data.x).float().div(255), torch.from_numpy(data.y)
    train, valid = torch.from_numpy(split.train), torch.from_numpy(split.validation)
    x_train, y_train, x_valid, y_valid = x[train], y[train], x[valid], y[valid]
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    accuracy = 0.0
    start = time.perf_counter()
    for _ in range(epochs):
        net.train()
        order = torch.randperm(len(x_train))
        for at in range(0, len(order), 256):
            rows = order[at : at + 256]
            value = loss(net(x_train[rows]), y_train[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            correct = sum(
                int((net(x_valid[at : at + 256]).argmax(1) == y_valid[at : at + 256]).sum())
                for at in range(0, len(x_valid), 256)
            )
        accuracy = correct / len(x_valid)
    return (time.perf_counter() - start) / epochs, accuracy


def time_yisheng(data: Dataset, model: str, epochs: int) -> tuple[float, float]:
    """Return the same for `yisheng.train`, from the seconds in its log."""
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, model=model, epochs=epochs, out=out, quiet=True, checkpoint_every=1, **SETTINGS)
        lines = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
        last = [line for line in lines if line["event"] == "epoch"][-1]
        return last["seconds"] / epochs, last["scores"]["accuracy"]


def main(words: list[str]) -> None:
    """Measure and print the table."""
    options = dict(word.split("=", 1) for word in words)
    rounds, epochs = int(options.get("rounds", 5)), int(options.get("epochs", 5))
    config = merge_settings([("data", "fashion-mnist", "command line")]).config
    data = load_dataset(config)
    split = split_dataset(config, data)
    name, flags = machine.describe_processor()
    print(f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, {torch.get_num_threads()} threads, ", end="")
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {rounds} rounds of {epochs} epochs\n")
    print(f"{'model':<8} {'plain s/epoch':>16} {'yisheng s/epoch':>16}   ratio: median (min to max)   accuracy")
    for model in options.get("model", "linear,mlp,lenet").split(","):
        pairs = []
        time_plain_loop(data, split, model, 1)  # warm up both
        time_yisheng(data, model, 1)
        for _ in range(rounds):
            plain_seconds, plain_accuracy = time_plain_loop(data, split, model, epochs)
            yisheng_seconds, yisheng_accuracy = time_yisheng(data, model, epochs)
            pairs.append((plain_seconds, yisheng_seconds, yisheng_seconds / plain_seconds))
        plain_median, yisheng_median, ratio = (statistics.median(column) for column in zip(*pairs, strict=True))
        low, high = min(r for *_, r in pairs), max(r for *_, r in pairs)
        print(
            f"{model:<8} {plain_median:>16.3f} {yisheng_median:>16.3f}   {ratio:.3f} ({low:.3f} to {high:.3f})"
            f"{'':<10}{plain_accuracy:.3f} {yisheng_accuracy:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
