"""Monotone constraints by the names of columns: ``monotone=area:up,age:down``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

DIRECTIONS = {"up": 1, "down": -1}


def parse_monotone(monotone: Mapping[str, str] | tuple[str, ...], spec: Spec) -> np.ndarray | None:
    """Return the direction of each column: 1 if the output may only rise with it, -1 only fall, 0 any; None for all.

    Args:
        monotone: ``up`` or ``down`` by the name of a column, or the two with a colon between them.
        spec: the contract of the scaled rows.

    Raises:
        UsageError: there is no such column or direction, a column does not hold numbers, or there are more than two
            classes.

    >>> parse_monotone(("x2:down",), Spec("regression", (3,))).tolist()
    [0, -1, 0]
    """
    if not monotone:
        return None
    pairs = monotone.items() if isinstance(monotone, Mapping) else [entry.rpartition(":")[::2] for entry in monotone]
    if spec.task == "classification" and len(spec.classes) > 2:
        raise UsageError(
            Message(
                "monotone is for numbers, labels and two classes; this is {count} classes", count=len(spec.classes)
            ),
            Message("leave monotone out"),
        )
    positions = _list_columns(spec)
    directions = np.zeros(spec.shape[0], np.int64)
    for name, direction in pairs:
        if direction not in DIRECTIONS:
            raise UsageError(
                Message(
                    "monotone must be as in area:up or age:down, got {text}",
                    text=f"{':'.join(filter(None, (name, direction)))!r}",
                ),
                Message("write the column, a colon, and up or down"),
            )
        if name not in positions:
            raise UsageError(Message("monotone: there is no column {name}", name=f"{name!r}"), suggest(name, positions))
        for position in positions[name]:
            column = spec.columns[position] if spec.columns else None
            if column is not None and (column.date_part or column.text_part or column.kind == "category"):
                raise UsageError(
                    Message("monotone: {name} does not hold numbers, which alone have an order", name=name),
                    Message("leave it out of monotone"),
                )
            directions[position] = DIRECTIONS[direction]
    return directions


def _list_columns(spec: Spec) -> dict[str, list[int]]:
    """Return the input columns by their names and by those of the table."""
    positions: dict[str, list[int]] = {}
    for position in range(spec.shape[0]):
        column = spec.columns[position] if spec.columns else None
        names = {column.name, column.source} - {""} if column else {f"x{position + 1}"}
        for name in names:
            positions.setdefault(name, []).append(position)
    return positions
