"""Rare classes that are hardly ever predicted correctly."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.wording import join_names
from yisheng.metrics.wilson import compute_wilson_bounds
from yisheng.reporting.evaluation_schema import ClassRow
from yisheng.reporting.run_facts import RunFacts

MAX_RARE_FRACTION = 0.5
"""Rows of a rare class relative to equal class sizes."""
MAX_RECALL, MIN_RECALL_GAP = 0.5, 0.2
"""Recall of a missed class, and distance of its interval's upper limit to the recall of the common classes: none of 8
rows is evidence enough against 99%."""
MAX_EVIDENCE = 10
"""Classes in the evidence; the sentence names fewer."""
WEIGHT_OPTIONS = {"binary-cross-entropy": "pos_weight", "cross-entropy": "class_weight"}


def _explain_skip(facts: RunFacts) -> str:
    has_classes = facts.evaluation is not None and facts.evaluation.per_class
    return "" if has_classes else Message("it needs the recall of each class")


@register(needs=_explain_skip, explains=("baseline-not-beaten",))
def missed_classes(facts: RunFacts) -> Iterator[Finding]:
    """Find rare classes with a recall below one half that is significantly lower than that of the common classes.

    The rows of the test part and of the validation part are pooled.

    Args:
        facts: support and recall of each class in each part.

    Source: He and Garcia, "Learning from imbalanced data", 2009, section 2.
    """
    assert facts.evaluation is not None  # ensured by needs
    rows = _pool_parts(facts)
    max_rare_rows = MAX_RARE_FRACTION * sum(row.support for row in rows) / max(1, len(rows))
    common = [row for row in rows if row.support >= max_rare_rows]
    correct = sum((row.recall or 0) * row.support for row in common)
    common_recall = correct / max(1, sum(row.support for row in common))
    missed = [
        row
        for row in rows
        if row.support < max_rare_rows
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
        Message(
            "rare classes are hardly recognized ({join_names}): of {support} rows of {name} {recall} "
            "are, of the common classes {common_recall}",
            join_names=join_names([row.name for row in missed]),
            support=worst.support,
            name=worst.name,
            recall=f"{worst.recall or 0:.0%}",
            common_recall=f"{common_recall:.0%}",
        ),
        Message("use {option}=balanced", option=option)
        if option
        else Message("collect more rows of these classes, or merge them with others"),
        change={option: "balanced"} if option else {},
    )


def _pool_parts(facts: RunFacts) -> list[ClassRow]:
    """Return the rows and the recall of each class in the test and the validation part together."""
    assert facts.evaluation is not None  # ensured by needs
    validation = facts.findings.validation_classes if facts.findings is not None else []
    counts: dict[str, tuple[int, float]] = {}
    for row in (*facts.evaluation.per_class, *(validation if facts.evaluation.part == "test" else ())):
        if row.support and row.recall is not None:
            support, correct = counts.get(row.name, (0, 0.0))
            counts[row.name] = support + row.support, correct + row.recall * row.support
    rows = [{"class": name, "support": n, "recall": min(1.0, correct / n)} for name, (n, correct) in counts.items()]
    return [ClassRow.model_validate(row) for row in rows]


def _upper_recall(row: ClassRow) -> float:
    """Return the upper limit of the recall's 95% interval."""
    return compute_wilson_bounds(round((row.recall or 0) * row.support), row.support)[1]


def _unused_weight_option(facts: RunFacts) -> str:
    """Return the option of the loss that weights the classes; empty if there is none or it is in use."""
    loss = facts.config.get("loss")
    options = loss if isinstance(loss, dict) else {}
    option = WEIGHT_OPTIONS.get(facts.choice_name("loss"), "")
    return option if options.get(option) in (None, 1.0) else ""
