"""What the columns of a table become, as a note and as rows of facts."""

from __future__ import annotations

from typing import Any

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages, plural_message
from yisheng.data.tables.inferred_column import InferredColumn

_LEFT_OUT = "left out: "


def summarize_columns(columns: list[InferredColumn]) -> Finding:
    """Return a note that counts the used columns and names those left out; its evidence lists all columns."""
    left_out = [column for column in columns if not column.features and column.becomes.startswith(_LEFT_OUT)]
    listed = ", ".join(f"{column.name} ({column.kind})" for column in left_out[:8]) + ", ..." * (len(left_out) > 8)
    used = [column for column in columns if column.features]
    cause = plural_message(len(used), "{count} column to learn from", "{count} columns to learn from", count=len(used))
    texts = [column for column in used if any(feature.text_part for feature in column.features)]
    if texts:
        cause = Message("{columns}; of texts: {described}", columns=cause, described=list_columns(texts, 4))
    if left_out:
        cause = Message("{columns}; left out: {listed}", columns=cause, listed=listed)
    remedy = Message(
        "to change a column's kind, use kinds=NAME:KIND, for example kinds={name}:category",
        name=(left_out + used)[0].name,
    )
    return Finding("columns", "note", {"columns": describe_inferred(columns)}, cause, remedy)


def list_columns(columns: list[InferredColumn], limit: int) -> str:
    """Return the first columns with what becomes of them."""
    described = [
        Message("{name} ({description})", name=column.name, description=column.becomes) for column in columns[:limit]
    ]
    return join_messages([*described, *["..."] * (len(columns) > limit)])


def describe_inferred(columns: list[InferredColumn]) -> list[dict[str, Any]]:
    """Return the name, kind, number of missing values, values and features of each column."""
    return [
        {
            "column": column.name,
            "kind": column.kind,
            "missing": column.missing,
            "values": column.values,
            "becomes": column.becomes,
        }
        for column in columns
    ]
