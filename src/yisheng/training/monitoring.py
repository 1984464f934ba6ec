"""A training as it is watched: its events with their scores, and its progress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from yisheng.core.types import Event
from yisheng.evaluation.scorer import make_scorer
from yisheng.training import monitored
from yisheng.training.monitored import score_of, threads_now, threads_worth
from yisheng.training.progress import place, progress
from yisheng.training.setup import Assembly

__all__ = ["listened", "score_of", "shown", "threads_now", "threads_worth"]


def listened(assembly: Assembly, *, choose: bool = True) -> Iterator[Event]:
    """The events of a training up to its end, scored on the validation part; see `yisheng.training.monitored`."""
    return monitored.listened(assembly, make_scorer, choose=choose)


def shown(events: Iterator[Event], assembly: Assembly, stream: TextIO) -> Iterator[Event]:
    """The same events, with the progress of the training on a stream."""
    assert isinstance(assembly.config.epochs, int)  # settled
    return progress(
        events,
        assembly.state,
        epochs=assembly.config.epochs,
        per_epoch=len(assembly.train),
        score=score_of(assembly),
        stream=stream,
        where=place(stream),
    )
