"""Findings about categories that may be one: other capitals or blanks, several words for yes or for a missing value."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages
from yisheng.data.tables.literals import NO_WORDS, YES_WORDS, is_gap
from yisheng.data.tables.raw_column import RawColumn

_MIN_LETTERS = 3
"""Letters from which a text in other capitals is the same word: a and A may be two codes."""
_MAX_CATEGORIES = 10_000


def check_categories(raw: RawColumn) -> tuple[Finding, ...]:
    """Return warnings about a column of categories, some of which may be one.

    Args:
        raw: the column of texts.
    """
    assert raw.codes is not None
    if len(raw.categories) > _MAX_CATEGORIES:
        return ()
    counts = np.bincount(raw.codes[raw.codes >= 0], minlength=len(raw.categories))
    texts = [text for text, count in zip(raw.categories, counts.tolist(), strict=True) if count]
    answers = _find_answers(texts)
    findings = [_report_answers(raw.name, answers)] if answers else _check_spellings(raw.name, texts)
    gaps = [text for text in texts if is_gap(text)]
    if len(gaps) > 1:
        findings.append(_report_gaps(raw.name, gaps))
    return tuple(findings)


def group_spellings(texts: Collection[str]) -> list[list[str]]:
    """Return the groups of texts that differ in capitals, blanks, hyphens and underscores only.

    >>> group_spellings(["New York", "new  york", "Boston", "NEW-YORK", "a", "A"])
    [['New York', 'new  york', 'NEW-YORK']]
    """
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(" ".join(re.split(r"[\s_-]+", text.casefold())).strip(), []).append(text)
    return [
        group
        for key, group in groups.items()
        if len(group) > 1 and sum(map(str.isalpha, key)) >= _MIN_LETTERS and not any(map(str.isdigit, key))
    ]


def _check_spellings(name: str, texts: Sequence[str]) -> list[Finding]:
    groups = group_spellings(texts)
    if not groups:
        return []
    listed = join_messages([*(" = ".join(map(repr, group[:4])) for group in groups[:3]), *["..."] * (len(groups) > 3)])
    return [
        Finding(
            "spellings",
            "warning",
            {"column": name, "groups": groups[:20]},
            Message(
                "column {name} has categories that differ only in how they are written: {listed}",
                name=name,
                listed=listed,
            ),
            Message("write each in one way: they are learned as different categories"),
        )
    ]


def _find_answers(texts: Sequence[str]) -> list[str]:
    """Return the texts if all of them mean yes or no, but several mean the same."""
    folded = {text.casefold() for text in texts}
    are_answers = folded <= NO_WORDS | YES_WORDS and folded & NO_WORDS and folded & YES_WORDS
    return list(texts) if are_answers and len(folded) > 2 else []


def _report_answers(name: str, texts: Sequence[str]) -> Finding:
    listed = ", ".join(map(repr, texts[:8])) + ", ..." * (len(texts) > 8)
    return Finding(
        "spellings",
        "warning",
        {"column": name, "groups": [list(texts[:20])]},
        Message("column {name} has several words for yes and no: {listed}", name=name, listed=listed),
        Message("write one word for each: they are learned as different categories"),
    )


def _report_gaps(name: str, gaps: Sequence[str]) -> Finding:
    listed = ", ".join(map(repr, gaps[:8])) + ", ..." * (len(gaps) > 8)
    return Finding(
        "missing words",
        "warning",
        {"column": name, "words": list(gaps[:20])},
        Message(
            "column {name} has several categories that seem to mean a missing value: {listed}", name=name, listed=listed
        ),
        Message("if they do, use missing={words}", words=",".join(gaps[:8])),
    )
