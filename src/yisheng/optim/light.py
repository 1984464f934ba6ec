"""Torch's optimisers without its compiler and its profiler, where neither is at work."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

import torch

KIND = importlib.import_module("torch.optim.optimizer")
GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods of an optimiser that torch keeps from being compiled."""
KEPT = "__dynamo_disable"
"""Where torch keeps the form of such a method that its compiler leaves alone, once it has made it."""
OF_ALL = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
OF_ONE = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
WRAPPED_IN = (KIND.__name__, "torch.utils._contextlib")
"""Modules of the functions that torch wraps around the step of an optimiser."""


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
            vars(bare).pop(KEPT, None)
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
    own, bare = vars(optimizer), _bare(kind.step)
    if (
        bare is None
        or "step" in own
        or optimizer.defaults.get("differentiable")
        or any(getattr(KIND, name, True) for name in OF_ALL)
        or any(name not in own for name in OF_ONE)
        or getattr(torch.autograd.profiler, "_is_profiler_enabled", True)
    ):
        optimizer.step()
        return
    before, after = (own[name].values() for name in OF_ONE)
    arguments: tuple[Any, ...] = (optimizer,)
    named: dict[str, Any] = {}
    for hook in before:
        if (changed := hook(optimizer, arguments, named)) is not None:
            arguments, named = changed
    with torch.no_grad():
        bare(*arguments, **named)
    for hook in after:
        hook(optimizer, arguments, named)


@functools.lru_cache(maxsize=64)
def _bare(step: Callable[..., Any]) -> Callable[..., Any] | None:
    """What updates the parameters of an optimiser of torch's, without what torch is around it; None of others."""
    for _ in range(2):
        if not hasattr(step, "__wrapped__") or getattr(step, "__globals__", {}).get("__name__") not in WRAPPED_IN:
            return None
        step = step.__wrapped__
    return step if step.__module__.startswith("torch.optim.") else None


def clear(optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.zero_grad()`` without a mark for the profiler, where an optimiser has no way of its own.

    >>> w = torch.ones(2, requires_grad=True)
    >>> w.sum().backward()
    >>> clear(torch.optim.SGD([w], lr=0.5))
    >>> w.grad is None
    True
    """
    if type(optimizer).zero_grad is not torch.optim.Optimizer.zero_grad or "zero_grad" in vars(optimizer):
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
