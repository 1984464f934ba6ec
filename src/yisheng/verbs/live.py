"""A loop with what every training listens with: the score, the best weights, early stopping; and its signals."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from yisheng.core import machine, registry
from yisheng.core.types import Event
from yisheng.evaluate.scorer import make_scorer
from yisheng.train import pipes
from yisheng.train.assemble import Assembly
from yisheng.train.loop import fit
from yisheng.train.progress import place, progress


def threads_worth(assembly: Assembly) -> int:
    """As many threads as one forward pass can use."""
    assert isinstance(assembly.recipe.batch, int)  # settled
    return machine.threads_worth(assembly.recipe.batch * math.prod(assembly.spec.shape))


def score_of(assembly: Assembly) -> str:
    """What the score that chooses the best epoch is called in events."""
    name = assembly.recipe.score
    return name if name == "loss" else registry.find("metrics", name).key


def listened(assembly: Assembly, *, choose: bool = True) -> Iterator[Event]:
    """The events of a training up to its end; on the way the best weights are kept, and patience may run out.

    Args:
        assembly: what is trained, from where it stands.
        choose: whether the score chooses the best epoch; otherwise it is the last one.
    """
    recipe, state, target = assembly.recipe, assembly.state, assembly.transforms["target"]
    assert isinstance(recipe.epochs, int)  # settled
    entry = None if recipe.score == "loss" else registry.find("metrics", recipe.score)
    events = fit(
        state,
        assembly.train,
        assembly.validation,
        loss=assembly.loss,
        score=make_scorer(
            assembly.spec,
            assembly.loss,
            [entry.key] if entry else [],
            invert=None if target is None else target.invert,
        ),
        epochs=recipe.epochs,
        schedule=assembly.schedule,
        step=assembly.step,
    )
    chooses = score_of(assembly) if choose else ""
    events = pipes.keep_best(events, state, score=chooses, higher=bool(entry and entry.meta.get("higher", True)))
    return pipes.stop_early(events, state, recipe.patience) if recipe.patience else events


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
