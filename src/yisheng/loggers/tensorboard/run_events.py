"""Write a training as TensorBoard's event files while it runs: curves, histograms, images and the graph."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from yisheng.core import nested
from yisheng.core.events import EpochEnd, Event, StepEnd
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.loggers.image_grid import draw_batch_grid
from yisheng.loggers.tensorboard import event_file
from yisheng.loggers.tensorboard.curves import BATCH_LOSS, add_epoch, add_history, add_step
from yisheng.loggers.tensorboard.event_file import EventFile
from yisheng.loggers.tensorboard.graph import trace_graph
from yisheng.loggers.tensorboard.hparams import TRAINING_LOSS, require_tensorboard
from yisheng.reporting.history import History, Step, read_history
from yisheng.training.setup import Assembly

HISTOGRAM_EPOCHS: Final = 50
"""Number of epochs of a run with histograms, about."""
SECONDS_BETWEEN_WRITES: Final = 1.0
MAX_IMAGES: Final = 64
MAX_NOTE_LENGTH: Final = 200


def write_events(events: Iterator[Event], folder: Path, assembly: Assembly) -> Iterator[Event]:
    """Return the same events, and write them as TensorBoard's event files in ``RUN/tensorboard``.

    The training is not changed: gradients are read between the backward pass and the update, and the graph is traced
    on a copy. Losses are read from their device, and the file is written, once a second.

    Args:
        events: the events of a training.
        folder: the run folder.
        assembly: the training setup. A resumed run continues its curves: what was written after its checkpoint is
            purged, what is missing before it is taken from ``events.jsonl``.

    Raises:
        MissingPartError: TensorBoard is not installed.
        StorageError: a file cannot be written.
    """
    require_tensorboard()
    return _write_events(events, folder, assembly)


def _write_events(events: Iterator[Event], folder: Path, assembly: Assembly) -> Iterator[Event]:
    state, interval = assembly.state, assembly.config.log_every
    with contextlib.closing(_open_board(folder, assembly)) as board, _Histograms(assembly, board) as histograms:
        waiting: list[StepEnd] = []
        is_first_step, last_write = state.step == 0, time.monotonic()
        for event in events:
            if isinstance(event, EpochEnd):
                histograms.end_epoch(event)
                add_epoch(board, event)
            else:
                if event.step % interval == 0:
                    waiting.append(event)
                if is_first_step:
                    _add_images(board, assembly, event)
                    _add_graph(board, assembly, event)
                    is_first_step = False
                histograms.prepare_step()
            if isinstance(event, EpochEnd) or time.monotonic() - last_write > SECONDS_BETWEEN_WRITES:
                for step in waiting:
                    add_step(board, Step(step.step, float(step.loss), step.lr))
                waiting.clear()
                board.flush()
                last_write = time.monotonic()
            yield event


def _open_board(folder: Path, assembly: Assembly) -> EventFile:
    """Return a new event file, which continues the older ones if the run is resumed."""
    out, state = folder / RunFolder.TENSORBOARD, assembly.state
    if not state.step:
        event_file.remove_event_files(out)
        return EventFile(out)
    # The end of an epoch has the step of its last update, so that step is purged too if the end is still to come.
    purge = state.step + (state.position < len(assembly.train))
    last_steps = {BATCH_LOSS: 0, TRAINING_LOSS: 0}
    for event in event_file.read_events(out):
        for value in event.summary.value:
            if value.tag in last_steps and event.step < purge:
                last_steps[value.tag] = event.step
    board = EventFile(out, purge=purge)
    history = read_history(folder)
    steps = tuple(step for step in history.steps if last_steps[BATCH_LOSS] < step.step <= state.step)
    epochs = tuple(epoch for epoch in history.epochs if last_steps[TRAINING_LOSS] < epoch.step < purge)
    add_history(board, History(steps, epochs))
    return board


def _add_images(board: EventFile, assembly: Assembly, event: StepEnd) -> None:
    """Add the images of the first batch as the network sees them."""
    if not assembly.spec.is_image:
        return
    pixels = assembly.transforms["input"].invert(nested.take(event.batch.x, slice(MAX_IMAGES))).detach().cpu()
    if assembly.train.x.dtype == torch.uint8:
        pixels = pixels.round().clamp(0, 255).to(torch.uint8)
    board.image("images/training", draw_batch_grid(pixels.numpy()), event.step)


def _add_graph(board: EventFile, assembly: Assembly, event: StepEnd) -> None:
    try:
        board.graph(trace_graph(assembly.state.model, nested.take(event.batch.x, slice(2))))
    except Exception as error:  # some networks cannot be traced; their training continues without a graph
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_NOTE_LENGTH]
        name = assembly.config.model.name
        logger.info(Message("TensorBoard shows no graph of {name}: {reason}", name=name, reason=reason))


class _Histograms:
    """Histograms of weights and gradients at the end of some epochs.

    The gradients are those of the epoch's last update. They are read just before the optimizer makes it, because they
    are cleared afterwards. No hook is registered at other steps.
    """

    def __init__(self, assembly: Assembly, board: EventFile) -> None:
        self._state, self._board = assembly.state, board
        self._last_position = len(assembly.train) - 1
        self._epochs = assembly.config.epochs
        self._interval = math.ceil(self._epochs / HISTOGRAM_EPOCHS)
        self._hook: Any = None

    def __enter__(self) -> _Histograms:
        self.prepare_step()
        return self

    def __exit__(self, *_: object) -> None:
        self._remove_hook()

    def prepare_step(self) -> None:
        """Register the hook if the next update is the last one of an epoch with histograms."""
        self._remove_hook()
        if self._state.position == self._last_position and self._has_histograms(self._state.epoch + 1):
            self._hook = self._state.optimizer.register_step_pre_hook(self._add_gradients)

    def end_epoch(self, event: EpochEnd) -> None:
        """Add the histograms of the weights."""
        if self._has_histograms(event.epoch):
            for name, parameter in self._state.model.named_parameters():
                self._board.histogram(f"weights/{name}", parameter, event.step)
        self.prepare_step()

    def _has_histograms(self, epoch: int) -> bool:
        return epoch % self._interval == 0 or epoch in (1, self._epochs)

    def _add_gradients(self, *_: object) -> None:
        for name, parameter in self._state.model.named_parameters():
            if parameter.grad is not None:
                self._board.histogram(f"gradients/{name}", parameter.grad, self._state.step + 1)

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
