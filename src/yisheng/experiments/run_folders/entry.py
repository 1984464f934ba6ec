"""What the list of runs shows of a run, and which folders are run folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score

Kind = Literal["run", "cross-validation", "search"]
State = Literal["running", "stopped", "finished", "failed"]

MARKERS: Final = (RunFolder.CONFIG, RunFolder.CROSS_VALIDATION, RunFolder.SEARCH, RunFolder.MODEL)
"""A folder with one of these files is a run folder."""


@dataclass(frozen=True)
class RunEntry:
    """A run, cross-validation or search of a list.

    Args:
        path: the folder, as a command takes it.
        number: number of the folder, or None if its name has none.
        name: the user's name for it (``name=``), or None.
        kind: run, cross-validation or search.
        data: name of the data.
        model: name of the network; None for a search over several that is not finished.
        completed: finished epochs of a run, folds of a cross-validation, trials of a search.
        total: all of them, or None if that is not known in advance.
        unit: ``epochs``, ``folds`` or ``trials``.
        state: running, stopped (it can be resumed), finished, or failed (the numbers became non-finite).
        score: key of the score that chooses the best epoch, ``accuracy`` for example.
        part: the part whose score `value` is: ``test``, or ``validation`` without a test part or before the end.
        value: that score.
        low: lower end of its 95% interval.
        high: upper end.
        seconds: of training.
        started: date and time in ISO 8601.
        notes: the user's notes, or None.
        scores: contents of ``scores.json``.
        problems: why a part of this is missing: files that could not be read.
    """

    path: str
    number: int | None
    name: str | None
    kind: Kind
    data: str | None
    model: str | None
    completed: int | None
    total: int | None
    unit: str
    state: State
    score: str | None
    part: str | None
    value: float | None
    low: float | None
    high: float | None
    seconds: float | None
    started: str | None
    notes: str | None
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder is that of a run, a cross-validation or a search."""
    return any(os.path.isfile(folder / name) for name in MARKERS)  # noqa: PTH113  # never raises


def list_subfolders(folder: Path) -> list[Path]:
    """Return the subfolders of a folder, without hidden ones and links; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]
