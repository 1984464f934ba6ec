"""torch's optimizers without their guards for ``torch.compile``, whose first use imports the compiler.

Every optimizer of torch wraps its methods, so that a compiled program leaves them out. The first call of a wrapped
method imports ``torch._dynamo``, which takes about a second: half of the time of importing torch. Our updates are never
compiled, so the classes below have the same methods without the wrapper, as `inspect.unwrap` returns them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch


def _unwrap(method: Callable[..., Any]) -> Any:
    """Return a method of an optimizer without its guards."""
    return inspect.unwrap(method)


def _unwrap_step(kind: type[torch.optim.Optimizer]) -> Any:
    """Return the step of a class of optimizers without its guards; as in torch, it records no gradients."""
    return torch.no_grad()(inspect.unwrap(kind.step))


class EagerOptimizer(torch.optim.Optimizer):
    """The base of optimizers whose steps are never compiled.

    >>> SGD([torch.zeros(1, requires_grad=True)], lr=0.1).param_groups[0]["lr"]
    0.1
    """

    add_param_group = _unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = _unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = _unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = _unwrap(torch.optim.Optimizer.load_state_dict)


class SGD(EagerOptimizer, torch.optim.SGD):
    """`torch.optim.SGD`."""

    step = _unwrap_step(torch.optim.SGD)


class Adam(EagerOptimizer, torch.optim.Adam):
    """`torch.optim.Adam`."""

    step = _unwrap_step(torch.optim.Adam)


class AdamW(EagerOptimizer, torch.optim.AdamW):
    """`torch.optim.AdamW`."""

    step = _unwrap_step(torch.optim.AdamW)


class RMSprop(EagerOptimizer, torch.optim.RMSprop):
    """`torch.optim.RMSprop`."""

    step = _unwrap_step(torch.optim.RMSprop)


class LBFGS(EagerOptimizer, torch.optim.LBFGS):
    """`torch.optim.LBFGS`."""
