"""Write the end of a run for TensorBoard: scores with the config, the doctor's curves, the worst mistakes."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any, Final

from yisheng.core.run_folder import RunFolder
from yisheng.loggers.image_grid import draw_mistake_grid
from yisheng.loggers.tensorboard import event_file
from yisheng.loggers.tensorboard.curves import add_history
from yisheng.loggers.tensorboard.event_file import EventFile
from yisheng.loggers.tensorboard.hparams import require_tensorboard
from yisheng.reporting.config_diff import IGNORED_KEYS, flatten
from yisheng.reporting.formatting import replace_unprintable
from yisheng.reporting.history import read_history
from yisheng.reporting.run_facts import RunFacts, read_run_facts
from yisheng.reporting.search_facts import MAX_SCORE, format_value
from yisheng.reporting.section import format_label

SESSION_FOLDER: Final = "hparams"
"""Config and final scores of a run, in its TensorBoard folder: for TensorBoard a run of its own, with these only."""
SUMMARY_SUFFIX: Final = ".end"
"""Suffix of the event file with the summary, which is replaced if the run is made longer."""


def write_summary(folder: Path, out: Path | None = None) -> None:
    """Write what is known when a run has ended: scores with its config (HParams), the doctor's curves, mistakes.

    Args:
        folder: the run folder.
        out: where to; ``tensorboard`` in the run folder by default.

    Raises:
        MissingPartError: TensorBoard is not installed.
        StorageError: a file cannot be written.
    """
    require_tensorboard()
    out = folder / RunFolder.TENSORBOARD if out is None else out
    facts = read_run_facts(folder)
    last_step = max((event.step for event in facts.history.epochs[-1:]), default=0)
    last_step = max((event.step for event in facts.history.steps[-1:]), default=last_step)
    event_file.remove_event_files(out, SUMMARY_SUFFIX)
    with contextlib.closing(EventFile(out, suffix=SUMMARY_SUFFIX)) as board:
        _add_doctor_curves(board, facts)
        _add_mistakes(board, facts, last_step)
    event_file.remove_event_files(out / SESSION_FOLDER)
    with contextlib.closing(EventFile(out / SESSION_FOLDER)) as board:
        _add_session(board, facts, last_step)


def convert_log(folder: Path, out: Path) -> Path:
    """Write a run that was trained without ``tensorboard=true`` as TensorBoard's event files, from its log and scores.

    The log has no histograms and no graph.

    Args:
        folder: the run folder, finished or broken off.
        out: where to; event files there are replaced.

    Raises:
        MissingPartError: TensorBoard is not installed.
        DataError: this is not a run folder.
        StorageError: a file cannot be written.
    """
    require_tensorboard()
    event_file.remove_event_files(out)
    with contextlib.closing(EventFile(out)) as board:
        add_history(board, read_history(folder))
    write_summary(folder, out)
    return out


def has_event_files(folder: Path) -> bool:
    """Return whether a run or search has its own event files."""
    return any((folder / RunFolder.TENSORBOARD).rglob(event_file.PATTERN))


def _add_doctor_curves(board: EventFile, facts: RunFacts) -> None:
    """Add the doctor's curves by layer."""
    if facts.findings is None:
        return
    curves = facts.findings.curves
    kinds = {"gradient": curves.gradients, "update": curves.updates, "dead": curves.dead, "saturated": curves.saturated}
    for index, step in enumerate(curves.steps):
        values = {
            f"doctor-{kind}/{line.name}": value
            for kind, lines in kinds.items()
            for line in lines
            if index < len(line.values) and (value := line.values[index]) is not None
        }
        board.scalars(values, step)


def _add_mistakes(board: EventFile, facts: RunFacts, step: int) -> None:
    if facts.evaluation is None:
        return
    mistakes, classes = facts.evaluation.worst, facts.spec.classes if facts.spec else ()
    names = [(format_label(mistake.true, classes), format_label(mistake.predicted, classes)) for mistake in mistakes]
    grid = draw_mistake_grid(mistakes, names)
    if grid is not None:
        board.image(f"images/worst {facts.evaluation.part} mistakes", grid, step)


def _add_session(board: EventFile, facts: RunFacts, step: int) -> None:
    """Add the values of the config and the final scores for the HParams view.

    The lists of parameters and scores are left out, so TensorBoard collects them from all runs that it shows.
    """
    summary: Any = importlib.import_module("torch.utils.tensorboard.summary")
    setting = {key: _format_setting(value) for key, value in flatten(facts.config).items() if key not in IGNORED_KEYS}
    _, start, end = summary.hparams(setting, {})
    board.add(start, 0)
    scores = {
        f"{part}/{name}": score.value
        for part, by_name in facts.scores.items()
        if part != "baseline"
        for name, score in by_name.items()
    }
    if scores:
        board.scalars(scores, step)
        board.add(end, step)


def _format_setting(value: Any) -> float | str:
    """Return a value of a config as a number, or as text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_SCORE
    return float(value) if is_number else replace_unprintable(format_value(value))
