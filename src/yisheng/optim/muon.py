"""Muon: steps of equal length in every direction of a layer's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, overload

import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim._eager import EagerOptimizer
from yisheng.optim._option_ranges import Decay, Groups, Rate

NEWTON_SCHULZ_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: the author chose them for a large slope at zero, not for convergence."""
MOMENTUM_BUFFER = "momentum_buffer"
AUX_MOMENTUM = 0.9
"""Momentum of the parameters whose steps are not orthogonalized."""
MIN_RELATIVE_NORM = 0.01
"""Smallest norm of a layer that scales its step, relative to an orthogonal matrix, so that zero weights can learn."""


@register
def muon(
    groups: Groups,
    *,
    lr: Rate = 0.07,
    momentum: Annotated[float, Interval(gt=0, lt=1)] = 0.6,
    weight_decay: Decay = 0.0,
    ns_steps: Annotated[int, Interval(ge=1, le=10)] = 3,
    aux_lr: Rate = 1.0,
) -> torch.optim.Optimizer:
    """Orthogonalize the step of Nesterov's momentum: v <- momentum v + g;  w <- (1 - lr λ) w - lr |w| O / |O|.

    O is the orthogonal matrix nearest to g + momentum v (a filter is a row of it), approximated by a few steps of a
    Newton-Schulz iteration: all its singular values are near 1, so that directions with small gradients are learnt,
    too. The length of the step is lr times the norm ``|w|`` of the layer, so lr is the relative change of the weights.

    This applies to weights with two or more axes, except those of the last layer (the output layer). That layer, biases
    and norm layers follow Nesterov's momentum of 0.9 with the learning rate ``aux_lr lr``.

    Args:
        lr: learning rate at the schedule's peak; 0.07 rotates a layer's weights by four degrees in a step.
        momentum: fraction of the velocity that a step keeps; less than for SGD, as each step has its full length.
        weight_decay: λ, decoupled as in AdamW; steps grow and shrink with the weights, so it has little effect
            before a norm layer.
        ns_steps: steps of the Newton-Schulz iteration; 3 for short runs, 5 are nearer to orthogonal.
        aux_lr: learning rate of the parameters whose steps are not orthogonalized, in multiples of lr.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the length relative to
    the weights as in LARS (You et al., "Large batch training of convolutional networks", 2017, section 4).

    >>> w = torch.eye(2).requires_grad_()
    >>> optimizer = muon([{"params": [w, torch.zeros(2, 2, requires_grad=True)]}], lr=0.1, ns_steps=10)
    >>> w.grad = torch.tensor([[1e-3, 0.0], [0.0, 1.0]])
    >>> optimizer.step()
    >>> bool((w.detach().diag() - 0.9).abs().max() < 0.04)  # equal steps, though one gradient is tiny
    True
    """
    # Parameters without decay are biases and those of norm layers, which may have several axes.
    matrices = [p for group in groups if group.get("weight_decay") != 0 for p in group["params"] if p.ndim > 1]
    hidden = {id(p) for p in matrices[:-1]}
    marked_groups = [
        {**group, "orthogonalized": [i for i, p in enumerate(group["params"]) if id(p) in hidden]} for group in groups
    ]
    options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "ns_steps": ns_steps, "aux_lr": aux_lr}
    return Muon(marked_groups, options)


class Muon(EagerOptimizer):
    """The optimizer that `muon` makes.

    A group's ``orthogonalized`` are the indices of its parameters whose steps are orthogonalized.
    """

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for index, parameter in enumerate(group["params"]):
                if parameter.grad is None:
                    continue
                if index in group["orthogonalized"]:
                    self._update_orthogonalized(parameter, group)
                else:
                    self._update_plain(parameter, group)
        return loss

    def _get_velocity(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        if MOMENTUM_BUFFER not in state:
            state[MOMENTUM_BUFFER] = torch.zeros_like(parameter)
        velocity: torch.Tensor = state[MOMENTUM_BUFFER]
        return velocity

    def _update_orthogonalized(self, w: torch.Tensor, group: dict[str, Any]) -> None:
        assert w.grad is not None
        velocity = self._get_velocity(w)
        velocity.mul_(group["momentum"]).add_(w.grad)
        step = w.grad.add(velocity, alpha=group["momentum"])
        direction = orthogonalize(step.flatten(1), group["ns_steps"]).view_as(w)
        norm = direction.norm()
        scale = torch.maximum(w.norm(), MIN_RELATIVE_NORM * norm) / norm.clamp_min(1e-3)  # the norm of no gradient is 0
        w.mul_(1 - group["lr"] * group["weight_decay"])
        w.addcmul_(direction, scale, value=-group["lr"])

    def _update_plain(self, w: torch.Tensor, group: dict[str, Any]) -> None:
        assert w.grad is not None
        velocity = self._get_velocity(w)
        lr = group["lr"] * group["aux_lr"]
        velocity.mul_(AUX_MOMENTUM).add_(w.grad)
        w.mul_(1 - lr * group["weight_decay"])
        w.add_(w.grad, alpha=-lr)
        w.add_(velocity, alpha=-AUX_MOMENTUM * lr)


def orthogonalize(matrix: torch.Tensor, ns_steps: int) -> torch.Tensor:
    """Approximate the orthogonal matrix nearest to ``(R, C)``: its singular values become about 1.

    Source: Jordan et al. 2024 (the coefficients); Schulz, "Iterative Berechnung der reziproken Matrix", 1933.

    >>> matrix = orthogonalize(torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]]), 5)
    >>> [0.6 < value < 1.3 for value in torch.linalg.svdvals(matrix).tolist()]
    [True, True]
    """
    a, b, c = NEWTON_SCHULZ_COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    tiny = torch.finfo(x.dtype).tiny
    x = x / x.abs().amax().clamp_min(tiny)  # before the norm, since the squares of small numbers are 0
    x = x / x.norm().clamp_min(tiny)
    for _ in range(ns_steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
