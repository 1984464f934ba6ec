"""Scores of groups of rows: those with the same value in a column."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.evaluation.column_values import format_cell, group_columns, is_number
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scores import compute_scores

MAX_GROUPS = 20
"""Groups that are scored, those with the most rows."""
MAX_VALUES = 8
"""Different numbers up to which each is a group; more are divided at their quartiles."""
MIN_GROUP_ROWS = 30
"""With fewer rows a score says little, and the report says so."""


@dataclass(frozen=True)
class Group:
    """Rows that belong together.

    Args:
        name: the value that they have in common, or the range of a number.
        rows: their positions ``(n,)``.
    """

    name: str
    rows: np.ndarray


def find_column(spec: Spec, name: str) -> int:
    """Return the position of the input column whose values make the groups.

    Raises:
        UsageError: the model has no such column, or it is a date.

    >>> find_column(Spec("regression", (2,)), "x2")
    1
    """
    if not spec.is_row:
        raise UsageError(
            Message(
                "groups={name} needs rows of a table; these are {description}", name=name, description=spec.description
            ),
            Message("leave groups out"),
        )
    columns = group_columns(spec)
    if name not in columns:
        remedy = Message("groups= takes a column that the model uses; {suggestion}", suggestion=suggest(name, columns))
        raise UsageError(Message("the model has no column {name}", name=f"{name!r}"), remedy)
    if len(columns[name]) > 1:
        raise UsageError(
            Message("groups={name} is a date, which the model gets as several columns", name=name),
            Message("choose another column"),
        )
    return columns[name][0]


def make_groups(spec: Spec, values: np.ndarray, position: int) -> list[Group]:
    """Return groups of rows by their value in a column, those of numbers in their order, others the largest first.

    More than `MAX_VALUES` different numbers are divided at their quartiles. Missing values are a group of their own.

    Args:
        spec: the contract of the raw rows.
        values: of the column ``(N,)``.
        position: of the column.

    >>> spec = Spec("regression", (1,))
    >>> [(group.name, group.rows.tolist()) for group in make_groups(spec, np.array([1.0, 0.0, 1.0, np.nan]), 0)]
    [('0', [1]), ('1', [0, 2]), ('missing', [3])]
    """
    values = values.astype(np.float64)
    is_missing = np.isnan(values)
    present = np.unique(values[~is_missing])
    if is_number(spec, position) and len(present) > MAX_VALUES:
        groups = _divide_at_quartiles(spec, values, position)
    else:
        groups = [Group(format_cell(spec, position, value), np.flatnonzero(values == value)) for value in present]
        if not is_number(spec, position):
            groups.sort(key=lambda group: -len(group.rows))
    if is_missing.any():
        groups.append(Group(format_cell(spec, position, np.nan), np.flatnonzero(is_missing)))
    return groups


def _divide_at_quartiles(spec: Spec, values: np.ndarray, position: int) -> list[Group]:
    edges = np.unique(np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1], method="nearest"))
    groups = []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        is_last = number == len(edges) - 2
        inside = (values >= low) & ((values <= high) if is_last else (values < high))
        start, end = format_cell(spec, position, low), format_cell(spec, position, high)
        groups.append(Group(f"{start} to {end}" if is_last else f"{start} to below {end}", np.flatnonzero(inside)))
    return groups


def score_groups(
    spec: Spec, predictions: Predictions, values: np.ndarray, column: str, *, extra: Sequence[Entry] = ()
) -> dict[str, Any]:
    """Score each group of rows, in the form of ``evaluation.json``.

    Args:
        spec: the contract.
        predictions: of the scored rows.
        values: of the column, of the same rows ``(N,)``.
        column: its name.
        extra: more metrics.

    Raises:
        UsageError: the model has no such column.

    Source: Mitchell et al., "Model cards for model reporting", 2019 (scores of subgroups).
    """
    groups = make_groups(spec, values, find_column(spec, column))
    scored = groups if len(groups) <= MAX_GROUPS else sorted(groups, key=lambda group: -len(group.rows))[:MAX_GROUPS]
    entries = []
    for group in scored:
        part = Predictions(predictions.y[group.rows], predictions.prediction[group.rows], predictions.index[group.rows])
        scores = {name: asdict(score) for name, score in compute_scores(spec, part, extra=extra).items()}
        entries.append({"group": group.name, "rows": len(group.rows), "scores": scores})
    omitted = len(groups) - len(scored)
    return {"column": column, "groups": entries, "omitted": omitted, "few_rows": MIN_GROUP_ROWS}
