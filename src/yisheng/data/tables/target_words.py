"""Words such as NA in a target: classes between words, missing values between numbers, and never without a finding."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.literals import (
    MAX_EXACT,
    MISSING_WORDS,
    infer_number_format,
    is_code,
    is_number,
    match_yes_no,
)
from yisheng.data.tables.raw_column import RawColumn


def settle_words(raws: Mapping[str, RawColumn], roles: Roles) -> tuple[dict[str, RawColumn], list[Finding]]:
    """Return the columns, with words such as NA in the targets as classes or missing, and findings that name them.

    Args:
        raws: the columns of the training table; the targets hold every word as it is written.
        roles: the resolved roles.
    """
    columns, findings = dict(raws), list[Finding]()
    for name in roles.target:
        raw = raws[name]
        words = _find_words(raw)
        if not words:
            columns[name] = _as_numbers(raw, roles)
            continue
        are_missing = _are_missing(raw, words, roles)
        findings.append(_report_words(raw, words, are_missing=are_missing))
        if are_missing:
            columns[name] = _as_numbers(raw.normalize(), roles)
    return columns, findings


def settle_test_words(
    test: Mapping[str, RawColumn], training: Mapping[str, RawColumn], roles: Roles
) -> dict[str, RawColumn]:
    """Return the columns of a test table, in whose targets a word is missing unless it is a class in training."""
    columns = dict(test)
    for name in roles.target:
        classes = training[name].categories
        columns[name] = test[name].normalize({*MISSING_WORDS} - {*classes})
        if training[name].numbers is not None:
            columns[name] = _as_numbers(columns[name], roles)
    return columns


def _find_words(raw: RawColumn) -> list[str]:
    """Return the words of a column of texts that mean a missing value elsewhere."""
    return [text for text in raw.categories if text in MISSING_WORDS] if raw.numbers is None else []


def _are_missing(raw: RawColumn, words: Collection[str], roles: Roles) -> bool:
    """Return whether the words are missing values: between numbers, and between the yes and no of several labels."""
    ordinary = [text for text in raw.categories if text not in words]
    if not ordinary or roles.task == "regression":
        return True
    if roles.task == "multilabel" or len(roles.target) > 1:
        return match_yes_no(ordinary) is not None or infer_number_format(ordinary) is not None
    if roles.task == "classification" and not all(map(is_number, ordinary)):
        return False
    return not any(map(is_code, ordinary)) and infer_number_format(ordinary, raw.number_format) is not None


def _as_numbers(raw: RawColumn, roles: Roles) -> RawColumn:
    """Return texts that are all numbers as programs write them as numbers: they would be, had there been no words.

    Classes with decimals stay texts: 1.1 and 1.10 may be versions. So do whole numbers of so many digits that a float
    would round them, unless they are to be predicted as numbers.
    """
    if raw.numbers is not None or raw.is_free_text or not raw.categories or roles.kinds.get(raw.name):
        return raw
    if raw.number_format or any(map(is_code, raw.categories)) or not all(map(is_number, raw.categories)):
        return raw
    if roles.task != "regression" and any(abs(int(text)) > MAX_EXACT for text in raw.categories if text.isdecimal()):
        return raw
    table = np.array([*map(float, raw.categories), np.nan])
    assert raw.codes is not None
    numbers = table[raw.codes]
    if roles.task == "classification" and (numbers != np.floor(numbers)).any():
        return raw
    is_whole = bool((numbers == np.floor(numbers)).all()) and bool((np.abs(numbers) < MAX_EXACT).all())
    return replace(raw, numbers=numbers.astype(np.int64) if is_whole else numbers, codes=None, categories=())


def _report_words(raw: RawColumn, words: Sequence[str], *, are_missing: bool) -> Finding:
    assert raw.codes is not None
    counts = {word: int((raw.codes == raw.categories.index(word)).sum()) for word in words}
    listed = ", ".join(f"{word!r} ({count:,} row{'s' * (count != 1)})" for word, count in counts.items())
    evidence = {"column": raw.name, "words": counts}
    if are_missing:
        return Finding(
            "missing words",
            "warning",
            evidence,
            Message(
                "the target {target} holds {words} between its numbers: missing values", target=raw.name, words=listed
            ),
            Message("to say so, use missing={words}; correct the rows whose target is known", words=",".join(words)),
        )
    return Finding(
        "word classes",
        "warning",
        evidence,
        Message("the target {target} has a class of the name {words}", target=raw.name, words=listed),
        Message("if it means that the target is unknown, use missing={words}", words=",".join(words)),
    )
