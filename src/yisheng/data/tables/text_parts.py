"""Texts as features: their words, and the beginning, number and ending of codes such as C85.

scikit-learn's `CountVectorizer` finds words, too, but knows neither codes nor writing without blanks, and a fitted one
is stored by pickle. The tests compare both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.word_limits import WORD_PART
from yisheng.data.tables.raw_column import RawColumn

LENGTH, WORDS, BEGINNING, NUMBER, ENDING = "length", "words", "beginning", "number", "ending"
NO_LETTERS = "(none)"
"""Beginning or ending of a code that has none."""
_CODE_PARTS = {BEGINNING: 0, NUMBER: 1, ENDING: 2}
_WORD = re.compile(r"[^\W_]+")
_DIGITS = re.compile("[0-9]+")
_MAX_DIGITS = 15
"""Digits up to which a float is exact."""
_MARKS = " \t\r\n-_/\\.,:;#|+()[]"
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""Letters of Thai, Japanese and Chinese, whose words are not separated by blanks."""
_Code = tuple[str, float, str]


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; characters and pairs of them where words are written without blanks.

    >>> split_words("Braund, Mr. Owen"), split_words("很好吃")
    (['braund', 'mr', 'owen'], ['很', '好', '吃', '很好', '好吃'])
    """
    words = _WORD.findall(text.lower())
    if text.isascii() or not _UNSPACED.search(text):
        return words
    pieces: list[str] = []
    for word in words:
        if _UNSPACED.search(word):
            pieces += [*word, *(word[i : i + 2] for i in range(len(word) - 1))]
        else:
            pieces.append(word)
    return pieces


def split_code(text: str) -> _Code | None:
    """Return what precedes the first digit, the last number, and what follows it; None for a text without digits.

    >>> split_code("A/5 21171"), split_code("B/0/P"), split_code("Owen")
    (('A', 21171.0, ''), ('B', 0.0, 'P'), None)
    """
    runs = [match.span() for match in _DIGITS.finditer(text)]
    if not runs:
        return None
    start, end = runs[-1]
    number = float(text[start:end]) if end - start <= _MAX_DIGITS else np.nan
    return text[: runs[0][0]].strip(_MARKS), number, text[end:].strip(_MARKS)


def compute_text_parts(raw: RawColumn, columns: Sequence[Column]) -> np.ndarray:
    """Return the features of a column of texts, float32 ``(N, len(columns))``.

    A missing text has no words and the length 0. The parts of a code are NaN where there is none, and -1 where
    training had no such beginning or ending.

    Args:
        raw: the column, normalized.
        columns: its features.

    >>> raw = RawColumn("a", codes=np.array([0, 1, -1]), categories=("C85", "C85 C87"))
    >>> compute_text_parts(raw, [Column("n", text_part="number"), Column("w", text_part="word:c87")]).tolist()
    [[85.0, 0.0], [87.0, 1.0], [nan, 0.0]]
    """
    assert raw.codes is not None
    texts, parts = raw.categories, [column.text_part for column in columns]
    table = np.zeros((len(texts) + 1, len(columns)), np.float32)  # the last row is for code -1
    positions = {part.removeprefix(WORD_PART): i for i, part in enumerate(parts) if part.startswith(WORD_PART)}
    if positions or WORDS in parts:
        for row, text in enumerate(texts):
            words = split_words(text)
            table[row, [positions[word] for word in words if word in positions]] = 1
            if WORDS in parts:
                table[row, parts.index(WORDS)] = len(words)
    codes = [split_code(text) for text in texts] if not _CODE_PARTS.keys().isdisjoint(parts) else []
    for i, part in enumerate(parts):
        if part == LENGTH:
            table[:-1, i] = [len(text) for text in texts]
        elif part in _CODE_PARTS:
            table[:, i] = [*map(_make_code_reader(columns[i]), codes), np.nan]
    values: np.ndarray = table[raw.codes]
    return values


def _make_code_reader(column: Column) -> Callable[[_Code | None], float]:
    """Return the function from a text's code to the value of one of its parts."""
    position = _CODE_PARTS[column.text_part]
    number_of = {category: number for number, category in enumerate(column.categories)}

    def read(code: _Code | None) -> float:
        if code is None:
            return np.nan
        part = code[position]
        return part if isinstance(part, float) else number_of.get(part or NO_LETTERS, -1)

    return read
