"""Equal rows with different labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample, hash_rows
from yisheng.diagnosis.wording import MAX_NAMES, format_fraction, join_names

MIN_COPIES, MIN_COINCIDENCES = 0.005, 0.05
"""Fraction of the rows with a wrong label from which on copies are a warning, and coincidences a note."""
MIN_GROUPS, MIN_RELATIVE_DISAGREEMENT = 20, 0.7
"""Groups of rows that are equal by coincidence, and how often two of a group have different labels, relative to any two
rows: 1 if the inputs say nothing about the label; of two classes, 0.7 leaves a quarter of the labels wrong."""
Z_95 = 1.64
"""Quantile of a one-sided 95% interval."""
MAX_EVIDENCE = 20
"""Entries of the evidence: those that a person looks at."""


@register(cost="cheap", fits=lambda spec: spec.task != "regression", read_as="conflicting-labels")
def conflicting_rows(sample: Sample) -> Iterator[Finding]:
    """Find training rows that are equal, value by value, but have different labels.

    No network can predict both correctly: the limit is 1 - (rows without the most common label among their equals) / N.
    With few columns or values rows are equal by coincidence; then only a limit below 95% is noted. But if the network
    does not beat guessing, and equal rows of all parts disagree about as often as any two rows, this is a warning:
    whatever decides the label was removed from the rows.

    Args:
        sample: its training rows.

    Source: Northcutt, Athalye and Mueller, "Pervasive label errors in test sets", 2021.
    """
    if not sample.has_equal_rows:
        return
    training = np.flatnonzero(sample.compared_parts == 0)
    rows = sample.compared_rows[training]
    _, group = np.unique(sample.row_hashes[training], return_inverse=True)
    labels = sample.y if sample.y.ndim == 1 else hash_rows(sample.y, np.arange(len(sample.y)), slice(None))
    _, label = np.unique(labels[rows], return_inverse=True)
    conflicting, wrong = _find_conflicts(group, label)
    is_coincidence = sample.has_coinciding_rows
    if is_coincidence and sample.beats_baseline is False:
        disagreement = _measure_disagreement(sample, labels)
        if disagreement is not None:
            yield _build_finding(sample, *disagreement)
            return
    if not wrong or wrong / len(rows) < (MIN_COINCIDENCES if is_coincidence else 0):
        return
    names = [sample.row_name(row) for row in rows[conflicting]]
    limit = 1 - wrong / len(rows)
    count = Message("{count} of {total} training rows", count=f"{len(conflicting):,}", total=f"{len(rows):,}")
    if is_coincidence:
        text = Message("{count} equal another row with another label: with these columns", count=count)
        remedy = Message("add columns that distinguish these rows")
    else:
        text = Message("{count} occur several times with different labels:", count=count)
        remedy = Message("keep the copy with the correct label")
    evidence = {"rows": len(conflicting), "of": len(rows), "can be right at most": limit, "first": names[:MAX_EVIDENCE]}
    yield Finding(
        "conflicting-rows",
        "warning" if wrong / len(rows) >= MIN_COPIES and not is_coincidence else "note",
        {**evidence, **sample.comparison_evidence},
        Message(
            "{text} no network can predict more than {limit} correctly (such as {names})",
            text=text,
            limit=format_fraction(limit),
            names=join_names(names[:MAX_NAMES]),
        ),
        remedy,
    )


def _measure_disagreement(sample: Sample, labels: np.ndarray) -> tuple[int, float, float] | None:
    """Return how many rows equal another one, how often labels of equal rows differ, and how often those of any two.

    Each row is compared with the others of its group; None if the labels do not differ nearly as often as at random.

    Args:
        sample: the compared rows.
        labels: a number for each row ``(N,)``.
    """
    _, group, sizes = np.unique(sample.row_hashes, return_inverse=True, return_counts=True)
    is_repeated = sizes[group] > 1
    group, labels = group[is_repeated], labels[sample.compared_rows[is_repeated]]
    groups = len(np.unique(group))
    if groups < MIN_GROUPS:
        return None
    _, label, label_counts = np.unique(labels, return_inverse=True, return_counts=True)
    pairs, pair, counts = np.unique(np.stack([group, label], 1), axis=0, return_inverse=True, return_counts=True)
    equal = counts[pair.reshape(-1)] - 1
    differs = float((1 - equal / (sizes[group] - 1)).mean())
    at_random = float(1 - (label_counts / len(label)) @ ((label_counts - 1) / max(1, len(label) - 1)))
    lower = differs - Z_95 * np.sqrt(differs * (1 - differs) / groups)
    is_random = at_random > 0 and lower >= MIN_RELATIVE_DISAGREEMENT * at_random and len(pairs) > groups
    return (len(label), differs, at_random) if is_random else None


def _build_finding(sample: Sample, rows: int, differs: float, at_random: float) -> Finding:
    return Finding(
        "conflicting-rows",
        "warning",
        {"equal rows": rows, "differ": differs, "any two differ": at_random, **sample.comparison_evidence},
        Message(
            "{rows} rows equal another row, and the labels of two equal rows differ as those of any two rows do "
            "({differs} of them; {at_random} at random): what decides the label is not in the inputs, or the labels "
            "are those of other rows",
            rows=f"{rows:,}",
            differs=f"{differs:.0%}",
            at_random=f"{at_random:.0%}",
        ),
        Message(
            "print some equal rows next to what they were made from, and keep what distinguishes them: a list of stop "
            'words removes "not", rounding and dropped columns make rows equal'
        ),
    )


def _find_conflicts(group: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rows of groups with several labels, and how many do not have the most common label of their group.

    Args:
        group: a number for each row ``(N,)``, the same for equal rows.
        label: a number for each row ``(N,)``.
    """
    order = np.lexsort((label, group))
    pairs, counts = np.unique(np.stack([group[order], label[order]], 1), axis=0, return_counts=True)
    groups = pairs[:, 0]
    most_common = np.zeros(groups.max() + 1, np.int64)
    np.maximum.at(most_common, groups, counts)
    has_conflict = np.bincount(groups) > 1
    wrong = int((np.bincount(group) - most_common)[has_conflict].sum())
    return order[has_conflict[group[order]]], wrong
