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
    """The same events; on the way is written what the recipe asks for. Remarks go to the stream."""
    if assembly.recipe.tensorboard:
        events = run_events.written(events, folder, assembly, stream)
    if assembly.recipe.visdom:
        events = visdom.plotted(events, folder, assembly, stream)
    if assembly.recipe.watch:
        events = worst_mistakes.noted(events, folder, assembly)
    return events
