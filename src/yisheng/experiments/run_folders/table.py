"""A list of runs that prints as a table, in the shell, the interpreter and a notebook."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from yisheng.core.durations import format_duration
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message, translate
from yisheng.core.notebook_html import render_table
from yisheng.core.run_state import find_locked_inodes
from yisheng.core.score import Score
from yisheng.core.text_tables import format_interval, format_number, format_table, shorten, text_width
from yisheng.experiments.run_folders.entry import RunEntry, is_run_folder, list_subfolders
from yisheng.experiments.run_folders.read_entry import read_entry
from yisheng.experiments.run_folders.select import (
    GLOB_KEYS,
    NEWEST_FIRST,
    filter_by_condition,
    filter_by_patterns,
    find_score,
    sort_entries,
)

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_FOLDER: Final = Path("runs")
DROPPED_FIRST: Final = ("name", "95% interval", "time", "date", "part", "data", "completed", "model", "state")
"""Columns in the order in which they are left out until a table fits the width of a terminal."""
HEADS: Final = {
    "run": Message("run"),
    "name": Message("name"),
    "data": Message("data"),
    "model": Message("model"),
    "completed": Message("completed"),
    "state": Message("state"),
    "score": Message("score"),
    "95% interval": Message("95% interval"),
    "part": Message("part"),
    "time": Message("time"),
    "date": Message("date"),
}
"""Column -> its head; other columns are named after a score."""
STATES: Final = {
    "running": Message("running"),
    "stopped": Message("stopped"),
    "finished": Message("finished"),
    "failed": Message("failed"),
}
PARTS: Final = {"test": Message("test"), "validation": Message("validation"), "train": Message("training")}
NO_RUNS: Final = Message("no runs")
MIN_RUN_WIDTH: Final = 12
"""Characters of a folder's name that are shown on the narrowest terminal."""


class RunTable(list[RunEntry]):
    """A list of runs; it prints as a table, and `to_frame` makes a DataFrame of it.

    Args:
        entries: the runs, in order.
        score: key of the score that the table shows; by default each run's own.

    >>> RunTable([])
    no runs
    >>> import tempfile, yisheng
    >>> folder = tempfile.mkdtemp()
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=folder, quiet=True)
    >>> table = yisheng.runs(folder)
    >>> table.to_frame()["model"].tolist(), table.to_json()[0]["data"], len(table.format(width=80).splitlines())
    (['linear'], 'iris', 3)
    """

    def __init__(self, entries: Iterable[RunEntry] = (), *, score: str = "score") -> None:
        super().__init__(entries)
        self._score = score

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each run: the columns of `RunEntry`, and a column for each score (``test.accuracy``)."""
        import pandas as pd

        rows = []
        for entry in self:
            facts = asdict(entry)
            scores = facts.pop("scores")
            facts |= {f"{part}.{name}": score["value"] for part in scores for name, score in scores[part].items()}
            rows.append(facts)
        frame = pd.DataFrame(rows)
        if rows:
            frame["started"] = pd.to_datetime(frame["started"], errors="coerce", utc=True)
        return frame

    def to_json(self) -> list[dict[str, Any]]:
        """Return the runs as plain data, with the names of `RunEntry`."""
        return [{**asdict(entry), "problems": list(entry.problems)} for entry in self]

    def format(self, width: int | None = None) -> str:
        """Return the table as text.

        Args:
            width: of the terminal; less important columns are left out until the table fits. None keeps all.
        """
        if not self:
            return translate(NO_RUNS)
        columns = self._tabulate()
        if width is None:
            return format_table(_to_rows(columns))
        if _table_width(columns) > width and len({Path(entry.path).parent for entry in self}) == 1:
            columns["run"] = [Path(path).name for path in columns["run"]]
        for name in DROPPED_FIRST:
            if _table_width(columns) <= width:
                break
            columns.pop(name, None)
        excess = max(0, _table_width(columns) - width)
        run_width = max(MIN_RUN_WIDTH, max(map(text_width, columns["run"])) - excess)
        columns["run"] = [shorten(path, run_width, keep_end=True) for path in columns["run"]]
        return format_table(_to_rows(columns))

    def __repr__(self) -> str:
        return self.format()

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{translate(NO_RUNS)}</p>"
        columns = self._tabulate()
        numeric = [number for number, name in enumerate(columns) if name in ("completed", "time", self._score_head)]
        return render_table(_to_rows(columns), numeric=numeric, muted=[list(columns).index("date")])

    @property
    def _score_head(self) -> str:
        """Return the head of the column of scores: the score's name, if all runs have the same."""
        if self._score != "score":
            return self._score
        names = {entry.score.replace("_", "-") for entry in self if entry.score and entry.value is not None}
        return names.pop() if len(names) == 1 else "score"

    def _tabulate(self) -> dict[str, list[str]]:
        """Return the columns by their heads; a column in which nothing is known is left out."""
        head = self._score_head
        columns: dict[str, list[str]] = {"run": [entry.path for entry in self]}
        columns["name"] = [entry.name or "" for entry in self]
        columns["data"] = [entry.data or "" for entry in self]
        columns["model"] = [entry.model or "" for entry in self]
        columns["completed"] = [_format_progress(entry) for entry in self]
        columns["state"] = [translate(STATES[entry.state]) for entry in self]
        scored = [find_score(entry, self._score) for entry in self]
        columns[head] = [
            "" if pair is None else _format_score(entry, pair[1], head)
            for entry, pair in zip(self, scored, strict=True)
        ]
        columns["95% interval"] = ["" if pair is None else format_interval(pair[1]) for pair in scored]
        columns["part"] = ["" if pair is None else _name_part(pair[0]) for pair in scored]
        columns["time"] = ["" if entry.seconds is None else format_duration(entry.seconds) for entry in self]
        columns["date"] = [_format_date(entry.started) for entry in self]
        always = ("run", "state", head, "date")
        return {name: cells for name, cells in columns.items() if name in always or any(cells)}


def list_runs(
    folders: Sequence[Path] = (),
    *,
    patterns: Mapping[str, str] | None = None,
    conditions: Sequence[str] = (),
    sort: str | None = None,
    n: int | None = None,
) -> RunTable:
    """Return the runs, cross-validations and searches of folders.

    Args:
        folders: folders of runs (default ``runs``). Of a run folder, the folder itself and the runs in it.
        patterns: see `yisheng.experiments.run_folders.select.filter_by_patterns`.
        conditions: see `yisheng.experiments.run_folders.select.filter_by_condition`.
        sort: see `yisheng.experiments.run_folders.select.sort_entries`; the newest first by default.
        n: number of runs at most.

    Raises:
        DataError: a folder does not exist.
        UsageError: a key, condition or score is wrong.
    """
    for key in patterns or {}:
        if key not in GLOB_KEYS:
            raise UsageError(Message("runs cannot be filtered by {key}", key=f"{key!r}"), suggest(key, GLOB_KEYS))
    locked_inodes = find_locked_inodes()
    entries = [read_entry(path, locked_inodes) for path in _find_run_folders(folders)]
    entries = filter_by_patterns(entries, patterns or {})
    for condition in conditions:
        entries = filter_by_condition(entries, condition)
    entries = sort_entries(sort_entries(entries), sort or NEWEST_FIRST)
    score = (sort or "").removeprefix("-")
    shows_score = any(find_score(entry, score) for entry in entries)
    return RunTable(entries[:n], score=score if shows_score else "score")


def _find_run_folders(folders: Sequence[Path]) -> list[Path]:
    paths: dict[Path, None] = {}
    for folder in folders or [DEFAULT_FOLDER]:
        if not os.path.isdir(folder):  # noqa: PTH112  # never raises
            if not folders and not os.path.lexists(folder):
                continue
            raise DataError(
                Message("there is no folder {folder}", folder=folder),
                Message("give a folder of runs, as in yisheng runs runs/"),
            )
        if not os.access(folder, os.R_OK | os.X_OK):
            raise DataError(Message("{folder} cannot be read", folder=folder), Message("check its permissions"))
        candidates = [folder, *list_subfolders(folder)]
        paths |= {path: None for path in candidates if is_run_folder(path)}
    return list(paths)


def _to_rows(columns: Mapping[str, Sequence[str]]) -> list[list[str]]:
    heads = [translate(HEADS.get(name, name)) for name in columns]
    return [heads, *map(list, zip(*columns.values(), strict=True))]


def _table_width(columns: Mapping[str, Sequence[str]]) -> int:
    widths = [max(map(text_width, [translate(HEADS.get(name, name)), *cells])) for name, cells in columns.items()]
    return sum(widths) + 2 * (len(widths) - 1)


def _name_part(part: str) -> str:
    return translate(PARTS.get(part, part.replace("_", " ")))


def _format_progress(entry: RunEntry) -> str:
    """Return ``3/20``, with the unit if it is not epochs."""
    if entry.completed is None:
        return ""
    total = "" if entry.total is None else f"/{entry.total:,}"
    return f"{entry.completed:,}{total}" + ("" if entry.unit == "epochs" else f" {entry.unit}")


def _format_score(entry: RunEntry, score: Score, head: str) -> str:
    name = f"{(entry.score or '').replace('_', '-')} " if head == "score" else ""
    return f"{name}{format_number(score.value)}"


def _format_date(started: str | None) -> str:
    """Return a date in ISO 8601 in the local time zone, or as it is if it is in another form."""
    try:
        return datetime.fromisoformat(started or "").astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return started or ""
