"""Inputs of evaluation that are scaled, ordered or sampled otherwise than those of training."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.input_comparison import find_changed_inputs
from yisheng.diagnosis.padding_side import find_padding_side
from yisheng.diagnosis.recorder.records import InputRecord
from yisheng.diagnosis.token_masking import find_other_masking

MAX_RATIO = 3.0
"""Standard deviation of the inputs of training over that of evaluation, or the inverse: crops, flips, erasing and
dropout of inputs change it by less than 2. It must lie outside those of all batches by this factor, since in small
batches of heavy tails each is another one."""
MAX_SHIFT = 1.0
"""Difference of the means of all batches in standard deviations, of which the largest one counts."""
MIN_COLUMNS_FRACTION = 0.5
"""Fraction of the columns of a table that must differ: a few columns may drift."""
MIN_COLUMN_RATIO, MAX_CONSTANT_STD = 100.0, 1e-3
"""Standard deviation of a single column in evaluation over the median one, if it is next to nothing in training:
numbers that were divided by the tiny standard deviation of a column that is constant in the training rows."""
MIN_ROWS = 64
"""Rows of each side: the standard deviation of 64 values is known to 9%, far below a factor of 3."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a run scales all its parts alike")
    return "" if case.evaluated.inputs else Message("no evaluation of the trained network was seen")


@register(
    needs=explain_skip,
    when="during",
    cause="data",
    explains=(
        "inputs",
        "high-learning-rate",
        "low-learning-rate",
        "plateau",
        "memorization",
        "overfitting",
        "underfitting",
        "permuted-classes",
        "missed-classes",
        "label-noise",
        "shifted-rows",
        "permuted-columns",
        "fading-columns",
    ),
)
def evaluated_inputs(case: Case) -> Iterator[Finding]:
    """Find inputs of evaluation with another scale than those of training: scaled twice or not at all, or strong noise.

    One column is enough if it is nearly constant in training and enormous in evaluation. Otherwise rows of both are
    compared: channels or columns in another order, another layout, inverted values, another sampling rate, tokens that
    are masked more often, padding on the other side.

    Args:
        case: the inputs of the recorded steps and of the first evaluations.

    Source: Breck et al., "Data validation for machine learning", 2019 (training-serving skew).
    """
    training = [record.inputs for record in case.records if record.inputs is not None]
    evaluated = list(case.evaluated.inputs)
    finding = None
    if training and min(_count_rows(training), _count_rows(evaluated)) >= MIN_ROWS:
        finding = _find_other_scale(case, training, evaluated)
    if finding is not None:
        yield finding
    else:
        yield from find_changed_inputs(case)
        yield from find_other_masking(case)
        yield from find_padding_side(case)


def _find_other_scale(case: Case, training: Sequence[InputRecord], evaluated: Sequence[InputRecord]) -> Finding | None:
    if {len(record.shape) for record in (*training, *evaluated)} != {len(training[0].shape)}:
        return None
    if case.example is not None and not case.example[0].is_floating_point():
        return None
    column = _find_enormous_column(training, evaluated)
    if column is not None:
        return _explain_column(*column)
    (mean, std), (other_mean, other_std) = (_summarize(records) for records in (training, evaluated))
    if not _differ(training, evaluated):
        return None
    return Finding(
        "evaluated-inputs",
        "warning",
        {"mean in training": mean, "std in training": std, "mean in evaluation": other_mean, "std": other_std},
        Message(
            "the inputs of evaluation (mean {other_mean}, standard deviation {other_std}) are scaled "
            "otherwise than those of training (mean {mean}, standard deviation {std})",
            other_mean=f"{other_mean:.3g}",
            other_std=f"{other_std:.3g}",
            mean=f"{mean:.3g}",
            std=f"{std:.3g}",
        ),
        Message(
            "apply the same transform to both; augmentation and noise must leave the scale of the inputs as it is",
        ),
        source=case.sources.get("forward", ""),
    )


def _find_enormous_column(
    training: Sequence[InputRecord], evaluated: Sequence[InputRecord]
) -> tuple[int, float, float] | None:
    """Return the number of a column that is enormous only in evaluation, and its two standard deviations; else None."""
    parts = (training, evaluated)
    stds, other_stds = ([r.column_std for r in records if r.column_std is not None] for records in parts)
    if len(stds) < len(training) or len(other_stds) < len(evaluated) or len({len(s) for s in stds + other_stds}) > 1:
        return None
    std, other_std = (torch.stack(records).max(0).values.cpu() for records in (stds, other_stds))
    median = float(std.median())
    number = int(other_std.argmax())
    is_constant, is_enormous = std[number] <= MAX_CONSTANT_STD * median, other_std[number] > MIN_COLUMN_RATIO * median
    is_found = median > 0 and bool(is_constant) and bool(is_enormous)
    return (number, float(std[number]), float(other_std[number])) if is_found else None


def _explain_column(number: int, std: float, other_std: float) -> Finding:
    return Finding(
        "evaluated-inputs",
        "warning",
        {"column": number, "std in training": std, "std in evaluation": other_std},
        Message(
            "input column {number} is enormous in evaluation (standard deviation {other_std}) and nearly "
            "constant in training ({std}): it was divided by the tiny standard deviation of the training "
            "rows",
            number=number,
            other_std=f"{other_std:.3g}",
            std=f"{std:.3g}",
        ),
        Message(
            "leave such a column as it is: divide by 1 where the standard deviation of the training rows "
            "is 0, or drop it",
        ),
    )


def _differ(training: Sequence[InputRecord], evaluated: Sequence[InputRecord]) -> bool:
    columns, other_columns = _columns(training), _columns(evaluated)
    if columns is None or other_columns is None or columns[0].shape[1] != other_columns[0].shape[1]:
        columns, other_columns = _as_one_column(training), _as_one_column(evaluated)
    (means, stds), (other_means, other_stds) = columns, other_columns
    low, high, other_low, other_high = stds.amin(0), stds.amax(0), other_stds.amin(0), other_stds.amax(0)
    varies = (high > 0) | (other_high > 0)
    has_other_scale = (low > MAX_RATIO * other_high) | (other_low > MAX_RATIO * high)
    largest = torch.maximum(high, other_high)
    distance = torch.maximum(means.amin(0) - other_means.amax(0), other_means.amin(0) - means.amax(0))
    differs = has_other_scale | (distance > MAX_SHIFT * largest)
    return bool(varies.any()) and float(differs[varies].float().mean()) > MIN_COLUMNS_FRACTION


def _summarize(records: Sequence[InputRecord]) -> tuple[float, float]:
    return statistics.median(r.mean for r in records), statistics.median(r.std for r in records)


def _as_one_column(records: Sequence[InputRecord]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[r.mean] for r in records]), torch.tensor([[r.std] for r in records])


def _columns(records: Sequence[InputRecord]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return mean and standard deviation of each column in each batch ``(n, D)``, or None if it is not a table."""
    means = [r.column_mean for r in records if r.column_mean is not None]
    stds = [r.column_std for r in records if r.column_std is not None]
    if len(means) < len(records) or len({len(mean) for mean in means}) > 1:
        return None
    return torch.stack(means).cpu(), torch.stack(stds).cpu()


def _count_rows(records: Sequence[InputRecord]) -> int:
    return sum(record.shape[0] if record.shape else 0 for record in records)
