"""The last mistakes of a training, for the live page: ``RUN/mistakes.json``, written as it learns."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.core import files
from yisheng.core.errors import YishengError
from yisheng.core.types import Epoched, Event, Spec
from yisheng.data.batches import Batches
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.worst_rows import worst_rows
from yisheng.training.setup import Assembly

MISTAKES = "mistakes.json"
"""The file in a run folder."""
ROWS, KEPT = 512, 12
"""Validation rows that are looked at, spread over all of them, and mistakes that are kept: what fills a screen."""
EVERY, SHARE = 3.0, 0.02
"""Seconds between two looks at least, and the share of the time that looking may take."""


def noted(events: Iterator[Event], folder: Path, assembly: Assembly) -> Iterator[Event]:
    """The same events; after epochs (every few seconds at most) the worst validation rows are written.

    Nothing of the training is changed: the network computes in evaluation mode and goes back to its own, nothing is
    drawn from the generators that the training draws from, and a failure to write costs the page, not the run.

    Args:
        events: what happens.
        folder: of the run.
        assembly: what is trained.
    """
    looked, spent, waiting = time.monotonic() - EVERY, 0.0, None
    for event in events:
        yield event
        if isinstance(event, Epoched):
            waiting = event
            if time.monotonic() - looked >= max(EVERY, spent / SHARE):
                began = time.monotonic()
                _write(folder, assembly, event)
                looked, spent, waiting = time.monotonic(), time.monotonic() - began, None
    if waiting is not None:
        _write(folder, assembly, waiting)


def _write(folder: Path, assembly: Assembly, event: Epoched) -> None:
    found = worst(assembly)
    if found is not None:
        with contextlib.suppress(YishengError):
            files.write_json(folder / MISTAKES, {"step": event.step, "epoch": event.epoch, **found})


def worst(assembly: Assembly) -> dict[str, Any] | None:
    """The rows of the validation part on which the network is most wrong now.

    Returns:
        ``task``, how many ``rows`` were looked at, and ``worst`` in the form of ``evaluation.json``; None where there
        is no validation part, or where predictions are not finite.
    """
    part, target = _some(assembly.validation), assembly.transforms["target"]
    if not len(part.rows):
        return None
    on_gpu = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=on_gpu):  # a plugin's network may draw, even where it should not
        seen = predict(assembly.state.model, part, assembly.spec, None if target is None else target.invert)
    if not np.isfinite(seen.prediction).all():
        return None
    return {"task": assembly.spec.task, "rows": len(seen), "worst": _listed(assembly.spec, seen, part)}


def _some(part: Batches) -> Batches:
    """Rows spread evenly over a part, the same every time."""
    n = len(part.rows)
    at = torch.arange(min(n, ROWS), device=part.rows.device) * n // max(1, min(n, ROWS))
    return replace(part, rows=part.rows[at])


def _listed(spec: Spec, seen: Predictions, part: Batches) -> list[dict[str, Any]]:
    shown = spec.is_image and part.x.dtype == torch.uint8
    image = (lambda row: part.x[row].cpu().numpy()) if shown else None
    return worst_rows(spec, seen, KEPT, image)
