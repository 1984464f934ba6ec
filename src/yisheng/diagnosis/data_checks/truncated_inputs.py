"""Texts that fill all of their places, and whose words say nothing about the target: it may be behind the cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._quick_model import MIN_CLASSIFIED_ROWS, explain_skip
from yisheng.diagnosis.data_checks.no_signal import MAX_ROWS, compare_with_permutations
from yisheng.diagnosis.sample import Sample

MIN_LENGTH, MIN_DIFFERENT = 8, 50
"""Numbers in a row, and different ones, without which they are no words."""
MIN_FULL_FRACTION = 0.95
"""Fraction of the rows that do not end in padding: lengths of whole texts differ."""
MAX_WORDS = 500
"""The most frequent words, whose numbers of occurrences are the features."""


def _explain_skip(sample: Sample) -> str:
    x = sample.x
    is_ids = np.issubdtype(x.dtype, np.integer) and x.ndim == 2 and x.shape[1] >= MIN_LENGTH
    if not is_ids or sample.spec.columns or sample.spec.task != "classification":
        return Message("the inputs are no numbers of words, or the targets no classes")
    if sample.beats_baseline is not False:
        return Message("the network is better than guessing, or that is unknown")
    return explain_skip(sample)


@register(
    cost="trainings",
    needs=_explain_skip,
    raw=True,
    explains=("memorization", "overfitting", "underfitting", "conflicting-rows"),
)
def truncated_inputs(sample: Sample) -> Iterator[Finding]:
    """Find texts that were cut to one length, if neither the network nor trees on word counts predict anything.

    The permutation test is that of `no-signal`. A network that is better than guessing has found a signal.

    Args:
        sample: its training rows, at most 1,500.

    Source: Sun, Qiu, Xu and Huang, "How to fine-tune BERT for text classification?", 2019, section 5.3.1 (which part of
    a long text to keep); Ojala and Garriga, "Permutation tests for studying classifier performance", 2010.
    """
    rows = sample.draw_rows("train", MAX_ROWS)
    counts = np.bincount(sample.y[rows], minlength=len(sample.spec.classes))
    rows = rows[counts[sample.y[rows]] > 1]
    x, (_, y) = np.asarray(sample.x[rows]), np.unique(sample.y[rows], return_inverse=True)
    words, occurrences = np.unique(x, return_counts=True)
    if len(rows) < MIN_CLASSIFIED_ROWS or y.max() < 1 or len(words) < MIN_DIFFERENT:
        return
    full = _measure_full_fraction(x)
    if full < MIN_FULL_FRACTION:
        return
    frequent = words[np.argsort(-occurrences, kind="stable")[:MAX_WORDS]]
    features = np.stack([(x == word).sum(1) for word in frequent], 1).astype(np.float32)
    result = compare_with_permutations(sample, features, y)
    if result is None:
        return
    score, shuffled, p_value = result
    yield Finding(
        "truncated-inputs",
        "warning",
        {"score": score, "shuffled, at best": max(shuffled), "p": p_value, "fraction without padding": full},
        Message(
            "{fraction} of the texts fill all {length} places without padding, and their words say nothing about the "
            "classes (p = {p_value}): the texts seem to be cut, and what decides may be behind the cut",
            fraction=f"{full:.0%}",
            length=x.shape[1],
            p_value=f"{p_value:.2f}",
        ),
        Message(
            "keep more tokens (a larger max_length), or another part of each text: its end, or its beginning and its "
            "end; print some texts as the network reads them"
        ),
    )


def _measure_full_fraction(x: np.ndarray) -> float:
    """Return the fraction of the rows that neither end nor begin with the number that most often repeats there.

    >>> _measure_full_fraction(np.array([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0], [8, 9, 5, 4]]))
    0.5
    """
    is_repeated = np.stack([x[:, -1] == x[:, -2], x[:, 0] == x[:, 1]])
    ends = np.stack([x[:, -1], x[:, 0]])
    values, counts = np.unique(ends[is_repeated], return_counts=True)
    if not len(values):
        return 1.0
    return 1 - float((is_repeated & (ends == values[counts.argmax()])).any(0).mean())
