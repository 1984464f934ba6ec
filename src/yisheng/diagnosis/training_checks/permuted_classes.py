"""Classes that are numbered otherwise in evaluation than in training."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_ROWS = 50
"""Evaluated rows: with fewer, the best assignment of ten classes is above chance by itself."""
MIN_PERMUTED_ACCURACY, MIN_GAIN = 0.6, 0.3
"""Accuracy with the best assignment of the classes, and how far it must be above the accuracy as they are numbered: a
network that has learned little has no such assignment."""
MIN_CHANGED_ROWS = 5
"""Rows of a class that is predicted as another one: fewer may be ordinary errors."""
MIN_LEARNED_FRACTION = 0.5
"""Loss of training that must be gone: a network that was trained before may still predict the classes of that time."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    confusion = case.evaluated.confusion
    if confusion is None or confusion.is_multilabel:
        return Message("no evaluation with the loss of classes was seen")
    return (
        ""
        if int(confusion.counts.sum()) >= MIN_ROWS
        else Message("it needs at least {MIN_ROWS} evaluated rows", MIN_ROWS=MIN_ROWS)
    )


@register(needs=explain_skip, when="during", cause="data", explains=("mode", "evaluated-inputs"))
def permuted_classes(case: Case) -> Iterator[Finding]:
    """Find an evaluation in which renumbering the classes makes the predictions right.

    With n_ck the rows of class c that are predicted as k, the best renumbering is the assignment with the largest sum
    of n_c,k(c).

    Args:
        case: the classes and predictions of its last evaluation.

    Source: Kuhn, "The Hungarian method for the assignment problem", 1955.
    """
    from scipy.optimize import linear_sum_assignment  # a training imports scipy only where it needs it

    confusion = case.evaluated.confusion
    assert confusion is not None  # ensured by needs
    counts = confusion.counts.double().cpu().numpy()
    true, predicted = linear_sum_assignment(counts, maximize=True)
    total = counts.sum()
    accuracy, permuted = counts.trace() / total, counts[true, predicted].sum() / total
    changed = [(c, k) for c, k in zip(true, predicted, strict=True) if c != k and counts[c, k] >= MIN_CHANGED_ROWS]
    if not case.learned_fraction > MIN_LEARNED_FRACTION:
        return
    if permuted < MIN_PERMUTED_ACCURACY or permuted - accuracy < MIN_GAIN or not changed:
        return
    examples = ", ".join(f"{c} as {k}" for c, k in changed[:3])
    yield Finding(
        "permuted-classes",
        "error",
        {"accuracy": float(accuracy), "with renumbered classes": float(permuted), "classes": len(changed)},
        Message(
            "{count} classes are numbered otherwise in evaluation than in training ({examples}): with "
            "other numbers the accuracy is {permuted}, as they are {accuracy}",
            count=len(changed),
            examples=examples,
            permuted=f"{permuted:.0%}",
            accuracy=f"{accuracy:.0%}",
        ),
        Message(
            "make one list of class names and use it for all parts (sorted names, or class_to_idx of the "
            "training part)",
        ),
    )
