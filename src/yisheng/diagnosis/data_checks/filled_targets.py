"""Missing targets that were filled in with one number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample

MIN_FRACTION = 0.2
"""Fraction of the rows with one and the same number; of measurements no single number is as frequent."""
MIN_VALUES = 50
"""Different numbers among the others: they are measurements, and no counts."""
MIN_ROWS = 100
"""Rows of which a fifth are twenty."""
MIN_DISTANCE_IN_STDS = 1.0
"""Distance of the number from the median of the others in their standard deviations: a change of 0 is usual, and so is
the smallest amount among amounts that begin there."""
MAX_NEAR_FRACTION, NEAR_IN_STDS = 0.05, 0.35
"""Fraction of the others that are this near to the number: amounts that begin at 0 are nearer, those of a gamma
distribution of shape 2 in one of ten cases."""


def explain_skip(sample: Sample) -> str:
    """Return why numbers that many targets have cannot be looked for; empty if they can."""
    if sample.spec.task != "regression":
        return Message("the targets are classes")
    enough = len(sample.rows("train")) >= MIN_ROWS
    return "" if enough else Message("it needs at least {count} training rows", count=MIN_ROWS)


@register(cost="cheap", needs=explain_skip)
def filled_targets(sample: Sample) -> Iterator[Finding]:
    """Find a number that many targets have exactly, far from all other targets.

    Amounts of which many are 0 and the others reach down to 0 are not reported.

    Args:
        sample: the targets of its training rows.

    Source: Little and Rubin, "Statistical analysis with missing data", 2019, section 1.3 (missing is not zero).
    """
    rows = sample.draw_rows("train")
    y = np.asarray(sample.y[rows], np.float64).reshape(len(rows), -1)
    for number in range(y.shape[1]):
        values, counts = np.unique(y[:, number][np.isfinite(y[:, number])], return_counts=True)
        if len(values) <= MIN_VALUES:
            continue
        value, fraction = float(values[counts.argmax()]), float(counts.max() / counts.sum())
        different = y[:, number][np.isfinite(y[:, number]) & (y[:, number] != value)]
        std = float(different.std())
        is_far = abs(float(np.median(different)) - value) > MIN_DISTANCE_IN_STDS * std
        near_fraction = float((np.abs(different - value) < NEAR_IN_STDS * std).mean())
        if fraction < MIN_FRACTION or not is_far or near_fraction > MAX_NEAR_FRACTION:
            continue
        yield Finding(
            "filled-targets",
            "warning",
            {
                "value": value,
                "fraction": fraction,
                "median of the others": float(np.median(different)),
                "target": number,
            },
            Message(
                "{fraction} of the targets are exactly {value}, the others lie around {median}: missing values seem to "
                "be filled in, and the network learns to predict them",
                fraction=f"{fraction:.0%}",
                value=f"{value:g}",
                median=f"{float(np.median(different)):.3g}",
            ),
            Message("drop these rows, or leave them out of the loss with a mask"),
        )
        return
