"""Run other packages that diagnose trainings on the programs of the benchmark.

    pip install torch==2.13.0 && pip install -r benchmarks/doctor/requirements-peers.txt && pip install -e .
    python -m benchmarks.doctor.peers [part=held-out|unseen|everyday|...] [every=1] [only=TOOL,...] [--verbose]

Each tool gets a run of its own of each program, with the same seed, and is used as its README says: those that take a
validation loss get the one that the program reports, and our doctor gets the rows that it gives. Its messages of
severity "warning" or worse count; of our doctor all findings count. `MEANINGS` says which of our causes each message
of a tool may mean: everything that it could mean, so that no tool is marked down for its own words.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import functools
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
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.doctor import harness
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.harness import Program, Trial
from benchmarks.doctor.programs import FAULTY, HEALTHY, MODULES
from benchmarks.doctor.run import part_of
from benchmarks.doctor.unseen import loop
from torch import nn
from torch.nn import functional as F

import yisheng

HIGH_RATE = ("high-learning-rate", "non-finite-loss", "exploding-gradients", "oscillation")
SLOW_LEARNING = ("low-learning-rate", "vanishing-gradients", "saturated-activation", "dead-relu")
NO_LEARNING = ("uncovered-parameters", "frozen-parameters", "no-gradient", "missing-update", "unregistered-parameters")
NO_PROGRESS = (
    *SLOW_LEARNING,
    *NO_LEARNING,
    "loss-pairing",
    "symmetric-weights",
    "target-range",
    "underfitting",
    "no-signal",
    "missing-positions",
    "mixed-rows",
    "constant-outputs",
    "strong-decay",
    "strong-dropout",
    "narrow-layer",
    "evaluated-inputs",
)
FITS_TRAINING_ROWS = ("overfitting", "memorization", "label-noise", "fixed-batches", "no-signal", "evaluated-inputs")
MEANINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "torchmortem": {
        "Vanishing gradients": ("vanishing-gradients", "saturated-activation"),
        "Exploding gradients": (*HIGH_RATE, "initial-loss", "inputs", "target-scale", "carried-gradients"),
        "Gradient stalling": ("vanishing-gradients", *NO_LEARNING),
        "Dead units": ("dead-relu",),
        "Activation saturation": ("saturated-activation", "inputs", "initial-loss"),
        "Update ratio too low": ("low-learning-rate", *NO_LEARNING),
        "Update ratio too high": (*HIGH_RATE, "carried-gradients"),
        "Training divergence": (*HIGH_RATE, "carried-gradients"),
        "Loss plateau": NO_PROGRESS,
        "Weight norm explosion": HIGH_RATE,
        "Stagnant weight norms": ("low-learning-rate", *NO_LEARNING),
        "Inter-layer weight norm imbalance": ("initial-loss",),
        "Rank collapse": ("symmetric-weights", "dead-relu", "strong-decay", "collapsed-outputs", "narrow-layer"),
        "High gradient noise": ("sorted-batches", "sorted-targets", "target-outliers"),
    },
    "training-doctor": {
        "Learning rate likely too high": HIGH_RATE,
        "Learning rate may be too low": ("low-learning-rate", *NO_LEARNING),
        "Training plateau": NO_PROGRESS,
        "Early training plateau": NO_PROGRESS,
        "Gradient instability": (*HIGH_RATE, "vanishing-gradients", "carried-gradients", "target-scale", "inputs"),
        "Overfitting": FITS_TRAINING_ROWS,
    },
    "runmedic": {
        "non_finite": HIGH_RATE,
        "divergence": (*HIGH_RATE, "carried-gradients"),
        "loss_spikes": (*HIGH_RATE, "sorted-batches", "carried-gradients", "weights-reset", "target-outliers"),
        "grad_spikes": (*HIGH_RATE, "carried-gradients"),
        "no_learning": (*NO_PROGRESS, "inputs"),
        "overfitting": FITS_TRAINING_ROWS,
    },
    "torchtest2": {
        "optimizer_coverage": ("uncovered-parameters", "unregistered-parameters"),
        "frozen_params": ("frozen-parameters",),
        "gradient_flow": ("no-gradient", "dead-relu", "symmetric-weights", "loss-pairing", "vanishing-gradients"),
        "gradient_magnitude": ("exploding-gradients", "vanishing-gradients", "non-finite-loss", "initial-loss"),
        "params_change": (*NO_LEARNING, "low-learning-rate", "dead-relu", "vanishing-gradients"),
        "initial_loss": ("initial-loss", "loss-pairing", "inputs", "target-scale"),
        "overfit_batch": (*SLOW_LEARNING, *HIGH_RATE, "loss-pairing", "target-range", "target-scale", "inputs"),
        "output_varies": ("symmetric-weights", "dead-relu", "saturated-activation", "loss-pairing", "inputs"),
        "output_finite": ("non-finite-loss",),
        "loss": ("non-finite-loss", "no-gradient", "loss-pairing"),
        "eval_determinism": ("mode",),
        "batch_independence": ("loss-pairing", "mode", "mixed-rows", "small-batch-norm", "batch-norm-statistics"),
        "input_dependency": ("inputs", "constant-outputs", "collapsed-outputs"),
    },
    "torch-audit": {
        "TA100": ("non-finite-loss", "high-learning-rate", "exploding-gradients"),
        "TA102": (*HIGH_RATE, "carried-gradients", "target-scale", "inputs"),
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
"""By tool: the beginning of a message, and our causes that it may mean."""
ReadMessages = Callable[[], list[str]]
PLAIN_TRAIN, PLAIN_FIT = harness.train, loop.fit


class Reports:
    """What a program reports of its validation rows.

    Attributes:
        loss: the last loss; NaN before the first one.
    """

    def __init__(self) -> None:
        self.loss = math.nan

    def validation(self, loss: float | None = None, **_: float) -> None:
        """Take a report; no tool takes a score."""
        if loss is not None:
            self.loss = loss


class PeerTrial(Trial):
    """A run of a program that one of the tools diagnoses.

    Args:
        seed: seed of its data, network and batches.
        tool: name of the tool.
    """

    def __init__(self, seed: int, tool: str) -> None:
        super().__init__(seed)
        self.tool = tool
        self.messages: list[str] = []
        self.was_diagnosed = False

    @contextlib.contextmanager
    def doctor(self, model: nn.Module, optimizer: torch.optim.Optimizer, **rows: Any) -> Iterator[Any]:
        """Let the tool diagnose the training inside."""
        if self.tool == "torchtest2":  # it tests one batch before training: see `train_or_test`
            yield harness.Undiagnosed()
            return
        self.was_diagnosed = True
        if self.tool == "yisheng":
            observer = yisheng.doctor(model, optimizer, **rows)
            try:
                with observer:
                    yield observer
            finally:
                self.messages += [finding.check for finding in observer.findings]
            return
        reports = Reports()
        with TOOLS[self.tool](model, optimizer, reports) as read_messages:
            try:
                yield reports
            finally:
                self.messages += read_messages()


@contextlib.contextmanager
def after_each_step(optimizer: torch.optim.Optimizer, callback: Callable[[float], None]) -> Iterator[None]:
    """Call a function after each update with the loss of the last backward pass."""
    original, losses = torch.Tensor.backward, [math.nan]

    def backward(tensor: torch.Tensor, *arguments: Any, **keywords: Any) -> None:
        original(tensor, *arguments, **keywords)
        losses[0] = float(tensor.detach()) if tensor.numel() == 1 else math.nan

    handle = optimizer.register_step_post_hook(lambda *_: callback(losses[0]))
    torch.Tensor.backward = backward  # type: ignore[method-assign,assignment]  # restored below
    try:
        yield
    finally:
        torch.Tensor.backward = original  # type: ignore[method-assign]
        handle.remove()


def gradient_norm(model: nn.Module) -> float:
    """Return the norm of all gradients together."""
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0


@contextlib.contextmanager
def torchmortem(model: nn.Module, optimizer: torch.optim.Optimizer, _: Reports) -> Iterator[ReadMessages]:
    """Use ``with Autopsy(...)`` and a call after each step."""
    package: Any = importlib.import_module("torchmortem")
    autopsy = package.Autopsy(model, optimizer=optimizer)

    def read_messages() -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            report = autopsy.report(Path(folder, "report.json"))
        return [finding.title for finding in report.findings if finding.severity.name in ("WARNING", "CRITICAL")]

    with autopsy, after_each_step(optimizer, lambda loss: autopsy.step(loss=loss)):
        yield read_messages


@contextlib.contextmanager
def training_doctor(model: nn.Module, optimizer: torch.optim.Optimizer, reports: Reports) -> Iterator[ReadMessages]:
    """Call ``doctor.log`` after each step, with losses, the learning rate and the norm of the gradient."""
    package: Any = importlib.import_module("training_doctor")
    doctor, count = package.Doctor(), [0]

    def log_step(loss: float) -> None:
        count[0] += 1
        validation = {"val_loss": reports.loss} if math.isfinite(reports.loss) else {}
        rate = optimizer.param_groups[0]["lr"]
        doctor.log(step=count[0], loss=loss, lr=rate, grad_norm=gradient_norm(model), **validation)

    with after_each_step(optimizer, log_step):
        yield lambda: [d.problem for d in doctor.diagnoses if d.severity.value in ("warning", "critical")]


@contextlib.contextmanager
def runmedic(model: nn.Module, optimizer: torch.optim.Optimizer, reports: Reports) -> Iterator[ReadMessages]:
    """Run ``runmedic diagnose`` on a CSV file of the same numbers, with the last reported validation loss."""
    rows: list[list[Any]] = []

    def read_messages() -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "metrics.csv")
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([["step", "train_loss", "lr", "grad_norm", "val_loss"], *rows])
            command = [sys.executable, "-m", "runmedic", "diagnose", str(path), "--json"]
            process = subprocess.run(command, capture_output=True, text=True)
        if "no training metrics" in process.stderr:
            return []
        (run,) = json.loads(process.stdout)
        return [finding["check"] for finding in run["findings"] if finding["severity"] in ("warning", "critical")]

    def log_step(loss: float) -> None:
        validation = reports.loss if math.isfinite(reports.loss) else ""
        rows.append([len(rows), loss, optimizer.param_groups[0]["lr"], gradient_norm(model), validation])

    with after_each_step(optimizer, log_step):
        yield read_messages


@contextlib.contextmanager
def torch_audit(model: nn.Module, optimizer: torch.optim.Optimizer, _: Reports) -> Iterator[ReadMessages]:
    """Use ``autopatch`` on every tenth step; its advice on speed (TA2...) is not about faults."""
    package: Any = importlib.import_module("torch_audit")
    auditor = package.autopatch(model, optimizer=optimizer, every_n_steps=10, reporters=[])

    def read_messages() -> list[str]:
        findings = [f for f in auditor.finish().findings if f.severity.value in ("WARN", "ERROR", "FATAL")]
        return [f"{f.rule_id} {f.message}" for f in findings if not f.rule_id.startswith("TA2")]

    try:
        yield read_messages
    finally:
        auditor.unpatch()


TOOLS: dict[str, Callable[..., contextlib.AbstractContextManager[ReadMessages]]] = {
    "torchmortem": torchmortem,
    "training-doctor": training_doctor,
    "runmedic": runmedic,
    "torch-audit": torch_audit,
}


def train_or_test(
    t: Trial, model: nn.Module, optimizer: torch.optim.Optimizer, data: Data, *arguments: Any, **options: Any
) -> None:
    """Run the programs' plain loop; for torchtest2, test its first batch, loss and optimizer instead."""
    is_fit = options.pop("is_fit", False)
    if isinstance(t, PeerTrial) and t.tool == "torchtest2":
        package: Any = importlib.import_module("torchtest2")
        loss = arguments[0] if arguments else options.get("criterion", options.get("loss", F.cross_entropy))
        x, y = next(harness.batches(data, options.get("size", 32), 1, t.seed))
        model.train()
        t.was_diagnosed = True
        report = package.check_model(model, x, y, loss_fn=loss, optimizer=optimizer)
        t.messages += [result.name for result in (*report.failures, *report.warnings)]
        return
    (PLAIN_FIT if is_fit else PLAIN_TRAIN)(t, model, optimizer, data, *arguments, **options)


def run_program(program: Program, tool: str, seed: int) -> tuple[PeerTrial, str]:
    """Run a program with a tool; return the trial, and the error that stopped it if there was one."""
    torch.manual_seed(seed)
    trial, failure = PeerTrial(seed, tool), ""
    with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        warnings.simplefilter("ignore")
        try:
            program.run(trial)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
    return trial, failure


def interpret(tool: str, messages: list[str]) -> list[tuple[str, ...]]:
    """Return the causes that each message may mean; empty if it means no cause that we know."""
    if tool == "yisheng":
        return [(message,) for message in messages]
    meanings = MEANINGS[tool]
    return [next((causes for start, causes in meanings.items() if m.startswith(start)), ()) for m in messages]


def measure_tool(tool: str, programs: list[Program], verbose: bool) -> None:
    """Print one line of the table."""
    start, count = time.process_time(), collections.Counter[str]()
    for program in programs:
        kind = "faulty" if program.causes else "healthy"
        trial, failure = run_program(program, tool, 0)
        is_correct = [bool(set(causes) & set(program.causes)) for causes in interpret(tool, trial.messages)]
        count["failures"] += bool(failure)
        count[kind] += trial.was_diagnosed
        count[f"{kind} with messages"] += bool(trial.messages)
        count["cause"] += any(is_correct)
        count["first"] += is_correct[:1] == [True]
        if verbose:
            messages = f"{trial.messages[:6]} {failure[:120]}"
            print(f"  {tool:16} {program.name:45} {program.causes}: {messages}", flush=True)
    version = importlib.import_module(tool).__version__ if tool == "yisheng" else importlib.metadata.version(tool)
    print(
        f"{f'{tool} {version}':26} {count['faulty']:7} {count['faulty with messages']:9} {count['cause']:6} "
        f"{count['first']:6}   {count['healthy']:7} {count['healthy with messages']:12} {count['failures']:8}   "
        f"{time.process_time() - start:.0f}",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    """Run the command line."""
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    part, interval = options.get("part", "held-out"), int(options.get("every", 1))
    tools = options.get("only", ",".join(["yisheng", *TOOLS, "torchtest2"])).split(",")
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    for module in MODULES:
        for name, value in list(vars(module).items()):  # the programs import the loops by name
            if value is PLAIN_TRAIN or value is PLAIN_FIT:
                setattr(module, name, functools.partial(train_or_test, is_fit=value is PLAIN_FIT))
    has_downloads = bool(os.environ.get("YISHENG_MIRROR"))
    selected = [
        program
        for programs in (FAULTY, HEALTHY)
        for program in [p for p in programs if part_of(p) == part and (has_downloads or not p.dataset)][::interval]
    ]
    columns = f"{'faulty':>7} {'messages':>9} {'cause':>6} {'first':>6}   {'healthy':>7} {'false alarms':>12}"
    print(f"{'tool':26} {columns} {'failures':>8}   CPU s", flush=True)
    for tool in tools:
        measure_tool(tool, selected, "--verbose" in arguments)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
