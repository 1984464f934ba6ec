"""Training rows that are in the test or validation part, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.dataset import Part
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import PART_ORDER, Sample
from yisheng.diagnosis.wording import MAX_NAMES, PART_NAMES, format_fraction, join_names
from yisheng.reporting.findings_schema import Severity

MIN_WARNING, MIN_ERROR = 0.01, 0.5
"""Fraction of a part's rows that is a warning, and an error; below the first the score hardly changes."""
MIN_COINCIDENCES = 0.05
"""Fraction of coincidences that is noted."""
MAX_EVIDENCE = 20
"""Entries of the evidence: those that a person looks at."""


def _explain_skip(sample: Sample) -> str:
    has_held_out = len(sample.rows("validation")) + len(sample.rows("test")) > 0
    return "" if has_held_out else Message("there is only a training part")


@register(cost="cheap", needs=_explain_skip, read_as="leakage")
def leaking_rows(sample: Sample) -> Iterator[Finding]:
    """Find test or validation rows that equal training rows, value by value, which makes their score too good.

    If rows are equal by coincidence (few columns, few values), it is a note. Rows are compared by 64-bit hashes of all
    their values.

    Args:
        sample: its rows of all parts.

    Source: Barz and Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", 2020; Kapoor and Narayanan,
    "Leakage and the reproducibility crisis in machine-learning-based science", 2023, section 3 (L1.4).
    """
    if not sample.has_equal_rows:
        return
    training = np.flatnonzero(sample.compared_parts == 0)
    hashes, first_occurrences = np.unique(sample.row_hashes[training], return_index=True)
    leaks: list[_Leak] = []
    for number, part in reversed(list(enumerate(PART_ORDER))[1:]):
        rows = np.flatnonzero(sample.compared_parts == number)
        copies = rows[np.isin(sample.row_hashes[rows], hashes)]
        if len(copies) >= max(1, MIN_COINCIDENCES * len(rows) * sample.has_coinciding_rows):
            originals = training[first_occurrences[np.searchsorted(hashes, sample.row_hashes[copies])]]
            pairs = [
                f"{sample.row_name(copy)} = {sample.row_name(original)}"
                for copy, original in zip(
                    sample.compared_rows[copies[:MAX_EVIDENCE]],
                    sample.compared_rows[originals[:MAX_EVIDENCE]],
                    strict=True,
                )
            ]
            distinct = len(np.unique(sample.row_hashes[copies]))
            is_one_row = distinct == 1 < len(copies)
            fraction = 0.0 if is_one_row else distinct / len(np.unique(sample.row_hashes[rows]))
            leaks.append(_Leak(part, pairs, len(copies), len(rows), fraction))
    if leaks:
        yield _build_finding(sample, leaks)


@dataclass(frozen=True)
class _Leak:
    """The copies of training rows in a part.

    Args:
        part: the part.
        pairs: names of the first copies and their originals.
        count: copies in the part.
        total: compared rows of the part.
        distinct_fraction: different rows that are copied, relative to the different rows of the part; 0 if it is one
            that occurs again and again, as a row of zeros.
    """

    part: Part
    pairs: list[str]
    count: int
    total: int
    distinct_fraction: float

    def __str__(self) -> str:
        fraction = format_fraction(self.count / self.total)
        return f"{self.count:,} of {self.total:,} {PART_NAMES[self.part]} rows ({fraction})"


def _build_finding(sample: Sample, leaks: Sequence[_Leak]) -> Finding:
    """Return one finding about all parts, the test part first; its evidence is that of the first part."""
    leak, fraction = leaks[0], max(leak.distinct_fraction for leak in leaks)
    severity: Severity = "error" if fraction >= MIN_ERROR else "warning" if fraction >= MIN_WARNING else "note"
    if sample.has_coinciding_rows:
        severity = "note"
        consequence = Message("; with so few values rows can be equal by coincidence")
        remedy = Message("check whether they are copies")
    else:
        consequence = (
            Message(", so its score is too good") if len(leaks) == 1 else Message(", so their scores are too good")
        )
        when = Message("the data is split in time") if sample.ordered else Message("the data is split")
        remedy = Message("remove the copies from one part, before {when}", when=when)
    examples = join_names(leak.pairs[:MAX_NAMES]) + (", ..." if leak.count > MAX_NAMES else "")
    evidence = {
        "part": leak.part,
        "rows": leak.count,
        "of": leak.total,
        "fraction": leak.count / leak.total,
        "first": leak.pairs,
    }
    counts = {f"rows of the {part_leak.part} part": part_leak.count for part_leak in leaks[1:]}
    return Finding(
        "leaking-rows",
        severity,
        {**evidence, **counts, **sample.comparison_evidence},
        Message(
            "{str} are training rows, too{consequence}: {examples}",
            str=" and ".join(map(str, leaks)),
            consequence=consequence,
            examples=examples,
        ),
        remedy,
    )
