"""Targets of which many are exactly the largest number: the end of a scale, not a measurement."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks.filled_targets import explain_skip
from yisheng.diagnosis.sample import Sample

MIN_FRACTION, MIN_ROWS = 0.1, 100
"""Fraction of the rows with one and the same number, and rows of which a tenth are ten."""
MIN_VALUES, MIN_DISTINCT_FRACTION = 50, 0.5
"""Different numbers among the others, and relative to their rows: they are measurements, no counts or ratings."""
MIN_NEAR_FRACTION, NEAR_IN_STDS = 0.05, 0.35
"""Fraction of the others that are this near to the number: the scale goes on up to its end, where `filled-targets`
finds a number far from all others."""
NATURAL_LIMITS = (0.0, 1.0, 100.0)
"""Ends of scales beyond which there is nothing: amounts, fractions and percentages."""


@register(cost="cheap", needs=explain_skip)
def capped_targets(sample: Sample) -> Iterator[Finding]:
    """Find numbers that end at a limit which many of them have: a sensor, a test or a survey that ends too low.

    A smallest number counts if it is positive, as a limit of detection is; many amounts are 0. It is a note, since a
    limit may be set on purpose.

    Args:
        sample: the targets of its training rows.

    Source: Tobin, "Estimation of relationships for limited dependent variables", 1958.
    """
    rows = sample.draw_rows("train")
    y = np.asarray(sample.y[rows], np.float64).reshape(len(rows), -1)
    for number in range(y.shape[1]):
        values = y[:, number][np.isfinite(y[:, number])]
        limits = [values.max(), values.min()] if len(values) else []
        for limit in limits:
            fraction = float((values == limit).mean())
            is_low = limit == limits[1]
            if limit in NATURAL_LIMITS or (is_low and limit <= 0) or not _is_limit(values, limit, fraction):
                continue
            yield Finding(
                "capped-targets",
                "note",
                {"value": float(limit), "fraction": fraction, "target": number},
                Message(
                    "{fraction} of the targets are exactly {value}, the {end} of all, and the others come near to it: "
                    "the measurement seems to end there, and the network learns the end as if it were measured",
                    fraction=f"{fraction:.0%}",
                    value=f"{limit:g}",
                    end=Message("smallest") if is_low else Message("largest"),
                ),
                Message(
                    "if the true numbers lie beyond it, count only errors on the near side of these rows: "
                    "torch.where(y >= limit, (y - output).clamp(min=0), y - output); or leave the rows out"
                ),
            )
            return


def _is_limit(values: np.ndarray, limit: float, fraction: float) -> bool:
    """Return whether many of some numbers are one, and the others are measurements that come near to it.

    >>> numbers = np.linspace(0, 2, 200)
    >>> _is_limit(np.minimum(numbers, 1.5), 1.5, 0.25), _is_limit(numbers, 2.0, 0.005)
    (True, False)
    """
    measurements = values[values != limit]
    if fraction < MIN_FRACTION or len(measurements) < MIN_ROWS / 2:
        return False
    distinct = len(np.unique(measurements))
    near_fraction = float((np.abs(measurements - limit) < NEAR_IN_STDS * measurements.std()).mean())
    return distinct >= max(MIN_VALUES, MIN_DISTINCT_FRACTION * len(measurements)) and near_fraction >= MIN_NEAR_FRACTION
