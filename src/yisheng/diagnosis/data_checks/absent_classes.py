"""Classes without training rows, or with very few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import join_names

MIN_TRAINING_ROWS = 5
"""Rows of a class that say something about others of it; below, its recall is chance."""
MAX_EVIDENCE = 20
"""Entries of the evidence: those that a person looks at."""


@register(cost="cheap", fits=lambda spec: spec.task != "regression", explains=("missed-classes",))
def absent_classes(sample: Sample) -> Iterator[Finding]:
    """Find classes (or labels) of test or validation rows without training rows, and classes with fewer than five.

    Args:
        sample: its rows of all parts.

    Source: Scheirer et al., "Toward open set recognition", 2013.
    """
    training, held_out = (_count_rows(sample, parts) for parts in (("train",), ("validation", "test")))
    classes = sample.spec.classes
    absent = np.flatnonzero((training == 0) & (held_out > 0))
    if len(absent):
        yield Finding(
            "absent-classes",
            "warning",
            {"rows elsewhere": {classes[i]: int(held_out[i]) for i in absent[:MAX_EVIDENCE]}},
            Message(
                "no training row belongs to {join_names}, but {sum} validation and test rows do: they cannot "
                "be predicted correctly",
                join_names=join_names([classes[i] for i in absent]),
                sum=f"{int(held_out[absent].sum()):,}",
            ),
            Message("draw the parts again (another seed=, a smaller test=), or drop these classes"),
        )
    rare = np.flatnonzero((training > 0) & (training < MIN_TRAINING_ROWS))
    if len(rare):
        names = [f"{classes[i]} ({training[i]})" for i in rare]
        yield Finding(
            "absent-classes",
            "note",
            {"rows": {classes[i]: int(training[i]) for i in rare[:MAX_EVIDENCE]}},
            Message("very few training rows belong to {names}", names=join_names(names)),
            Message("collect more rows of these classes, or merge them with others"),
        )


def _count_rows(sample: Sample, parts: tuple[str, ...]) -> np.ndarray:
    """Return the number of rows of each class or label in some parts ``(C,)``."""
    rows = np.concatenate([getattr(sample.split, part) for part in parts])
    if sample.spec.task == "classification":
        return np.bincount(sample.y[rows], minlength=len(sample.spec.classes))
    counts: np.ndarray = sample.y[rows].sum(0)
    return counts.astype(np.int64)
