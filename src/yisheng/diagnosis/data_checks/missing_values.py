"""Columns that are mostly empty, or much emptier in one part than in another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import format_fraction, join_names

MIN_MISSING, MIN_DIFFERENCE = 0.5, 0.3
"""Fraction of missing values of a mostly empty column, and difference between training and test rows."""
MIN_ROWS, MAX_EVIDENCE = 20, 20
"""Rows of each part without which a fraction is not known, and columns in the evidence."""


@register(cost="cheap", fits=lambda spec: spec.is_row)
def missing_values(sample: Sample) -> Iterator[Finding]:
    """Find columns that are mostly empty, or much emptier in the training part than in the test part or vice versa.

    Args:
        sample: its training and test rows.

    Source: Little and Rubin, "Statistical analysis with missing data", 2019, chapter 1.
    """
    training = _missing_fractions(sample, sample.draw_rows("train"))
    mostly_empty = np.flatnonzero(training >= MIN_MISSING).tolist()
    if mostly_empty:
        names = [f"{sample.column_name(i)} ({format_fraction(training[i])})" for i in mostly_empty]
        yield Finding(
            "missing-values",
            "note",
            {"missing": {sample.column_name(i): float(training[i]) for i in mostly_empty[:MAX_EVIDENCE]}},
            Message("mostly empty: {names}", names=join_names(names)),
            Message(
                "the network learns from the fact that a value is missing; if a column will be filled in "
                "later, use drop=",
            ),
        )
    test_rows = sample.draw_rows("test")
    if len(test_rows) < MIN_ROWS or len(sample.rows("train")) < MIN_ROWS:
        return
    test = _missing_fractions(sample, test_rows)
    different = np.flatnonzero(np.abs(test - training) >= MIN_DIFFERENCE).tolist()
    if different:
        names = [
            f"{sample.column_name(i)} ({format_fraction(training[i])} and {format_fraction(test[i])})"
            for i in different
        ]
        evidence = {sample.column_name(i): [float(training[i]), float(test[i])] for i in different[:MAX_EVIDENCE]}
        yield Finding(
            "missing-values",
            "warning",
            {"missing": evidence},
            Message("missing values differ between training and test rows: {names}", names=join_names(names)),
            Message("find out how the parts were collected, or remove these columns with drop="),
        )


def _missing_fractions(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Return the fraction of missing values of each column ``(D,)``."""
    fractions: np.ndarray = np.isnan(np.asarray(sample.x[rows], np.float32)).mean(0)
    return fractions
