"""Classes of held-out rows that no training row has, in rows that a user gives as pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.wording import join_names

CHECK = "absent-classes"
CLASS_KINDS = "biuSUO"
"""Kinds of NumPy arrays of class numbers and names."""
MIN_HELD_OUT_ROWS = 5
"""Held-out rows of a class without which it may be a number that is rare, such as a large count."""
MAX_EVIDENCE = 20


def find_unknown_classes(y: np.ndarray, parts: list[np.ndarray]) -> Finding | None:
    """Return the finding that held-out rows have classes without training rows, or None.

    Args:
        y: class of each training row ``(N,)``.
        parts: likewise of the validation and the test part.

    >>> find_unknown_classes(np.array([0, 0, 1]), [np.array([1, 2, 2, 2, 2, 2])]).evidence["rows elsewhere"]
    {'2': 5}
    """
    training_classes = set(y.tolist())
    held_out = [value for part in parts for value in part.tolist()]
    counts: dict[str, int] = {}
    for value in held_out:
        if value not in training_classes:
            counts[str(value)] = counts.get(str(value), 0) + 1
    if max(counts.values(), default=0) < MIN_HELD_OUT_ROWS:
        return None
    count = sum(counts.values())
    return Finding(
        CHECK,
        "warning",
        {"rows elsewhere": dict(list(counts.items())[:MAX_EVIDENCE]), "held-out rows": len(held_out)},
        Message(
            "no training row belongs to {names}, but {count} of {total} held-out rows do: they cannot be predicted "
            "correctly",
            names=join_names(list(counts)),
            count=f"{count:,}",
            total=f"{len(held_out):,}",
        ),
        Message(
            "shuffle the rows before they are divided, or draw each class into all parts: "
            "train_test_split(x, y, stratify=y); a file that is sorted by class must not be cut"
        ),
    )


def are_classes(values: Any) -> bool:
    """Return whether an array holds one class number or name per row."""
    return isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in CLASS_KINDS


def select_known(pair: Any, y: np.ndarray, values: np.ndarray) -> Any:
    """Return the rows ``(x, y)`` of a part whose classes the training rows have, or None if there are none.

    Args:
        pair: the part.
        y: class of each training row.
        values: class of each row of the part.
    """
    rows = np.flatnonzero(np.isin(values, np.unique(y)))
    if not len(rows):
        return None
    return tuple(part.iloc[rows] if hasattr(part, "iloc") else part[rows] for part in pair)
