"""The epochs of a run as a table, and ``history.csv``, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

from yisheng.core import files
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.history import Epoch, Step, parse_event


def write_history_csv(folder: Path) -> Path:
    """Write a run's epochs as ``history.csv``, next to its ``events.jsonl``; return the path.

    The columns are those of `read_epoch_table`. A missing value is an empty field.

    Args:
        folder: the run folder.

    Raises:
        StorageError: the file cannot be written; an existing one is unchanged.
    """
    columns, rows = read_epoch_table(folder)
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(columns)
    table.writerows(["" if value is None else value for value in row] for row in rows)
    files.write_file(folder / RunFolder.HISTORY, content.getvalue())
    return folder / RunFolder.HISTORY


def read_epoch_table(folder: Path) -> tuple[list[str], list[list[float | None]]]:
    """Return the columns and a row for each epoch of a run's log; lines that cannot be read are skipped.

    The columns are ``epoch``, ``step`` (updates so far), ``seconds`` since the start, ``lr`` (of the last update in the
    log), ``training_loss``, ``validation_loss`` and ``validation_`` with each score's name; None is a missing value.

    Args:
        folder: the run folder.
    """
    epochs: list[tuple[Epoch, float]] = []
    lr = math.nan
    for event in _read_events(folder / RunFolder.EVENTS):
        if isinstance(event, Step):
            lr = event.lr
        else:
            epochs.append((event, lr))
    names = list(dict.fromkeys(name for epoch, _ in epochs for name in epoch.scores))
    columns = ["epoch", "step", "seconds", "lr", "training_loss", *(f"validation_{name}" for name in names)]
    rows: list[list[float | None]] = [
        [
            epoch.epoch,
            epoch.step,
            epoch.seconds,
            None if math.isnan(lr) else lr,
            epoch.loss,
            *(epoch.scores.get(name) for name in names),
        ]
        for epoch, lr in epochs
    ]
    return columns, rows


def _read_events(path: Path) -> Iterator[Epoch | Step]:
    """Yield all events of a log; lines that cannot be read are skipped."""
    try:
        lines = path.open("rb")
    except OSError:
        return
    with lines:
        for line in lines:
            event = parse_event(line)
            if isinstance(event, Epoch | Step):
                yield event
