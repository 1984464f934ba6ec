"""The columns of a table's inputs for people: their names, their values as text, and which belong together."""

from __future__ import annotations

import math
from typing import Any

from yisheng.core.spec import Spec

MISSING = "missing"
UNKNOWN = "unknown"


def name_column(spec: Spec, i: int) -> str:
    """Return the name of an input column: that of the table, or its number from 1 for data without names.

    >>> name_column(Spec("regression", (2,)), 1)
    'x2'
    """
    return spec.columns[i].name if spec.columns else f"x{i + 1}"


def format_cell(spec: Spec, i: int, value: Any) -> str:
    """Return a raw value of an input column as text: a category by its name, a number with six digits.

    >>> format_cell(Spec("regression", (2,)), 0, 0.25), format_cell(Spec("regression", (2,)), 0, math.nan)
    ('0.25', 'missing')
    """
    if math.isnan(value):
        return MISSING
    categories = spec.columns[i].categories if spec.columns else ()
    if categories:
        return categories[int(value)] if 0 <= value < len(categories) else UNKNOWN
    return f"{value:.6g}"


def group_columns(spec: Spec) -> dict[str, list[int]]:
    """Return the input columns that are made of one column of the table, by its name: the parts of a date together.

    A category is one input column; that a network sees it one-hot does not matter here.

    >>> from yisheng.core.columns import Column
    >>> parts = [Column(f"born {part}", source="born", date_part=part) for part in ("year", "month")]
    >>> group_columns(Spec("regression", (3,), columns=(*parts, Column("town", source="town"))))
    {'born': [0, 1], 'town': [2]}
    """
    groups: dict[str, list[int]] = {}
    for i in range(spec.shape[0]):
        source = spec.columns[i].source if spec.columns else ""
        groups.setdefault(source or name_column(spec, i), []).append(i)
    return groups


def is_number(spec: Spec, i: int) -> bool:
    """Return whether an input column holds numbers, rather than categories."""
    return not spec.columns or not (spec.columns[i].categories or spec.columns[i].kind in ("category", "yes/no"))
