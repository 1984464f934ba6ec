"""Short experiments with and without a remedy, after which everything is as it was, to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.training_state import preserve_training_state

EXPERIMENT_STEPS = 60
"""Updates of each experiment: enough to recognize a rate that is wrong by a factor of ten, and few enough for several
experiments."""
LOWER_LR_FACTORS, HIGHER_LR_FACTORS = (0.1, 0.01, 0.001), (10.0, 100.0, 1e3, 1e4)
"""Multiples of the learning rate, tried in this order as long as lower ones help and higher ones do no harm."""
UNCHANGED, STANDARDIZED_INPUTS = Message("as it is"), "standardized inputs"
ONE_BATCH, ONE_BATCH_START = Message("one batch, at best"), Message("one batch, at first")
MIN_GAIN = 0.02
"""Fraction by which a remedy must lower the loss to count as confirmed."""
GROSS_STD = 20.0
"""Standard deviation of inputs that no experiment acquits: that of bytes is near 70, of years 20."""
MIN_ONE_BATCH_DROP = 0.05
"""Fraction by which a network must be able to lower its loss on a single batch, at any of the rates."""


@dataclass(frozen=True)
class TrainingSetup:
    """A training that experiments can be made with.

    Args:
        model: the network.
        optimizer: the optimizer of its parameters.
        batches: batches to train on, the same ones in every experiment.
        held_out: batches to compute the loss on, never trained on.
        update: makes one update on a batch.
        measure: returns the mean loss of a batch ``()``.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Sequence[Batch]
    held_out: Sequence[Batch]
    update: Callable[[Batch], Any]
    measure: Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class ExperimentResults:
    """The held-out loss of each experiment, by what was changed; None if the training diverged."""

    losses: Mapping[str, float | None] = field(default_factory=dict)

    def loss(self, change: str) -> float:
        """Return the loss after a change; NaN if it was not tried, infinity if the training diverged."""
        value = self.losses.get(change, math.nan)
        return math.inf if value is None else value

    def best_change(self, changes: Sequence[str]) -> tuple[str, float]:
        """Return the change with the smallest loss, and by which fraction it lowers the loss without a change."""
        tried = [change for change in changes if change in self.losses]
        if not tried or UNCHANGED not in self.losses:
            return "", math.nan
        change = min(tried, key=self.loss)
        without, with_change = self.loss(UNCHANGED), self.loss(change)
        if math.isinf(without):
            return change, 0.0 if math.isinf(with_change) else 1.0
        return change, (without - with_change) / max(abs(without), 1e-12)


def name_lr_experiment(factor: float) -> str:
    """Return the name of an experiment with a multiple of the learning rate.

    >>> name_lr_experiment(0.1), name_lr_experiment(10.0)
    ('lr x 0.1', 'lr x 10')
    """
    return f"lr x {factor:g}"


LOWER_LRS = [name_lr_experiment(factor) for factor in LOWER_LR_FACTORS]
HIGHER_LRS = [name_lr_experiment(factor) for factor in HIGHER_LR_FACTORS]
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
"""Changes that may fix a finding, by its check; and the severities at which it is dropped if none of them helps."""


def run_experiments(setup: TrainingSetup, steps: int = EXPERIMENT_STEPS) -> ExperimentResults:
    """Train some steps from the same start with each remedy and without, and compute each held-out loss.

    Weights, buffers, optimizer, modes and random generators are the same to the bit afterwards.

    Args:
        setup: the training.
        steps: updates of each experiment.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3 (rates); Karpathy,
    https://karpathy.github.io/2019/04/25/recipe (overfit one batch).
    """
    if not sum(len(batch) for batch in setup.held_out):
        return ExperimentResults()
    losses: dict[str, float] = {UNCHANGED: _train(setup, steps)}
    if all(isinstance(batch.x, torch.Tensor) and batch.x.is_floating_point() for batch in setup.batches):
        standardized = standardize_inputs(setup)
        if standardized is not None:
            losses[STANDARDIZED_INPUTS] = _train(standardized, steps)
    losses |= _try_learning_rates(setup, steps, losses[UNCHANGED])
    one_batch = replace(setup, batches=setup.batches[:1], held_out=setup.batches[:1])
    start = best = losses[ONE_BATCH_START] = _train(one_batch, 0)
    for factor in (1.0, *HIGHER_LR_FACTORS, *LOWER_LR_FACTORS):
        if best > (1 - MIN_ONE_BATCH_DROP) * start:
            best = min(best, _train(one_batch, steps, factor))
    losses[ONE_BATCH] = best
    return ExperimentResults({name: loss if math.isfinite(loss) else None for name, loss in losses.items()})


def verify_findings(diagnosis: Diagnosis, results: ExperimentResults) -> Diagnosis:
    """Return the diagnosis after comparing it with the results of the experiments.

    A finding whose remedy helped gets the measured losses as evidence. A finding about rates or inputs whose remedy
    did not help is dropped, and its symptoms become findings. If nothing else was found and the network cannot fit one
    batch, that is the finding.
    """
    if UNCHANGED not in results.losses:
        return diagnosis
    queue, findings, symptoms = list(diagnosis.findings), list[Finding](), dict(diagnosis.symptoms)
    while queue:
        finding = queue.pop(0)
        changes, droppable_severities = REMEDIES.get(finding.check, ((), ()))
        change, gain = results.best_change(changes)
        if gain >= MIN_GAIN:
            tried = {"change": change, "loss without": results.losses[UNCHANGED], "loss with": results.losses[change]}
            finding = replace(finding, evidence={**finding.evidence, "tried": tried})
        elif change and finding.severity in droppable_severities and _contradict(results, finding):
            queue = [*symptoms.pop(finding.check, ()), *queue]
            continue
        findings.append(finding)
    if not findings:
        findings = list(_find_unfittable_batch(results))
    return replace(diagnosis, findings=tuple(findings), symptoms=symptoms)


def compute_held_out_loss(setup: TrainingSetup) -> float:
    """Compute the mean loss of the held-out rows in evaluation mode; infinity if it is not finite."""
    setup.model.eval()
    with torch.no_grad():
        losses = [(float(setup.measure(batch)), len(batch)) for batch in setup.held_out]
    mean = sum(loss * rows for loss, rows in losses) / max(1, sum(rows for _, rows in losses))
    return mean if math.isfinite(mean) else math.inf


def standardize_inputs(setup: TrainingSetup) -> TrainingSetup | None:
    """Return the setup with inputs of mean 0 and standard deviation 1: per column of a table, per channel of images.

    The batches may have different lengths. None is returned if they have different numbers of columns or channels.
    """
    parts = [_list_channels(nested.tensors(batch.x)[0]) for batch in setup.batches]
    if len({part.shape[1] for part in parts}) > 1:
        return None
    std, mean = torch.std_mean(torch.cat(parts), 0, correction=0)
    std = torch.where(std > 0, std, torch.ones_like(std))

    def scale(x: torch.Tensor) -> torch.Tensor:
        shape = (-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else ()
        return ((x.double() - mean.view(shape)) / std.view(shape)).to(x.dtype)

    def standardize(batch: Batch) -> Batch:
        return replace(batch, x=nested.map_tensors(scale, batch.x))

    return replace(setup, batches=[*map(standardize, setup.batches)], held_out=[*map(standardize, setup.held_out)])


def _contradict(results: ExperimentResults, finding: Finding) -> bool:
    """Return whether experiments in which no remedy helped contradict a finding.

    They do not if all of them diverged, nor if the learning rate decayed too early, since they use a constant rate, nor
    if the inputs are as far from their scale as bytes: a few steps of scaled ones may learn little, too.
    """
    decayed = finding.check == "low-learning-rate" and "relative update" not in finding.evidence
    is_gross = finding.check == "inputs" and float(finding.evidence.get("std", 1.0)) > GROSS_STD
    return math.isfinite(results.loss(UNCHANGED)) and not decayed and not is_gross


def _train(setup: TrainingSetup, steps: int, lr_factor: float = 1.0) -> float:
    """Return the held-out loss after some updates at a multiple of the learning rate; infinity if they diverge."""
    with preserve_training_state(setup.model, setup.optimizer):
        torch.manual_seed(0)  # every experiment draws the same random numbers
        for group in setup.optimizer.param_groups:
            group["lr"] = group["lr"] * lr_factor
        setup.model.train()
        step = 0
        try:
            for step in range(steps):
                setup.update(setup.batches[step % len(setup.batches)])
            return compute_held_out_loss(setup)
        except NonFiniteError:
            return math.inf
        except (RuntimeError, ValueError):  # some losses raise their own error for values that are not finite
            if step == 0:
                raise
            return math.inf


def _try_learning_rates(setup: TrainingSetup, steps: int, loss_without: float) -> dict[str, float]:
    """Return the losses at lower rates while they fall, and at higher ones until they exceed the present loss."""
    losses: dict[str, float] = {}
    previous = loss_without
    for factor in LOWER_LR_FACTORS:
        loss = losses[name_lr_experiment(factor)] = _train(setup, steps, factor)
        if loss >= previous and math.isfinite(previous):
            break
        previous = loss
    for factor in HIGHER_LR_FACTORS:
        loss = losses[name_lr_experiment(factor)] = _train(setup, steps, factor)
        if loss > loss_without + MIN_GAIN * abs(loss_without) or not math.isfinite(loss):
            break
    return losses


def _list_channels(x: torch.Tensor) -> torch.Tensor:
    """Return the values ``(K, C)`` of each column or channel of inputs ``(N,)`` or ``(N, C, ...)``."""
    return x.double().movedim(1, -1).reshape(-1, x.shape[1]) if x.ndim > 1 else x.double()[:, None]


def _find_unfittable_batch(results: ExperimentResults) -> Iterator[Finding]:
    """Yield a finding if the network cannot fit one batch at any of the rates."""
    start, best = results.loss(ONE_BATCH_START), results.loss(ONE_BATCH)
    if not math.isfinite(start) or abs(start) < 1e-3 or (start - best) / abs(start) >= MIN_ONE_BATCH_DROP:
        return
    yield Finding(
        "one-batch",
        "error",
        {"loss at first": start, "least": best, "updates": EXPERIMENT_STEPS},
        Message(
            "the network cannot fit even one batch: at learning rates from {LOWER_LR_FACTORS} to "
            "{HIGHER_LR_FACTORS} times the present one the loss went from {start} to {best} at best",
            LOWER_LR_FACTORS=f"{LOWER_LR_FACTORS[-1]:g}",
            HIGHER_LR_FACTORS=f"{HIGHER_LR_FACTORS[-1]:g}",
            start=f"{start:.3g}",
            best=f"{best:.3g}",
        ),
        Message(
            "look at the operations between the layers and the loss, at the targets, and at the optimizer's parameters",
        ),
    )
