"""Steps of the same length in every direction of a layer's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, overload

import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim._option_ranges import Decay, Groups, Rate

TURNS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration: chosen by its author for slope at zero, not for convergence."""
VELOCITY = "momentum_buffer"
LEAST = 0.01
"""A layer counts as no shorter than this part of an orthogonal matrix, so that weights of zero can learn."""


@register
def muon(
    groups: Groups,
    *,
    lr: Rate = 0.07,
    momentum: Annotated[float, Interval(gt=0, lt=1)] = 0.6,
    weight_decay: Decay = 0.0,
    turns: Annotated[int, Interval(ge=1, le=10)] = 3,
    others: Rate = 1.0,
) -> torch.optim.Optimizer:
    """Nesterov's momentum, made orthogonal: v <- momentum v + g;  w <- (1 - lr λ) w - lr |w| O / |O|.

    O is the orthogonal matrix nearest to g + momentum v (a filter is a row of it), found by a few turns of a
    Newton-Schulz iteration: all its singular values are near 1, so that directions with small gradients are learnt,
    too. The step's length is lr times the layer's own length ``|w|``: lr is how far a layer turns in a step.

    Layers of weights go this way, the last one (the output layer) excepted. That one, biases and norm layers follow
    plain Nesterov's momentum of 0.9 with the learning rate ``others lr``.

    Args:
        lr: at the schedule's peak; 0.07 turns a layer by four degrees a step.
        momentum: what is kept of the velocity; less than for SGD, as each step has its full length.
        weight_decay: λ, decoupled as in AdamW; steps grow and shrink with the weights, so little is gained by it
            before a norm layer.
        turns: of the iteration; 3 for short runs, 5 come nearer to orthogonal.
        others: learning rate of what is not orthogonal, in multiples of lr.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the length relative to
    the weights as in LARS (You et al., "Large batch training of convolutional networks", 2017, section 4).

    >>> w = torch.eye(2).requires_grad_()
    >>> optimizer = muon([{"params": [w, torch.zeros(2, 2, requires_grad=True)]}], lr=0.1, turns=10)
    >>> w.grad = torch.tensor([[1e-3, 0.0], [0.0, 1.0]])
    >>> optimizer.step()
    >>> bool((w.detach().diag() - 0.9).abs().max() < 0.04)  # both directions alike, though one gradient is tiny
    True
    """
    # What is spared the decay is a bias or a norm layer, whatever its axes.
    wide = [p for group in groups if group.get("weight_decay") != 0 for p in group["params"] if p.ndim > 1]
    turned = {id(p) for p in wide[:-1]}
    marked = [{**group, "turned": [i for i, p in enumerate(group["params"]) if id(p) in turned]} for group in groups]
    return Muon(
        marked, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "turns": turns, "others": others}
    )


class Muon(torch.optim.Optimizer):
    """Updates as `muon` tells.

    A group's ``turned`` are the places of its parameters whose steps are made orthogonal. It is made by `muon`.
    """

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of all parameters that have a gradient."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            given = [(i in group["turned"], p) for i, p in enumerate(group["params"]) if p.grad is not None]
            if plain := [p for turned, p in given if not turned]:
                self._plain(plain, group)
            for turned, parameter in given:
                if turned:
                    self._orthogonal(parameter, group)
        return value

    def _velocity(self, parameter: torch.Tensor) -> torch.Tensor:
        kept = self.state[parameter]
        if VELOCITY not in kept:
            kept[VELOCITY] = torch.zeros_like(parameter)
        velocity: torch.Tensor = kept[VELOCITY]
        return velocity

    def _orthogonal(self, w: torch.Tensor, group: dict[str, Any]) -> None:
        assert w.grad is not None
        velocity = self._velocity(w)
        velocity.mul_(group["momentum"]).add_(w.grad)
        direction = orthogonal(w.grad.add(velocity, alpha=group["momentum"]).flatten(1), group["turns"]).view_as(w)
        size = direction.norm()
        length = torch.maximum(w.norm(), LEAST * size) / size.clamp_min(1e-3)  # 0 where the gradient is
        w.mul_(1 - group["lr"] * group["weight_decay"])
        w.addcmul_(direction, length, value=-group["lr"])

    def _plain(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        velocities = [self._velocity(p) for p in parameters]
        rate = group["lr"] * group["others"]
        torch._foreach_mul_(velocities, 0.9)
        torch._foreach_add_(velocities, gradients)
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        torch._foreach_add_(parameters, gradients, alpha=-rate)
        torch._foreach_add_(parameters, velocities, alpha=-0.9 * rate)


def orthogonal(matrix: torch.Tensor, turns: int) -> torch.Tensor:
    """Nearly the orthogonal matrix nearest to ``(R, C)``: singular values become about 1, their vectors stay.

    Source: Jordan et al. 2024 (the coefficients); Schulz, "Iterative Berechnung der reziproken Matrix", 1933.

    >>> found = orthogonal(torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]]), 5)
    >>> [0.6 < value < 1.3 for value in torch.linalg.svdvals(found).tolist()]
    [True, True]
    """
    a, b, c = TURNS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    tiny = torch.finfo(x.dtype).tiny
    x = x / x.abs().amax().clamp_min(tiny)  # first of all, as the squares of small numbers are 0
    x = x / x.norm().clamp_min(tiny)
    for _ in range(turns):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
