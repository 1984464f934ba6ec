"""Probes: small experiments with and without a remedy, after which everything is as it was, to the bit."""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.core.errors import NonFiniteError
from yisheng.core.types import Batch, Finding
from yisheng.diagnosis.ranking import Diagnosis

EXPERIMENT_STEPS = 60
"""Updates of each experiment: enough to tell a rate that is ten times off, and few enough to try several."""
LOWER_LR_FACTORS, HIGHER_LR_FACTORS = (0.1, 0.01, 0.001), (10.0, 100.0, 1e3, 1e4)
"""Multiples of the learning rate: on each side no further than it still helps, or does no harm."""
UNCHANGED, STANDARDIZED_INPUTS = "as it is", "inputs standardised"
ONE_BATCH, ONE_BATCH_START = "one batch, at best", "one batch, at first"
MIN_GAIN = 0.02
"""Share of the loss that a remedy must bring down to count as confirmed."""
MIN_ONE_BATCH_DROP = 0.05
"""Share of its loss that a network must be able to lose on a single batch, at any of the rates."""


@dataclass(frozen=True)
class TrainingSetup:
    """A training that experiments can be made with.

    Args:
        model: the network.
        optimizer: over its parameters.
        batches: to train on, the same ones in every experiment.
        held_out: to score on; never trained on.
        update: one update on a batch.
        measure: mean loss of a batch ``()``.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Sequence[Batch]
    held_out: Sequence[Batch]
    update: Callable[[Batch], Any]
    measure: Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class ExperimentResults:
    """What experiments brought: by what was changed, the loss of the rows held out; infinite where training broke."""

    losses: Mapping[str, float | None] = field(default_factory=dict)

    def loss(self, change: str) -> float:
        """The loss after a change; NaN where that was not tried, infinite where it broke."""
        value = self.losses.get(change, math.nan)
        return math.inf if value is None else value

    def best_change(self, changes: Sequence[str]) -> tuple[str, float]:
        """The change with the smallest loss, and the share of the loss as it is that it takes away."""
        tried = [change for change in changes if change in self.losses]
        if not tried or UNCHANGED not in self.losses:
            return "", math.nan
        change = min(tried, key=self.loss)
        now, then = self.loss(UNCHANGED), self.loss(change)
        if math.isinf(now):
            return change, 0.0 if math.isinf(then) else 1.0
        return change, (now - then) / max(abs(now), 1e-12)


def name_lr_experiment(factor: float) -> str:
    """What an experiment with another learning rate is called.

    >>> rate_of(0.1), rate_of(10.0)
    ('lr x 0.1', 'lr x 10')
    """
    return f"lr x {factor:g}"


LOWER_LRS, HIGHER_LRS = [name_lr_experiment(factor) for factor in LOWER_LR_FACTORS], [name_lr_experiment(factor) for factor in HIGHER_LR_FACTORS]
REMEDIES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "high-learning-rate": (LOWER_LRS, ("error", "warning")),
    "oscillation": (LOWER_LRS, ()),
    "low-learning-rate": (HIGHER_LRS, ("error", "warning")),
    "inputs": ([STANDARDIZED_INPUTS], ("warning",)),
    "non-finite-loss": (LOWER_LRS, ()),
    "dead-relu": (LOWER_LRS, ()),
    "initial-loss": ([STANDARDIZED_INPUTS, *LOWER_LRS], ()),
    "saturated-activation": ([STANDARDIZED_INPUTS, *LOWER_LRS], ()),
}
"""What may cure a finding of a check; the severities at which it is dropped where none of it does."""


def run_experiments(setup: TrainingSetup, steps: int = EXPERIMENT_STEPS) -> ExperimentResults:
    """Train a few steps from the same beginning with each remedy and without, and score each on rows held out.

    The patient is the same to the bit afterwards: weights, buffers, optimiser, modes and generators.

    Args:
        patient: what is tried on.
        steps: updates of each experiment.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3 (rates); Karpathy, "A
    config for training neural networks", 2019 (overfit one batch).
    """
    if not sum(len(batch) for batch in setup.held_out):
        return ExperimentResults()
    found = {UNCHANGED: _tried(setup, steps)}
    if all(batch.x.is_floating_point() for batch in setup.batches):
        found[STANDARDIZED_INPUTS] = _tried(_standardised(setup), steps)
    found |= _ladder(setup, steps, found[UNCHANGED])
    single = replace(setup, batches=setup.batches[:1], held_out=setup.batches[:1])
    first = best = found[ONE_BATCH_START] = _tried(single, 0)
    for factor in (1.0, *HIGHER_LR_FACTORS, *LOWER_LR_FACTORS):
        if best > (1 - MIN_ONE_BATCH_DROP) * first:  # that is all that is asked
            best = min(best, _tried(single, steps, factor))
    found[ONE_BATCH] = best
    return ExperimentResults({name: value if math.isfinite(value) else None for name, value in found.items()})


def verify_findings(diagnosis: Diagnosis, results: ExperimentResults) -> Diagnosis:
    """A diagnosis with what the experiments say of it.

    A finding with a remedy that worked gets the measured losses as evidence; an alarm about rates or inputs whose
    remedy did not help is dropped, and what it explained stands for itself. Where nothing else was found and not even
    one batch can be fitted, that is told.
    """
    if UNCHANGED not in results.losses:
        return diagnosis
    waiting, kept, symptoms = list(diagnosis.findings), list[Finding](), dict(diagnosis.symptoms)
    while waiting:
        finding = waiting.pop(0)
        changes, droppable = REMEDIES.get(finding.check, ((), ()))
        change, gain = results.best_change(changes)
        if gain >= MIN_GAIN:
            tried = {"change": change, "loss without": results.losses[UNCHANGED], "loss with": results.losses[change]}
            finding = replace(finding, evidence={**finding.evidence, "tried": tried})
        elif change and finding.severity in droppable and _speaks_of(finding, results):
            waiting = [*symptoms.pop(finding.check, ()), *waiting]
            continue
        kept.append(finding)
    if not kept:
        kept = list(_cannot_fit(results))
    return Diagnosis(tuple(kept), symptoms, diagnosis.unchecked)


def _speaks_of(finding: Finding, probes: ExperimentResults) -> bool:
    """Whether experiments without a remedy that helps contradict a finding.

    Not where all broke; and they are made at one rate, so they say nothing of one that decayed too soon.
    """
    decayed = finding.check == "low-learning-rate" and "relative update" not in finding.evidence
    return math.isfinite(probes.loss(UNCHANGED)) and not decayed


@contextlib.contextmanager
def preserve_training_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Whatever is trained inside, afterwards all is as it was, to the bit.

    That is: parameters, gradients, buffers, modes, the optimiser's state and settings, and the generators of Python,
    NumPy and torch.

    >>> net = nn.Linear(2, 1)
    >>> sgd, before = torch.optim.SGD(net.parameters(), lr=0.1), net.weight.clone()
    >>> with restored(net, sgd):
    ...     _ = net.weight.data.zero_()
    >>> torch.equal(net.weight, before)
    True
    """
    held = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    parameters = list({**{id(p): p for p in model.parameters()}, **held}.values())
    values = [(p, p.detach().clone(), p.grad, None if p.grad is None else p.grad.clone()) for p in parameters]
    buffers = [(b, b.clone()) for b in model.buffers()]
    modes = [(part, part.training) for part in model.modules()]
    frozen = [(p, p.requires_grad) for p in parameters]
    state = {p: copy.deepcopy(dict(one)) for p, one in optimizer.state.items()}
    settings = [{key: copy.deepcopy(one) for key, one in g.items() if key != "params"} for g in optimizer.param_groups]
    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            with torch.no_grad():
                for p, value, gradient, saved in values:
                    p.copy_(value)
                    p.grad = gradient
                    if gradient is not None and saved is not None:
                        gradient.copy_(saved)
                for b, value in buffers:
                    b.copy_(value)
            for part, training in modes:
                part.training = training
            for p, wanted in frozen:
                p.requires_grad_(wanted)
            optimizer.state.clear()
            optimizer.state.update(state)
            for group, one in zip(optimizer.param_groups, settings, strict=True):
                for key in [key for key in group if key != "params" and key not in one]:
                    del group[key]
                group.update(one)


def compute_held_out_loss(patient: TrainingSetup) -> float:
    """Mean loss of the rows held out, in evaluation mode; infinite where it is no number."""
    patient.model.eval()
    with torch.no_grad():
        losses = [(float(patient.measure(batch)), len(batch)) for batch in patient.held_out]
    mean = sum(loss * rows for loss, rows in losses) / max(1, sum(rows for _, rows in losses))
    return mean if math.isfinite(mean) else math.inf


def _tried(patient: TrainingSetup, steps: int, factor: float = 1.0) -> float:
    """The loss of the rows held out after some updates, at a multiple of the learning rate."""
    with preserve_training_state(patient.model, patient.optimizer):
        torch.manual_seed(0)  # the same chance in every experiment
        for group in patient.optimizer.param_groups:
            group["lr"] = group["lr"] * factor
        patient.model.train()
        done = 0
        try:
            for done in range(steps):
                patient.update(patient.batches[done % len(patient.batches)])
            return compute_held_out_loss(patient)
        except NonFiniteError:
            return math.inf
        except (RuntimeError, ValueError):  # some losses refuse what is not finite in their own way
            if done == 0:
                raise
            return math.inf


def _ladder(patient: TrainingSetup, steps: int, now: float) -> dict[str, float]:
    """Losses at lower rates while they fall, and at higher ones until they are worse than as it is."""
    found: dict[str, float] = {}
    before = now
    for factor in LOWER_LR_FACTORS:
        loss = found[name_lr_experiment(factor)] = _tried(patient, steps, factor)
        if loss >= before and math.isfinite(before):
            break
        before = loss
    for factor in HIGHER_LR_FACTORS:
        loss = found[name_lr_experiment(factor)] = _tried(patient, steps, factor)
        if loss > now + MIN_GAIN * abs(now) or not math.isfinite(loss):
            break
    return found


def _standardised(patient: TrainingSetup) -> TrainingSetup:
    """The same with inputs of zero mean and unit spread: each column of rows, each channel of images."""
    x = torch.cat([batch.x for batch in patient.batches]).double()
    axes = [axis for axis in range(x.ndim) if axis != 1 or x.ndim < 2]
    std, mean = torch.std_mean(x, axes, correction=0, keepdim=True)
    std = torch.where(std > 0, std, torch.ones_like(std))

    def scaled(batch: Batch) -> Batch:
        return replace(batch, x=((batch.x.double() - mean) / std).to(batch.x.dtype))

    return replace(patient, batches=[*map(scaled, patient.batches)], held_out=[*map(scaled, patient.held_out)])


def _cannot_fit(probes: ExperimentResults) -> Iterator[Finding]:
    first, best = probes.loss(ONE_BATCH_START), probes.loss(ONE_BATCH)
    if not math.isfinite(first) or abs(first) < 1e-3 or (first - best) / abs(first) >= MIN_ONE_BATCH_DROP:
        return
    yield Finding(
        "one-batch",
        "error",
        {"loss at first": first, "least": best, "updates": EXPERIMENT_STEPS},
        f"the network cannot even fit one batch: at learning rates from {LOWER_LR_FACTORS[-1]:g} to {HIGHER_LR_FACTORS[-1]:g} times its own "
        f"the loss went from {first:.3g} to {best:.3g} at best",
        "look at what lies between the layers and the loss, at the targets, and at what the optimiser holds",
    )
