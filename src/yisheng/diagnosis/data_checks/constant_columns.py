"""Columns that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import listed
from yisheng.diagnosis.sample import Sample


@register(cost="cheap", fits=lambda spec: not spec.is_image)
def constant_columns(sample: Sample) -> Iterator[Finding]:
    """Columns with the same value, or none, in all training rows.

    Args:
        sample: its training rows.

    Source: Guyon and Elisseeff, "An introduction to variable and feature selection", 2003.
    """
    rows = sample.draw_rows("train")
    x = np.asarray(sample.x[rows], np.float32)
    same = np.all((x == x[:1]) | (np.isnan(x) & np.isnan(x[:1])), axis=0)
    if same.any() and len(rows) < len(sample.rows("train")):  # in the rows drawn; in all of them, too?
        rows = sample.rows("train")
        held = sample.x[rows][:, same]
        same[same] = np.all((held == held[:1]) | (np.isnan(held) & np.isnan(held[:1])), axis=0)
    if not same.any() or len(rows) < 2:
        return
    names = [sample.column_name(i) for i in np.flatnonzero(same).tolist()]
    yield Finding(
        "constant-columns",
        "warning" if same.all() else "note",
        {"columns": names[:50], "count": len(names), "of": len(same)},
        f"{len(names)} of {len(same)} columns have the same value in all training rows: {listed(names)}",
        f"drop={','.join(names[:5])}: they cannot help, and another value in a later row would mislead",
    )
