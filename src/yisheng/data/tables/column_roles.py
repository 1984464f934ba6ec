"""Which column of a table is what: the target, the names of the rows, the order of time, groups, left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from yisheng.core.errors import UsageError, closest
from yisheng.core.types import Task

OBVIOUS = ("target", "label", "labels", "class", "y", "outcome", "response")
"""Names of a target that need not be said."""


@dataclass(frozen=True)
class Roles:
    """What the user says of a table's columns.

    Args:
        target: the columns to predict: names, numbers from 1, or ``last``; empty for the obvious one.
        id: the column that names the rows; no feature.
        time: the column that tells when each row was; of a date, only what comes again (month, weekday, ...) is a
            feature, since the year of tomorrow was never seen in training.
        group: the column whose equal values must stay in the same part and fold; no feature.
        drop: columns to leave out.
        kinds: kind of a column by name, where another is found than is meant.
        task: or None to find it out.
    """

    target: tuple[str, ...] = ()
    id: str = ""
    time: str = ""
    group: str = ""
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    task: Task | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """All names that are said, to know a header by."""
        said = (*self.target, self.id, self.time, self.group, *self.drop, *self.kinds)
        return tuple(name for name in said if name)

    def settled(self, names: Sequence[str], test: Sequence[str] | None = None, *, target: bool = True) -> Roles:
        """The same with columns that exist.

        Args:
            names: of the table's columns.
            test: of the test table's columns: what it alone lacks is the obvious target.
            target: whether one is needed.

        Raises:
            UsageError: there is no such column, no obvious target, or a column has two roles.

        >>> Roles(target=("last",)).settled(["a", "b"]).target, Roles().settled(["y", "a"]).target
        (('b',), ('y',))
        """
        found = tuple(_column(names, name, "target") for name in self.target)
        if target and not found:
            found = _obvious(names, self, test)
        for key in ("id", "time", "group"):
            _column(names, getattr(self, key), key)
        for name in self.drop:
            _column(names, name, "drop")
        for name in self.kinds:
            _column(names, name, "kinds")
        if len(set(found)) < len(found):
            raise UsageError(f"target= names a column twice: {', '.join(found)}", "name each once")
        for key, taken in (("id", [self.id]), ("time", [self.time]), ("group", [self.group]), ("drop", self.drop)):
            both = set(taken) & set(found)
            if both:
                raise UsageError(f"{both.pop()} is the target: it cannot be {key}= as well", "name another column")
        return replace(self, target=found)

    def of(self, name: str) -> str:
        """The role of a column that is no ordinary feature, for people; else empty."""
        if name in self.target:
            return "the target"
        if name == self.group:
            return "the groups: equal values stay in one part"
        if name == self.id:
            return "the names of the rows"
        if name in self.drop and name != self.time:
            return "left out, as you say"
        return ""


def parse_kinds(said: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Kinds by column, from a mapping or from texts like ``Year:category`` and ``Date:date:%d/%m/%Y``.

    Raises:
        UsageError: a text is not of this form.

    >>> parse_kinds(["Year:category", "a:b:date:%d/%m/%Y"])
    {'Year': 'category', 'a:b': 'date:%d/%m/%Y'}
    """
    if isinstance(said, Mapping):
        return {str(name): str(kind) for name, kind in said.items()}
    found = {}
    for text in said:
        name, mark, kind = text.partition(":date:")
        if not mark:
            name, mark, kind = text.rpartition(":")
        else:
            kind = f"date:{kind}"
        if not name or not kind:
            raise UsageError(f"kinds= wants NAME:KIND, got {text!r}", "say kinds=Year:category,Zip:identifier")
        found[name.strip()] = kind.strip()
    return found


def _column(names: Sequence[str], name: str, key: str) -> str:
    """The column that is meant: its name, its number from 1, or ``last``."""
    if not name or name in names:
        return name
    if key == "target" and name == "last":
        return names[-1]
    if key == "target" and name.isdecimal() and len(name) < 6 and 1 <= int(name) <= len(names):
        return names[int(name) - 1]
    raise UsageError(f"{key}={name}: the table has no such column", closest(name, names[:200]))


def _obvious(names: Sequence[str], roles: Roles, test: Sequence[str] | None) -> tuple[str, ...]:
    free = [name for name in names if name not in (roles.id, roles.time, roles.group, *roles.drop)]
    lacking = [name for name in free if name not in test] if test is not None else []
    if len(lacking) == 1:
        return (lacking[0],)
    found = [name for name in free if name.casefold() in OBVIOUS]
    if len(found) == 1:
        return (found[0],)
    listed = ", ".join(names[:200]) + ", ..." * (len(names) > 200)
    raise UsageError("which column is to be predicted?", f"say target=NAME (or target=last); the columns are: {listed}")
