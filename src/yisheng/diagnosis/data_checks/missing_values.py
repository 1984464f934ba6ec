"""Columns that are mostly empty, or empty just where the network learns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import listed, share
from yisheng.diagnosis.sample import Sample

MOSTLY, APART = 0.5, 0.3
"""Share of missing values from which on a column is mostly empty; and how far training and test may lie apart."""


@register(cost="cheap", fits=lambda spec: not spec.is_image)
def missing_values(sample: Sample) -> Iterator[Finding]:
    """Columns that are mostly empty; or far emptier in one of training and test part than in the other.

    Args:
        sample: its training and test rows.

    Source: Little and Rubin, "Statistical analysis with missing data", 2019, chapter 1.
    """
    empty = _empty(sample, sample.draw_rows("train"))
    mostly = np.flatnonzero(empty >= MOSTLY).tolist()
    if mostly:
        names = [sample.column_name(i) for i in mostly]
        yield Finding(
            "missing-values",
            "note",
            {"missing": {sample.column_name(i): float(empty[i]) for i in mostly[:20]}},
            f"mostly empty: {listed([f'{name} ({share(empty[i])})' for name, i in zip(names, mostly, strict=True)])}",
            "that a value is missing is learnt from; leave a column out with drop= if it will be filled in later",
        )
    test = sample.draw_rows("test")
    if len(test) < 20 or len(sample.rows("train")) < 20:
        return
    other = _empty(sample, test)
    apart = np.flatnonzero(np.abs(other - empty) >= APART).tolist()
    if apart:
        told = [f"{sample.column_name(i)} ({share(empty[i])} and {share(other[i])})" for i in apart]
        yield Finding(
            "missing-values",
            "warning",
            {"missing": {sample.column_name(i): [float(empty[i]), float(other[i])] for i in apart[:20]}},
            f"missing values differ between training and test rows: {listed(told)}",
            "see how the two came about; leave such columns out with drop=",
        )


def _empty(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Share of missing values of each column ``(D,)``."""
    found: np.ndarray = np.isnan(np.asarray(sample.x[rows], np.float32)).mean(0)
    return found
