"""The features that are proposed for a column of texts, by what its texts have in common.

Proposals look at no target. The transforms keep those words that are neither rare nor everywhere in the training part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.messages import Message, join_messages
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.word_limits import MAX_FRACTION, WORD_PART, min_word_rows
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.text_parts import (
    BEGINNING,
    ENDING,
    LENGTH,
    NO_LETTERS,
    NUMBER,
    WORDS,
    split_code,
    split_words,
)

MAX_WORDS = 256
"""Words of a column at most, the most frequent ones."""
MAX_WORD_VALUES = 1 << 26
"""Values of all words of a column at most: 256 mebibytes."""
MAX_COUNTED_TEXTS = 20_000
"""Distinct texts whose words are counted: of more, evenly spaced ones."""
MAX_CODE_WORDS = 4
"""Words up to which a text may be a code, with a beginning and an ending."""
MAX_CODE_PARTS = 1000
"""Different beginnings at most."""
MIN_CODE_FRACTION = 0.5
"""Fraction of the rows whose text has a number, if the column is to get one."""
MIN_NUMBERS = 3
"""Different numbers that a column must have, if it is to get one."""
MIN_TABLE_FRACTION = 0.5
"""A word is proposed if it has this fraction of the rows that it needs: the training part is a part of the table."""


@dataclass(frozen=True)
class TextSample:
    """The distinct texts of a column, some of them if there are many, split into words and codes.

    Args:
        texts: the texts.
        rows: number of rows of each, int64 ``(n,)``.
        words: the words of each.
        codes: beginning, number and ending of each, or None.
        fraction: fraction of the column's rows that these are.
    """

    texts: list[str]
    rows: np.ndarray
    words: list[list[str]]
    codes: list[tuple[str, float, str] | None]
    fraction: float


def sample_texts(raw: RawColumn) -> TextSample:
    """Return the distinct texts of a column, at most `MAX_COUNTED_TEXTS` evenly spaced ones."""
    assert raw.codes is not None
    counts = np.bincount(raw.codes[raw.codes >= 0], minlength=len(raw.categories))
    step = max(1, -(-len(raw.categories) // MAX_COUNTED_TEXTS))
    texts, rows = list(raw.categories[::step]), counts[::step]
    fraction = float(rows.sum() / max(1, counts.sum()))
    words, codes = [split_words(text) for text in texts], [split_code(text) for text in texts]
    return TextSample(texts, rows, words, codes, fraction)


def propose_parts(raw: RawColumn, *, repeats: bool, is_text: bool) -> tuple[Column, ...]:
    """Return the features that are made of a column of texts; none if its texts have nothing in common.

    Args:
        raw: the column, normalized.
        repeats: whether its texts repeat, so that it is a category: parts that name the text again are left out.
        is_text: whether it is more than names and codes: its length and number of words may tell something.
    """
    sample = sample_texts(raw)
    columns = [*_propose_counts(raw.name, sample)] if is_text else []
    columns += _propose_code_parts(raw, sample, has_number=is_text or repeats)
    has_number = any(column.text_part == NUMBER for column in columns)
    return (*columns, *_propose_words(raw, sample, must_repeat=repeats, has_digits=not has_number))


def _propose_counts(name: str, sample: TextSample) -> list[Column]:
    """Return the length and the number of words, if they vary."""
    values = {LENGTH: {len(text) for text in sample.texts}, WORDS: {len(words) for words in sample.words}}
    return [
        Column(f"{name}.{part}", source=name, text_part=part) for part, distinct in values.items() if len(distinct) > 1
    ]


def _propose_code_parts(raw: RawColumn, sample: TextSample, *, has_number: bool) -> list[Column]:
    """Return the parts of codes, if the texts of most rows have a number."""
    codes = [code for code in sample.codes if code is not None]
    rows = sum(int(n) for n, code in zip(sample.rows, sample.codes, strict=True) if code is not None)
    if rows < MIN_CODE_FRACTION * sample.rows.sum():
        return []
    columns = []
    if float(np.median([len(words) for words in sample.words])) <= MAX_CODE_WORDS:
        beginnings, endings = {code[0] or NO_LETTERS for code in codes}, {code[2] or NO_LETTERS for code in codes}
        for part, values in ((BEGINNING, beginnings), (ENDING, endings)):
            if 2 <= len(values) <= min(MAX_CODE_PARTS, len(sample.texts) // 2):
                categories = tuple(sort_naturally(values))
                columns.append(Column(f"{raw.name}.{part}", "category", categories, raw.name, text_part=part))
    numbers = {code[1] for code in codes if code[1] == code[1]}
    if has_number and len(numbers) >= MIN_NUMBERS and not _counts_rows(raw):
        columns.append(Column(f"{raw.name}.{NUMBER}", source=raw.name, text_part=NUMBER))
    return columns


def _counts_rows(raw: RawColumn) -> bool:
    """Return whether the numbers of the first texts are those of the rows."""
    assert raw.codes is not None
    codes = raw.codes[:MAX_COUNTED_TEXTS]
    numbers = [None if code < 0 else split_code(raw.categories[code]) for code in codes.tolist()]
    values = [np.nan if number is None else number[1] for number in numbers]
    return len(values) > 1 and bool((np.diff(values) == 1).all())


def _propose_words(raw: RawColumn, sample: TextSample, *, must_repeat: bool, has_digits: bool) -> list[Column]:
    """Return a feature for each of the most frequent words.

    Args:
        raw: the column.
        sample: its texts.
        must_repeat: whether several texts must have the word.
        has_digits: whether numbers are words, too.
    """
    rows, texts = Counter[str](), Counter[str]()
    for n, words in zip(sample.rows.tolist(), sample.words, strict=True):
        distinct = set(words)
        texts.update(distinct)
        for word in distinct:
            rows[word] += n
    total = len(raw)
    min_rows = MIN_TABLE_FRACTION * min_word_rows(total) * sample.fraction
    max_rows = (1 - MIN_TABLE_FRACTION * (1 - MAX_FRACTION)) * total * sample.fraction
    frequent = [word for word, n in rows.items() if max(2, min_rows) <= n <= max_rows and texts[word] > must_repeat]
    frequent = [word for word in frequent if has_digits or not word.isdigit()]
    frequent.sort(key=lambda word: (-rows[word], word))
    count = min(MAX_WORDS, MAX_WORD_VALUES // max(1, total))
    return [
        Column(f"{raw.name} has {word}", "yes/no", ("no", "yes"), raw.name, text_part=f"{WORD_PART}{word}")
        for word in sorted(frequent[:count])
    ]


def describe_parts(columns: Sequence[Column]) -> str:
    """Return the features that are made of a column of texts, for people to read.

    >>> describe_parts([Column("a.length", text_part="length"), Column("a has mr", text_part="word:mr")])
    'length, whether it has the word: mr'
    """
    words = [column.text_part.removeprefix(WORD_PART) for column in columns if column.text_part.startswith(WORD_PART)]
    parts = [column.text_part for column in columns if column.text_part and not column.text_part.startswith(WORD_PART)]
    names = {
        LENGTH: Message("length"),
        WORDS: Message("number of words"),
        BEGINNING: Message("beginning"),
        NUMBER: Message("number"),
        ENDING: Message("ending"),
    }
    described: list[str] = [names[part] for part in parts]
    if words:
        listed = ", ".join(words[:10]) + ", ..." * (len(words) > 10)
        described.append(
            Message("whether it has the word: {word}", word=listed)
            if len(words) == 1
            else Message("whether it has up to {count} words: {words}", count=len(words), words=listed)
        )
    return join_messages(described)
