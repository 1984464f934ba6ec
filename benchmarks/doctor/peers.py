"""Other packages that diagnose trainings, on the same programs in the same run.

    pip install torch==2.13.0 && pip install -r benchmarks/doctor/requirements-peers.txt && pip install -e .
    python benchmarks/doctor/peers.py [half=even|odd] [every=1] [only=TOOL,...] [--verbose]

Each tool looks at a run of its own of each program, with the same seed, driven as its README says. What it says is
what is of its severity "warning" or worse; ours is all that it says. `NAMES` tells which of our causes each of a
tool's words is taken for: all that it could mean, so that a tool is not marked down for words of its own.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import importlib
import importlib.metadata
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faulty
import faulty_numbers
import healthy
import parts
import torch
from parts import FAULTY, HEALTHY, Program, Trial
from torch import nn
from torch.nn import functional as F

RATES = ("high-learning-rate", "non-finite-loss", "exploding-gradients")
SLOW = ("low-learning-rate", "vanishing-gradients", "saturated-activation", "dead-relu")
STILL = ("uncovered-parameters", "frozen-parameters", "no-gradient", "missing-update", "unregistered-parameters")
NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "torchmortem": {
        "Vanishing gradients": ("vanishing-gradients", "saturated-activation"),
        "Exploding gradients": (*RATES, "initial-loss", "inputs", "target-scale", "carried-gradients"),
        "Gradient stalling": ("vanishing-gradients", *STILL),
        "Dead units": ("dead-relu",),
        "Activation saturation": ("saturated-activation", "inputs", "initial-loss"),
        "Update ratio too low": ("low-learning-rate", *STILL),
        "Update ratio too high": (*RATES, "carried-gradients"),
        "Training divergence": (*RATES, "carried-gradients"),
        "Loss plateau": (*SLOW, *STILL, "loss-pairing", "symmetric-weights", "target-range"),
        "Weight norm explosion": RATES,
        "Stagnant weight norms": ("low-learning-rate", *STILL),
        "Inter-layer weight norm imbalance": ("initial-loss",),
        "Rank collapse": ("symmetric-weights", "dead-relu", "strong-decay"),
        "High gradient noise": ("sorted-batches",),
    },
    "training-doctor": {
        "Learning rate likely too high": RATES,
        "Learning rate may be too low": ("low-learning-rate", *STILL),
        "Training plateau": (*SLOW, *STILL, "loss-pairing", "symmetric-weights", "target-range"),
        "Early training plateau": (*SLOW, *STILL, "loss-pairing", "symmetric-weights", "target-range"),
        "Gradient instability": (*RATES, "vanishing-gradients", "carried-gradients", "target-scale", "inputs"),
        "Overfitting": ("overfitting",),
    },
    "runmedic": {
        "non_finite": RATES,
        "divergence": (*RATES, "carried-gradients"),
        "loss_spikes": (*RATES, "sorted-batches", "carried-gradients"),
        "grad_spikes": (*RATES, "carried-gradients"),
        "no_learning": (*SLOW, *STILL, "loss-pairing", "symmetric-weights", "target-range", "inputs"),
        "overfitting": ("overfitting",),
    },
    "torchtest2": {
        "optimizer_coverage": ("uncovered-parameters", "unregistered-parameters"),
        "frozen_params": ("frozen-parameters",),
        "gradient_flow": ("no-gradient", "dead-relu", "symmetric-weights", "loss-pairing", "vanishing-gradients"),
        "gradient_magnitude": ("exploding-gradients", "vanishing-gradients", "non-finite-loss", "initial-loss"),
        "params_change": (*STILL, "low-learning-rate", "dead-relu", "vanishing-gradients"),
        "initial_loss": ("initial-loss", "loss-pairing", "inputs", "target-scale"),
        "overfit_batch": (*SLOW, *RATES, "loss-pairing", "target-range", "target-scale", "inputs"),
        "output_varies": ("symmetric-weights", "dead-relu", "saturated-activation", "loss-pairing", "inputs"),
        "output_finite": ("non-finite-loss",),
        "loss": ("non-finite-loss", "no-gradient", "loss-pairing"),
        "eval_determinism": ("mode",),
        "batch_independence": ("loss-pairing", "mode"),
        "input_dependency": ("inputs",),
    },
    "torch-audit": {
        "TA100": ("non-finite-loss", "high-learning-rate", "exploding-gradients"),
        "TA102": (*RATES, "carried-gradients", "target-scale", "inputs"),
        "TA103": ("dead-relu",),
        "TA104": ("no-gradient", "frozen-parameters"),
        "TA105": ("dead-relu",),
        "TA301": ("inputs",),
        "TA302": ("inputs",),
        "TA305": ("inputs", "non-finite-loss"),
        "TA304": ("small-batch-norm",),
        "TA402": ("strong-decay",),
        "TA500": ("no-gradient", "unregistered-parameters"),
    },
}
"""Tool -> how its word begins -> causes of ours that it may mean."""
Seen = Callable[[], list[str]]


class Watched(Trial):
    """A run of a program that one of the tools looks at."""

    def __init__(self, seed: int, tool: str) -> None:
        super().__init__(seed)
        self.tool, self.words, self.asked = tool, [], False

    @contextlib.contextmanager
    def doctor(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        if self.tool == "torchtest2":  # it looks at one batch, before training: see `plain_loop`
            yield
            return
        self.asked = True
        with TOOLS[self.tool](model, optimizer) as seen:
            yield
        self.words += seen()


@contextlib.contextmanager
def each_step(optimizer: torch.optim.Optimizer, then: Callable[[float], None]) -> Iterator[None]:
    """Call after each update with the loss of the last backward pass."""
    inner, last = torch.Tensor.backward, [math.nan]

    def backward(tensor: torch.Tensor, *arguments: Any, **more: Any) -> None:
        inner(tensor, *arguments, **more)
        last[0] = float(tensor.detach()) if tensor.numel() == 1 else math.nan

    handle = optimizer.register_step_post_hook(lambda *_: then(last[0]))
    torch.Tensor.backward = backward  # type: ignore[method-assign,assignment]  # put back below
    try:
        yield
    finally:
        torch.Tensor.backward = inner  # type: ignore[method-assign]
        handle.remove()


def norm(model: nn.Module) -> float:
    """Of all gradients together."""
    found = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    return float(torch.stack(found).norm()) if found else 0.0


@contextlib.contextmanager
def torchmortem(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Seen]:
    """``with Autopsy(...)`` and a call after each step."""
    package: Any = importlib.import_module("torchmortem")
    autopsy = package.Autopsy(model, optimizer=optimizer)

    def seen() -> list[str]:
        with tempfile.TemporaryDirectory() as place:
            report = autopsy.report(Path(place, "report.json"))
        return [found.title for found in report.findings if found.severity.name in ("WARNING", "CRITICAL")]

    with autopsy, each_step(optimizer, lambda loss: autopsy.step(loss=loss)):
        yield seen


@contextlib.contextmanager
def training_doctor(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Seen]:
    """``doctor.log`` after each step, with the loss, the learning rate and the norm of the gradient."""
    package: Any = importlib.import_module("training_doctor")
    doctor, count = package.Doctor(), [0]

    def step(loss: float) -> None:
        count[0] += 1
        doctor.log(step=count[0], loss=loss, lr=optimizer.param_groups[0]["lr"], grad_norm=norm(model))

    with each_step(optimizer, step):
        yield lambda: [f.problem for f in doctor.diagnoses if f.severity.value in ("warning", "critical")]


@contextlib.contextmanager
def runmedic(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Seen]:
    """``runmedic diagnose`` on a CSV of the same numbers."""
    rows: list[list[float]] = []

    def seen() -> list[str]:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "metrics.csv")
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([["step", "train_loss", "lr", "grad_norm"], *rows])
            command = [sys.executable, "-m", "runmedic", "diagnose", str(path), "--json"]
            done = subprocess.run(command, capture_output=True, text=True)
        if "no training metrics" in done.stderr:
            return []
        (run,) = json.loads(done.stdout)
        return [found["check"] for found in run["findings"] if found["severity"] in ("warning", "critical")]

    def step(loss: float) -> None:
        rows.append([len(rows), loss, optimizer.param_groups[0]["lr"], norm(model)])

    with each_step(optimizer, step):
        yield seen


@contextlib.contextmanager
def torch_audit(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Seen]:
    """``autopatch``, every tenth step; its advice on speed (TA2...) is no finding about the training."""
    package: Any = importlib.import_module("torch_audit")
    auditor = package.autopatch(model, optimizer=optimizer, every_n_steps=10, reporters=[])

    def seen() -> list[str]:
        found = auditor.finish().findings
        told = [f"{f.rule_id} {f.message}" for f in found if f.severity.value in ("WARN", "ERROR", "FATAL")]
        return [word for word in told if not word.startswith("TA2")]

    try:
        yield seen
    finally:
        auditor.unpatch()


@contextlib.contextmanager
def ours(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Seen]:
    """``with yisheng.doctor(...)``."""
    from yisheng.diagnosis.doctor import doctor

    with doctor(model, optimizer) as dr:
        yield lambda: [finding.check for finding in dr.diagnose().findings]


TOOLS: dict[str, Callable[..., contextlib.AbstractContextManager[Seen]]] = {
    "yisheng": ours,
    "torchmortem": torchmortem,
    "training-doctor": training_doctor,
    "runmedic": runmedic,
    "torch-audit": torch_audit,
}


def plain_loop(
    t: Trial, model: nn.Module, optimizer: torch.optim.Optimizer, data: parts.Data, *more: Any, **how: Any
) -> None:
    """The programs' plain loop; before it torchtest2 is given its first batch, loss and optimiser."""
    if isinstance(t, Watched) and t.tool == "torchtest2":
        package: Any = importlib.import_module("torchtest2")
        loss = more[0] if more else how.get("loss", F.cross_entropy)
        x, y = next(parts.batches(data, how.get("size", 32), 1, t.seed))
        model.train()
        t.asked = True
        report = package.check_model(model, x, y, loss_fn=loss, optimizer=optimizer)
        t.words += [one.name for one in (*report.failures, *report.warnings)]
        return
    TRAIN(t, model, optimizer, data, *more, **how)


TRAIN = parts.train


def look(program: Program, tool: str, seed: int) -> tuple[bool, list[str], str]:
    """Whether a tool could look at a program, what it said, and what broke it."""
    torch.manual_seed(seed)
    trial, broke = Watched(seed, tool), ""
    with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        warnings.simplefilter("ignore")
        try:
            program.run(trial)
        except Exception as error:
            broke = f"{type(error).__name__}: {error}"
    return trial.asked, trial.words, broke


def causes(tool: str, words: list[str]) -> list[tuple[str, ...]]:
    """What each word may mean, the first said first; a word that means nothing of ours means nothing."""
    if tool == "yisheng":
        return [(word,) for word in words]
    return [next((m for begin, m in NAMES[tool].items() if word.startswith(begin)), ()) for word in words]


def main(arguments: list[str]) -> int:
    """The command."""
    options = dict(word.split("=", 1) for word in arguments if "=" in word)
    left = {"odd": 1, "even": 0}[options.get("half", "even")]
    every, verbose = int(options.get("every", 1)), "--verbose" in arguments
    wanted = options.get("only", ",".join([*TOOLS, "torchtest2"])).split(",")
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    modules: list[types.ModuleType] = [faulty, faulty_numbers, healthy]
    for module in modules:
        for name in [name for name, value in vars(module).items() if value is TRAIN]:
            setattr(module, name, plain_loop)  # they import it by name
    chosen = [
        [p for p in programs if p.number % 2 == left and (not p.data or os.environ.get("YISHENG_MIRROR"))][::every]
        for programs in (FAULTY, HEALTHY)
    ]
    heads = f"{'faulty':>7} {'said':>6} {'cause':>6} {'first':>6}   {'healthy':>7} {'alarms':>6} {'broke':>5}   CPU s"
    print(f"{'tool':26} {heads}", flush=True)
    for tool in wanted:
        began, count = time.process_time(), collections.Counter[str]()
        for program in [*chosen[0], *chosen[1]]:
            kind = "faulty" if program.fault else "healthy"
            asked, words, broke = look(program, tool, 0)
            named = [bool(set(meant) & set(program.fault)) for meant in causes(tool, words)]
            count["broke"] += bool(broke)
            count[kind] += asked
            count[f"{kind} said"] += bool(words)
            count["cause"] += any(named)
            count["first"] += named[:1] == [True]
            if verbose:
                print(f"  {tool:16} {program.name:45} {program.fault}: {words[:6]} {broke[:120]}", flush=True)
        version = importlib.import_module(tool).__version__ if tool == "yisheng" else importlib.metadata.version(tool)
        print(
            f"{f'{tool} {version}':26} {count['faulty']:7} {count['faulty said']:6} {count['cause']:6} "
            f"{count['first']:6}   {count['healthy']:7} {count['healthy said']:6} {count['broke']:5}   "
            f"{time.process_time() - began:.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
