"""A run for TensorBoard: scalars, histograms, images, the graph, and what the doctor saw."""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch

from yisheng.core.types import EpochEnd, Event, StepEnd
from yisheng.loggers.image_grid import of_batch, of_mistakes
from yisheng.loggers.tensorboard import event_file
from yisheng.loggers.tensorboard.event_file import EventFile
from yisheng.loggers.tensorboard.graph import trace_graph
from yisheng.loggers.tensorboard.hparams import CURVE, FOLDER, require
from yisheng.reporting import run_facts
from yisheng.reporting.config_diff import PASSING, flat
from yisheng.reporting.formatting import clean
from yisheng.reporting.history import Epoch, History, history
from yisheng.reporting.run_facts import Facts
from yisheng.reporting.search_facts import LARGEST, word
from yisheng.reporting.section import name_of
from yisheng.training.setup import Assembly

BATCH, RATE, EPOCH = "loss/batch", "lr", "epoch"
SESSION = "hparams"
"""The folder in `FOLDER` of a run's settings and final scores: a run of its own, whose scalars are these only."""
END = ".end"
"""How the file of what is known at the end is called: it is replaced when the run is made longer."""
HISTOGRAMS = 50
"""Histograms of a tensor in a run, about."""


def written(events: Iterator[Event], folder: Path, assembly: Assembly, stream: TextIO = sys.stderr) -> Iterator[Event]:
    """The same events, written as TensorBoard's event files in ``RUN/tensorboard``; steps are updates.

    Nothing of the training is touched: gradients are looked at between the backward pass and the update, the graph
    is that of a copy. Losses are read from their device and the file is written once a second.

    Args:
        events: what happens.
        folder: the run folder.
        assembly: what is trained. A run that goes on continues its curves: what was written after its checkpoint is
            taken back, what is missing before it is filled in from ``events.jsonl``.
        stream: where remarks go.

    Raises:
        MissingPartError: TensorBoard is not installed.
        StorageError: a file cannot be written.
    """
    require()
    return _written(events, folder, assembly, stream)


def finish(folder: Path, out: Path | None = None) -> None:
    """Write what is known when a run is over: scores with its settings (HParams), what the doctor saw.

    Args:
        folder: the run folder.
        out: where to; ``tensorboard`` in the run folder by default.

    Raises:
        MissingPartError: TensorBoard is not installed.
        StorageError: a file cannot be written.
    """
    require()
    out = folder / FOLDER if out is None else out
    known = run_facts.read(folder)
    epochs, steps = known.history.epochs, known.history.steps
    last = max([one.step for one in epochs[-1:]] + [one.step for one in steps[-1:]], default=0)
    event_file.remove(out, END)
    with contextlib.closing(EventFile(out, suffix=END)) as board:
        _add_doctor(board, known)
        _add_mistakes(board, known, last)
    event_file.remove(out / SESSION)
    with contextlib.closing(EventFile(out / SESSION)) as board:
        _add_session(board, known, last)


def convert(folder: Path, out: Path) -> Path:
    """A run that was trained without ``tensorboard=true`` as TensorBoard's event files, from its log and scores.

    Histograms and the graph are not in a log.

    Args:
        folder: the run folder, at its end or broken off.
        out: where to; event files there are replaced.

    Raises:
        MissingPartError: TensorBoard is not installed.
        DataError: it is no run folder.
        StorageError: a file cannot be written.
    """
    require()
    event_file.remove(out)
    with contextlib.closing(EventFile(out)) as board:
        _add_history(board, history(folder))
    finish(folder, out)
    return out


def is_written(folder: Path) -> bool:
    """Whether a run or search has event files of its own."""
    return any((folder / FOLDER).rglob(event_file.PATTERN))


def _written(events: Iterator[Event], folder: Path, assembly: Assembly, stream: TextIO) -> Iterator[Event]:
    state, config = assembly.state, assembly.config
    with contextlib.closing(_begun(folder, assembly)) as board, _Gradients(assembly, board) as gradients:
        waiting: list[StepEnd] = []
        fresh, flushed = state.step == 0, time.monotonic()
        for event in events:
            if isinstance(event, EpochEnd):
                gradients.epoch(event)
                board.scalars(_of_epoch(event), event.step)
            elif event.step % config.log_every == 0:
                waiting.append(event)
            if isinstance(event, StepEnd):
                if fresh:
                    _add_first(board, assembly, event, stream)
                    fresh = False
                gradients.step()
            if isinstance(event, EpochEnd) or time.monotonic() - flushed > 1:
                for one in waiting:
                    board.scalars({BATCH: float(one.loss), RATE: one.lr}, one.step)
                waiting.clear()
                board.flush()
                flushed = time.monotonic()
            yield event


def _begun(folder: Path, assembly: Assembly) -> EventFile:
    """The file that a run's events go to from here on: the first one, or one that continues the older ones."""
    out, state = folder / FOLDER, assembly.state
    if not state.step:
        event_file.remove(out)
        return EventFile(out)
    # An epoch that is not told yet is told at the step of its last update, so that step is taken back, too.
    purge = state.step + (state.position < len(assembly.train))
    last = {BATCH: 0, CURVE: 0}
    for event in event_file.read(out):
        for value in event.summary.value:
            if value.tag in last and event.step < purge:
                last[value.tag] = event.step
    board = EventFile(out, purge=purge)
    log = history(folder)
    steps = tuple(one for one in log.steps if last[BATCH] < one.step <= state.step)
    _add_history(board, History(steps, tuple(one for one in log.epochs if last[CURVE] < one.step < purge)))
    return board


def _of_epoch(event: EpochEnd | Epoch) -> dict[str, float]:
    """The curves of an epoch: losses, and the validation scores."""
    named = {"loss/validation" if name == "loss" else f"score/{name}": value for name, value in event.scores.items()}
    return {CURVE: event.loss, **named, EPOCH: float(event.epoch)}


def _add_history(board: EventFile, log: History) -> None:
    for step in log.steps:
        board.scalars({BATCH: step.loss, RATE: step.lr}, step.step)
    for epoch in log.epochs:
        board.scalars(_of_epoch(epoch), epoch.step)


class _Gradients:
    """Histograms of weights and gradients at the end of some epochs.

    The gradients are those of the epoch's last update: it is looked at just before the optimiser makes it, for it
    forgets them afterwards. At all other steps there is nothing to listen to.
    """

    def __init__(self, assembly: Assembly, board: EventFile) -> None:
        self._state, self._board, self._last = assembly.state, board, len(assembly.train) - 1
        self._epochs, self._every = assembly.config.epochs, math.ceil(assembly.config.epochs / HISTOGRAMS)
        self._handle: Any = None

    def __enter__(self) -> _Gradients:
        self.step()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def step(self) -> None:
        """An update was made, or none yet: is the next one the last of an epoch that is to be drawn?"""
        self._let_go()
        if self._state.position == self._last and self._due(self._state.epoch + 1):
            self._handle = self._state.optimizer.register_step_pre_hook(self._look)

    def epoch(self, event: EpochEnd) -> None:
        """An epoch ended."""
        if self._due(event.epoch):
            for name, parameter in self._state.model.named_parameters():
                self._board.histogram(f"weights/{name}", parameter, event.step)
        self.step()

    def _due(self, epoch: int) -> bool:
        return epoch % self._every == 0 or epoch in (1, self._epochs)

    def _look(self, *_: object) -> None:
        for name, parameter in self._state.model.named_parameters():
            if parameter.grad is not None:
                self._board.histogram(f"gradients/{name}", parameter.grad, self._state.step + 1)

    def _let_go(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _add_first(board: EventFile, assembly: Assembly, event: StepEnd, stream: TextIO) -> None:
    """What the first batch shows: the images as the network sees them, and the network's graph."""
    x = event.batch.x
    if assembly.spec.is_image:
        pixels = assembly.transforms["input"].invert(x[:64]).detach().cpu()
        if assembly.train.x.dtype == torch.uint8:
            pixels = pixels.round().clamp(0, 255).to(torch.uint8)
        board.image("images/training", of_batch(pixels.numpy()), event.step)
    try:
        board.graph(trace_graph(assembly.state.model, x[:2]))
    except Exception as error:  # whatever a network does that cannot be traced: its training goes on
        said = f"{type(error).__name__}: {error}"
        print(
            f"TensorBoard shows no graph of {assembly.config.model.name}: {' '.join(said.split())[:200]}", file=stream
        )


def _add_doctor(board: EventFile, known: Facts) -> None:
    """The curves that the doctor saw, by layer."""
    if known.findings is None:
        return
    curves = known.findings.curves
    named = {"gradient": curves.gradients, "update": curves.updates, "dead": curves.dead, "saturated": curves.saturated}
    for at, step in enumerate(curves.steps):
        values = {
            f"doctor-{kind}/{line.name}": value
            for kind, lines in named.items()
            for line in lines
            if at < len(line.values) and (value := line.values[at]) is not None
        }
        board.scalars(values, step)


def _add_mistakes(board: EventFile, known: Facts, step: int) -> None:
    if known.evaluation is None:
        return
    worst, classes = known.evaluation.worst, known.spec.classes if known.spec else ()
    grid = of_mistakes(worst, [(name_of(one.true, classes), name_of(one.predicted, classes)) for one in worst])
    if grid is not None:
        board.image(f"images/worst {known.evaluation.part} mistakes", grid, step)


def _add_session(board: EventFile, known: Facts, step: int) -> None:
    """The config's values and the final scores, as the HParams view wants them.

    What parameters and scores there are is not said, so that TensorBoard gathers them from all runs that it shows.
    """
    summary: Any = importlib.import_module("torch.utils.tensorboard.summary")
    setting = {key: _told(value) for key, value in flat(known.config).items() if key not in PASSING}
    _, start, end = summary.hparams(setting, {})
    board.add(start, 0)
    parts: Mapping[str, Mapping[str, Any]] = known.scores
    scores = {f"{part}/{name}": one.value for part in parts for name, one in parts[part].items() if part != "baseline"}
    if scores:
        board.scalars(scores, step)
        board.add(end, step)


def _told(value: Any) -> float | str:
    """A value of a config: a number, or in words."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    return float(value) if number else clean(word(value))
