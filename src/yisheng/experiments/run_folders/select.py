"""Filter and sort a list of runs."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.natural_sort import natural_key
from yisheng.core.score import Score
from yisheng.core.score_keys import display_score_key, parse_score_key
from yisheng.experiments.run_folders.entry import RunEntry
from yisheng.reporting.formatting import is_higher_better

GLOB_KEYS: Final = ("data", "model", "state", "name", "kind")
"""Columns that are filtered by patterns."""
COLUMNS: Final = ("number", "name", "data", "model", "kind", "state", "completed", "total", "seconds", "started")
"""Columns that a list is sorted by, next to scores."""
NUMBERS: Final = ("number", "completed", "total", "seconds")
NEWEST_FIRST: Final = "-number"
PARTS: Final = ("test", "validation", "out_of_fold")
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def filter_by_patterns(entries: Sequence[RunEntry], patterns: Mapping[str, str]) -> list[RunEntry]:
    """Return the runs whose columns match patterns, without regard to case.

    Args:
        entries: the runs.
        patterns: of some of `GLOB_KEYS`: ``*`` is any text and ``?`` any character; several are separated by commas.
            ``name`` is compared with the user's name and with the folder's.

    >>> filter_by_patterns([], {"data": "fashion*"})
    []
    """
    return [entry for entry in entries if all(_matches(entry, key, text) for key, text in patterns.items())]


def filter_by_condition(entries: Sequence[RunEntry], condition: str) -> list[RunEntry]:
    """Return the runs with a score or number in a range; runs without it are left out.

    Args:
        entries: the runs.
        condition: ``accuracy>0.9``, ``validation.rmse<=2``, ``score>0.5``, ``seconds<60``.

    Raises:
        UsageError: it is not a comparison, or no run has such a score.
    """
    match = re.fullmatch(r"\s*([A-Za-z_][\w.-]*(?:\[.*\])?)\s*(>=|<=|>|<)\s*(.+?)\s*", condition)
    try:
        if match is None:
            raise ValueError
        key, compare, limit = match[1], OPERATORS[match[2]], float(match[3])
    except ValueError:
        raise UsageError(
            Message("{condition} is not a comparison of a score or number", condition=f"{condition!r}"),
            Message("write one in quotes, as in 'accuracy>0.9'"),
        ) from None
    values = [_read_number(entry, key) for entry in entries]
    _require_any(entries, key, values)
    return [entry for entry, value in zip(entries, values, strict=True) if value is not None and compare(value, limit)]


def sort_entries(entries: Sequence[RunEntry], key: str = NEWEST_FIRST) -> list[RunEntry]:
    """Return the runs in the order of a column or score; runs without it come last.

    Runs of the same second are in the order of their numbers.

    Args:
        entries: the runs.
        key: a column in rising order, or a score, the best first: ``accuracy``, ``validation.accuracy``, or ``score``
            for the one that chose the epoch. With ``-`` before it the order is the other way round.

    Raises:
        UsageError: no run has such a score, or ``score`` means different ones.
    """
    requested, is_reversed = key.removeprefix("-").strip(), key.startswith("-")
    column = "started" if requested.lower() == "date" else requested.lower()
    present: list[RunEntry]
    if column in COLUMNS and column not in NUMBERS:
        present = [entry for entry in entries if getattr(entry, column) is not None]
        if column == "started":
            present.sort(key=lambda entry: entry.number or 0, reverse=is_reversed)
        present.sort(key=lambda entry: natural_key(str(getattr(entry, column))), reverse=is_reversed)
    else:
        column = column if column in NUMBERS else requested
        values = {id(entry): value for entry in entries if (value := _read_number(entry, column)) is not None}
        if column not in NUMBERS:
            _require_any(entries, column, list(values.values()))
            is_reversed ^= _is_best_largest(entries, column)
        present = [entry for entry in entries if id(entry) in values]
        present.sort(key=lambda entry: values[id(entry)], reverse=is_reversed)
    identities = set(map(id, present))
    return [*present, *(entry for entry in entries if id(entry) not in identities)]


def find_score(entry: RunEntry, key: str) -> tuple[str, Score] | None:
    """Return a score of a run with its part, the test part's if there is one; None if the run has no such score.

    Args:
        entry: the run.
        key: name of the score, with or without its part (``validation.accuracy``); ``score`` is its own.
    """
    part, name = parse_score_key(key)
    if name == "score" and not part:
        return None if entry.value is None else (str(entry.part), Score(entry.value, entry.low, entry.high))
    for candidate in [part] if part else PARTS:
        if name in entry.scores.get(candidate, {}):
            return candidate, entry.scores[candidate][name]
    if name == entry.score and entry.value is not None and part in ("", entry.part):
        return str(entry.part), Score(entry.value)
    return None


def _matches(entry: RunEntry, key: str, patterns: str) -> bool:
    values = [getattr(entry, key)]
    if key == "name":
        values.append(Path(entry.path).name)
    return any(
        fnmatch.fnmatchcase(str(value).lower(), pattern.strip().lower())
        for value in values
        if value is not None
        for pattern in patterns.split(",")
    )


def _read_number(entry: RunEntry, key: str) -> float | None:
    if key in NUMBERS:
        value: float | None = getattr(entry, key)
        return value
    score = find_score(entry, key)
    return None if score is None else score[1].value


def _require_any(entries: Sequence[RunEntry], key: str, values: Sequence[float | None]) -> None:
    """Raise an error if there are runs, but none has a score of this name."""
    if entries and all(value is None for value in values):
        names = {display_score_key(name) for entry in entries for by_name in entry.scores.values() for name in by_name}
        raise UsageError(
            Message("none of the runs has {key}", key=f"{key!r}"), suggest(key, {*names, "score", *COLUMNS})
        )


def _is_best_largest(entries: Sequence[RunEntry], key: str) -> bool:
    """Return whether larger values of a score are better; of an unknown one too."""
    _, name = parse_score_key(key)
    names = {str(entry.score) for entry in entries if entry.value is not None} if name == "score" else {name}
    directions = {is_higher_better(name) is not False for name in names}
    if len(directions) > 1:
        raise UsageError(
            Message("the runs have different scores: {names}", names=", ".join(sorted(names))),
            Message("sort by one of them: sort={names}", names=min(names)),
        )
    return directions.pop()
