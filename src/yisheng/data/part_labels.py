"""Labels of the official validation and test parts that no training row has, and labels that differ only in form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.data.class_names import ABOUT_FORMS, find_merged, list_names, suggest_forms

ABSENT_CHECK, FORM_CHECK = "classes-not-in-training", "classes-of-one-name"
PART_NAMES = {1: "validation", 2: "test"}
MAX_COUNTED = 20
"""Labels whose rows a finding counts one by one."""


def check_part_labels(
    name: str, classes: Sequence[str], y: np.ndarray, part: np.ndarray | None, *, has_forms: bool = True
) -> list[Finding]:
    """Return findings about labels that no training row has, and about labels that are one name in two forms.

    Args:
        name: the data, for an error.
        classes: names of the classes or labels.
        y: class numbers ``(N,)``, or zeros and ones ``(N, L)``.
        part: the official part of each row, 0 train, 1 validation, 2 test; None if there is none.
        has_forms: whether the data set has the option ``labels=``, which a remedy may name.

    Raises:
        DataError: the validation or test rows have labels, and none of them is a label of a training row.

    >>> y, part = np.array([0, 0, 2, 1]), np.array([0, 0, 0, 2])
    >>> check_part_labels("adult", ["<=50K", "<=50K.", ">50K"], y, part)
    Traceback (most recent call last):
    yisheng.core.errors.DataError: adult: no label of the test rows is a label of a training row: \
training rows have '<=50K', '>50K'; test rows have '<=50K.'
      use labels=strip-dot (dots at the end of a name are removed)
    """
    findings = _check_forms(classes, y, part) if has_forms else []
    if part is None or not (part == 0).any():
        return findings
    counts = {number: _count_rows(y[part == number], len(classes)) for number in (0, *PART_NAMES)}
    trained = [name for name, count in zip(classes, counts[0], strict=True) if count]
    absent: dict[str, int] = {}
    for number, part_name in PART_NAMES.items():
        held_out = [name for name, count in zip(classes, counts[number], strict=True) if count]
        unknown = [name for name in held_out if name not in trained]
        if held_out and len(unknown) == len(held_out):
            raise DataError(
                Message(
                    "{name}: no label of the {part_name} rows is a label of a training row: training rows have "
                    "{trained}; {part_name} rows have {held_out}",
                    name=name,
                    part_name=part_name,
                    trained=list_names(trained),
                    held_out=list_names(held_out),
                ),
                (has_forms and suggest_forms(trained, held_out))
                or Message("write the labels as in training, or check target="),
            )
        for label in unknown:
            absent[label] = absent.get(label, 0) + int(counts[number][classes.index(label)])
    return [*findings, *([_report_absent(trained, absent, has_forms=has_forms)] if absent else [])]


def _report_absent(trained: Sequence[str], absent: Mapping[str, int], *, has_forms: bool) -> Finding:
    first = dict(list(absent.items())[:MAX_COUNTED])
    rows = sum(absent.values())
    return Finding(
        ABSENT_CHECK,
        "warning",
        {"count": len(absent), "first": list(first)[:5], "rows": first, "training labels": list(trained[:MAX_COUNTED])},
        Message(
            "no training row has the labels {labels}, but {rows} validation and test rows do: they "
            "cannot be predicted correctly",
            labels=list_names(list(absent)),
            rows=f"{rows:,}",
        ),
        (has_forms and suggest_forms(trained, list(absent)))
        or Message("add training rows of these classes, or correct the labels"),
    )


def _check_forms(classes: Sequence[str], y: np.ndarray, part: np.ndarray | None) -> list[Finding]:
    """Return a finding if labels of training rows differ in their form only."""
    counts = _count_rows(y if part is None else y[part == 0], len(classes))
    forms, merged = find_merged([name for name, count in zip(classes, counts, strict=True) if count])
    if not forms:
        return []
    rows = {name: int(counts[classes.index(name)]) for group in merged for name in group}
    return [
        Finding(
            FORM_CHECK,
            "warning",
            {"rows": dict(list(rows.items())[:MAX_COUNTED])},
            Message(
                "classes differ only in their form: {classes}",
                classes="; ".join(list_names(group) for group in merged[:5]),
            ),
            Message("if they are one class, use labels={form} ({about})", form=forms[0], about=ABOUT_FORMS[forms[0]]),
        )
    ]


def _count_rows(y: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of rows of each class or label, int64 ``(C,)``."""
    counts = np.bincount(y, minlength=classes) if y.ndim == 1 else y.sum(0, dtype=np.float64).astype(np.int64)
    return np.asarray(counts, np.int64)
