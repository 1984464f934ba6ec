"""Hooks on gradients that see the losses of backward passes that were not traced."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.recorder.guard import Guard, ProtectedHook
from yisheng.diagnosis.recorder.propagated_loss import PropagatedLoss


class GradientHooks:
    """Call a function with the loss of each backward pass, once the pass has reached a watched parameter.

    Args:
        note_loss: receives the loss ``()``, whose graph is being consumed.
        is_silent: whether a pass that reaches an end of the network is ignored; finding its loss would take longer.
        guard: runs the hooks.

    Attributes:
        parameter: the one that is watched alone, or None.

    >>> net, losses = nn.Linear(2, 1), []
    >>> hooks = GradientHooks(losses.append, lambda: False, Guard())
    >>> hooks.watch_ends(net)
    >>> loss = net(torch.ones(3, 2)).sum()
    >>> loss.backward()
    >>> hooks.remove()
    >>> [each is loss for each in losses]
    [True]
    """

    def __init__(self, note_loss: Callable[[torch.Tensor], None], is_silent: Callable[[], bool], guard: Guard) -> None:
        self.parameter: torch.Tensor | None = None
        self._note_loss, self._is_silent, self._guard = note_loss, is_silent, guard
        self._handles: list[Any] = []

    def watch_ends(self, model: nn.Module) -> None:
        """Watch the first and the last parameter of a network."""
        parameters = (p for p in model.parameters() if not isinstance(p, nn.UninitializedParameter))
        trainable = [p for p in parameters if p.requires_grad]
        ends = trainable if len(trainable) < 2 else [trainable[0], trainable[-1]]
        self.parameter = None
        self._replace(ends, self._guard.protect(self._make_hook()))

    def watch(self, parameter: torch.Tensor, hook: ProtectedHook) -> None:
        """Watch one parameter, which every backward pass reaches, by another hook."""
        self.parameter = parameter
        self._replace([parameter], hook)

    def remove(self) -> None:
        """Remove the hooks."""
        self.parameter = None
        self._replace([], None)

    def _replace(self, parameters: Sequence[torch.Tensor], hook: ProtectedHook | None) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = [] if hook is None else [p.register_post_accumulate_grad_hook(hook) for p in parameters]

    def _make_hook(self) -> Callable[[torch.Tensor], None]:
        """Return a hook that finds the loss of a pass, and notes it once."""
        last: weakref.ref[torch.Tensor] | None = None
        find_loss = PropagatedLoss().find

        def after_gradient(_: torch.Tensor) -> None:
            nonlocal last
            loss = None if self._is_silent() else find_loss()
            if loss is not None and (last is None or last() is not loss):
                last = weakref.ref(loss)
                self._note_loss(loss)

        return after_gradient
