"""The roles of a table's columns: target, row names, time, groups, left out."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.spec import TASKS, Task

TARGET_NAMES = ("target", "label", "labels", "class", "y", "outcome", "response")
"""Names by which a target is recognized that the user does not name."""
_MAX_LISTED_COLUMNS = 200


@dataclass(frozen=True)
class Roles:
    """The user's choices about a table's columns.

    Args:
        target: the columns to predict: names, numbers from 1, or ``last``; empty for the obvious one.
        id: the column with the row names; not a feature.
        time: the column with the time of each row. Only the parts of a date that repeat (month, weekday, ...) are
            features, since the training part never holds the years to come.
        group: the column whose equal values must stay in the same part and fold; not a feature.
        drop: columns to leave out.
        kinds: kind of a column by name, where the inferred one is wrong.
        task: the task, or None to infer it.
        labels: forms of the labels; see `yisheng.data.class_names`.
    """

    target: tuple[str, ...] = ()
    id: str = ""
    time: str = ""
    group: str = ""
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    task: Task | None = None
    labels: tuple[str, ...] = ()

    @staticmethod
    def parse(
        target: Any = None,
        *,
        id: Any = None,
        time: Any = None,
        group: Any = None,
        drop: Any = None,
        kinds: Any = None,
        task: Any = None,
        labels: str | Sequence[str] = (),
    ) -> Roles:
        """Return the choices of a caller in Python, who may give numbers, one name or several, or None.

        Raises:
            UsageError: a value is not the name of a column, or there is no such task.

        >>> Roles.parse(3, drop="size").target, Roles.parse(["a", 2]).target
        (('3',), ('a', '2'))
        """
        from yisheng.data.class_names import parse_forms

        if task is not None and task not in TASKS:
            raise UsageError(
                Message("task must be one of {tasks}, got {task}", tasks=", ".join(TASKS), task=f"{task!r}"),
                suggest(str(task), TASKS),
            )
        return Roles(
            _parse_names(target, "target"),
            _parse_name(id, "id"),
            _parse_name(time, "time"),
            _parse_name(group, "group"),
            _parse_names(drop, "drop"),
            parse_kinds(kinds or ()),
            task,
            parse_forms(labels),
        )

    @property
    def mentioned_columns(self) -> tuple[str, ...]:
        """Return all names that the user gives, by which a header is recognized."""
        names = (*self.target, self.id, self.time, self.group, *self.drop, *self.kinds)
        return tuple(name for name in names if name)

    def resolve(
        self, names: Sequence[str], test_names: Sequence[str] | None = None, *, target_required: bool = True
    ) -> Roles:
        """Return the roles with the names of existing columns.

        Args:
            names: names of the table's columns.
            test_names: names of the test table's columns: the only one that it lacks is the obvious target.
            target_required: whether a target must exist.

        Raises:
            UsageError: there is no such column, no obvious target, or a column has two roles.

        >>> Roles(target=("last",)).resolve(["a", "b"]).target, Roles().resolve(["y", "a"]).target
        (('b',), ('y',))
        """
        target = tuple(_find_column(names, name, "target") for name in join_names(self.target, names))
        drop = join_names(self.drop, names)
        by_form = {_comma_form(name): name for name in names if "," in name}
        kinds = {by_form.get(_comma_form(name), name): kind for name, kind in self.kinds.items()}
        if target_required and not target:
            target = _find_obvious_target(names, self, test_names)
        for key in ("id", "time", "group"):
            _find_column(names, getattr(self, key), key)
        for name in drop:
            _find_column(names, name, "drop")
        for name in kinds:
            _find_column(names, name, "kinds")
        if len(set(target)) < len(target):
            raise UsageError(
                Message("target= names a column twice: {columns}", columns=", ".join(target)),
                Message("name each column once"),
            )
        for key, columns in (("id", [self.id]), ("time", [self.time]), ("group", [self.group]), ("drop", drop)):
            conflicts = set(columns) & set(target)
            if conflicts:
                raise UsageError(
                    Message("{name} is the target: it cannot be {key}= as well", name=conflicts.pop(), key=key),
                    Message("name another column"),
                )
        return replace(self, target=target, drop=drop, kinds=kinds)

    def describe(self, name: str) -> str:
        """Return the role of a column for people to read; empty for an ordinary feature."""
        if name in self.target:
            return Message("the target")
        if name == self.group:
            return Message("the groups: equal values stay in one part")
        if name == self.id:
            return Message("the names of the rows")
        if name in self.drop and name != self.time:
            return Message("left out by drop=")
        return ""


def parse_kinds(kinds: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Return kinds by column, from a mapping or from texts like ``Year:category`` and ``Date:date:%d/%m/%Y``.

    Raises:
        UsageError: a text is not of this form.

    >>> parse_kinds(["Year:category", "a:b:date:%d/%m/%Y"])
    {'Year': 'category', 'a:b': 'date:%d/%m/%Y'}
    """
    if isinstance(kinds, Mapping):
        return {str(name): str(kind) for name, kind in kinds.items()}
    if not isinstance(kinds, Iterable) or not all(isinstance(part, str) for part in kinds):
        raise UsageError(
            Message("kinds= must be NAME:KIND, got {kinds}", kinds=f"{kinds!r}"),
            Message("use kinds=Year:category,Zip:identifier"),
        )
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    by_column, beginning = {}, ""
    for part in kinds:
        text = f"{beginning}{part}"
        if ":" not in text and part is not kinds[-1]:  # the comma is in the name of a column
            beginning = f"{text},"
            continue
        beginning = ""
        name, mark, kind = text.partition(":date:")
        if not mark:
            name, mark, kind = text.rpartition(":")
        else:
            kind = f"date:{kind}"
        if not name or not kind:
            raise UsageError(
                Message("kinds= must be NAME:KIND, got {kinds}", kinds=f"{text!r}"),
                Message("use kinds=Year:category,Zip:identifier"),
            )
        by_column[name.strip()] = kind.strip()
    return by_column


def _parse_names(value: Any, key: str) -> tuple[str, ...]:
    """Return the names of one or several columns; a number is the name of a column, or counts the columns from 1."""
    if value is None or (isinstance(value, str) and not value):
        return ()
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    wrong = [item for item in items if isinstance(item, bool) or not isinstance(item, str | numbers.Real)]
    if wrong:
        raise UsageError(
            Message("{key} must be the name of a column, or several, got {value}", key=key, value=f"{wrong[0]!r}"),
            Message("use {key}='price', for example", key=key),
        )
    return tuple(map(str, items))


def _parse_name(value: Any, key: str) -> str:
    names = _parse_names(value, key)
    if len(names) > 1:
        raise UsageError(
            Message("{key} must be the name of one column, got {names}", key=key, names=", ".join(names)),
            Message("name one with {key}=", key=key),
        )
    return names[0] if names else ""


def join_names(parts: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns from a list whose commas may have split a name, the longest possible ones.

    Args:
        parts: what was between the commas.
        names: names of the existing columns.

    >>> join_names(["a", "Price", "EUR"], ["a", "Price, EUR"])
    ('a', 'Price, EUR')
    """
    by_form = {_comma_form(name): name for name in names if "," in name}
    joined: list[str] = []
    start = 0
    while start < len(parts):
        ends = range(len(parts), start + 1, -1) if by_form else ()
        end = next((n for n in ends if _comma_form(",".join(parts[start:n])) in by_form), start + 1)
        text = ",".join(parts[start:end])
        joined.append(by_form.get(_comma_form(text), text))
        start = end
    return tuple(joined)


def _comma_form(name: str) -> str:
    return ",".join(part.strip() for part in name.split(","))


def _find_column(names: Sequence[str], name: str, key: str) -> str:
    """Return the column that is meant by a name, by a number from 1, or by ``last``."""
    if not name or name in names:
        return name
    if key == "target" and name == "last":
        return names[-1]
    if key == "target" and name.isdecimal() and len(name) < 6 and 1 <= int(name) <= len(names):
        return names[int(name) - 1]
    raise UsageError(
        Message("{key}={name}: the table has no such column", key=key, name=name),
        suggest(name, names[:_MAX_LISTED_COLUMNS]),
    )


def _find_obvious_target(names: Sequence[str], roles: Roles, test_names: Sequence[str] | None) -> tuple[str, ...]:
    features = [name for name in names if name not in (roles.id, roles.time, roles.group, *roles.drop)]
    only_in_training = [name for name in features if name not in test_names] if test_names is not None else []
    if len(only_in_training) == 1:
        return (only_in_training[0],)
    targets = [name for name in features if name.casefold() in TARGET_NAMES]
    if len(targets) == 1:
        return (targets[0],)
    listed = ", ".join(names[:_MAX_LISTED_COLUMNS]) + ", ..." * (len(names) > _MAX_LISTED_COLUMNS)
    raise UsageError(
        Message("which column is to be predicted?"),
        Message("name it with target=NAME or target=last; the columns are: {listed}", listed=listed),
    )
