"""Columns that predict the target in training rows only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._two_parts import are_varied, draw_two_parts, explain_skip
from yisheng.diagnosis.sample import Sample

MIN_CORRELATION = 0.3
"""Correlation with a target in training rows; a weaker one hardly misleads a network."""
MAX_KEPT = 0.5
"""Part of the correlation that is left in held-out rows: a column of the world keeps most of it."""
MIN_Z = 6.0
"""Difference of the two in standard errors (Fisher's transform): of a thousand columns one in a million is as far."""


@register(cost="cheap", needs=explain_skip)
def fading_columns(sample: Sample) -> Iterator[Finding]:
    """Find a column whose correlation with the target is strong in training rows and at most half of it in others.

    A mean of the targets of a category that was computed with the row's own target is such a column.

    Args:
        sample: columns of numbers and the targets.

    Source: Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features", 2018, section 3.2 (target
    leakage of target statistics).
    """
    parts = draw_two_parts(sample)
    train, held_out = _correlate(parts.x, parts.y), _correlate(parts.held_out_x, parts.held_out_y)
    error = np.sqrt(1 / (len(parts.x) - 3) + 1 / (len(parts.held_out_x) - 3))
    z = (np.arctanh(np.abs(train)) - np.arctanh(np.clip(held_out * np.sign(train), -0.99, 0.99))) / error
    fades = (np.abs(train) >= MIN_CORRELATION) & (held_out * np.sign(train) <= MAX_KEPT * np.abs(train)) & (z >= MIN_Z)
    fades &= are_varied(parts.x)[:, None] & are_varied(parts.y)
    if not fades.any():
        return
    column, target = np.unravel_index(int(np.where(fades, z, 0).argmax()), z.shape)
    yield Finding(
        "fading-columns",
        "warning",
        {
            "column": sample.column_name(int(column)),
            "correlation": float(train[column, target]),
            "held-out correlation": float(held_out[column, target]),
            "columns": int(fades.any(1).sum()),
        },
        Message(
            "{name} correlates with the target by {train} in training rows, by {held_out} in held-out rows: it may be "
            "made from the targets",
            name=sample.column_name(int(column)),
            train=f"{train[column, target]:.2f}",
            held_out=f"{held_out[column, target]:.2f}",
        ),
        Message("make it from other rows than those it is given to (out of fold), or leave it out"),
    )


def _correlate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of each column with each target ``(D, K)``; 0 for constant ones."""
    x, y = (np.nan_to_num(values - np.nanmean(values, 0)) for values in (x, y))
    sizes = np.sqrt((x**2).sum(0))[:, None] * np.sqrt((y**2).sum(0))
    result: np.ndarray = np.clip(np.divide(x.T @ y, sizes, out=np.zeros_like(sizes), where=sizes > 0), -0.99, 0.99)
    return result
