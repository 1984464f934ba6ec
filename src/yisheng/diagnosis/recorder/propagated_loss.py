"""Find the loss of a backward pass from within the pass."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor

PROPAGATE = inspect.unwrap(torch.autograd.backward).__code__
METHOD = inspect.unwrap(torch.Tensor.backward).__code__


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
        self._depth = 0
        self._code: CodeType | None = None
        self._caller: CodeType | None = None
        self._variable = ""

    def find(self) -> torch.Tensor | None:
        """Return the loss; None if the pass propagates something else or several losses."""
        depth = self._depth
        try:
            frame = sys._getframe(depth)
            if frame.f_code is self._code and sys._getframe(depth + 1).f_code is self._caller:
                value = frame.f_locals[self._variable]
                return value if type(value) is Tensor and value.numel() == 1 else get_scalar(value)
        except ValueError:  # there are fewer callers
            pass
        return self._search(sys._getframe())

    def _search(self, frame: FrameType) -> torch.Tensor | None:
        """Search all callers, and remember the function that has the loss, its place and its caller."""
        outermost: FrameType | None = None
        current: FrameType | None = frame
        depth = 0
        while current is not None:
            if current.f_code is PROPAGATE:
                outermost, self._depth = current, depth
            current, depth = current.f_back, depth + 1
        if outermost is None:
            return None
        tensors, self._variable, caller = outermost.f_locals["tensors"], "tensors", outermost.f_back
        if caller is not None and caller.f_code is METHOD:  # it has fewer variables to read
            outermost, self._variable, caller = caller, "self", caller.f_back
            self._depth += 1
        self._code, self._caller = outermost.f_code, None if caller is None else caller.f_code
        return get_scalar(tensors)


def get_scalar(tensors: Any) -> torch.Tensor | None:
    """Return a tensor of one value, or the only one of several; None if there is another."""
    if isinstance(tensors, tuple | list):
        if len(tensors) != 1:
            return None
        tensors = tensors[0]
    return tensors if isinstance(tensors, torch.Tensor) and tensors.numel() == 1 else None
