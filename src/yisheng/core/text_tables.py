"""Tables, scores and numbers as text, as the command line and the interpreter print them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from yisheng.core.types import Score


def format_table(rows: Sequence[Sequence[str]], *, head: bool = True) -> str:
    """Return rows as aligned columns, two spaces between them; wide characters count twice.

    >>> print(format_table([["name", "rows"], ["digits", "1797"]]))
    name    rows
    ------  ----
    digits  1797
    """
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
    parts = [part for part in ("test", "validation") if part in scores]
    if not parts:
        return "no scores: there is neither a test nor a validation part"
    rows = [["", *(head for part in parts for head in (part, "95% interval")), "baseline"]]
    if "boosting" in scores:
        rows[0].append("boosting")
    for name in scores[parts[0]]:
        row = [name.replace("_", "-")]
        for part in parts:
            score = scores[part].get(name)
            row += [format_number(score.value), format_interval(score)] if score else ["-", ""]
        baseline = scores.get("baseline", {}).get(name)
        row.append(format_number(baseline.value) if baseline else "-")
        if "boosting" in scores:
            boosting = scores["boosting"].get(name)
            row.append(format_number(boosting.value) if boosting else "-")
        rows.append(row)
    return format_table(rows)


def format_number(value: float) -> str:
    """Return a number with four decimals, or with four digits if that would show nothing.

    >>> format_number(0.98765), format_number(12345.678), format_number(0.00001234)
    ('0.9877', '12345.7', '1.234e-05')
    """
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def format_interval(score: Score) -> str:
    """Return ``low to high``, or nothing if the score has no interval."""
    if score.low is None or score.high is None:
        return ""
    return f"{format_number(score.low)} to {format_number(score.high)}"


def _fill(text: str, columns: int) -> str:
    return text + " " * (columns - text_width(text))
