"""Held-out targets of another scale than the training targets."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._two_parts import are_varied, draw_two_parts, explain_skip
from yisheng.diagnosis.sample import Sample

MIN_RATIO = 5.0
"""Standard deviation of one part relative to that of the other: seasons and places differ by less, units by more."""
OUTER_QUANTILES = (0.05, 0.95)
"""Quantiles whose distance must differ as much as the standard deviations: wild targets change only the latter."""
MIN_DISTANCE_IN_STDS = 5.0
"""Distance of the means in standard deviations of the wider part: no held-out target is then like a training target."""


def _explain_skip(sample: Sample) -> str:
    return explain_skip(sample) or ("" if sample.spec.task == "regression" else Message("the targets are classes"))


@register(cost="cheap", needs=_explain_skip, explains=("evaluated-inputs", "fading-columns", "shifted-rows"))
def shifted_targets(sample: Sample) -> Iterator[Finding]:
    """Find numbers to predict that are in other units, or transformed in another way, in the held-out rows.

    Args:
        sample: the targets of its parts.

    Source: Breck, Zinkevich, Polyzotis, Whang and Roy, "Data validation for machine learning", 2019, section 4 (skew
    between training and serving).
    """
    parts = draw_two_parts(sample)
    for number in np.flatnonzero(are_varied(parts.y) & are_varied(parts.held_out_y)).tolist():
        train, held_out = (y[:, number][np.isfinite(y[:, number])] for y in (parts.y, parts.held_out_y))
        if not len(train) or not len(held_out):
            continue
        stds = float(train.std()), float(held_out.std())
        means = float(train.mean()), float(held_out.mean())
        ratio = max(stds) / max(min(stds), 1e-12)
        distance = abs(means[0] - means[1]) / max(*stds, 1e-12)
        is_wide = ratio >= MIN_RATIO and _compute_ratio_of_ranges(train, held_out) >= MIN_RATIO
        if not is_wide and distance < MIN_DISTANCE_IN_STDS:
            continue
        yield Finding(
            "shifted-targets",
            "warning",
            {"mean": list(means), "standard deviation": list(stds), "target": number},
            Message(
                "the training targets have mean {mean} and standard deviation {std}, the held-out ones {held_out_mean} "
                "and {held_out_std}: they are not on one scale",
                mean=f"{means[0]:.3g}",
                std=f"{stds[0]:.3g}",
                held_out_mean=f"{means[1]:.3g}",
                held_out_std=f"{stds[1]:.3g}",
            ),
            Message("use one unit and one transformation, with the constants of the training rows, for all parts"),
        )
        return


def _compute_ratio_of_ranges(train: np.ndarray, held_out: np.ndarray) -> float:
    """Return the ratio of the ranges between two outer quantiles, at least 1; infinite if one part has none.

    >>> _compute_ratio_of_ranges(np.linspace(0, 1, 9), np.linspace(0, 2, 9))
    2.0
    """
    low, high = sorted(float(np.ptp(np.quantile(y, OUTER_QUANTILES))) for y in (train, held_out))
    return high / low if low > 0 else math.inf
