"""Inputs of evaluation that are scaled otherwise than those of training."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import InputRecord

MAX_RATIO = 3.0
"""Standard deviation of the inputs of training over that of evaluation, or the inverse: crops, flips, erasing and
dropout of inputs change it by less than 2."""
MAX_SHIFT = 1.0
"""Difference of the means in standard deviations, of which the larger one counts."""
MIN_COLUMNS_FRACTION = 0.5
"""Fraction of the columns of a table that must differ: a few columns may drift."""
MIN_ROWS = 64


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return "a run scales all its parts alike"
    return "" if case.evaluated.inputs else "no evaluation of the trained network was seen"


@register(
    needs=explain_skip,
    when="during",
    cause="data",
    explains=("inputs", "high-learning-rate", "low-learning-rate", "plateau"),
)
def evaluated_inputs(case: Case) -> Iterator[Finding]:
    """Find inputs of evaluation with another scale than those of training: scaled twice or not at all, or strong noise.

    Args:
        case: the inputs of the recorded steps and of the first evaluations.

    Source: Breck et al., "Data validation for machine learning", 2019 (training-serving skew).
    """
    training = [record.inputs for record in case.records if record.inputs is not None]
    evaluated = list(case.evaluated.inputs)
    if not training or min(_count_rows(training), _count_rows(evaluated)) < MIN_ROWS:
        return
    if {len(record.shape) for record in (*training, *evaluated)} != {len(training[0].shape)}:
        return
    if case.example is not None and not case.example[0].is_floating_point():
        return
    (mean, std), (other_mean, other_std) = (_summarize(records) for records in (training, evaluated))
    if not _differ(training, evaluated):
        return
    yield Finding(
        "evaluated-inputs",
        "warning",
        {"mean in training": mean, "std in training": std, "mean in evaluation": other_mean, "std": other_std},
        f"the inputs of evaluation (mean {other_mean:.3g}, standard deviation {other_std:.3g}) are scaled otherwise "
        f"than those of training (mean {mean:.3g}, standard deviation {std:.3g})",
        "apply the same transform to both; augmentation and noise must leave the scale of the inputs as it is",
        source=case.sources.get("forward", ""),
    )


def _differ(training: Sequence[InputRecord], evaluated: Sequence[InputRecord]) -> bool:
    columns, other_columns = _columns(training), _columns(evaluated)
    if columns is None or other_columns is None or len(columns[0]) != len(other_columns[0]):
        columns, other_columns = _as_one_column(training), _as_one_column(evaluated)
    (mean, std), (other_mean, other_std) = columns, other_columns
    varies = (std > 0) | (other_std > 0)
    larger, smaller = torch.maximum(std, other_std), torch.minimum(std, other_std)
    differs = (larger > MAX_RATIO * smaller) | ((mean - other_mean).abs() > MAX_SHIFT * larger)
    return bool(varies.any()) and float(differs[varies].float().mean()) > MIN_COLUMNS_FRACTION


def _summarize(records: Sequence[InputRecord]) -> tuple[float, float]:
    return statistics.median(r.mean for r in records), statistics.median(r.std for r in records)


def _as_one_column(records: Sequence[InputRecord]) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = _summarize(records)
    return torch.tensor(mean), torch.tensor(std)


def _columns(records: Sequence[InputRecord]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return mean and standard deviation of each column, medians over the batches, or None if it is not a table."""
    means = [r.column_mean for r in records if r.column_mean is not None]
    stds = [r.column_std for r in records if r.column_std is not None]
    if len(means) < len(records) or len({len(mean) for mean in means}) > 1:
        return None
    return torch.stack(means).median(0).values.cpu(), torch.stack(stds).median(0).values.cpu()


def _count_rows(records: Sequence[InputRecord]) -> int:
    return sum(record.shape[0] if record.shape else 0 for record in records)
