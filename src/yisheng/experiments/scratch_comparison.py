"""``scratch=true``: the library's form of a run by hand, trained beside it, and how far the two are apart."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import torch

from yisheng.core import files, run_folder
from yisheng.core.config import Config
from yisheng.core.errors import DataError, NonFiniteError, StoppedError
from yisheng.core.signals import undisturbed
from yisheng.core.types import Dataset
from yisheng.experiments import run as single
from yisheng.experiments.cross_validation import status
from yisheng.reporting.run_page import write as report
from yisheng.reporting.scratch_comparison_schema import LIBRARY, TWIN, Difference, Twin
from yisheng.training import checkpoint


def beside(folder: Path, config: Config, data: Dataset, *, force: bool, stream: TextIO) -> None:
    """Train the library's form of a run by hand as a run in ``folder/library``, or go on with it; then compare.

    Both begin with the same weights and see the same batches in the same order; only the arithmetic differs. The
    run by hand is finished when this is.

    Args:
        folder: of the run by hand, trained and scored.
        config: its config, settled.
        data: the data set.
        force: continue although the data or the versions of the code changed.
        stream: where progress and the largest differences go.

    Raises:
        StoppedError: a signal came; a checkpoint was written.
        NonFiniteError: a loss or gradient of the library's form became NaN or infinite.
        DataError: a log is damaged, or there is no whole checkpoint to compare.
    """
    path = folder / LIBRARY
    assert isinstance(config.epochs, int)  # settled
    remedy = f"continue with: yisheng resume {folder}"
    try:
        if not run_folder.is_begun(path):
            path.mkdir(exist_ok=True)
            print("the library's form, from the same weights on the same batches:", file=stream, flush=True)
            usual = config.model_copy(update={"scratch": False})
            single.train(usual, data=data, out=folder, folder=path, stream=stream)
        elif not status.is_finished(path) or run_folder.config(path).epochs != config.epochs:
            single.resume(path, epochs=config.epochs, data=data, force=force, stream=stream)
    except StoppedError as error:
        report(folder)
        name = signal.Signals(error.code - 128).name
        raise StoppedError(
            error.code - 128, f"stopped by {name} in the library's form; what is trained is kept", remedy
        ) from None
    except NonFiniteError as error:
        report(folder)
        raise NonFiniteError(f"the library's form: {error.problem}", error.remedy) from None
    with undisturbed("when both forms were trained; the run is finished", f"it lies in {folder}"):
        found = compare(folder, path)
        files.write_json(folder / TWIN, json.loads(found.model_dump_json()))
        report(folder)
        print(told(found), file=stream, flush=True)
        files.write_json(folder / run_folder.ENVIRONMENT, {**run_folder.environment(folder), "finished": True})


def compare(by_hand: Path, library: Path) -> Twin:
    """The largest differences of two finished runs of one config.

    Args:
        by_hand: a run folder.
        library: another, with the same ``log_every``.

    Raises:
        DataError: a log is damaged, or there is no whole checkpoint.
    """
    ours, theirs = (_events(path / run_folder.EVENTS) for path in (by_hand, library))

    def largest(kind: str) -> Difference:
        both = [at for at in ours[kind] if at in theirs[kind]]
        return _largest((at, ours[kind][at], theirs[kind][at]) for at in both)

    validation = largest("validation")
    return Twin(
        epochs=(len(ours["training"]), len(theirs["training"])),
        steps=largest("step"),
        training=largest("training"),
        validation=validation if validation.compared else None,
        weights=_apart(*(checkpoint.weights(path / run_folder.CHECKPOINT) for path in (by_hand, library))),
    )


def told(twin: Twin) -> str:
    """The largest differences in one line.

    >>> close = Difference(compared=9, absolute=2e-9, relative=1e-8)
    >>> told(Twin(epochs=(3, 3), steps=close, training=close, weights=Difference(compared=5)))
    'by hand against the library: losses of 9 steps differ by at most 2.0e-09 (relative 1.0e-08), final weights by 0'
    """
    rows = [("losses of", twin.steps, "step"), ("losses of", twin.training, "epoch")]
    what, losses, noun = next((row for row in rows if row[1].compared), rows[1])
    plural = "" if losses.compared == 1 else "s"
    return (
        f"by hand against the library: {what} {losses.compared:,} {noun}{plural} differ by at most {_said(losses)}, "
        f"final weights by {_said(twin.weights)}"
    )


def _said(difference: Difference) -> str:
    return f"{difference.absolute:.1e} (relative {difference.relative:.1e})" if difference.absolute else "0"


def _events(path: Path) -> dict[str, dict[int, float]]:
    """Losses of a whole log: by step, and by epoch those of training and of validation."""
    found: dict[str, dict[int, float]] = {"step": {}, "training": {}, "validation": {}}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "step":
                found["step"][event["step"]] = float(event["loss"])
            elif event["event"] == "epoch":
                found["training"][event["epoch"]] = float(event["loss"])
                if "loss" in event["scores"]:
                    found["validation"][event["epoch"]] = float(event["scores"]["loss"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}", "train anew") from None
    return found


def _largest(rows: Iterable[tuple[int | str, float, float]]) -> Difference:
    """Of numbers that stand beside one another; what is no number on one side alone is infinitely far."""
    compared, absolute, relative, where = 0, 0.0, 0.0, None
    for at, ours, theirs in rows:
        compared += 1
        if ours == theirs or (math.isnan(ours) and math.isnan(theirs)):
            continue
        finite = math.isfinite(ours) and math.isfinite(theirs)
        apart = abs(ours - theirs) if finite else math.inf
        relative = max(relative, apart / max(abs(ours), abs(theirs)) if finite else math.inf)
        if apart > absolute:
            absolute, where = apart, at
    return Difference(compared=compared, absolute=absolute, relative=relative, at=where)


def _apart(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> Difference:
    """Of weights, by layer: relative to the largest number there, not to each, of which some are all but zero."""
    compared, absolute, relative = 0, 0.0, 0.0
    where: str | None = None
    for name, tensor in ours.items():
        a, b = tensor.double(), theirs[name].double()
        apart = (a - b).abs().max().item()
        compared += a.numel()
        relative = max(relative, apart / max(a.abs().max().item(), b.abs().max().item()) if apart else 0.0)
        if apart > absolute:
            absolute, where = apart, name
    return Difference(compared=compared, absolute=absolute, relative=relative, at=where)
