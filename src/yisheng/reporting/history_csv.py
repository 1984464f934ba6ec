"""Writing ``history.csv``: a row of losses and scores for each epoch, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from yisheng.core import files
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.history import Epoch, parse_event


def write_history_csv(folder: Path) -> Path:
    """Write a run's epochs as ``history.csv``, next to its ``events.jsonl``; return the path.

    The columns are ``epoch``, ``step``, ``seconds``, ``training_loss``, ``validation_loss`` and ``validation_`` with
    the name of each score. A missing value is an empty field.

    Args:
        folder: the run folder.

    Raises:
        StorageError: the file cannot be written; an existing one is unchanged.
    """
    epochs = _read_epochs(folder / RunFolder.EVENTS)
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.scores))
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(["epoch", "step", "seconds", "training_loss", *(f"validation_{name}" for name in names)])
    for epoch in epochs:
        scores = [epoch.scores.get(name, "") for name in names]
        table.writerow([epoch.epoch, epoch.step, "" if epoch.seconds is None else epoch.seconds, epoch.loss, *scores])
    files.write_file(folder / RunFolder.HISTORY, content.getvalue())
    return folder / RunFolder.HISTORY


def _read_epochs(path: Path) -> list[Epoch]:
    """Return all epochs of a log; lines that cannot be read are skipped."""
    epochs = []
    try:
        lines = path.open("rb")
    except OSError:
        return []
    with lines:
        for line in lines:
            if b'"event": "epoch"' not in line[:40]:
                continue
            event = parse_event(line)
            if isinstance(event, Epoch):
                epochs.append(event)
    return epochs
