"""Follow derivatives that were computed without a graph to where a loss adds them as if they had one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

SUMS = frozenset(
    f"{prefix}{name}{suffix}" for name in ("add", "sub") for prefix, suffix in (("", ""), ("__", "__"), ("__r", "__"))
)
"""Names of functions that add a term."""
CREATE_GRAPH, INPUTS = 4, 1
"""Positions of arguments of `torch.autograd.grad`."""
MAX_TERMS, MAX_REFERENCES = 64, 256


@dataclass(frozen=True)
class ConstantTerm:
    """A sum of something with a gradient and something that was made of a derivative without one.

    Args:
        is_scalar: whether the derivative had become one number, such as a mean of squares.
        source: file and line.
    """

    is_scalar: bool
    source: str


class ConstantTerms:
    """The derivatives of one thread that have no graph, and what was made of them.

    Attributes:
        terms: sums with something that has a gradient.
    """

    def __init__(self) -> None:
        self.terms: list[ConstantTerm] = []
        self._constants: dict[int, weakref.ref[torch.Tensor]] = {}

    @property
    def is_active(self) -> bool:
        """Return whether a derivative is being followed."""
        return bool(self._constants)

    def forget(self) -> None:
        """Follow no derivative any more: the update has been made."""
        self._constants.clear()

    def note_derivative(self, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Note what `torch.autograd.grad` has returned.

        Args:
            args: its positional arguments.
            kwargs: its other arguments.
            result: the derivatives.
        """
        creates_graph = args[CREATE_GRAPH] if len(args) > CREATE_GRAPH else kwargs.get("create_graph", False)
        inputs = args[INPUTS] if len(args) > INPUTS else kwargs.get("inputs")
        has_parameters = any(isinstance(tensor, nn.Parameter) for tensor in _list_tensors((inputs,)))
        if creates_graph or has_parameters or not torch.is_grad_enabled():
            return
        for tensor in _list_tensors((result,)):
            self._add(tensor)

    def follow(self, name: str, args: Sequence[Any], result: Any, find_source: Callable[[], str]) -> None:
        """Follow the derivatives through a function.

        A network that reads them, as those of adversarial examples, makes them inputs: they are let go.

        Args:
            name: of the function.
            args: its positional arguments.
            result: of the function.
            find_source: returns the line of the program.
        """
        tensors = _list_tensors(args)
        constants = [tensor for tensor in tensors if self._is_constant(tensor)]
        if not constants or not isinstance(result, torch.Tensor):
            return
        if any(isinstance(tensor, nn.Parameter) for tensor in tensors):
            self.forget()
        elif not result.requires_grad:
            self._add(result)
        elif name in SUMS and any(tensor.grad_fn is not None for tensor in tensors) and len(self.terms) < MAX_TERMS:
            self.terms.append(ConstantTerm(constants[0].numel() == 1, find_source()))

    def _add(self, tensor: torch.Tensor) -> None:
        if not tensor.requires_grad and len(self._constants) < MAX_REFERENCES:
            self._constants[id(tensor)] = weakref.ref(tensor)

    def _is_constant(self, tensor: torch.Tensor) -> bool:
        reference = self._constants.get(id(tensor))
        return reference is not None and reference() is tensor


def _list_tensors(values: Sequence[Any]) -> list[torch.Tensor]:
    """Return the tensors among some values, and those in tuples and lists among them."""
    items = [item for value in values for item in (value if isinstance(value, tuple | list) else (value,))]
    return [item for item in items if isinstance(item, torch.Tensor)]
