"""Texts that are nearly all the number of unknown words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample

MIN_FRACTION = 0.5
"""Fraction of the words that have one number: the most frequent word of a language is 7% of its texts, and 20% unknown
words are many."""
MIN_DIFFERENT, MIN_PER_ROW = 50, 4
"""Different numbers, and numbers in a row, without which they are no words."""
MAX_TRAILING = 0.5
"""Fraction of a number's places that are at the end of their row, behind which it is padding."""


def _explain_skip(sample: Sample) -> str:
    x = sample.x
    is_ids = (
        np.issubdtype(x.dtype, np.integer) and x.ndim == 2 and x.shape[1] >= MIN_PER_ROW and not sample.spec.columns
    )
    return "" if is_ids else Message("the inputs are no numbers of words")


@register(cost="cheap", needs=_explain_skip, raw=True, explains=("conflicting-rows",))
def unknown_tokens(sample: Sample) -> Iterator[Finding]:
    """Find one number that is most of all words, and that is not padding: the vocabulary was made for other texts.

    Args:
        sample: rows of numbers of words.

    Source: PyTorch documentation, torchtext.vocab.Vocab.set_default_index (what is not in a vocabulary has one number).
    """
    x = np.asarray(sample.x[sample.draw_rows("train")])
    reversed_rows = x[:, ::-1]
    is_trailing = np.logical_and.accumulate(reversed_rows == reversed_rows[:, :1], axis=1)[:, ::-1]
    values, counts = np.unique(x, return_counts=True)
    if len(values) < MIN_DIFFERENT:
        return
    words = {
        int(value): int(count)
        for value, count in zip(values, counts, strict=True)
        if float(is_trailing[x == value].mean()) < MAX_TRAILING
    }
    token = max(words, key=lambda value: words[value], default=-1)
    total = sum(words.values())
    if token < 0 or words[token] < MIN_FRACTION * total:
        return
    yield Finding(
        "unknown-tokens",
        "warning",
        {"token": token, "fraction": words[token] / total, "different": len(words)},
        Message(
            "{fraction} of all words have the number {token}: it seems to be that of unknown words, and the texts say "
            "next to nothing",
            fraction=f"{words[token] / total:.0%}",
            token=token,
        ),
        Message("make the vocabulary from the training texts as they are read: same case, punctuation and splitting"),
    )
