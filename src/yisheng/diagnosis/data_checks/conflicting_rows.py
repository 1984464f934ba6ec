"""The same row with different labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import SHOWN, listed, share
from yisheng.diagnosis.sample import Sample, hash_rows

LEAST, MUCH = 0.005, 0.05
"""Share of the rows from which on copies with other labels are a warning; and coincidences a note."""
NAMED = 20


@register(cost="cheap", fits=lambda spec: spec.task != "regression", read_as="conflicting-labels")
def conflicting_rows(sample: Sample) -> Iterator[Finding]:
    """Training rows that are the same, value by value, but have different labels: no network can be right on both.

    What can be reached at most is 1 - (rows that do not have the commonest label among their like) / N. With few
    columns or values rows are the same by coincidence; then only this limit is noted, where it is below 95%.

    Args:
        sample: its training rows.

    Source: Northcutt, Athalye and Mueller, "Pervasive label errors in test sets", 2021.
    """
    where = np.flatnonzero(sample.compared_parts == 0)
    _, group = np.unique(sample.row_hashes[where], return_inverse=True)
    rows = sample.compared_rows[where]
    labels = sample.y if sample.y.ndim == 1 else hash_rows(sample.y, np.arange(len(sample.y)), slice(None))
    _, label = np.unique(labels[rows], return_inverse=True)
    order = np.lexsort((label, group))
    pair = np.stack([group[order], label[order]], 1)
    _, counts = np.unique(pair, axis=0, return_counts=True)
    kinds = np.unique(pair, axis=0)[:, 0]
    most = np.zeros(kinds.max() + 1, np.int64)
    np.maximum.at(most, kinds, counts)
    several = np.bincount(kinds) > 1
    torn = order[several[group[order]]]
    wrong = int((np.bincount(group) - most)[several].sum())
    if not wrong or wrong / len(rows) < (MUCH if sample.has_coinciding_rows else 0):
        return
    names = [sample.row_name(row) for row in rows[torn]]
    limit = 1 - wrong / len(rows)
    if sample.has_coinciding_rows:
        text = f"{len(torn):,} of {len(rows):,} training rows have a like with another label: with these columns"
        remedy = "more columns would tell them apart"
    else:
        text = f"{len(torn):,} of {len(rows):,} training rows are there several times with different labels: now"
        remedy = "keep the one with the right label"
    yield Finding(
        "conflicting-rows",
        "warning" if wrong / len(rows) >= LEAST and not sample.has_coinciding_rows else "note",
        {"rows": len(torn), "of": len(rows), "can be right at most": limit, "first": names[:NAMED], **sample.comparison_evidence},
        f"{text} no network can be right on more than {share(limit)} of them (such as {listed(names[:SHOWN])})",
        remedy,
    )
