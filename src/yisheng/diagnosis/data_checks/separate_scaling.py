"""Parts of a data set that were each scaled by their own statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from yisheng.core.dataset import Part
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import PART_NAMES

MIN_ROWS, MAX_VALUES = 30, 1 << 24
"""Rows of each part, and values of all rows; all rows are needed, and double precision."""
TOLERANCE_IN_ERRORS, MIN_TOLERANCE, MAX_TOLERANCE = 3e-3, 2e-6, 1e-4
"""Largest distance of a mean from 0 and of a standard deviation from 1: in the standard errors of means of as many
rows, where the scaling of other rows leaves one of 400 as near, but at least the rounding of float32."""
MIN_DISTINCT, MAX_EXTREME_ROWS = 10, 2
"""Different values of a column that is a measurement, and rows that hold its lowest or highest one: the limits of a
scale, such as those of percentages and pixels, are those of many rows."""
MAX_GROUP_MEAN = 3e-6
"""Mean of the rows up to one of them that is 0, up to the rounding of float32: sums of other rows cross 0, too."""
MIN_FRACTION = 0.5
"""Fraction of the measurements that must be scaled so; the others may have been added later."""
MIN_TARGET_SHIFT, MIN_TARGET_Z = 0.2, 5.0
"""Difference of the mean targets of two parts in standard deviations and in standard errors: what the inputs of rows
that were scaled by the training rows would show."""


@dataclass(frozen=True)
class _Scaling:
    name: str
    measure: Callable[[np.ndarray], np.ndarray]
    formula: str


def _explain_skip(sample: Sample) -> str:
    if not any(len(sample.rows(part)) >= MIN_ROWS for part in ("validation", "test")):
        return Message("it needs at least {count} held-out rows", count=MIN_ROWS)
    if sample.x.dtype.kind != "f" or len(sample.rows("train")) < MIN_ROWS:
        return Message("the inputs are no numbers that were scaled")
    is_large = sample.x.size > MAX_VALUES
    return Message("it needs all rows, and they have more than {count} values", count=MAX_VALUES) if is_large else ""


@register(
    cost="cheap",
    needs=_explain_skip,
    raw=True,
    explains=("shifted-rows", "evaluated-inputs", "overfitting", "memorization", "underfitting"),
)
def separate_scaling(sample: Sample) -> Iterator[Finding]:
    r"""Find held-out rows whose columns have exactly mean 0 and standard deviation 1, as those of the training rows.

    After ``scaler.transform`` with the statistics of the training rows the mean of m held-out rows is off by about
    :math:`1/\sqrt m`. Exact ones are those of a scaler that was fitted again: how the parts differ is gone from the
    inputs. If the mean targets differ, this is a warning. Likewise for lowest and highest values of 0 and 1 (or -1
    and 1), for medians of 0 with a distance of the quartiles of 1, and for one mean and standard deviation of all
    values or of a channel. Rows that are scaled by themselves, or in groups, are left out.

    Args:
        sample: all rows of its parts.

    Source: Kapoor and Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", 2023,
    section 3 (L1.2, preprocessing on training and test set); scikit-learn documentation, "Common pitfalls and
    recommended practices", section 10.1 (inconsistent preprocessing).
    """
    training = np.asarray(sample.x[sample.rows("train")], np.float64)
    for axes in _list_axes(training.ndim):
        for scaling in SCALINGS:
            columns = _find_scaled(training, axes, scaling)
            if columns is None:
                continue
            for part in ("test", "validation"):
                rows = sample.rows(part)
                if len(rows) < MIN_ROWS:
                    continue
                values = np.asarray(sample.x[rows], np.float64)
                in_part = _find_scaled(values, axes, scaling)
                if in_part is not None and len(in_part) == len(columns) and (in_part & columns).any():
                    yield _build_finding(sample, part, scaling, int((in_part & columns).sum()))
                    return


def _list_axes(ndim: int) -> list[tuple[int, ...]]:
    """Return over which axes statistics are taken: those of columns or pixels, of channels, and of all values."""
    axes = tuple(range(ndim))
    choices = [(0,), tuple(axis for axis in axes if axis != 1), axes[:-1], axes]
    return list(dict.fromkeys(choice for choice in choices if ndim > 1 or choice == (0,)))


def _find_scaled(values: np.ndarray, axes: tuple[int, ...], scaling: _Scaling) -> np.ndarray | None:
    """Return which columns of a part have exactly these statistics ``(D,)``, or None if most have not.

    Args:
        values: all rows of the part ``(N, ...)``.
        axes: over which the statistics are taken, the first one included.
        scaling: the statistics.
    """
    if not np.isfinite(values).all():
        return None
    columns = np.moveaxis(values, axes, range(len(axes))).reshape(math.prod(values.shape[a] for a in axes), -1)
    is_measured = columns.max(0) > columns.min(0)
    is_measured &= np.array([_has_many_values(column) for column in columns.T])
    if not is_measured.any():
        return None
    tolerance = min(MAX_TOLERANCE, max(MIN_TOLERANCE, TOLERANCE_IN_ERRORS / math.sqrt(len(values))))
    is_scaled = np.zeros(len(is_measured), bool)
    is_scaled[is_measured] = scaling.measure(columns[:, is_measured]) <= tolerance
    if is_scaled.sum() < max(1, MIN_FRACTION * is_measured.sum()):
        return None
    means = columns[:, is_scaled].reshape(len(values), -1, int(is_scaled.sum())).mean(1)
    return None if _are_groups_scaled(means) else is_scaled


def _has_many_values(column: np.ndarray) -> bool:
    """Return whether a column has at least `MIN_DISTINCT` values; its first ones mostly tell."""
    return len(np.unique(column[:1000])) >= MIN_DISTINCT or len(np.unique(column)) >= MIN_DISTINCT


def _are_groups_scaled(means: np.ndarray) -> bool:
    """Return whether rows were scaled by themselves or in groups, whose sums are 0 before the last row.

    Args:
        means: of the scaled columns of each row ``(N, D)``.
    """
    sums = np.abs(means.cumsum(0))[:-1].max(1)
    counts = np.arange(1, len(means))
    return bool((sums <= MAX_GROUP_MEAN * np.minimum(counts, len(means) - counts)).any())


def _measure_standard(columns: np.ndarray) -> np.ndarray:
    """Return how far the mean is from 0, or the standard deviation (of N or N - 1) from 1."""
    count = len(columns)
    std = columns.std(0)
    distance = np.minimum(np.abs(std - 1), np.abs(std * math.sqrt(count / max(1, count - 1)) - 1))
    result: np.ndarray = np.maximum(np.abs(columns.mean(0)), distance)
    return result


def _measure_range(columns: np.ndarray) -> np.ndarray:
    """Return how far the lowest and highest values are from 0 and 1, or -1 and 1; infinity if many rows have them."""
    low, high = columns.min(0), columns.max(0)
    is_rare = np.maximum((columns == low).sum(0), (columns == high).sum(0)) <= MAX_EXTREME_ROWS
    distance = np.maximum(np.minimum(np.abs(low), np.abs(low + 1)), np.abs(high - 1))
    return np.where(is_rare, distance, np.inf)


def _measure_robust(columns: np.ndarray) -> np.ndarray:
    """Return how far the median is from 0, or the distance of the quartiles from 1."""
    lower, median, upper = np.quantile(columns, (0.25, 0.5, 0.75), axis=0)
    result: np.ndarray = np.maximum(np.abs(median), np.abs(upper - lower - 1))
    return result


SCALINGS = (
    _Scaling("standard", _measure_standard, Message("mean 0 and standard deviation 1")),
    _Scaling("range", _measure_range, Message("lowest values of 0 or -1 and highest values of 1")),
    _Scaling("robust", _measure_robust, Message("median 0 and quartiles 1 apart")),
)


def _build_finding(sample: Sample, part: Part, scaling: _Scaling, columns: int) -> Finding:
    shift, z = _compare_targets(sample, part)
    is_harmful = shift >= MIN_TARGET_SHIFT and z >= MIN_TARGET_Z
    problem = Message(
        "the {part} rows were scaled by themselves: they have exactly {formula}, as the training rows have",
        part=PART_NAMES[part],
        formula=scaling.formula,
    )
    cause = (
        Message(
            "{problem}; their mean target is {shift} standard deviations away, which the means of the inputs no longer "
            "show",
            problem=problem,
            shift=f"{shift:.2g}",
        )
        if is_harmful
        else problem
    )
    return Finding(
        "separate-scaling",
        "warning" if is_harmful else "note",
        {"part": part, "scaling": scaling.name, "columns": columns, "shift of the mean target": shift, "z": z},
        cause,
        Message(
            "compute the statistics from the training rows once, and scale all parts by them (scaler.transform, not "
            "fit_transform)"
        ),
    )


def _compare_targets(sample: Sample, part: Part) -> tuple[float, float]:
    """Return the largest difference of a mean target in standard deviations, and in standard errors; of classes too."""
    targets = [sample.y[sample.rows(name)] for name in ("train", part)]
    if sample.spec.task == "classification" and targets[0].ndim == 1:
        classes = np.unique(targets[0])[:100]
        targets = [(target[:, None] == classes) for target in targets]
    y, held_out = (np.asarray(target, np.float64).reshape(len(target), -1) for target in targets)
    std = np.sqrt((y.var(0) + held_out.var(0)) / 2)
    difference = np.abs(y.mean(0) - held_out.mean(0))
    shifts = np.divide(difference, std, out=np.zeros_like(std), where=std > 0)
    shift = float(np.nan_to_num(shifts).max())
    return shift, shift / math.sqrt(1 / len(y) + 1 / len(held_out))
