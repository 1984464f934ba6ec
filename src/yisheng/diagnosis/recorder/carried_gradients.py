"""Gradients that an update has used and nobody has cleared before the next."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class CarriedGradients:
    """The gradients that a recorded step adds to those of the step before.

    Two networks that train against each other fill each other's gradients and clear them before their own pass: only
    gradients that are still there at the update count.

    >>> p = nn.Parameter(torch.ones(2))
    >>> carried = CarriedGradients()
    >>> p.sum().backward()
    >>> carried.note_used({"p": p})
    >>> carried.begin({"p": p}, {id(p)})
    >>> carried.finish({"p": p})
    ('p',)
    """

    def __init__(self) -> None:
        self._used: dict[str, tuple[int, int]] = {}
        self._carried: dict[str, torch.Tensor] | None = None

    def note_used(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Note the gradients that an update has just used."""
        self._used = {name: (id(p.grad), p.grad._version) for name, p in parameters.items() if p.grad is not None}

    def begin(self, parameters: Mapping[str, nn.Parameter], held: set[int]) -> None:
        """Find the gradients that are still there right before a backward pass adds to them.

        Args:
            parameters: of the network, by name.
            held: ``id`` of the parameters that the optimizer holds.
        """
        if self._carried:
            self._drop_cleared(parameters)
            return
        self._carried = {
            name: p.grad
            for name, p in parameters.items()
            if p.grad is not None
            and id(p) in held
            and self._used.get(name) == (id(p.grad), p.grad._version)
            and bool(p.grad.any())
        }

    def finish(self, parameters: Mapping[str, nn.Parameter]) -> tuple[str, ...]:
        """Return the names of those that are still there right before the update."""
        self._drop_cleared(parameters)
        return tuple(self._carried or ())

    def clear(self) -> None:
        """Forget them: the recorded step has ended."""
        self._carried = None

    def _drop_cleared(self, parameters: Mapping[str, nn.Parameter]) -> None:
        carried = (self._carried or {}).items()
        self._carried = {
            name: gradient for name, gradient in carried if parameters[name].grad is gradient and bool(gradient.any())
        }
