"""A target that is not what it is taken for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import listed, share
from yisheng.diagnosis.sample import Sample

CLASSES, EACH = 10, 20
"""Numbers that are classes: so many different whole ones at most, with so many rows each on average."""
MANY, NEARLY = 20, 0.5
"""Classes that are numbers or names: so many at least, and this share of the number of rows."""


@register(cost="cheap")
def target_kind(sample: Sample) -> Iterator[Finding]:
    """The target is always the same; or few whole numbers learnt as measures; or nearly as many classes as rows.

    Two numbers are yes and no: a warning. Three to ten may be grades, which can be learnt as numbers: a note.

    Args:
        sample: its targets.

    Source: Karpathy, "A config for training neural networks", 2019 (become one with the data).
    """
    y = sample.y[sample.rows("train")]
    if sample.spec.task != "multilabel" and len(y) > 1 and (y == y[:1]).all():
        said = sample.spec.classes[int(y[0])] if sample.spec.task == "classification" else f"{y.flat[0]:g}"
        yield Finding(
            "target-kind",
            "error",
            {"rows": len(y), "value": said},
            f"{sample.spec.target} is {said} in all {len(y):,} training rows: there is nothing to learn",
            "give rows of other values too: look at how the target and the parts were made",
        )
    elif sample.spec.task == "regression":
        yield from _few_values(sample, y)
    elif sample.spec.task == "classification":
        yield from _many_classes(sample, y)


def _few_values(sample: Sample, y: np.ndarray) -> Iterator[Finding]:
    for target in y.T:
        values = np.unique(target)
        if len(values) > CLASSES or len(target) < EACH * len(values) or (values != np.rint(values)).any():
            continue
        names = [f"{value:g}" for value in values]
        yield Finding(
            "target-kind",
            "warning" if len(values) == 2 else "note",
            {"values": [float(value) for value in values], "rows": len(target)},
            f"{sample.spec.target} is learnt as a measure, but holds {len(values)} whole numbers only "
            f"({listed(names)}): are they the numbers of classes?",
            "if they are, learn classes: task=classification for a table, a Spec with classes= in Python",
        )


def _many_classes(sample: Sample, y: np.ndarray) -> Iterator[Finding]:
    rows = np.concatenate([y, sample.y[sample.rows("validation")], sample.y[sample.rows("test")]])
    found = len(np.unique(rows))
    if found < MANY or found < NEARLY * len(rows):
        return
    yield Finding(
        "target-kind",
        "warning",
        {"classes": found, "rows": len(rows), "classes with one row": int((np.bincount(rows) == 1).sum())},
        f"{sample.spec.target} has nearly as many classes ({found:,}) as there are rows ({len(rows):,}; "
        f"{share(found / len(rows))}): it looks like a number or a name",
        "if it is a number, say task=regression; else name another target=",
    )
