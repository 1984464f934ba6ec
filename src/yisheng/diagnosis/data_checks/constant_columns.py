"""Columns with a single value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import MAX_NAMES, join_names

MAX_EVIDENCE = 50


@register(cost="cheap", fits=lambda spec: spec.is_row)
def constant_columns(sample: Sample) -> Iterator[Finding]:
    """Find columns with one value, or no value, in all training rows.

    Args:
        sample: its training rows.

    Source: Guyon and Elisseeff, "An introduction to variable and feature selection", 2003.
    """
    rows = sample.draw_rows("train")
    constant = _is_constant(np.asarray(sample.x[rows], np.promote_types(sample.x.dtype, np.float32)))
    if constant.any() and len(rows) < len(sample.rows("train")):  # constant in the drawn rows: check all of them
        rows = sample.rows("train")
        constant[constant] = _is_constant(sample.x[rows][:, constant])
    if not constant.any() or len(rows) < 2:
        return
    names = [sample.column_name(i) for i in np.flatnonzero(constant).tolist()]
    yield Finding(
        "constant-columns",
        "warning" if constant.all() else "note",
        {"columns": names[:MAX_EVIDENCE], "count": len(names), "of": len(constant)},
        f"{len(names)} of {len(constant)} columns have the same value in all training rows: {join_names(names)}",
        f"use drop={','.join(names[:MAX_NAMES])}: they cannot help, and another value in a later row would mislead",
    )


def _is_constant(x: np.ndarray) -> np.ndarray:
    """Return for each column whether all rows have the same value, or all of them none ``(D,)``."""
    constant: np.ndarray = np.all((x == x[:1]) | (np.isnan(x) & np.isnan(x[:1])), axis=0)
    return constant
