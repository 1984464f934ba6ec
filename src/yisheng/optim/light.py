"""Torch's optimisers without its compiler and its profiler, where neither is at work."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import _global_optimizer_post_hooks as after_all
from torch.optim.optimizer import _global_optimizer_pre_hooks as before_all

GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods of an optimiser that torch keeps from being compiled."""
KEPT = "__dynamo_disable"
"""Where torch keeps the form of such a method that its compiler leaves alone, once it has made it."""


def leave_compiler_out() -> None:
    """Have optimisers be made, saved and loaded without an import of torch's compiler, which takes about a second.

    Torch imports it with the first call of one of these methods, to tell it to leave them alone. That can wait until
    something else imports it.
    """
    for name in GUARDED:
        bare = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if bare is not None and not hasattr(bare, KEPT):
            setattr(bare, KEPT, _until_compiled(name, bare))


def _until_compiled(name: str, bare: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(bare)
    def call(*arguments: Any, **named: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return bare(*arguments, **named)
        if getattr(bare, KEPT, None) is call:
            delattr(bare, KEPT)
        return getattr(torch.optim.Optimizer, name)(*arguments, **named)  # torch keeps its own from now on

    return call


def step(optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()``: the same update, the same hooks, less around them.

    Around the update of its optimisers torch puts a mark for its profiler and a word to its compiler, which it imports
    for that. They cost 25 to 50 microseconds a step, more than the update of a small network itself. They are left out
    of optimisers of torch's own while no profiler runs.

    >>> w = torch.ones(2, requires_grad=True)
    >>> sgd = torch.optim.SGD([w], lr=0.5)
    >>> w.sum().backward()
    >>> step(sgd)
    >>> w
    tensor([0.5000, 0.5000], requires_grad=True)
    """
    kind: Any = type(optimizer)
    bare = _bare(kind)
    if (
        bare is None
        or "step" in vars(optimizer)
        or optimizer.defaults.get("differentiable")
        or before_all
        or after_all
        or torch.autograd.profiler._is_profiler_enabled
    ):
        optimizer.step()
        return
    arguments: tuple[Any, ...] = (optimizer,)
    named: dict[str, Any] = {}
    for before in optimizer._optimizer_step_pre_hooks.values():
        arguments, named = before(optimizer, arguments, named) or (arguments, named)
    with torch.no_grad():
        bare(*arguments, **named)
    for after in optimizer._optimizer_step_post_hooks.values():
        after(optimizer, arguments, named)


@functools.cache
def _bare(kind: type[torch.optim.Optimizer]) -> Callable[..., Any] | None:
    """What updates the parameters of an optimiser of torch's, without what is around it; None of others."""
    if not kind.__module__.startswith("torch.optim.") or not getattr(kind.step, "hooked", False):
        return None
    return getattr(getattr(kind.step, "__wrapped__", None), "__wrapped__", None)
