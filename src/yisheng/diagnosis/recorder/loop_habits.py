"""What a user's loop does with its losses and gradients: what it throws away, and which optimizers it uses."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from yisheng.diagnosis.recorder.foreign_gradients import ForeignGradients
from yisheng.diagnosis.recorder.guard import Guard

MAX_VALUES = 4096
"""Values of a gradient that are compared."""
MIN_COSINE = 0.99
"""Cosine of the angle between gradients that are multiples of each other, after rounding."""
MIN_DOUBLINGS = 8
"""A loss scaler multiplies by powers of two of at least this exponent; people multiply a loss by 10 or 100."""


@dataclass
class LossUse:
    """The losses that one place of the program computed in the recorded steps.

    Args:
        computed: losses with a graph.
        propagated: those of them that a backward pass went through.
        source: file and line.
    """

    computed: int = 0
    propagated: int = 0
    source: str = ""

    def note_propagated(self, _gradient: torch.Tensor) -> None:
        self.propagated += 1


class LoopHabits:
    """Counts of what a loop does in its recorded steps.

    Args:
        optimizer: of the network.
        guard: runs the hooks.

    Attributes:
        losses: by the place that computes them.
        repeated_backwards: backward passes after another one without an update in between.
        cleared_backwards: those of them that found the gradients cleared.
        replaced_updates: updates whose gradient is not a multiple of what the last of several backward passes left.
        scaled_updates: updates whose gradients still had the factor of a loss scaler.
        scaled_factor: that factor.
        other_optimizers: optimizers that updated the same parameters, one after another.
        foreign: gradients of losses for another network.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, guard: Guard) -> None:
        self._guard, self._watch_update = guard, guard.protect(self.note_update)
        self.losses: dict[Hashable, LossUse] = {}
        self.repeated_backwards = self.cleared_backwards = self.scaled_updates = self.other_optimizers = 0
        self.replaced_updates = 0
        self.scaled_factor = 1.0
        self._optimizer, self.foreign = optimizer, ForeignGradients()
        self._last: weakref.ref[torch.optim.Optimizer] | None = None
        self._held: set[int] = set()
        self._backwards_in_step, self._is_updating = 0, False
        self._last_gradient: tuple[torch.Tensor, torch.Tensor] | None = None
        self._scaled: tuple[torch.Tensor, torch.Tensor, float] | None = None

    def begin(self) -> None:
        """Watch which optimizers make updates."""
        self._held = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        _watch.add(self._optimizer, self._watch_update)

    def end(self) -> None:
        """Watch them no longer."""
        _watch.remove(self._watch_update)

    def begin_step(self) -> None:
        """Note that an update has ended."""
        self._backwards_in_step, self._scaled, self._is_updating, self._last_gradient = 0, None, False, None

    def note_loss(self, place: Hashable, source: str, result: Any) -> None:
        """Note a loss that was computed, and whether it is propagated later."""
        if isinstance(result, torch.Tensor) and result.requires_grad:
            use = self.losses.setdefault(place, LossUse(source=source))
            use.computed += 1
            result.register_hook(self._guard.protect(use.note_propagated))

    def before_backward(self, parameter: torch.Tensor | None) -> None:
        """Note whether the gradients of an earlier backward pass were cleared.

        Args:
            parameter: of the optimizer, which losses reach; None if it is unknown.
        """
        if self._is_updating:  # an optimizer that evaluates the loss itself clears the gradients on purpose
            return
        if parameter is not None and self._backwards_in_step:
            self.repeated_backwards += 1
            self.cleared_backwards += parameter.grad is None or not bool(parameter.grad.any())
        self._backwards_in_step += 1

    def after_backward(self, parameter: torch.Tensor | None, factor: float) -> None:
        """Note the state of a gradient that has the factor of a loss scaler.

        Args:
            parameter: of the optimizer, which losses reach; None if it is unknown.
            factor: what the loss was multiplied with.
        """
        if parameter is not None and self._backwards_in_step > 1:
            held = [p for group in self._optimizer.param_groups for p in group["params"] if p.grad is not None]
            largest = max(held, key=torch.Tensor.numel, default=None)
            self._last_gradient = None
            if largest is not None and not largest.grad.is_sparse:
                self._last_gradient = (largest, _take_values(largest.grad).clone())
        exponent = math.log2(factor) if factor > 0 else 0.0
        is_scaler = exponent >= MIN_DOUBLINGS and exponent == round(exponent)
        gradient = None if parameter is None else parameter.grad
        is_known = is_scaler and gradient is not None and not gradient.is_sparse
        self._scaled = (gradient, _take_values(gradient), factor) if is_known and gradient is not None else None

    def before_update(self) -> None:
        """Note whether the factor was taken out of the gradients."""
        self._is_updating = True
        if self._last_gradient is not None:
            parameter, values = self._last_gradient
            self.replaced_updates += parameter.grad is not None and not _are_parallel(parameter.grad, values)
        if self._scaled is not None:
            gradient, values, factor = self._scaled
            if bool(values.any()) and torch.equal(_take_values(gradient), values):
                self.scaled_updates, self.scaled_factor = self.scaled_updates + 1, factor

    def note_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Note an update of another optimizer."""
        self.foreign.note_update(id(p) for group in optimizer.param_groups for p in group["params"])
        if self._last is not None and self._last() is optimizer:
            return
        if any(id(p) in self._held for group in optimizer.param_groups for p in group["params"]):
            self.other_optimizers += 1
            self._last = weakref.ref(optimizer)


class _UpdateWatch:
    """One hook on all optimizers while anything watches them.

    Torch walks through its hooks in each update: a hook that another thread adds or removes meanwhile would end it with
    an error.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: Any = None
        self._watching: tuple[tuple[torch.optim.Optimizer, Callable[[torch.optim.Optimizer], None]], ...] = ()

    def add(self, excluded: torch.optim.Optimizer, note_update: Callable[[torch.optim.Optimizer], None]) -> None:
        """Call a function after each update of any optimizer but one."""
        with self._lock:
            self._watching = (*self._watching, (excluded, note_update))
            if self._handle is None:
                self._handle = register_optimizer_step_post_hook(self._after_update)

    def remove(self, note_update: Callable[[torch.optim.Optimizer], None]) -> None:
        """Undo `add`."""
        with self._lock:
            self._watching = tuple(pair for pair in self._watching if pair[1] is not note_update)
            if self._handle is not None and not self._watching:
                self._handle.remove()
                self._handle = None

    def _after_update(self, optimizer: torch.optim.Optimizer, _arguments: Any, _options: Any) -> None:
        for excluded, note_update in self._watching:
            if optimizer is not excluded:
                note_update(optimizer)


_watch = _UpdateWatch()


def _are_parallel(gradient: torch.Tensor, values: torch.Tensor) -> bool:
    """Return whether the first values of a gradient are a multiple of others, as after clipping."""
    current = _take_values(gradient)
    if current.shape != values.shape:
        return False
    return bool(torch.nn.functional.cosine_similarity(current.float(), values.float(), dim=0) > MIN_COSINE)


def _take_values(gradient: torch.Tensor) -> torch.Tensor:
    """Return a copy of the first values of a gradient."""
    values = torch.view_as_real(gradient.detach()) if gradient.is_complex() else gradient.detach()
    return values.reshape(-1)[:MAX_VALUES].nan_to_num()
