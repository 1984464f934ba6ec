"""Tables, scores and numbers as text, as the command line and the interpreter print them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from yisheng.core.messages import Message, translate
from yisheng.core.printable import escape_line
from yisheng.core.score_keys import display_score_key

if TYPE_CHECKING:  # help texts are tables, too
    from yisheng.core.score import Score

COMPARISONS = ("baseline", "boosting")
"""Keys of scores that are not parts: other predictors on the same rows."""
PART_ORDER = {"test": 0, "validation": 1}
NAMES = {
    "test": Message("test"),
    "validation": Message("validation"),
    "out_of_fold": Message("out of fold"),
    "baseline": Message("baseline"),
    "boosting": Message("boosting"),
}
"""Part or comparison -> how it is called."""


def format_table(rows: Sequence[Sequence[str]], *, head: bool = True) -> str:
    """Return rows as aligned columns, two spaces between them; wide characters count twice.

    A cell is one line, whatever name it holds; messages are translated.

    >>> print(format_table([["name", "rows"], ["digits", "1797"]]))
    name    rows
    ------  ----
    digits  1797
    """
    rows = [[escape_line(translate(cell)) for cell in row] for row in rows]
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_fill(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if head:
        lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def text_width(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def format_scores(scores: Mapping[str, Mapping[str, Score]]) -> str:
    """Return a table of scores: value and interval of each part, the baseline, and boosted trees if there are any."""
    rows = tabulate_scores(scores)
    if rows:
        return format_table(rows)
    return translate(Message("no scores: there is neither a test nor a validation part"))


def tabulate_scores(scores: Mapping[str, Mapping[str, Score]]) -> list[list[str]]:
    """Return the head and the rows of a table of scores; empty without scores of any part.

    >>> from yisheng.core.score import Score
    >>> tabulate_scores({"test": {"accuracy": Score(0.9, 0.8, 0.95)}, "baseline": {"accuracy": Score(0.1)}})
    [['', 'test', '95% interval', 'baseline'], ['accuracy', '0.9000', '0.8000 to 0.9500', '0.1000']]
    """
    parts = sorted((part for part in scores if part not in COMPARISONS), key=lambda part: PART_ORDER.get(part, 2))
    if not parts:
        return []
    comparisons = [name for name in COMPARISONS if name == "baseline" or name in scores]
    heads = [head for part in parts for head in (NAMES.get(part, part.replace("_", " ")), Message("95% interval"))]
    rows = [["", *heads, *(NAMES[name] for name in comparisons)]]
    for name in dict.fromkeys(name for part in parts for name in scores[part]):
        row = [display_score_key(name)]
        for part in parts:
            score = scores[part].get(name)
            row += [format_number(score.value), format_interval(score)] if score else ["-", ""]
        for comparison in comparisons:
            score = scores.get(comparison, {}).get(name)
            row.append(format_number(score.value) if score else "-")
        rows.append(row)
    return rows


def format_number(value: float) -> str:
    """Return a number with four decimals, or with four digits if that would show nothing.

    >>> format_number(0.98765), format_number(12345.678), format_number(0.00001234)
    ('0.9877', '12345.7', '1.234e-05')
    """
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def format_interval(score: Score) -> str:
    """Return ``low to high``, or nothing if the score has no interval."""
    if score.low is None or score.high is None:
        return ""
    return Message("{low} to {high}", low=format_number(score.low), high=format_number(score.high))


def shorten(text: str, max_length: int = 60, *, keep_end: bool = False) -> str:
    """Return text of at most ``max_length`` characters: its beginning, or its end, as suits a path.

    >>> shorten("optimizer", 6), shorten("runs/0001-digits", 9, keep_end=True)
    ('opt...', '...digits')
    """
    if len(text) <= max_length:
        return text
    return f"...{text[3 - max_length :]}" if keep_end else f"{text[: max_length - 3]}..."


def format_fact(value: object) -> str:
    """Return a fact about the machine or a run, of nested plain data, in one line.

    >>> format_fact({"total": 8, "gpus": []}), format_fact(None)
    ('total 8, gpus none', 'unknown')
    """
    if isinstance(value, dict):
        return ", ".join(f"{key} {format_fact(v)}" for key, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)


def _fill(text: str, columns: int) -> str:
    return text + " " * (columns - text_width(text))
