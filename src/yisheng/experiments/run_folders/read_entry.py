"""Read what the list of runs shows, from small files and without torch, whatever state they are in."""

from __future__ import annotations

import csv
import functools
import json
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from yisheng.core import files
from yisheng.core.os_errors import describe_os_error
from yisheng.core.remote.sessions import name_address
from yisheng.core.run_folder import RunFolder
from yisheng.core.run_state import is_nonfinite, is_running
from yisheng.core.score import Score
from yisheng.core.scores_file import parse_scores
from yisheng.experiments.run_folders.entry import Kind, RunEntry, State, is_run_folder, list_subfolders

MAX_FILE_BYTES: Final = 8 << 20
"""Larger files are not read."""
TAIL_BYTES: Final = 1 << 16
"""Bytes at the end of a log in which its last epoch is looked for."""


def read_entry(folder: Path, locked_inodes: set[int] | None) -> RunEntry:
    """Read what the list shows of a run folder; damaged files leave gaps.

    Args:
        folder: a run folder.
        locked_inodes: the result of `yisheng.core.run_state.find_locked_inodes`.
    """
    return _Reader(folder, locked_inodes).read()


class _Reader:
    """The files of one run folder, each read at most once; problems are collected."""

    def __init__(self, folder: Path, locked_inodes: set[int] | None) -> None:
        self.folder = folder
        self.locked_inodes = locked_inodes
        self.problems: list[str] = []
        self.environment = self.read_json(folder / RunFolder.ENVIRONMENT)
        self.kind: Kind = "run"
        if os.path.isfile(folder / RunFolder.SEARCH):  # noqa: PTH113  # never raises
            self.kind = "search"
        elif os.path.isfile(folder / RunFolder.CROSS_VALIDATION):  # noqa: PTH113
            self.kind = "cross-validation"
        self.model_folder = folder / RunFolder.BEST if self.kind == "search" else folder
        self.config = self.read_toml(self.model_folder / RunFolder.CONFIG)

    def read(self) -> RunEntry:
        """Return the entry."""
        settings = self.config
        if self.kind == "search":
            plan = self.read_toml(self.folder / RunFolder.SEARCH)
            fixed = _fixed_settings(plan)
            settings = {**fixed, **self.config, **{key: fixed.get(key) for key in ("name", "notes")}}
            completed, total, unit, seconds = self.count_trials(plan)
        elif self.kind == "cross-validation":
            completed, total, unit, seconds = self.count_folds()
        else:
            completed, total, unit, seconds = self.count_epochs()
        scores, problems = parse_scores(self.read_json(self.model_folder / RunFolder.SCORES))
        self.problems += [f"{RunFolder.SCORES}: {problem}" for problem in problems[:1]]
        score, part, value = self.choose_score(scores)
        durations, data = self.environment.get("seconds"), self.environment.get("data")
        if isinstance(durations, Mapping):
            seconds = _number(durations.get("training"))
        number = re.match(r"(\d{4,})-", self.folder.resolve().name)
        name = data.get("name") if isinstance(data, Mapping) else None
        return RunEntry(
            path=name_address(self.folder),
            number=int(number[1]) if number else None,
            name=_text(settings.get("name")),
            kind=self.kind,
            data=_text(name) or _component(settings.get("data")),
            model=_component(settings.get("model")),
            completed=completed,
            total=total,
            unit=unit,
            state=self.find_state(completed, total),
            score=score,
            part=part,
            value=None if value is None else value.value,
            low=None if value is None else value.low,
            high=None if value is None else value.high,
            seconds=seconds,
            started=_text(self.environment.get("started")),
            notes=_text(settings.get("notes")),
            scores=scores,
            problems=tuple(self.problems),
        )

    def count_epochs(self) -> tuple[int | None, int | None, str, float | None]:
        """Return the finished and all epochs of a run, and the seconds of its last event."""
        events = self.last_events
        completed = next(
            (e.get("epoch") for e in events if isinstance(e.get("epoch"), int)), 0 if self.config else None
        )
        seconds = next((_number(e.get("seconds")) for e in events), None)
        total = self.config.get("epochs")
        return completed, total if isinstance(total, int) else None, "epochs", seconds

    def count_folds(self) -> tuple[int | None, int | None, str, float | None]:
        """Return the trained and all folds of a cross-validation, and the seconds of the trained ones."""
        models = self.read_json(self.folder / RunFolder.CROSS_VALIDATION).get("models")
        models = [model for model in models if isinstance(model, Mapping)] if isinstance(models, list) else []
        trained = [model for model in models if model.get("scores") is not None]
        seconds = [_number(model.get("seconds")) or 0.0 for model in trained]
        return len(trained), len(models), "folds", sum(seconds) if trained else None

    def count_trials(self, plan: Mapping[str, Any]) -> tuple[int | None, int | None, str, float | None]:
        """Return the finished and all trials of a search, and the seconds of the finished ones."""
        seconds: list[float] = []
        try:
            with (self.folder / RunFolder.TRIALS_TABLE).open(encoding="utf-8", newline="") as file:
                seconds = [_number_of_text(row.get("seconds")) for row in csv.DictReader(file)]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, csv.Error) as error:
            self.problems.append(f"{RunFolder.TRIALS_TABLE}: {error}")
        return len(seconds), _count_planned_trials(plan), "trials", sum(seconds) if seconds else None

    def choose_score(self, scores: Mapping[str, Mapping[str, Score]]) -> tuple[str | None, str | None, Score | None]:
        """Return key, part and value of the score that the list shows; of an unfinished run that of its last epoch."""
        key = str(self.config.get("score", "")).rpartition(":")[2].replace("-", "_")
        parts = [(part, scores[part]) for part in ("test", "validation") if scores.get(part)]
        for part, by_name in parts:
            if key in by_name:
                return key, part, by_name[key]
        for part, by_name in parts:  # with score=loss
            name, score = next(iter(by_name.items()))
            return name, part, score
        if self.kind == "run":
            by_name = next((e["scores"] for e in self.last_events if isinstance(e.get("scores"), Mapping)), {})
            if (value := _number(by_name.get(key))) is not None:
                return key, "validation", Score(value)
        return key or None, None, None

    def find_state(self, completed: int | None, total: int | None) -> State:
        """Return the state; a run without a record of its environment holds only the files of a model."""
        if self.environment.get("finished") is True or not self.environment:
            return "finished"
        logs = {"run": RunFolder.EVENTS, "cross-validation": RunFolder.CROSS_VALIDATION, "search": RunFolder.JOBS}
        if is_running(self.folder, self.locked_inodes, self.folder / logs[self.kind]):
            return "running"
        if self.kind == "search":
            has_failed = bool(total) and completed == total and not self.config
        elif self.kind == "cross-validation":
            has_failed = any(self.broke_off(path) for path in list_subfolders(self.folder) if is_run_folder(path))
        else:
            has_failed = self.broke_off(self.folder)
        return "failed" if has_failed else "stopped"

    def broke_off(self, folder: Path) -> bool:
        """Return whether the doctor recorded that the numbers of a run became non-finite."""
        return is_nonfinite(self.read_json(folder / RunFolder.FINDINGS).get("findings"))

    @functools.cached_property
    def last_events(self) -> list[Mapping[str, Any]]:
        """Return the events at the end of the log, the last first."""
        return list(_read_last_events(self.folder / RunFolder.EVENTS))

    def read_json(self, path: Path) -> Mapping[str, Any]:
        """Return a JSON object; empty if the file is missing or damaged."""
        content = self._read_bytes(path)
        try:
            value = json.loads(content) if content else {}
        except (ValueError, RecursionError):
            self.problems.append(f"{path.name} is not JSON")
            return {}
        return value if isinstance(value, dict) else {}

    def read_toml(self, path: Path) -> Mapping[str, Any]:
        """Return the contents of a TOML file; empty if the file is missing or damaged."""
        try:
            return tomllib.loads((self._read_bytes(path) or b"").decode())
        except (ValueError, RecursionError):
            self.problems.append(f"{path.name} is not TOML")
            return {}

    def _read_bytes(self, path: Path) -> bytes | None:
        try:
            return files.read_bytes(path, MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems.append(f"{path.name}: {describe_os_error(error)}")
            return None


def _read_last_events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the events at the end of a log, the last first; damaged lines are skipped."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return
    for line in reversed(lines if size <= TAIL_BYTES else lines[1:]):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, Mapping):
            yield event


def _fixed_settings(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that all trials of a search share."""
    fixed = plan.get("fixed")
    triples = [item for item in fixed if isinstance(item, list) and len(item) == 3] if isinstance(fixed, list) else []
    return {str(key): value for key, value, _ in triples}


def _count_planned_trials(plan: Mapping[str, Any]) -> int | None:
    """Return the number of trials that a search will have, or None if its method decides it on the way."""
    if plan.get("search") == "halving":
        return None
    n, axes = plan.get("n"), plan.get("axes")
    axes = [axis for axis in axes if isinstance(axis, Mapping)] if isinstance(axes, list) else []
    counts = [len(axis["values"]) if isinstance(axis.get("values"), list) else math.inf for axis in axes]
    size = min(n if isinstance(n, int) else math.inf, math.prod(counts))
    return int(size) if math.isfinite(size) and axes else None


def _component(value: Any) -> str | None:
    return _text(value.get("name") if isinstance(value, Mapping) else value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _number_of_text(text: str | None) -> float:
    try:
        return float(text or 0.0)
    except ValueError:
        return 0.0
