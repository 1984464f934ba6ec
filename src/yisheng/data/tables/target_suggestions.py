"""Which columns of a table may be the target, for a user who has not named one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yisheng.core.errors import YishengError
from yisheng.core.spec import Task
from yisheng.data.tables.column_roles import TARGET_NAMES, Roles
from yisheng.data.tables.inferred_column import InferredColumn
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.targets import read_target

MAX_SUGGESTIONS = 3
_TARGET_WORDS = re.compile(
    r"target|label|class|outcome|response|result|survived|churn|default|diagnosis|species|quality|score|grade|price|"
    r"sales|value|income|cost|rating|status|fraud|目标|标签|类别|价格|结果",
    re.IGNORECASE,
)
_LEARNABLE_KINDS = ("number", "category", "yes/no")


@dataclass(frozen=True)
class TargetSuggestion:
    """A column that may be the target.

    Args:
        column: its name.
        task: what would be learned.
        reason: why it is suggested.
    """

    column: str
    task: Task
    reason: str


def suggest_targets(
    raws: Mapping[str, RawColumn], inferred: Sequence[InferredColumn], roles: Roles
) -> list[TargetSuggestion]:
    """Return the columns that are likely to be the target, the likeliest first.

    Args:
        raws: the columns of the table.
        inferred: their kinds.
        roles: the user's choices.
    """
    names = list(raws)
    ratings = []
    for column in inferred:
        if column.kind not in _LEARNABLE_KINDS or roles.describe(column.name) or column.name == roles.time:
            continue
        rating, reason = _rate(column, names)
        ratings.append((-rating, names.index(column.name), column.name, reason))
    suggestions = []
    for _, _, name, reason in sorted(ratings):
        try:
            task = read_target([raws[name]]).task
        except YishengError:
            continue
        suggestions.append(TargetSuggestion(name, task, reason))
        if len(suggestions) == MAX_SUGGESTIONS:
            break
    return suggestions


def _rate(column: InferredColumn, names: Sequence[str]) -> tuple[int, str]:
    if column.name.casefold() in TARGET_NAMES:
        return 4, "its name"
    if _TARGET_WORDS.search(column.name):
        return 3, "its name"
    if column.name == names[-1]:
        return 2, "the last column"
    return (1, "few different values") if column.kind != "number" else (0, "a number")
