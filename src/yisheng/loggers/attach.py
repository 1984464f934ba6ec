"""What else follows a training while it runs: TensorBoard's files, Visdom's curves, the live page's mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from yisheng.core.types import Event
from yisheng.loggers import visdom, worst_mistakes
from yisheng.loggers.tensorboard import run_events
from yisheng.training.setup import Assembly


def observed(events: Iterator[Event], folder: Path, assembly: Assembly, stream: TextIO) -> Iterator[Event]:
    """The same events; on the way is written what the config asks for. Remarks go to the stream."""
    if assembly.config.tensorboard:
        events = run_events.written(events, folder, assembly, stream)
    if assembly.config.visdom:
        events = visdom.plotted(events, folder, assembly, stream)
    if assembly.config.watch:
        events = worst_mistakes.noted(events, folder, assembly)
    return events
