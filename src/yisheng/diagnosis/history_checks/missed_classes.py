"""Rare classes that are hardly ever predicted correctly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.wording import join_names
from yisheng.metrics.wilson import compute_wilson_interval
from yisheng.reporting.evaluation_schema import ClassRow
from yisheng.reporting.run_facts import RunFacts

MAX_RARE_FRACTION, MIN_ROWS = 0.5, 10
"""Rows of a rare class relative to equal class sizes; and rows from which on its recall is known."""
MAX_RECALL, MIN_RECALL_GAP = 0.5, 0.2
"""Recall of a missed class, and distance of its upper limit to the recall of the common classes."""
MAX_EVIDENCE = 10
WEIGHT_OPTIONS = {"binary-cross-entropy": "pos_weight", "cross-entropy": "class_weight"}


def _explain_skip(facts: RunFacts) -> str:
    has_classes = facts.evaluation is not None and facts.evaluation.per_class
    return "" if has_classes else "it needs the recall of each class"


@register(needs=_explain_skip)
def missed_classes(facts: RunFacts) -> Iterator[Finding]:
    """Find rare classes with a recall below one half that is significantly lower than that of the common classes.

    Args:
        facts: support and recall of each class.

    Source: He and Garcia, "Learning from imbalanced data", 2009, section 2.
    """
    assert facts.evaluation is not None  # ensured by needs
    rows = [row for row in facts.evaluation.per_class if row.support and row.recall is not None]
    max_rare_rows = MAX_RARE_FRACTION * sum(row.support for row in rows) / max(1, len(rows))
    common = [row for row in rows if row.support >= max_rare_rows]
    correct = sum((row.recall or 0) * row.support for row in common)
    common_recall = correct / max(1, sum(row.support for row in common))
    missed = [
        row
        for row in rows
        if MIN_ROWS <= row.support < max_rare_rows
        and (row.recall or 0) < MAX_RECALL
        and _upper_recall(row) < common_recall - MIN_RECALL_GAP
    ]
    if not missed:
        return
    worst = min(missed, key=lambda row: row.recall or 0)
    option = _unused_weight_option(facts)
    yield Finding(
        "missed-classes",
        "warning",
        {
            "classes": {row.name: {"rows": row.support, "recall": row.recall} for row in missed[:MAX_EVIDENCE]},
            "recall of the others": common_recall,
        },
        f"rare classes are hardly recognized ({join_names([row.name for row in missed])}): of {worst.support} rows of "
        f"{worst.name} {worst.recall or 0:.0%} are, of the common classes {common_recall:.0%}",
        f"use {option}=balanced" if option else "collect more rows of these classes, or merge them with others",
        change={option: "balanced"} if option else {},
    )


def _upper_recall(row: ClassRow) -> float:
    """Return the upper limit of the recall's 95% interval."""
    return compute_wilson_interval(np.arange(row.support) < round((row.recall or 0) * row.support))[1]


def _unused_weight_option(facts: RunFacts) -> str:
    """Return the option of the loss that weights the classes; empty if there is none or it is in use."""
    loss = facts.config.get("loss")
    options = loss if isinstance(loss, dict) else {}
    option = WEIGHT_OPTIONS.get(facts.choice_name("loss"), "")
    return option if options.get(option) in (None, 1.0) else ""
