"""``history.csv``: losses and scores by epoch, a row each, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from yisheng.core import files
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.history import Epoch, parse_event


def write_history_csv(folder: Path) -> Path:
    """Write a run's epochs as ``history.csv``, next to its ``events.jsonl``; return the path.

    Columns are ``epoch``, ``step``, ``seconds``, ``training_loss``, and ``validation_`` with the name of each score,
    ``validation_loss`` among them. Where nothing was measured the field is empty.

    Args:
        folder: the run folder.

    Raises:
        StorageError: the file cannot be written; an older one is untouched.
    """
    epochs = _epochs(folder / RunFolder.EVENTS)
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.scores))
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(["epoch", "step", "seconds", "training_loss", *(f"validation_{name}" for name in names)])
    for one in epochs:
        scores = [one.scores.get(name, "") for name in names]
        table.writerow([one.epoch, one.step, "" if one.seconds is None else one.seconds, one.loss, *scores])
    files.write_file(folder / RunFolder.HISTORY, content.getvalue())
    return folder / RunFolder.HISTORY


def _epochs(path: Path) -> list[Epoch]:
    """Yield all epochs; a line that cannot be read is skipped."""
    found = []
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
                found.append(event)
    return found
