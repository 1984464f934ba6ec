"""Rows of the training part that are in the test or validation part too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding, Part
from yisheng.diagnosis.data_checks._formatting import CALLED, SHOWN, listed, share
from yisheng.diagnosis.sample import PART_ORDER, Sample

MUCH, HALF = 0.01, 0.5
"""Share of a part's rows from which on it is a warning, and an error: below the first the score hardly changes."""
CHANCE = 0.05
"""Share from which on coincidences are worth a note."""
NAMED = 20


def _why_not(sample: Sample) -> str:
    later = len(sample.rows("validation")) + len(sample.rows("test"))
    return "" if later else "there are no other parts than the training part"


@register(cost="cheap", needs=_why_not, read_as="leakage")
def leaking_rows(sample: Sample) -> Iterator[Finding]:
    """Test or validation rows that are the same, value by value, as training rows: their score flatters.

    Where rows are the same by coincidence (few columns, few values), it is a note. Rows are compared by a number of 64
    bits made of all their values.

    Args:
        sample: its rows of all parts.

    Source: Barz and Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", 2020; Kapoor and Narayanan,
    "Leakage and the reproducibility crisis in machine-learning-based science", 2023, section 3 (L1.4).
    """
    trained = np.flatnonzero(sample.compared_parts == 0)
    values, first = np.unique(sample.row_hashes[trained], return_index=True)
    for number, part in reversed(list(enumerate(PART_ORDER))[1:]):
        rows = np.flatnonzero(sample.compared_parts == number)
        twins = rows[np.isin(sample.row_hashes[rows], values)]
        if len(twins) >= max(1, CHANCE * len(rows) * sample.has_coinciding_rows):
            like = trained[first[np.searchsorted(values, sample.row_hashes[twins])]]
            yield _finding(sample, part, sample.compared_rows[twins], sample.compared_rows[like], len(rows))


def _finding(sample: Sample, part: Part, twins: np.ndarray, like: np.ndarray, of: int) -> Finding:
    pairs = [f"{sample.row_name(a)} = {sample.row_name(b)}" for a, b in zip(twins[:NAMED], like[:NAMED], strict=True)]
    among = len(twins) / of
    chance = sample.has_coinciding_rows
    grave = "error" if among >= HALF else "warning" if among >= MUCH else "note"
    tail = "; with so few values rows can be the same by coincidence" if chance else ", so its score flatters"
    shown = listed(pairs[:SHOWN]) + (", ..." if len(twins) > SHOWN else "")
    return Finding(
        "leaking-rows",
        "note" if chance else grave,  # type: ignore[arg-type]  # one of the three words
        {"part": part, "rows": len(twins), "of": of, "share": among, "first": pairs, **sample.comparison_evidence},
        f"{len(twins):,} of {of:,} {CALLED[part]} rows ({share(among)}) are training rows too{tail}: {shown}",
        "see whether they are copies" if chance else f"take them out of one part: remove copies before {_cut(sample)}",
    )


def _cut(sample: Sample) -> str:
    return "the data is split in time" if sample.ordered else "the data is split"
