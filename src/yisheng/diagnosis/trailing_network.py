"""Compare a user's trained network with quick models of the same rows, and try other learning rates if it trails."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # its common name

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.batched_outputs import predict_in_batches
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.given_rows import are_inputs, compare
from yisheng.diagnosis.restart import MAX_REMAINING_AFTER_RESTART, Beginning, takes_too_long, train_again
from yisheng.diagnosis.row_checks import RowResults
from yisheng.diagnosis.sample import InconclusiveError, Sample
from yisheng.diagnosis.trained_part import explain_trained_part
from yisheng.diagnosis.training_state import preserve_training_state

MAX_ROWS, MAX_FEATURES, TREES = 2000, 400, 60
MIN_HELD_OUT, MIN_CLASSES = 40, 2
MIN_GAP, MIN_GAP_IN_ERRORS = 0.2, 3.0
"""Accuracy or R² that the network lacks, and the same in standard errors of the paired difference."""
MAX_LEARNED_BY_CHANCE = 0.1
"""Fraction of the loss that is gone in a training that has learned nothing, and gain over guessing."""
MAX_FALL = 0.1
"""Fall of the loss in the last quarter of the updates that is none."""
MAX_FALL_OF_EXPECTED = 0.3
"""Fall in the last quarter relative to that of a copy that goes on: learning from the same rows gives all of it."""
NO_UPDATES, PRESENT = 0.0, 1.0
RATES, STEPS, BATCH = (PRESENT, 0.1, 10.0), 100, 32
"""Factors of the learning rate that are tried from the present weights, updates of each, and rows of a batch."""
MAX_REMAINING = 0.75
"""Held-out loss relative to that at the present rate, below which a rate is better: repetitions differ by 10%."""
LOSSES = {("nll", ("log_softmax",)): F.cross_entropy, ("mse", ()): F.mse_loss}


@dataclass(frozen=True)
class _QuickModel:
    """A quick model's predictions of the held-out rows.

    Args:
        name: for the finding.
        correct: gain of each row: 1 if its class is right, or minus the squared error over the variance.
    """

    name: str
    correct: np.ndarray


def find_trailing_network(
    case: Case, rows: RowResults, data: Any, validation: Any, beginning: Beginning | None = None
) -> Iterator[Finding]:
    """Yield that trees or least squares on the same rows predict held-out rows far better than the network.

    The gap must be a fifth in accuracy or R², and three standard errors. If it is, the training goes on for a hundred
    updates on a copy, at a tenth of the learning rate, at the same and at ten times; if one is much better, the rate is
    the cause. If none is, a copy starts again from the initial weights at a tenth of the rate, since a lower rate
    cannot repair what a high one has destroyed.

    Args:
        case: the finished training.
        rows: the rows as they were read.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.
        beginning: the network before its first update, if it was kept.

    Source: Grinsztajn, Oyallon and Varoquaux, "Why do tree-based models still outperform deep learning on tabular
    data?", 2022; Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, section 3.2.
    """
    sample = rows.sample
    if sample is None or not _are_tensors(data, validation) or not _predicts_targets(case):
        return
    if not are_inputs(case, data, validation):
        return
    output = _predict(case.model, validation[0])
    network = None if output is None else _score(sample, output.numpy())
    if network is None or not np.isfinite(network).all():
        return
    try:
        quick = max(_fit_quick_models(sample), key=lambda model: model.correct.mean(), default=None)
    except InconclusiveError:  # the inputs are no features, such as tokens
        return
    if quick is None:
        return
    gap = quick.correct - network
    error = float(gap.std()) / math.sqrt(len(gap))
    if gap.mean() < max(MIN_GAP, MIN_GAP_IN_ERRORS * error):
        return
    losses = _try_rates(case, data, validation)
    factor = _find_better_rate(losses)
    goes_on = losses.get(PRESENT, math.inf) < MAX_REMAINING * losses.get(NO_UPDATES, 0.0)
    has_learned = not case.learned_less_than(MAX_LEARNED_BY_CHANCE) or _beats_guess(sample, network)
    trains_on_other_rows = not has_learned or (goes_on and _falls_less_than(case, losses))
    restarted = math.inf if factor or goes_on else _start_again(case, beginning, data, validation)
    if factor and not (goes_on and trains_on_other_rows):
        yield _explain_rate(case, factor)
    elif restarted < MAX_REMAINING_AFTER_RESTART * losses.get(NO_UPDATES, 0.0):
        yield _explain_restart(case, restarted, losses[NO_UPDATES])
    elif not trains_on_other_rows and _fits_its_rows(case, data, quick):
        yield _explain_overfitting(sample, network, quick)
    else:
        yield _explain_gap(case, sample, network, quick, trains_on_other_rows)


def _fits_its_rows(case: Case, data: Sequence[torch.Tensor], quick: _QuickModel) -> bool:
    """Return whether the network predicts its training rows as well as the quick model predicts held-out ones."""
    rows = slice(None, None, -(-len(data[0]) // MAX_ROWS))
    output, y = _predict(case.model, data[0][rows]), data[1][rows].cpu()
    if output is None or len(output) != len(y):
        return False
    if y.is_floating_point():
        if output.numel() != y.numel():
            return False
        error = (output.flatten() - y.flatten()).square().mean() / y.float().var().clamp(min=1e-30)
        return -float(error) >= float(quick.correct.mean())
    if y.ndim != 1 or output.shape[1] < MIN_CLASSES:
        return False
    return float((output.argmax(1) == y).float().mean()) >= float(quick.correct.mean())


def _explain_overfitting(sample: Sample, network: np.ndarray, quick: _QuickModel) -> Finding:
    offset = 0 if sample.spec.task == "classification" else 1
    network_score, quick_score = (float(part.mean()) + offset for part in (network, quick.correct))
    return Finding(
        "overfitting",
        "warning",
        {"network": network_score, quick.name: quick_score, "rows": len(network)},
        Message(
            "the network fits its training rows, but reaches a held-out {measure} of only {network_score}; {name} on "
            "the same rows {quick_score}",
            measure="R²" if offset else "accuracy",
            network_score=f"{network_score:.3g}",
            name=quick.name,
            quick_score=f"{quick_score:.3g}",
        ),
        Message(
            "more rows help most; otherwise use a weight_decay of 0.1 to 1, dropout, fewer columns or a smaller network"
        ),
    )


def _explain_rate(case: Case, factor: float) -> Finding:
    check = "high-learning-rate" if factor < 1 else "low-learning-rate"
    change = (
        Message("divide the learning rate by 10, or let it decay")
        if factor < 1
        else Message("multiply the learning rate by 10")
    )
    values = {"factor": f"{factor:g}", "updates": STEPS, "fall": f"{1 - MAX_REMAINING:.0%}"}
    return Finding(
        check,
        "warning",
        {"factor": factor, "updates tried": STEPS, "loss at the end": case.final_loss},
        Message(
            "with {factor} times the learning rate, {updates} more updates of a copy lower the held-out loss by more "
            "than {fall} compared with the present rate: it is too high",
            **values,
        )
        if factor < 1
        else Message(
            "with {factor} times the learning rate, {updates} more updates of a copy lower the held-out loss by more "
            "than {fall} compared with the present rate: it is too low",
            **values,
        ),
        change,
        source=case.sources.get("optimizer", ""),
    )


def _start_again(
    case: Case, beginning: Beginning | None, data: Sequence[torch.Tensor], validation: Sequence[torch.Tensor]
) -> float:
    """Return the held-out loss of a copy that starts again at a tenth of the rate; infinite if it cannot be tried."""
    pairing = case.pairing
    loss = None if pairing is None else LOSSES.get((pairing.loss, pairing.operations))
    lr = max((record.lr for record in case.records), default=0.0)
    if loss is None or beginning is None or case.has_line_search:
        return math.inf
    batch = next((record.inputs.shape[0] for record in case.records if record.inputs is not None), BATCH)
    try:
        with preserve_training_state(case.model, case.optimizer):
            value = train_again(beginning, 0.1 * lr, loss, data, validation, steps=case.steps, batch=batch)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return math.inf
    return value if math.isfinite(value) else math.inf


def _explain_restart(case: Case, restarted: float, present: float) -> Finding:
    return Finding(
        "high-learning-rate",
        "warning",
        {"factor": 0.1, "held-out loss": present, "from the start at a tenth of the rate": restarted},
        Message(
            "a copy that starts again from the initial weights at a tenth of the learning rate reaches a held-out loss "
            "of {restarted} instead of {present}: the rate is too high from the start, and a lower one later does not "
            "repair that",
            restarted=f"{restarted:.3g}",
            present=f"{present:.3g}",
        ),
        Message("divide the learning rate by 10 from the start, or let it rise over the first updates (a warm-up)"),
        source=case.sources.get("optimizer", ""),
    )


def _beats_guess(sample: Sample, network: np.ndarray) -> bool:
    """Return whether a network's predictions of the held-out rows are better than guessing."""
    if sample.spec.task != "classification":
        return 1 + float(network.mean()) > MAX_LEARNED_BY_CHANCE
    y = sample.y[sample.rows("validation")]
    return float(network.mean()) > float(np.bincount(y).max()) / len(y) + MAX_LEARNED_BY_CHANCE


def _falls_less_than(case: Case, losses: dict[float, float]) -> bool:
    """Return whether the training loss fell far less in its last quarter than the held-out loss of a copy that goes on.

    Losses are compared by their logarithms.
    """
    quarter = len(case.losses) // 4
    loss_at_start, loss_at_end = losses[NO_UPDATES], losses[PRESENT]
    if not quarter:
        return False
    third, last = (statistics.median(part) for part in (case.losses[-2 * quarter : -quarter], case.losses[-quarter:]))
    if min(loss_at_start, loss_at_end, third, last) <= 0:
        return False
    expected = math.log(loss_at_start / loss_at_end) * min(quarter / STEPS, 1.0)
    return math.log(third / last) < MAX_FALL_OF_EXPECTED * expected


def _is_flat(case: Case) -> bool:
    """Return whether the training loss has not fallen in its last quarter: more of the same would not help."""
    quarter = len(case.losses) // 4
    third, last = case.losses[-2 * quarter : -quarter], case.losses[-quarter:]
    return bool(quarter) and statistics.median(last) > (1 - MAX_FALL) * statistics.median(third)


def _explain_gap(
    case: Case, sample: Sample, network: np.ndarray, quick: _QuickModel, trains_on_other_rows: bool
) -> Finding:
    is_class = sample.spec.task == "classification"
    network_score, quick_score = (float(part.mean()) + (0 if is_class else 1) for part in (network, quick.correct))
    values = {"name": quick.name, "score": f"{quick_score:.3g}", "network": f"{network_score:.3g}"}
    frozen_remedy = "" if trains_on_other_rows else explain_trained_part(case)
    if trains_on_other_rows:
        remedy = Message(
            "look at what the loop trains on: rows and targets that are shuffled apart, augmentation that destroys the "
            "inputs, labels of other rows; then at the learning rate"
        )
    elif quick.name == "linear least squares":
        remedy = Message(
            "train it to its end: more epochs, a larger learning rate, or torch.linalg.lstsq, which solves it"
        )
    elif case.is_linear and _is_flat(case):
        remedy = Message("a line cannot follow the target: add powers and products of the columns, or a hidden layer")
    else:
        remedy = Message("use a larger network or more epochs, and try other learning rates")
    return Finding(
        "underfitting",
        "note" if frozen_remedy else "warning",
        {"network": network_score, quick.name: quick_score, "rows": len(network)},
        Message("{name} on the same rows: a held-out accuracy of {score}; the network: {network}", **values)
        if is_class
        else Message("{name} on the same rows: a held-out R² of {score}; the network: {network}", **values),
        frozen_remedy or remedy,
    )


def _predicts_targets(case: Case) -> bool:
    """Return whether the outputs are scores of classes or predicted numbers, not parameters of a distribution."""
    pairing = case.pairing
    if pairing is None or not pairing.is_only_term:
        return False
    is_number = pairing.loss in REGRESSION_LOSSES and not pairing.operations
    return is_number or pairing.loss in ("nll", "binary_cross_entropy_with_logits")


def _are_tensors(*parts: Any) -> bool:
    return all(
        isinstance(part, tuple | list) and len(part) == 2 and all(isinstance(value, torch.Tensor) for value in part)
        for part in parts
    )


def _predict(model: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    """Return the outputs ``(n, C)`` of some rows on the CPU, or None if the network gives no table."""
    outputs = predict_in_batches(model, x)
    return outputs.reshape(len(outputs), -1) if outputs is not None and outputs.ndim in (1, 2) else None


def _score(sample: Sample, output: np.ndarray) -> np.ndarray | None:
    """Return the gain of each held-out row from the network's outputs; None if they are neither scores nor values."""
    y = sample.y[sample.rows("validation")]
    if len(y) != len(output) or len(y) < MIN_HELD_OUT:
        return None
    if sample.spec.task == "classification":
        classes = len(sample.spec.classes)
        if output.shape[1] == classes:
            predicted = output.argmax(1)
        elif output.shape[1] == 1 and classes == 2:
            predicted = (output[:, 0] > 0).astype(int)
        else:
            return None
        return (predicted == y).astype(float)
    if sample.spec.outputs != 1 or output.shape[1] != 1:
        return None
    return -((y[:, 0] - output[:, 0]) ** 2) / max(float(y[:, 0].var()), 1e-30)


def _fit_quick_models(sample: Sample) -> list[_QuickModel]:
    """Return predictions of the held-out rows by trees, and for numbers by linear least squares."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    rows, held_out = sample.draw_rows("train", MAX_ROWS), sample.rows("validation")
    x, x_held_out = sample.features(rows), sample.features(held_out)
    if x.shape[1] > MAX_FEATURES:
        return []
    y, y_held_out = sample.y[rows], sample.y[held_out]
    if sample.spec.task == "classification":
        trees = ExtraTreesClassifier(TREES, random_state=0).fit(x, y)
        return [_QuickModel("trees", (trees.predict(x_held_out) == y_held_out).astype(float))]
    y, y_held_out = y[:, 0].astype(float), y_held_out[:, 0].astype(float)
    variance = max(float(y_held_out.var()), 1e-30)
    trees = ExtraTreesRegressor(TREES, random_state=0).fit(x, y)
    design, design_held_out = (np.c_[part, np.ones(len(part))].astype(float) for part in (x, x_held_out))
    line = design_held_out @ np.linalg.lstsq(design, y, rcond=None)[0]
    return [
        _QuickModel(name, -((y_held_out - prediction) ** 2) / variance)
        for name, prediction in (("trees", trees.predict(x_held_out)), ("linear least squares", line))
    ]


def _try_rates(case: Case, data: Sequence[torch.Tensor], validation: Sequence[torch.Tensor]) -> dict[float, float]:
    """Return the held-out loss of the network (`NO_UPDATES`), and after more updates by factor of the learning rate.

    Nothing is returned if the loss is not one that can be repeated.
    """
    pairing = case.pairing
    loss = None if pairing is None else LOSSES.get((pairing.loss, pairing.operations))
    device = next((p.device for p in case.model.parameters()), torch.device("cpu"))
    if loss is None or device.type != "cpu" or case.has_line_search:
        return {}
    try:
        with preserve_training_state(case.model, case.optimizer):
            losses = {factor: _go_on(case, factor, loss, data, validation) for factor in RATES}
            return {NO_UPDATES: _go_on(case, PRESENT, loss, data, validation, steps=0), **losses}
    except (InconclusiveError, RuntimeError, TypeError, ValueError, IndexError):
        return {}


def _find_better_rate(losses: dict[float, float]) -> float:
    """Return the factor of the learning rate with which the training goes on much better, or 0."""
    other_losses = {factor: loss for factor, loss in losses.items() if factor not in (NO_UPDATES, PRESENT)}
    best = min(other_losses, key=other_losses.__getitem__, default=0.0)
    return best if best and other_losses[best] < MAX_REMAINING * losses[PRESENT] else 0.0


def _go_on(
    case: Case,
    factor: float,
    loss: Any,
    data: Sequence[torch.Tensor],
    validation: Sequence[torch.Tensor],
    steps: int = STEPS,
) -> float:
    """Return the held-out loss after some more updates of a copy at another rate."""
    model, optimizer = copy.deepcopy((case.model, case.optimizer))
    highest = max((record.lr for record in case.records), default=0.0)
    for group in optimizer.param_groups:
        group["lr"] = factor * max(float(group["lr"]), highest / 10)
    model.train()
    generator = torch.Generator().manual_seed(0)
    started = time.process_time()
    for number in range(steps):
        if takes_too_long(started, number, steps):
            raise InconclusiveError
        rows = torch.randint(0, len(data[0]), (BATCH,), generator=generator)
        optimizer.zero_grad()
        compare(loss, model(data[0][rows]), data[1][rows]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        value = float(compare(loss, model(validation[0]), validation[1]))
    return value if math.isfinite(value) else math.inf
