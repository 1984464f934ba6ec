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

STEPS = 60
"""Updates of each experiment: enough to tell a rate that is ten times off, and few enough to try several."""
DOWN, UP = (0.1, 0.01, 0.001), (10.0, 100.0, 1e3, 1e4)
"""Multiples of the learning rate: on each side no further than it still helps, or does no harm."""
AS_IT_IS, STANDARDISED = "as it is", "inputs standardised"
ONE_BATCH, ONE_BATCH_START = "one batch, at best", "one batch, at first"
GAIN = 0.02
"""Share of the loss that a remedy must bring down to count as confirmed."""
FITS = 0.05
"""Share of its loss that a network must be able to lose on a single batch, at any of the rates."""


@dataclass(frozen=True)
class Patient:
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
class Probes:
    """What experiments brought: by what was changed, the loss of the rows held out; infinite where training broke."""

    losses: Mapping[str, float | None] = field(default_factory=dict)

    def loss(self, change: str) -> float:
        """The loss after a change; NaN where that was not tried, infinite where it broke."""
        value = self.losses.get(change, math.nan)
        return math.inf if value is None else value

    def best(self, changes: Sequence[str]) -> tuple[str, float]:
        """The change with the smallest loss, and the share of the loss as it is that it takes away."""
        tried = [change for change in changes if change in self.losses]
        if not tried or AS_IT_IS not in self.losses:
            return "", math.nan
        change = min(tried, key=self.loss)
        now, then = self.loss(AS_IT_IS), self.loss(change)
        if math.isinf(now):
            return change, 0.0 if math.isinf(then) else 1.0
        return change, (now - then) / max(abs(now), 1e-12)


def rate_of(factor: float) -> str:
    """What an experiment with another learning rate is called.

    >>> rate_of(0.1), rate_of(10.0)
    ('lr x 0.1', 'lr x 10')
    """
    return f"lr x {factor:g}"


LOWER, HIGHER = [rate_of(factor) for factor in DOWN], [rate_of(factor) for factor in UP]
REMEDIES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "high-learning-rate": (LOWER, ("error", "warning")),
    "oscillation": (LOWER, ()),
    "low-learning-rate": (HIGHER, ("error", "warning")),
    "inputs": ([STANDARDISED], ("warning",)),
    "non-finite-loss": (LOWER, ()),
    "dead-relu": (LOWER, ()),
    "initial-loss": ([STANDARDISED, *LOWER], ()),
    "saturated-activation": ([STANDARDISED, *LOWER], ()),
}
"""What may cure a finding of a check; the severities at which it is dropped where none of it does."""


def probe(patient: Patient, steps: int = STEPS) -> Probes:
    """Train a few steps from the same beginning with each remedy and without, and score each on rows held out.

    The patient is the same to the bit afterwards: weights, buffers, optimiser, modes and generators.

    Args:
        patient: what is tried on.
        steps: updates of each experiment.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3 (rates); Karpathy, "A
    config for training neural networks", 2019 (overfit one batch).
    """
    if not sum(len(batch) for batch in patient.held_out):
        return Probes()
    found = {AS_IT_IS: _tried(patient, steps)}
    if all(batch.x.is_floating_point() for batch in patient.batches):
        found[STANDARDISED] = _tried(_standardised(patient), steps)
    found |= _ladder(patient, steps, found[AS_IT_IS])
    single = replace(patient, batches=patient.batches[:1], held_out=patient.batches[:1])
    first = best = found[ONE_BATCH_START] = _tried(single, 0)
    for factor in (1.0, *UP, *DOWN):
        if best > (1 - FITS) * first:  # that is all that is asked
            best = min(best, _tried(single, steps, factor))
    found[ONE_BATCH] = best
    return Probes({name: value if math.isfinite(value) else None for name, value in found.items()})


def verified(diagnosis: Diagnosis, probes: Probes) -> Diagnosis:
    """A diagnosis with what the experiments say of it.

    A finding with a remedy that worked gets the measured losses as evidence; an alarm about rates or inputs whose
    remedy did not help is dropped, and what it explained stands for itself. Where nothing else was found and not even
    one batch can be fitted, that is told.
    """
    if AS_IT_IS not in probes.losses:
        return diagnosis
    waiting, kept, symptoms = list(diagnosis.findings), list[Finding](), dict(diagnosis.symptoms)
    while waiting:
        finding = waiting.pop(0)
        changes, droppable = REMEDIES.get(finding.check, ((), ()))
        change, gain = probes.best(changes)
        if gain >= GAIN:
            tried = {"change": change, "loss without": probes.losses[AS_IT_IS], "loss with": probes.losses[change]}
            finding = replace(finding, evidence={**finding.evidence, "tried": tried})
        elif change and finding.severity in droppable and _speaks_of(finding, probes):
            waiting = [*symptoms.pop(finding.check, ()), *waiting]
            continue
        kept.append(finding)
    if not kept:
        kept = list(_cannot_fit(probes))
    return Diagnosis(tuple(kept), symptoms, diagnosis.unchecked)


def _speaks_of(finding: Finding, probes: Probes) -> bool:
    """Whether experiments without a remedy that helps contradict a finding.

    Not where all broke; and they are made at one rate, so they say nothing of one that decayed too soon.
    """
    decayed = finding.check == "low-learning-rate" and "relative update" not in finding.evidence
    return math.isfinite(probes.loss(AS_IT_IS)) and not decayed


@contextlib.contextmanager
def restored(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
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


def score(patient: Patient) -> float:
    """Mean loss of the rows held out, in evaluation mode; infinite where it is no number."""
    patient.model.eval()
    with torch.no_grad():
        losses = [(float(patient.measure(batch)), len(batch)) for batch in patient.held_out]
    mean = sum(loss * rows for loss, rows in losses) / max(1, sum(rows for _, rows in losses))
    return mean if math.isfinite(mean) else math.inf


def _tried(patient: Patient, steps: int, factor: float = 1.0) -> float:
    """The loss of the rows held out after some updates, at a multiple of the learning rate."""
    with restored(patient.model, patient.optimizer):
        torch.manual_seed(0)  # the same chance in every experiment
        for group in patient.optimizer.param_groups:
            group["lr"] = group["lr"] * factor
        patient.model.train()
        done = 0
        try:
            for done in range(steps):
                patient.update(patient.batches[done % len(patient.batches)])
            return score(patient)
        except NonFiniteError:
            return math.inf
        except (RuntimeError, ValueError):  # some losses refuse what is not finite in their own way
            if done == 0:
                raise
            return math.inf


def _ladder(patient: Patient, steps: int, now: float) -> dict[str, float]:
    """Losses at lower rates while they fall, and at higher ones until they are worse than as it is."""
    found: dict[str, float] = {}
    before = now
    for factor in DOWN:
        loss = found[rate_of(factor)] = _tried(patient, steps, factor)
        if loss >= before and math.isfinite(before):
            break
        before = loss
    for factor in UP:
        loss = found[rate_of(factor)] = _tried(patient, steps, factor)
        if loss > now + GAIN * abs(now) or not math.isfinite(loss):
            break
    return found


def _standardised(patient: Patient) -> Patient:
    """The same with inputs of zero mean and unit spread: each column of rows, each channel of images."""
    x = torch.cat([batch.x for batch in patient.batches]).double()
    axes = [axis for axis in range(x.ndim) if axis != 1 or x.ndim < 2]
    std, mean = torch.std_mean(x, axes, correction=0, keepdim=True)
    std = torch.where(std > 0, std, torch.ones_like(std))

    def scaled(batch: Batch) -> Batch:
        return replace(batch, x=((batch.x.double() - mean) / std).to(batch.x.dtype))

    return replace(patient, batches=[*map(scaled, patient.batches)], held_out=[*map(scaled, patient.held_out)])


def _cannot_fit(probes: Probes) -> Iterator[Finding]:
    first, best = probes.loss(ONE_BATCH_START), probes.loss(ONE_BATCH)
    if not math.isfinite(first) or abs(first) < 1e-3 or (first - best) / abs(first) >= FITS:
        return
    yield Finding(
        "one-batch",
        "error",
        {"loss at first": first, "least": best, "updates": STEPS},
        f"the network cannot even fit one batch: at learning rates from {DOWN[-1]:g} to {UP[-1]:g} times its own "
        f"the loss went from {first:.3g} to {best:.3g} at best",
        "look at what lies between the layers and the loss, at the targets, and at what the optimiser holds",
    )
