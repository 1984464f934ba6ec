"""Columns of numeric targets that have next to no part in the loss, since another one has far larger numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from yisheng.diagnosis.case import Case
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.probe import REFUSALS, copied_network

SQUARED_LOSSES = ("mse", "squared")
"""Losses in which a column of a tenth of the standard deviation has a hundredth of the part."""
MIN_UPDATES, MIN_ROWS = 200, 60
"""Updates after which large columns are learned, and recorded rows: errors of 1 and 1.5 times the variance differ there
by more than their standard error."""
MAX_COLUMNS = 32
"""Columns of targets that are quantities of their own; more are pixels, steps of time or features."""
MAX_PART = 0.01
"""Part of a column in the loss of guessing: below it, a change of the network that removes all of its error lowers the
loss by less than the large columns differ between two batches."""
MIN_ERROR, MAX_LEARNED_ERROR = 1.5, 0.5
"""Mean squared errors relative to the variance: of a column that is predicted worse than by its mean, so that not even
its level is learned (a column that the inputs do not determine has 1), and of one that is learned."""


@dataclass(frozen=True)
class UnlearnedColumns:
    """Target columns that are worse than their mean.

    Args:
        numbers: of these columns.
        part: largest part of one of them in the loss of guessing.
        error: smallest mean squared error of one of them, relative to its variance.
        learned: the column with the largest variance.
        learned_error: its mean squared error, relative to its variance.
        ratio: standard deviation of that column over that of the smallest of these.
    """

    numbers: list[int]
    part: float
    error: float
    learned: int
    learned_error: float
    ratio: float


def find_unlearned_columns(case: Case) -> UnlearnedColumns | None:
    """Return the target columns with less than a hundredth of the loss that are predicted worse than by their mean.

    Args:
        case: the outputs and targets that its graphs keep.
    """
    pairing = case.pairing
    if pairing is None or pairing.loss not in SQUARED_LOSSES or pairing.is_weighted or case.steps < MIN_UPDATES:
        return None
    measured = _predict_recorded(case) or _collect_errors(case)
    if measured is None:
        return None
    errors, targets = (part.double().cpu() for part in measured)
    if len(targets) < MIN_ROWS or not bool(torch.isfinite(errors).all() & torch.isfinite(targets).all()):
        return None
    variance = targets.var(0)
    part, error = variance / variance.sum(), errors.square().mean(0) / variance.clamp(min=1e-300)
    largest = int(variance.argmax())
    is_unlearned = (part < MAX_PART) & (error > MIN_ERROR) & (variance > 0)
    if not bool(is_unlearned.any()) or not float(error[largest]) < MAX_LEARNED_ERROR or _are_inputs(case):
        return None
    ratio = math.sqrt(float(variance[largest] / variance[is_unlearned].min()))
    numbers = is_unlearned.nonzero()[:, 0].tolist()
    bounds = float(part[is_unlearned].max()), float(error[is_unlearned].min())
    return UnlearnedColumns(numbers, *bounds, largest, float(error[largest]), ratio)


def _predict_recorded(case: Case) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return errors of the trained network and targets ``(N, K)`` of the recorded rows, or None if they are unknown."""
    rows = [
        (record.rows[0], record.targets[: len(record.rows[0])])
        for record in case.records
        if record.rows is not None
        and len(record.rows) == 1
        and record.targets is not None
        and _is_table(record.targets)
    ]
    if not case.is_finished or not rows or len({(x.shape[1:], y.shape[1:]) for x, y in rows}) > 1:
        return None
    device = next((p.device for p in case.model.parameters()), torch.device("cpu"))
    x, targets = (torch.cat([pair[i] for pair in rows]).to(device) for i in (0, 1))
    try:
        with copied_network(case.model, (x,)) as network:
            output = network(x)
    except REFUSALS:
        return None
    if not isinstance(output, torch.Tensor) or output.shape != targets.shape:
        return None
    return output - targets, targets


def _collect_errors(case: Case) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return errors and targets ``(N, K)`` of the recorded steps of the second half, or None if they are unknown."""
    pairs = [
        pair
        for record in case.records
        if record.step > case.steps / 2 and (pair := _read_errors(record.pairing, record.targets))
    ]
    if not pairs or len({targets.shape[1] for _, targets in pairs}) > 1:
        return None
    return torch.cat([errors for errors, _ in pairs]), torch.cat([targets for _, targets in pairs])


def _read_errors(pairing: Pairing | None, targets: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return errors and targets ``(B, K)`` of a step, or None if its loss does not keep them."""
    if pairing is None or targets is None or not _is_table(targets):
        return None
    if pairing.difference is not None:
        errors = pairing.difference
    elif pairing.output is not None and pairing.target is not None and pairing.output.shape == pairing.target.shape:
        errors = pairing.output - pairing.target
    else:
        return None
    errors = errors.detach()[: len(targets)]
    return (errors, targets.detach()) if errors.shape == targets.shape else None


def _is_table(targets: torch.Tensor) -> bool:
    return targets.is_floating_point() and targets.ndim == 2 and 2 <= targets.shape[1] <= MAX_COLUMNS


def _are_inputs(case: Case) -> bool:
    """Return whether the targets are the inputs: an autoencoder leaves out what varies little, on purpose."""
    return any(feature.copies_input for feature in case.features)
