"""Tables and numbers for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from yisheng.core.types import Score


def table(rows: Sequence[Sequence[str]], *, head: bool = True) -> str:
    """Columns side by side, two spaces between; wide characters count twice.

    >>> print(table([["name", "rows"], ["digits", "1797"]]))
    name    rows
    ------  ----
    digits  1797
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_fill(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if head:
        lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def scores(found: Mapping[str, Mapping[str, Score]]) -> str:
    """The scores as a table: each part's value and interval, the baseline and boosted trees beside them."""
    parts = [part for part in ("test", "validation") if part in found]
    if not parts:
        return "no scores: there is neither a test nor a validation part"
    rows = [["", *(head for part in parts for head in (part, "95% interval")), "baseline"]]
    if "boosting" in found:
        rows[0].append("boosting")
    for name in found[parts[0]]:
        row = [name.replace("_", "-")]
        for part in parts:
            score = found[part].get(name)
            row += [number(score.value), _interval(score)] if score else ["-", ""]
        base = found.get("baseline", {}).get(name)
        row.append(number(base.value) if base else "-")
        if "boosting" in found:
            trees = found["boosting"].get(name)
            row.append(number(trees.value) if trees else "-")
        rows.append(row)
    return table(rows)


def number(value: float) -> str:
    """Four decimals, or four digits where that would show nothing.

    >>> number(0.98765), number(12345.678), number(0.00001234)
    ('0.9877', '12345.7', '1.234e-05')
    """
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f"{number(score.low)} to {number(score.high)}"


def _fill(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))
