"""Classes that cannot be learnt: without training rows, or with very few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import listed
from yisheng.diagnosis.sample import Sample

HANDFUL = 5


@register(cost="cheap", fits=lambda spec: spec.task != "regression")
def absent_classes(sample: Sample) -> Iterator[Finding]:
    """Classes (or labels) of test or validation rows that no training row has; and those of fewer than five.

    Args:
        sample: its rows of all parts.

    Source: Scheirer et al., "Toward open set recognition", 2013.
    """
    trained, later = (_counts(sample, parts) for parts in (("train",), ("validation", "test")))
    absent = np.flatnonzero((trained == 0) & (later > 0))
    if len(absent):
        names = [sample.spec.classes[i] for i in absent]
        yield Finding(
            "absent-classes",
            "warning",
            {"rows elsewhere": {sample.spec.classes[i]: int(later[i]) for i in absent[:20]}},
            f"no training row is of {listed(names)}, but {int(later[absent].sum()):,} validation and test rows are: "
            "they cannot be right",
            "draw the parts anew (another seed=, a smaller test=), or leave these classes out",
        )
    few = np.flatnonzero((trained > 0) & (trained < HANDFUL))
    if len(few):
        names = [f"{sample.spec.classes[i]} ({trained[i]})" for i in few]
        yield Finding(
            "absent-classes",
            "note",
            {"rows": {sample.spec.classes[i]: int(trained[i]) for i in few[:20]}},
            f"very few training rows are of {listed(names)}",
            "collect more of these, or join them with others",
        )


def _counts(sample: Sample, parts: tuple[str, ...]) -> np.ndarray:
    """Rows of each class or label in some parts ``(C,)``."""
    rows = np.concatenate([getattr(sample.split, part) for part in parts])
    if sample.spec.task == "classification":
        return np.bincount(sample.y[rows], minlength=len(sample.spec.classes))
    found: np.ndarray = sample.y[rows].sum(0)
    return found.astype(np.int64)
