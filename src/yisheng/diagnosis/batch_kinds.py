"""Whether the batches of a training are of several kinds, so that its loss depends on which kind comes next."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch

from yisheng.diagnosis.recorder.records import StepRecord

MIN_BATCHES, MIN_ROWS = 6, 8
"""Recorded batches, and rows of each, that are compared."""
MAX_RATIO = 5.0
"""Variance of the means of batches over that of shuffled ones, the variance of the rows divided by their number: of ten
shuffled batches it is above 3 once in a thousand cases."""
MAX_DEVIATION = 3.0
"""Standard deviation of the logarithms of the batches' variances over that of shuffled ones."""


def has_batch_kinds(records: Sequence[StepRecord]) -> bool:
    """Return whether the recorded batches differ by more than shuffled rows do.

    They are of several kinds if they train different parameters, give the network other options, or have targets of
    several types; or if their inputs or targets differ in mean (F = B var(means) / mean(variances) > 5) or in variance.

    Args:
        records: of the recorded steps.

    >>> rows = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    >>> has_batch_kinds([StepRecord(step, targets=batch) for step, batch in enumerate(rows)])
    False
    >>> has_batch_kinds([StepRecord(step, targets=batch + step % 2) for step, batch in enumerate(rows)])
    True
    """
    compared = [record for record in records if record.reached]
    if len({frozenset(record.reached) for record in compared}) > 1 or len({r.options for r in compared}) > 1:
        return True
    targets = [record.targets for record in records if record.targets is not None]
    if len({(batch.shape[1:], batch.is_floating_point()) for batch in targets}) > 1:
        return True
    return _differ_in_inputs(records) or _differ_in_targets(targets)


def _differ_in_inputs(records: Sequence[StepRecord]) -> bool:
    """Return whether the means of a column differ too much between batches of a table."""
    inputs = [r.inputs for r in records if r.inputs is not None and r.inputs.column_mean is not None]
    if len(inputs) < MIN_BATCHES or len({batch.shape[1:] for batch in inputs}) > 1:
        return False
    rows = [batch.shape[0] for batch in inputs]
    means = torch.stack([batch.column_mean for batch in inputs if batch.column_mean is not None]).double()
    stds = torch.stack([batch.column_std for batch in inputs if batch.column_std is not None]).double()
    return _exceed_random_means(means, stds.square(), min(rows))


def _differ_in_targets(targets: Sequence[torch.Tensor]) -> bool:
    """Return whether the means or the variances of numbers differ too much between batches."""
    batches = [batch.double().flatten() for batch in targets if batch.is_floating_point() and len(batch) >= MIN_ROWS]
    if len(batches) < MIN_BATCHES:
        return False
    rows = min(len(target) for target in targets)
    variances = torch.stack([batch.var() for batch in batches])
    if _exceed_random_means(torch.stack([batch.mean() for batch in batches])[:, None], variances[:, None], rows):
        return True
    if not bool((variances > 0).all()):
        return False
    standardized = torch.cat([(batch - batch.mean()) / batch.std() for batch in batches])
    kurtosis = max(float(standardized.pow(4).mean()), 2.0)
    expected = math.sqrt((kurtosis - 1) / (rows - 1))
    return statistics.stdev(variances.log().tolist()) > MAX_DEVIATION * expected


def _exceed_random_means(means: torch.Tensor, variances: torch.Tensor, rows: int) -> bool:
    """Return whether the means ``(K, D)`` of batches vary more than those of shuffled rows with these variances."""
    if rows < MIN_ROWS or not bool(torch.isfinite(means).all() and torch.isfinite(variances).all()):
        return False
    between, within = means.var(0), variances.mean(0) / rows
    rounding = 1e-12 * means.square().mean(0)
    return bool((between > MAX_RATIO * within + rounding).any())
