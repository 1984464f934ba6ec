"""Rare classes that are hardly ever found."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.metrics.wilson import compute_wilson_interval
from yisheng.reporting.evaluation_schema import ClassRow
from yisheng.reporting.run_facts import RunFacts

RARE, LEAST = 0.5, 10
"""A class is rare below this share of an even one; it needs this many rows for its recall to be known."""
LOW, APART = 0.5, 0.2


def _why_not(facts: RunFacts) -> str:
    return "" if facts.evaluation is not None and facts.evaluation.per_class else "it needs a table of classes"


@register(needs=_why_not)
def missed_classes(facts: RunFacts) -> Iterator[Finding]:
    """A class with few rows is found in less than half of the cases, and surely less often than the common ones.

    Args:
        facts: support and recall of each class.

    Source: He and Garcia, "Learning from imbalanced data", 2009, section 2.
    """
    assert facts.evaluation is not None  # asked by needs
    rows = [row for row in facts.evaluation.per_class if row.support and row.recall is not None]
    even = sum(row.support for row in rows) / max(1, len(rows))
    common = [row for row in rows if row.support >= RARE * even]
    rest = sum((row.recall or 0) * row.support for row in common) / max(1, sum(row.support for row in common))
    missed = [
        row
        for row in rows
        if LEAST <= row.support < RARE * even and (row.recall or 0) < LOW and _at_most(row) < rest - APART
    ]
    if not missed:
        return
    worst = min(missed, key=lambda row: row.recall or 0)
    names = ", ".join(row.name for row in missed[:4]) + (f" and {len(missed) - 4} more" if len(missed) > 4 else "")
    option = _weights(facts)
    yield Finding(
        "missed-classes",
        "warning",
        {
            "classes": {row.name: {"rows": row.support, "recall": row.recall} for row in missed[:10]},
            "recall of the others": rest,
        },
        f"rare classes are hardly found ({names}): of {worst.support} rows of {worst.name} {worst.recall or 0:.0%}, of "
        f"the common classes {rest:.0%}",
        f"say {option}=balanced" if option else "collect more rows of these classes, or join them with others",
        change={option: "balanced"} if option else {},
    )


def _at_most(row: ClassRow) -> float:
    """The upper end of the recall's 95% interval."""
    return compute_wilson_interval(np.arange(row.support) < round((row.recall or 0) * row.support))[1]


def _weights(facts: RunFacts) -> str:
    """The option of the loss that weighs the classes, where it is not in use; empty where there is none."""
    name = facts.choice_name("loss")
    loss = facts.config.get("loss")
    options = loss if isinstance(loss, dict) else {}
    option = {"binary-cross-entropy": "pos_weight", "cross-entropy": "class_weight"}.get(name, "")
    return option if options.get(option) in (None, 1.0) else ""
