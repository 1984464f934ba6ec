"""L-BFGS: steps of Newton's kind from the differences of past gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Interval

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.optim._eager import LBFGS
from yisheng.optim._option_ranges import Decay, Groups, Rate


@register(line_search=True)
def lbfgs(
    groups: Groups,
    *,
    lr: Rate = 1.0,
    iterations: Annotated[int, Interval(ge=1, le=1000)] = 4,
    history: Annotated[int, Interval(ge=1, le=1000)] = 10,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """Update by L-BFGS: w <- w - t H g, where H approximates the inverse of the second derivatives.

    H is built from the last changes of w and g, and t is found by a line search (strong Wolfe conditions). It needs the
    whole training part as one batch: the gradients of different batches differ by more than their curvature. A linear
    model, whose loss is convex, reaches its minimum in few steps, however its columns are scaled or correlated.

    Args:
        lr: the first t that the line search tries; 1 is Newton's step.
        iterations: of the method in one update, each with one or two passes over the batch. With few of them the
            validation score can choose among more intermediate weights, which regularizes.
        history: number of past changes that H is built from.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss; none by default.

    Raises:
        UsageError: layers have different learning rates, which the method does not have.

    Source: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.

    >>> w = torch.tensor([5.0], requires_grad=True)
    >>> optimizer = lbfgs([{"params": [w]}])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 2) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> w
    tensor([2.], requires_grad=True)
    """
    if len({group.get("lr_scale", 1.0) for group in groups}) > 1:
        raise UsageError(
            Message("optimizer=lbfgs has one learning rate for all layers, head_lr= asks for several"),
            Message("use optimizer=adamw"),
        )
    decays = [group.get("weight_decay", weight_decay) for group in groups for _ in group["params"]]
    parameters = [parameter for group in groups for parameter in group["params"]]
    optimizer = _DecayingLBFGS(parameters, lr, max_iter=iterations, history_size=history, line_search_fn="strong_wolfe")
    optimizer.param_groups[0] |= {"weight_decay": weight_decay, "decays": decays}
    return optimizer


class _DecayingLBFGS(LBFGS):
    """L-BFGS with a weight decay for each parameter, ``decays`` of its only group."""

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # as in torch
        """Make a step on the loss of the closure and the penalty."""
        (group,) = self.param_groups

        def penalized() -> float:
            loss = float(torch.as_tensor(closure()).detach())
            for parameter, decay in zip(group["params"], group["decays"], strict=True):
                if decay and parameter.grad is not None:
                    parameter.grad.add_(parameter.detach(), alpha=decay)
                    loss += decay / 2 * float(parameter.detach().square().sum())
            return loss

        # Once another L-BFGS exists, torch has wrapped its step to run the hooks, as it does with this one: they would
        # run twice.
        with torch.no_grad():
            return inspect.unwrap(torch.optim.LBFGS.step)(self, penalized)
