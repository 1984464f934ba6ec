"""A training as it is watched: its events with their scores, its progress, its signals."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from yisheng.core.errors import StoppedError
from yisheng.core.types import Event
from yisheng.evaluate.scorer import make_scorer
from yisheng.train import listening
from yisheng.train.assemble import Assembly
from yisheng.train.listening import score_of, threads_worth
from yisheng.train.progress import place, progress

__all__ = ["listened", "score_of", "shown", "signals", "threads_worth", "undisturbed"]


def listened(assembly: Assembly, *, choose: bool = True) -> Iterator[Event]:
    """The events of a training up to its end, scored on the validation part; see `yisheng.train.listening`."""
    return listening.listened(assembly, make_scorer, choose=choose)


def shown(events: Iterator[Event], assembly: Assembly, stream: TextIO) -> Iterator[Event]:
    """The same events, with the progress of the training on a stream."""
    assert isinstance(assembly.recipe.epochs, int)  # settled
    return progress(
        events,
        assembly.state,
        epochs=assembly.recipe.epochs,
        per_epoch=len(assembly.train),
        score=score_of(assembly),
        stream=stream,
        where=place(stream),
    )


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying of them; a second one is obeyed at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may set handlers; there the signals do what they always do
        return
    before: dict[int, Any] = {}
    number: int

    def note(number: int, _frame: Any) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed(when: str, remedy: str) -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM while files are written that belong together.

    Args:
        when: the end of the sentence "stopped by SIGTERM ...", where one came.
        remedy: what to do then.

    Raises:
        StoppedError: one came.
    """
    with signals() as caught:
        yield
    if caught:
        raise StoppedError(caught[0], f"stopped by {signal.Signals(caught[0]).name} {when}", remedy)
