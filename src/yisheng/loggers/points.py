"""The points of a training's curves while it runs: losses of updates, scores of epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from yisheng.core.events import Event, StepEnd
from yisheng.reporting.history import Epoch, Step

MAX_WAITING_STEPS: Final = 100
"""Losses are read from their device together, at the latest after this number of updates."""


def pass_points(events: Iterator[Event], interval: int, add: Callable[[Step | Epoch], None]) -> Iterator[Event]:
    """Yield the same events, and pass the points of their curves on.

    Args:
        events: the events of a training.
        interval: every n-th update has a point.
        add: called with each point, in order.
    """
    waiting: list[StepEnd] = []

    def add_steps() -> None:
        for step in waiting:
            add(Step(step.step, float(step.loss), step.lr))
        waiting.clear()

    try:
        for event in events:
            if isinstance(event, StepEnd):
                if event.step % interval == 0:
                    waiting.append(event)
                if len(waiting) * interval >= MAX_WAITING_STEPS:
                    add_steps()
            else:
                add_steps()
                add(Epoch(event.step, event.epoch, event.loss, event.scores))
            yield event
    finally:  # those before an update that failed, too
        add_steps()
