"""Measure the cost of the doctor in a user's own loop: the same plain loop with and without it, alternating.

The time is that of the processor, from before the doctor is entered to after it is left; the diagnosis afterwards is
measured apart. The smallest MLP has 8 inputs, 8 hidden units and 2 classes, and batches of 32 rows; LeNet learns images
of 28 x 28 in batches of 64; ResNet-18 images of 32 x 32 in batches of 8. Each pair of runs has the same weights and
batches, and must end at the same weights to the bit.

    taskset -c 1 python -m benchmarks.doctor.loop_overhead [rounds=20] [models=mlp,lenet,resnet18] [steps=1000]

With `counter=instructions` the instructions are counted by Valgrind instead (see `counted_loop`): they do not depend on
what else runs.

    python -m benchmarks.doctor.loop_overhead counter=instructions [repeats=2] [models=mlp,lenet,resnet18] [steps=1000]
"""

from __future__ import annotations

import contextlib
import copy
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.core import machine, registry
from yisheng.core.spec import Spec

DIGITS = tuple("0123456789")
MODELS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "mlp": ((8,), 2, 32),
    "lenet": ((1, 28, 28), 10, 64),
    "resnet18": ((3, 32, 32), 10, 8),
}
"""Shape of a row, classes, and rows of a batch."""
ROWS = 4096
WARM_UP_STEPS = 50
DRAWS = 10_000
"""Bootstrap samples of the interval."""


def main(arguments: list[str]) -> None:
    """Measure all networks and print a table."""
    options = dict(argument.split("=", 1) for argument in arguments)
    rounds, steps = int(options.get("rounds", 20)), int(options.get("steps", 1000))
    models, counter = options.get("models", ",".join(MODELS)).split(","), options.get("counter", "time")
    if counter == "instructions":
        print_counts(models, steps, int(options.get("repeats", 2)))
        return
    if counter != "time":
        raise SystemExit(f"counter={counter} is unknown\n  use counter=time or counter=instructions")
    torch.set_num_threads(1)
    print(f"{machine.describe_processor()[0]}, one core, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}, {rounds} pairs of runs\n")
    print(
        "| network | updates | plain, s | with the doctor, s | cost, median (95% interval) | diagnosis, s | same bits |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in models:
        print(measure(name, rounds, steps), flush=True)


def print_counts(models: list[str], steps: int, repeats: int) -> None:
    """Count the instructions of all networks and print a table."""
    from benchmarks.doctor.counted_loop import count_network

    print(f"torch {torch.__version__}, Python {platform.python_version()}; instructions in millions, of a step in")
    print("thousands\n")
    print("| network | counted updates | plain | added | cost | recorded step | followed step | light step |")
    print("|---|---|---|---|---|---|---|---|")
    for name in models:
        for line in count_network(name, steps, repeats):
            print(line, flush=True)


def measure(name: str, rounds: int, steps: int) -> str:
    """Return the line of the table of a network."""
    network = build_network(name)
    x, y = generate_rows(name)
    times: dict[bool, list[float]] = {False: [], True: []}
    diagnoses: list[float] = []
    has_same_bits = True
    for with_doctor in (False, True):
        train(copy.deepcopy(network), x, y, name, min(steps, WARM_UP_STEPS), with_doctor)
    for number in range(rounds):
        weights = {}
        for with_doctor in (False, True) if number % 2 == 0 else (True, False):
            trained = copy.deepcopy(network)
            seconds, observer = train(trained, x, y, name, steps, with_doctor)
            times[with_doctor].append(seconds)
            weights[with_doctor] = trained.state_dict()
            if observer is not None:
                start = time.process_time()
                observer.diagnose()
                diagnoses.append(time.process_time() - start)
        has_same_bits &= all(torch.equal(weights[True][key], value) for key, value in weights[False].items())
    costs = [100 * (b / a - 1) for a, b in zip(times[False], times[True], strict=True)]
    low, high = bootstrap_median(costs)
    return (
        f"| {name} | {steps:,} | {statistics.median(times[False]):.3f} | {statistics.median(times[True]):.3f} | "
        f"{statistics.median(costs):+.1f}% ({low:+.1f}% to {high:+.1f}%) | {statistics.median(diagnoses):.3f} | "
        f"{'yes' if has_same_bits else 'NO'} |"
    )


def train(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor, name: str, steps: int, with_doctor: bool
) -> tuple[float, Any]:
    """Train in a plain loop and return the seconds of the processor, and the doctor if there was one."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    size = MODELS[name][2]
    start = time.process_time()
    observer: Any = yisheng.doctor(network, optimizer) if with_doctor else None
    with observer or contextlib.nullcontext():
        update(network, optimizer, x, y, size, steps)
    return time.process_time() - start, observer


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    size: int,
    steps: int,
    after_update: Callable[[], None] = lambda: None,
) -> None:
    """Make updates in a plain loop, and call a function after each."""
    for rows in draw_batches(len(x), size, steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        after_update()


def draw_batches(rows: int, size: int, steps: int) -> Iterator[torch.Tensor]:
    """Yield the row numbers of shuffled batches, epoch after epoch."""
    generator = torch.Generator().manual_seed(0)
    step = 0
    while step < steps:
        for batch in torch.randperm(rows, generator=generator).split(size)[: steps - step]:
            yield batch
            step += 1


def build_network(name: str) -> nn.Module:
    """Return a network with fixed weights."""
    torch.manual_seed(0)
    shape, classes, _ = MODELS[name]
    if name == "mlp":
        return nn.Sequential(nn.Linear(*shape, 8), nn.ReLU(), nn.Linear(8, classes))
    network: nn.Module = registry.build("models", name, Spec("classification", shape, classes=DIGITS[:classes]))
    return network


def generate_rows(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random rows whose class depends on the sum of some of their values."""
    shape, classes, _ = MODELS[name]
    x = torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(1))
    score = x.flatten(1)[:, :4].sum(1)
    return x, torch.bucketize(score, score.quantile(torch.linspace(0, 1, classes + 1)[1:-1]))


def bootstrap_median(values: list[float]) -> tuple[float, float]:
    """Return the 95% interval of a median."""
    draws = np.random.default_rng(0).choice(values, (DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, 1), [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main(sys.argv[1:])
