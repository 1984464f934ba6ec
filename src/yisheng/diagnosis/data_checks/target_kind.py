"""A target of another kind than the one that is learned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import format_fraction, join_names

MAX_CLASSES, MIN_ROWS_PER_CLASS = 10, 20
"""A numeric target with so few distinct integers, and this many rows of each on average, looks like classes."""
MIN_CLASSES, MIN_CLASS_FRACTION = 20, 0.5
"""Classes, in total and relative to the number of rows, that look like numbers or names."""


@register(cost="cheap")
def target_kind(sample: Sample) -> Iterator[Finding]:
    """Find a constant target, a few integers learned as a numeric target, or almost as many classes as rows.

    Two integers are yes and no: a warning. Three to ten may be grades, which can be learned as numbers: a note.

    Args:
        sample: its targets.

    Source: Karpathy, https://karpathy.github.io/2019/04/25/recipe (become one with the data).
    """
    y = sample.y[sample.rows("train")]
    if sample.spec.task != "multilabel" and len(y) > 1 and (y == y[:1]).all():
        value = sample.spec.classes[int(y[0])] if sample.spec.task == "classification" else f"{y.flat[0]:g}"
        yield Finding(
            "target-kind",
            "error",
            {"rows": len(y), "value": value},
            Message(
                "{target} is {value} in all {count} training rows: there is nothing to learn",
                target=sample.spec.target,
                value=value,
                count=f"{len(y):,}",
            ),
            Message("add rows with other values: check how the target and the parts were made"),
        )
    elif sample.spec.task == "regression":
        yield from _find_classes(sample, y)
    elif sample.spec.task == "classification":
        yield from _find_numbers(sample, y)


def _find_classes(sample: Sample, y: np.ndarray) -> Iterator[Finding]:
    """Find numeric targets that look like classes."""
    for name, target in zip(sample.spec.target_names, y.T, strict=True):
        values = np.unique(target)
        too_many = len(values) > MAX_CLASSES or len(target) < MIN_ROWS_PER_CLASS * len(values)
        if too_many or (values != np.rint(values)).any():
            continue
        numbers = [f"{value:g}" for value in values]
        yield Finding(
            "target-kind",
            "warning" if len(values) == 2 else "note",
            {"values": [float(value) for value in values], "rows": len(target)},
            Message(
                "{name} is learned as a number, but has only {count} different integers ({numbers}), which "
                "look like classes",
                name=name,
                count=len(values),
                numbers=join_names(numbers),
            ),
            Message(
                "if they are classes, use task=classification for a file, or a Spec with classes= in Python; and "
                "target={name} alone",
                name=name,
            )
            if sample.spec.outputs > 1
            else Message("if they are classes, use task=classification for a file, or a Spec with classes= in Python"),
        )


def _find_numbers(sample: Sample, y: np.ndarray) -> Iterator[Finding]:
    """Find classes that look like numbers or names."""
    rows = np.concatenate([y, sample.y[sample.rows("validation")], sample.y[sample.rows("test")]])
    count = len(np.unique(rows))
    if count < MIN_CLASSES or count < MIN_CLASS_FRACTION * len(rows):
        return
    yield Finding(
        "target-kind",
        "warning",
        {"classes": count, "rows": len(rows), "classes with one row": int((np.bincount(rows) == 1).sum())},
        Message(
            "{target} has {count} classes in {count_2} rows ({count_3}): it looks like a number or a name",
            target=sample.spec.target,
            count=f"{count:,}",
            count_2=f"{len(rows):,}",
            count_3=format_fraction(count / len(rows)),
        ),
        Message("if it is a number, use task=regression; otherwise name another column with target="),
    )
