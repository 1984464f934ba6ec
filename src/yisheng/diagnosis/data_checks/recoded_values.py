"""Whole numbers that name something, and name something else in the held-out rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._two_parts import draw_two_parts, explain_skip
from yisheng.diagnosis.sample import Sample

MAX_VALUES = 5000
"""Different numbers of a column, or of all tokens, that are compared."""
MIN_COUNT = 8
"""Rows with a number, in each part, without which its mean target says little."""
MIN_Z = 4.0
"""Distance of a mean from that of all rows, in standard errors, that is an effect: at random 1 of 16,000 is as far."""
MIN_EFFECTS = 4
"""Effects of the training rows that are looked for in the held-out rows."""
MAX_SLOPE = 0.3
"""Held-out effects relative to those of the training rows: 1 if the numbers mean the same, 0 if they mean other things;
effects that are chosen for their size shrink to one half at most."""
MIN_HELD_OUT_EXCESS = 3.0
"""Mean square of the held-out effects in standard errors, 1 at random: the numbers mean something there, too."""


@register(cost="cheap", needs=explain_skip)
def recoded_values(sample: Sample) -> Iterator[Finding]:
    """Find numbers of categories or words that go with high targets in training rows and with others in held-out rows.

    A column's numbers, or the numbers of tokens that a row holds anywhere, have mean targets. If those of the training
    rows say nothing about those of the held-out rows, while the numbers mean something within each part, each part was
    numbered by itself.

    Args:
        sample: columns of whole numbers, and the targets.

    Source: scikit-learn documentation, "Common pitfalls and recommended practices", section 10.1 (inconsistent
    preprocessing).
    """
    parts = draw_two_parts(sample)
    columns = [c for c in range(parts.x.shape[1]) if _are_numbers_of_values(parts.x[:, c], parts.held_out_x[:, c])]
    tokens = len(columns) == parts.x.shape[1] > 3 and not sample.spec.columns
    groups = [columns] if tokens else [[column] for column in columns]
    for group in groups:
        train = _measure_effects(parts.x[:, group], parts.y)
        held_out = _measure_effects(parts.held_out_x[:, group], parts.held_out_y)
        shared = sorted(train.keys() & held_out.keys())
        if not shared:
            continue
        effect, z = (np.array([train[value][i] for value in shared]) for i in (0, 1))
        held_out_effect, held_out_z = (np.array([held_out[value][i] for value in shared]) for i in (0, 1))
        strong = np.abs(z) > MIN_Z
        if strong.sum() < MIN_EFFECTS or float((held_out_z**2).mean()) < MIN_HELD_OUT_EXCESS:
            continue
        slope = float((held_out_effect * effect)[strong].sum() / (effect[strong] ** 2).sum())
        if slope > MAX_SLOPE:
            continue
        name = Message("the tokens") if tokens else Message("the numbers in {name}", name=sample.column_name(group[0]))
        yield Finding(
            "recoded-values",
            "error",
            {"values": len(shared), "effects": int(strong.sum()), "slope": slope},
            Message(
                "{name} mean something else in the held-out rows: {count} of them go with higher or lower targets in "
                "the training rows, and in the held-out rows only {slope} as much",
                name=name,
                count=int(strong.sum()),
                slope=f"{slope:.0%}",
            ),
            Message("number the categories or words once, from the training rows, and use these numbers for all parts"),
        )
        return


def _are_numbers_of_values(*parts: np.ndarray) -> bool:
    """Return whether values are whole, from 0, and more than two but not too many different ones."""
    for values in parts:
        if not np.isfinite(values).all() or (values < 0).any() or (values != np.floor(values)).any():
            return False
    return 2 < len(np.unique(parts[0])) <= MAX_VALUES


def _measure_effects(x: np.ndarray, y: np.ndarray) -> dict[tuple[float, int], tuple[float, float]]:
    """Return for each value and target its effect on the target, and that in standard errors.

    Args:
        x: whole numbers ``(N, D)``; a row has a value if one of its columns has it.
        y: targets ``(N, K)``.
    """
    std = y.std(0)
    y = (y - y.mean(0)) / np.where(std > 0, std, 1)
    effects = {}
    for value in np.unique(x):
        has_value = (x == value).any(1)
        count = int(has_value.sum())
        if MIN_COUNT <= count <= len(x) - MIN_COUNT:
            means = y[has_value].mean(0) - y[~has_value].mean(0)
            error = np.sqrt(1 / count + 1 / (len(x) - count))
            effects.update({(float(value), k): (float(m), float(m / error)) for k, m in enumerate(means)})
    return effects
