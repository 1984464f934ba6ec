"""Attach the loggers that a config asks for: TensorBoard, Visdom, the worst mistakes for the live page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yisheng.core.events import Event
from yisheng.loggers import visdom, worst_mistakes
from yisheng.loggers.tensorboard import run_events
from yisheng.training.setup import Assembly


def attach_loggers(events: Iterator[Event], folder: Path, assembly: Assembly) -> Iterator[Event]:
    """Return the same events, which are logged on the way.

    Args:
        events: the events of a training.
        folder: the run folder.
        assembly: the training setup; its config selects the loggers.
    """
    if assembly.config.tensorboard:
        events = run_events.write_events(events, folder, assembly)
    if assembly.config.visdom:
        events = visdom.plot_events(events, folder, assembly)
    if assembly.config.watch:
        events = worst_mistakes.write_worst_mistakes(events, folder, assembly)
    return events
