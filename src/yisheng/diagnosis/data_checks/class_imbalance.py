"""Classes of very different sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import listed, share
from yisheng.diagnosis.sample import Sample

RATIO = 0.1
"""Rows of the smallest class over rows of the largest."""


@register(cost="cheap", fits=lambda spec: spec.task == "classification")
def class_imbalance(sample: Sample) -> Iterator[Finding]:
    """The smallest class has less than a tenth of the rows of the largest: a note; see `missed-classes` for recall.

    Args:
        sample: its training rows.

    Source: He and Garcia, "Learning from imbalanced data", 2009, section 2.
    """
    counts = np.bincount(sample.y[sample.rows("train")], minlength=len(sample.spec.classes))
    there = np.flatnonzero(counts)
    small = there[counts[there] < RATIO * counts.max()]
    if len(small) == 0:
        return
    largest = int(counts.argmax())
    names = [f"{sample.spec.classes[i]} ({counts[i]:,})" for i in small[np.argsort(counts[small], kind="stable")]]
    yield Finding(
        "class-imbalance",
        "note",
        {"rows": {sample.spec.classes[i]: int(counts[i]) for i in there[np.argsort(counts[there])][:20]}},
        f"classes are of very different sizes: {share(counts[largest] / counts.sum())} of the training rows are "
        f"{sample.spec.classes[largest]}, few are {listed(names)}",
        "look at recall and f1-macro rather than accuracy; if rare classes are missed, say class_weight=balanced",
    )
