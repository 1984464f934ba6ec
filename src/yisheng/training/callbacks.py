"""Callbacks: functions from an iterator of events to an iterator of the same events.

A callback observes or stops a training; it does not change its arithmetic. Callbacks are composed by calling them:

    events = fit(state, train, valid, ...)
    events = keep_best(events, state, score="accuracy", higher_is_better=True)
    events = stop_early(events, state, patience=10)
    for event in events: ...

The log of events and the progress display are callbacks, too: `yisheng.training.event_log` and
`yisheng.training.progress`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

from yisheng.core.callables import build_instance, list_required
from yisheng.core.errors import UsageError, show_value
from yisheng.core.events import EpochEnd, Event
from yisheng.core.messages import Message
from yisheng.training.state import Best, State

MAX_ARGUMENTS = 2
"""What a user's own callback can be called with: events and state."""


def keep_best(events: Iterator[Event], state: State, *, score: str, higher_is_better: bool) -> Iterator[Event]:
    """Copy the weights of the best epoch by validation score into ``state.best``; without scores, of the latest epoch.

    Of epochs with the same score the one with the smallest validation loss is the best: on few rows many epochs have
    the same accuracy, and the first of them is rarely the one that learned most.

    Args:
        events: the events of a training.
        state: its ``best`` is updated.
        score: name of the validation score.
        higher_is_better: whether larger scores are better. An undefined score (NaN) counts as no score.
    """
    for event in events:
        if isinstance(event, EpochEnd):
            value = event.scores.get(score)
            value = None if value is not None and math.isnan(value) else value
            loss = event.scores.get("loss", math.inf)
            tied = value is not None and value == state.best.value
            if _is_better(value, state.best.value, higher_is_better) or (tied and loss < state.best.loss):
                weights = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
                state.best = Best(event.epoch, value, weights, loss)
        yield event


def stop_early(events: Iterator[Event], state: State, patience: int) -> Iterator[Event]:
    """Stop when ``patience`` epochs have passed since the best one.

    The best epoch is read from ``state.best``, so a resumed run stops at the same epoch as an uninterrupted one.

    Source: Prechelt, "Early stopping - but when?", 1998.
    """
    if state.position == 0 and state.epoch - state.best.epoch >= patience:
        return
    for event in events:
        yield event
        if isinstance(event, EpochEnd) and event.epoch - state.best.epoch >= patience:
            return


def save_checkpoints(events: Iterator[Event], save: Callable[[], object], *, interval: float) -> Iterator[Event]:
    """Call ``save`` at regular intervals, between two events.

    Args:
        events: the events of a training.
        save: writes the checkpoint.
        interval: seconds between two checkpoints; 0 saves after every step.
    """
    saved_at = time.monotonic()
    for event in events:
        yield event
        if time.monotonic() - saved_at >= interval:
            save()
            saved_at = time.monotonic()


def apply_callbacks(
    events: Iterator[Event], state: State, callbacks: Sequence[Callable[..., Iterator[Event]]]
) -> Iterator[Event]:
    """Attach a user's own callbacks, ``(events) -> events`` or ``(events, state) -> events``, in their order.

    Args:
        events: the events of a training.
        state: given to callbacks with a second parameter.
        callbacks: generator functions; a callback that ends before the events end stops the training.

    Raises:
        UsageError: one of them does not return an iterator.

    >>> def first_two(events):
    ...     for count, event in enumerate(events, 1):
    ...         yield event
    ...         if count == 2:
    ...             return
    >>> list(apply_callbacks(iter("abc"), None, [first_two]))
    ['a', 'b']
    """
    for callback in callbacks:
        name = getattr(callback, "__name__", type(callback).__name__)
        if not callable(callback):
            raise UsageError(
                Message("a callback must be a function, got {value}", value=show_value(callback)),
                Message("write def stop(events): yield from events"),
            )
        callback = build_instance(callback, "callbacks")
        required = list_required(callback, counted=("state",))
        if len(required) > MAX_ARGUMENTS:
            raise UsageError(
                Message("callback {name} requires {names}", name=name, names=", ".join(required)),
                Message("a callback gets the events, and the state if it has a second parameter"),
            )
        attached = callback(events, state) if len(required) == MAX_ARGUMENTS else callback(events)
        if not isinstance(attached, Iterator):
            raise UsageError(
                Message(
                    "callback {name} must yield the events, got {type_name}",
                    name=name,
                    type_name=type(attached).__name__,
                ),
                Message("write it as a generator: for event in events: ...; yield event"),
            )
        events = attached
    return events


def _is_better(value: float | None, best: float | None, higher: bool) -> bool:
    """Return whether a score is better than the best so far; without any score the latest epoch is the best."""
    if value is None or best is None:
        return best is None
    return value > best if higher else value < best
