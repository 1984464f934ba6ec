"""A user's own schedule: a function of the step, or what makes a scheduler of torch."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from yisheng.core.callables import list_required
from yisheng.core.custom_entry import CustomEntry, read_parameters
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.optim.schedules import Factor

PER_STEP: Final = (OneCycleLR, CyclicLR)
"""Schedulers of torch that are stepped after every update; the others after every epoch."""


def make_entry(component: Any, name: str) -> CustomEntry:
    """Return the entry of a user's own schedule.

    It is one of these:

    - ``f(step, steps, steps_per_epoch) -> factor`` of the learning rate, as the registered schedules;
    - ``f(epoch) -> factor``, or ``f(step)`` if its parameter has that name;
    - ``f(num_update) -> learning rate``, the textbook's schedulers, called with the epoch;
    - a scheduler class of torch with options, or ``f(optimizer) -> scheduler``. Its learning rates are replayed on an
      optimizer without a model, so the schedule is a pure function of the step and a run can be resumed anywhere.

    ``build(**options)`` returns a function of the initial learning rate that returns the factor.

    Args:
        component: the function or class.
        name: its reference.

    >>> make = make_entry(torch.optim.lr_scheduler.StepLR, "torch.optim.lr_scheduler:StepLR").build
    >>> factor = make(step_size=2, gamma=0.5)(0.1)
    >>> [factor(step, 40, 10) for step in (0, 19, 20, 39)]
    [1.0, 1.0, 0.5, 0.5]
    """
    meta = {"custom": True}
    is_class = inspect.isclass(component) and issubclass(component, LRScheduler)
    if is_class:
        parameters, open_ended = read_parameters(component, {"last_epoch": None}, skip=1)

        def build(**options: Any) -> Callable[[float], Factor]:
            return lambda initial_lr: _replay(lambda optimizer: component(optimizer, **options), name, initial_lr)

        return CustomEntry("optim.schedules", name, build, meta, parameters=parameters, open_ended=open_ended)
    return CustomEntry("optim.schedules", name, lambda: lambda initial_lr: _adapt(component, name, initial_lr), meta)


def _adapt(component: Callable[..., Any], name: str, initial_lr: float) -> Factor:
    parameters = list_required(component)
    first = parameters[0] if parameters else ""
    if len(parameters) >= 3:
        factor: Factor = lambda step, steps, per_epoch: component(step, steps, per_epoch)  # noqa: E731
    elif first == "num_update":
        factor = lambda step, steps, per_epoch: _read_number(component(step // per_epoch), name) / initial_lr  # noqa: E731, ARG005
    elif first == "step":
        factor = lambda step, steps, per_epoch: component(step)  # noqa: E731, ARG005
    elif first == "epoch" or _is_function_of_epoch(component):
        factor = lambda step, steps, per_epoch: component(step // per_epoch)  # noqa: E731, ARG005
    else:
        return _replay(component, name, initial_lr)
    return lambda step, steps, per_epoch: _read_number(factor(step, steps, per_epoch), name)


def _read_number(value: Any, name: str) -> float:
    """Return what a function of a user's own returned as a factor.

    Raises:
        UsageError: it is negative, not finite, or not a number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(
            Message("schedule={name} must return a number, got {type_name}", name=name, type_name=type(value).__name__),
            Message("return the factor of the learning rate: lambda epoch: 0.9**epoch"),
        ) from None
    if not 0 <= number < math.inf:
        raise UsageError(
            Message("schedule={name} returned {number}", name=name, number=f"{number:g}"),
            Message("return a factor of the learning rate that is 0 or more"),
        )
    return number


def _is_function_of_epoch(component: Callable[..., Any]) -> bool:
    """Return whether a function of one argument returns a number for epoch 0 (a tensor or a NumPy number, too)."""
    try:
        float(component(0))
    except Exception:  # the function is the user's
        return False
    return True


def _replay(make: Callable[[torch.optim.Optimizer], Any], name: str, initial_lr: float) -> Factor:
    """Return the factor whose learning rates are those of a scheduler of torch."""

    def start() -> tuple[torch.optim.Optimizer, LRScheduler]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=initial_lr, momentum=0.9)
        try:
            scheduler = make(optimizer)
        except Exception as error:
            raise UsageError(
                Message(
                    "schedule={name} cannot be built: {type_name}: {error}",
                    name=name,
                    type_name=type(error).__name__,
                    error=error,
                ),
                Message("give a function of the step, or of the optimizer: lambda optimizer: StepLR(optimizer, 10)"),
            ) from error
        if isinstance(scheduler, ReduceLROnPlateau) or not isinstance(scheduler, LRScheduler):
            raise UsageError(
                Message(
                    "schedule={name} must give a scheduler that depends on the step alone, got {type_name}",
                    name=name,
                    type_name=type(scheduler).__name__,
                ),
                Message("use another schedule, or patience= to stop when the score does not improve"),
            )
        return optimizer, scheduler

    optimizer, scheduler = start()
    is_per_step = isinstance(scheduler, PER_STEP)
    rates = [float(optimizer.param_groups[0]["lr"])]

    def factor(step: int, steps: int, per_epoch: int) -> float:  # noqa: ARG001  # all factors have one signature
        count = step if is_per_step else step // per_epoch
        with warnings.catch_warnings():  # torch expects optimizer.step() before scheduler.step()
            warnings.simplefilter("ignore")
            while len(rates) <= count:
                try:
                    scheduler.step()
                except ValueError:  # OneCycleLR ends after its last step: its last rate stays
                    rates.append(rates[-1])
                else:
                    rates.append(float(optimizer.param_groups[0]["lr"]))
        return rates[count] / initial_lr

    return factor
