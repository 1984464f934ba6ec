"""Classes of very different sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import format_fraction, join_names

MIN_RATIO = 0.1
"""Rows of the smallest class over rows of the largest."""
MAX_EVIDENCE = 20
"""Entries of the evidence: those that a person looks at."""


@register(cost="cheap", fits=lambda spec: spec.task == "classification")
def class_imbalance(sample: Sample) -> Iterator[Finding]:
    """Find classes with less than a tenth of the rows of the largest: a note; see `missed-classes` for their recall.

    Args:
        sample: its training rows.

    Source: He and Garcia, "Learning from imbalanced data", 2009, section 2.
    """
    classes = sample.spec.classes
    counts = np.bincount(sample.y[sample.rows("train")], minlength=len(classes))
    present = np.flatnonzero(counts)
    small_classes = present[counts[present] < MIN_RATIO * counts.max()]
    if len(small_classes) == 0:
        return
    largest = int(counts.argmax())
    largest_fraction = format_fraction(counts[largest] / counts.sum())
    names = [f"{classes[i]} ({counts[i]:,})" for i in small_classes[np.argsort(counts[small_classes], kind="stable")]]
    yield Finding(
        "class-imbalance",
        "note",
        {"rows": {classes[i]: int(counts[i]) for i in present[np.argsort(counts[present])][:MAX_EVIDENCE]}},
        Message(
            "the classes have very different sizes: {largest_fraction} of the training rows belong to "
            "{classes}, few to {names}",
            largest_fraction=largest_fraction,
            classes=classes[largest],
            names=join_names(names),
        ),
        Message(
            "look at recall and f1-macro instead of accuracy; if rare classes are missed, use class_weight=balanced",
        ),
    )
