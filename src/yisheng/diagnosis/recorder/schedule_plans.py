"""Schedules of the learning rate in the user's program: how long they are planned, and how far they have come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import lr_scheduler

from yisheng.diagnosis.recorder.source_lines import MAX_VARIABLES, list_nearby_variables

COMBINED = (lr_scheduler.SequentialLR, lr_scheduler.ChainedScheduler)
"""Schedules of which another one calls the parts: how often a part was called says nothing."""
PLANNED_LENGTHS: dict[type, str] = {
    lr_scheduler.OneCycleLR: "total_steps",
    lr_scheduler.CosineAnnealingLR: "T_max",
    lr_scheduler.PolynomialLR: "total_iters",
    lr_scheduler.LinearLR: "total_iters",
}
"""Arguments that say after how many calls a schedule has come to its end."""
MAX_AT_END, MIN_BEFORE_END, BEFORE_END = 0.005, 0.05, 0.8
"""A function that is at most 0.005 of its highest value after as many calls as there are updates, and at least 0.05
after four fifths of them, was made for that number: a straight line is at 0.2 there, half a cosine at 0.1."""


@dataclass(frozen=True)
class SchedulePlan:
    """A schedule and its length.

    Args:
        kind: its class.
        planned: calls of its ``step()`` after which it has come to its end.
        calls: of its ``step()`` so far.
        argument: that says the length; empty if a function does.
    """

    kind: str
    planned: int
    calls: int
    argument: str


class SchedulePlans:
    """The schedules of one optimizer among the variables of the program.

    >>> sgd = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    >>> schedule = lr_scheduler.CosineAnnealingLR(sgd, T_max=50)
    >>> plans = SchedulePlans(sgd)
    >>> plans.scan()
    >>> sgd.step()
    >>> schedule.step()
    >>> plans.list_plans((100,))
    [SchedulePlan(kind='CosineAnnealingLR', planned=50, calls=1, argument='T_max')]
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._schedules: dict[int, lr_scheduler.LRScheduler] = {}

    def scan(self) -> None:
        """Look for schedules in the callers' variables, and in the attributes of objects there."""
        for _, variables in list_nearby_variables():
            for value in variables.values():
                for schedule in _list_schedules(value):
                    if schedule.optimizer is self._optimizer:
                        self._schedules[id(schedule)] = schedule

    def list_plans(self, lengths: tuple[int, ...]) -> list[SchedulePlan]:
        """Return the schedules whose length is known.

        Args:
            lengths: numbers that a function of a `LambdaLR` may have been made for: of updates, of batches.
        """
        schedules = list(self._schedules.values())
        if any(isinstance(schedule, COMBINED) for schedule in schedules):
            return []
        plans = []
        for schedule in schedules:
            argument = PLANNED_LENGTHS.get(type(schedule), "")
            planned = getattr(schedule, argument, 0) if argument else _find_length_of_function(schedule, lengths)
            if isinstance(planned, int | float) and planned > 0:
                plans.append(SchedulePlan(type(schedule).__name__, int(planned), int(schedule.last_epoch), argument))
        return plans


def _list_schedules(value: Any) -> Iterator[lr_scheduler.LRScheduler]:
    """Yield a variable that is a schedule, or the schedules among its entries or attributes."""
    if isinstance(value, lr_scheduler.LRScheduler):
        yield value
        return
    entries: Any = value if isinstance(value, list | tuple) else ()
    if isinstance(value, dict):
        entries = value.values()
    elif not entries and not isinstance(value, torch.Tensor | torch.nn.Module | type):
        attributes = getattr(value, "__dict__", None)
        entries = attributes.values() if isinstance(attributes, dict) else ()
    if len(entries) <= MAX_VARIABLES:
        yield from (entry for entry in list(entries) if isinstance(entry, lr_scheduler.LRScheduler))


def _find_length_of_function(schedule: lr_scheduler.LRScheduler, lengths: tuple[int, ...]) -> int:
    """Return the number of calls after which the function of a `LambdaLR` has come to zero, if it is one of these."""
    functions = schedule.lr_lambdas if type(schedule) is lr_scheduler.LambdaLR else []
    if not functions:
        return 0
    return next((length for length in lengths if length > 0 and _ends_at(functions[0], length)), 0)


def _ends_at(function: Callable[[int], float], length: int) -> bool:
    try:
        values = [float(function(int(length * part))) for part in (0.0, 0.1, 0.25, 0.5, BEFORE_END, 1.0)]
    except Exception:  # it is the user's, and may refuse numbers that it has not been made for
        return False
    highest = max(values)
    return highest > 0 and abs(values[-1]) <= MAX_AT_END * highest and values[-2] >= MIN_BEFORE_END * highest
