"""Find the loss of a backward pass from within the pass."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor

PROPAGATE = inspect.unwrap(torch.autograd.backward).__code__
METHOD = inspect.unwrap(torch.Tensor.backward).__code__


class Place(NamedTuple):
    """Which caller has the loss.

    Args:
        depth: number of callers in between.
        code: of the function.
        caller: of the function, or None if nothing calls it.
        variable: of the function, that holds the loss.
        is_nested: whether another backward pass runs within that of the loss.
    """

    depth: int
    code: CodeType
    caller: CodeType | None
    variable: str
    is_nested: bool


class PropagatedLoss:
    """Find the scalar that the outermost `torch.autograd.backward` among the callers propagates.

    In a hook of the backward pass the graph of the loss is being consumed; its value is still known. A loop starts its
    passes from one function, so that all callers are searched only in the first. A pass within a pass has others.

    >>> w, losses = torch.ones(2, requires_grad=True), []
    >>> finder = PropagatedLoss()
    >>> handle = w.register_hook(lambda _: losses.append(finder.find()))
    >>> for _ in range(2):
    ...     loss = (w * 3).sum()
    ...     loss.backward()
    >>> losses[1] is loss
    True
    """

    def __init__(self) -> None:
        self._place: Place | None = None

    def find(self) -> torch.Tensor | None:
        """Return the loss; None if the pass propagates something else or several losses."""
        place = self._place
        if place is not None:
            try:
                frame = sys._getframe(place.depth)
                if frame.f_code is place.code and sys._getframe(place.depth + 1).f_code is place.caller:
                    return get_scalar(frame.f_locals[place.variable])
            except ValueError:  # there are fewer callers
                pass
        self._place, loss = search_callers(sys._getframe())
        return loss


def search_callers(frame: FrameType) -> tuple[Place | None, torch.Tensor | None]:
    """Return which caller has the loss, and the loss.

    Args:
        frame: of a hook of a backward pass, from which the callers are counted.

    Returns:
        no place outside of a pass, and no loss if the pass propagates something else or several losses.
    """
    outermost: FrameType | None = None
    current: FrameType | None = frame
    depth = passes = outermost_depth = 0
    while current is not None:
        if current.f_code is PROPAGATE:
            outermost, outermost_depth, passes = current, depth, passes + 1
        current, depth = current.f_back, depth + 1
    if outermost is None:
        return None, None
    loss, variable, caller = get_scalar(outermost.f_locals["tensors"]), "tensors", outermost.f_back
    if caller is not None and caller.f_code is METHOD:  # it has fewer variables to read
        outermost, outermost_depth, variable, caller = caller, outermost_depth + 1, "self", caller.f_back
    caller_code = None if caller is None else caller.f_code
    return Place(outermost_depth, outermost.f_code, caller_code, variable, passes > 1), loss


def get_scalar(tensors: Any) -> torch.Tensor | None:
    """Return a tensor of one value, or the only one of several; None if there is another."""
    if isinstance(tensors, tuple | list):
        if len(tensors) != 1:
            return None
        tensors = tensors[0]
    return tensors if isinstance(tensors, Tensor) and tensors.numel() == 1 else None
