"""The current worst mistakes of a training for the live page: ``RUN/mistakes.json``, written while it trains."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from yisheng.core import files
from yisheng.core.errors import YishengError
from yisheng.core.events import EpochEnd, Event
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches
from yisheng.evaluation.png import has_pixels
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.unusual_values import TypicalValues
from yisheng.evaluation.worst_rows import Unusual, find_worst_rows
from yisheng.training.setup import Assembly

MAX_ROWS: Final = 512
"""Validation rows that are predicted, spread evenly over all of them."""
MAX_MISTAKES: Final = 12
"""Mistakes that are written: these fill a screen."""
MIN_SECONDS_BETWEEN: Final = 3.0
MAX_TIME_FRACTION: Final = 0.02
"""Fraction of the time that predicting may take."""


def write_worst_mistakes(events: Iterator[Event], folder: Path, assembly: Assembly) -> Iterator[Event]:
    """Yield the same events and write the worst validation rows after an epoch, every few seconds at most.

    The training is not changed: the network predicts in evaluation mode and returns to its own mode, the random
    generators of the training are restored, and a failure to write leaves the page without mistakes and the run intact.

    Args:
        events: the events of a training.
        folder: the run folder.
        assembly: the training setup.
    """
    last_time, seconds, pending = time.monotonic() - MIN_SECONDS_BETWEEN, 0.0, None
    unusual = _describe_unusual_values(assembly)
    for event in events:
        yield event
        if isinstance(event, EpochEnd):
            pending = event
            if time.monotonic() - last_time >= max(MIN_SECONDS_BETWEEN, seconds / MAX_TIME_FRACTION):
                start = time.monotonic()
                _write(folder, assembly, event, unusual)
                last_time, seconds, pending = time.monotonic(), time.monotonic() - start, None
    if pending is not None:
        _write(folder, assembly, pending, unusual)


def _write(folder: Path, assembly: Assembly, event: EpochEnd, unusual: Unusual | None) -> None:
    mistakes = find_worst_mistakes(assembly, unusual)
    if mistakes is not None:
        with contextlib.suppress(YishengError):
            files.write_json(folder / RunFolder.MISTAKES, {"step": event.step, "epoch": event.epoch, **mistakes})


def find_worst_mistakes(assembly: Assembly, unusual: Unusual | None = None) -> dict[str, Any] | None:
    """Return the rows of the validation part on which the network is most wrong now.

    Args:
        assembly: the training setup.
        unusual: row number -> the unusual values of a row of a table; None leaves them out.

    Returns:
        ``task``, the names of the ``targets``, the number of predicted ``rows``, and ``worst`` in the form of
        ``evaluation.json``; None if there is no validation part, or if predictions are not finite.
    """
    part, target = _subsample(assembly.validation), assembly.transforms["target"]
    if not len(part.rows):
        return None
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):  # a plugin's network may draw random numbers, even in evaluation mode
        predictions = predict(assembly.state.model, part, assembly.spec, None if target is None else target.invert)
    if not np.isfinite(predictions.prediction).all():
        return None
    worst = _describe_worst_rows(assembly.spec, predictions, part, unusual)
    targets = list(assembly.spec.target_names)
    return {"task": assembly.spec.task, "targets": targets, "rows": len(predictions), "worst": worst}


def _subsample(part: Batches) -> Batches:
    """Return rows spread evenly over a part, the same ones every time."""
    n = len(part.rows)
    size = min(n, MAX_ROWS)
    indices = torch.arange(size, device=part.rows.device) * n // max(1, size)
    return replace(part, rows=part.rows[indices])


def _describe_unusual_values(assembly: Assembly) -> Unusual | None:
    """Return a function from a row number to the row's unusual values, or None if the data set is not a table."""
    part = assembly.train
    if not isinstance(part, Batches) or not assembly.spec.is_row:
        return None
    typical = TypicalValues.fit(assembly.spec, part.x.cpu().numpy(), part.rows.cpu().numpy())
    return None if typical is None else lambda row: typical.describe(part.x[row].cpu().numpy())


def _describe_worst_rows(
    spec: Spec, predictions: Predictions, part: Batches, unusual: Unusual | None
) -> list[dict[str, Any]]:
    image = (lambda row: part.x[row].cpu().numpy()) if has_pixels(spec, part.x.dtype) else None
    return find_worst_rows(spec, predictions, MAX_MISTAKES, image, unusual=unusual)
