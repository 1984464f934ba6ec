"""A bound on how far one step may go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Gradients of all directions before, clipped by norm and by value."""
    angles = torch.arange(32) * torch.pi / 16
    before = 1.8 * torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)
    by_norm = torch.stack([clip_gradient([g], 1.0)[0][0] for g in before])
    by_value = torch.stack(clip_gradient_by_value(list(before), 1.0))
    axes.plot(*before.T, "o", markersize=4, color="#c8c8c8", label="before")
    for ends, colour, label in ((by_value, "#e69f00", "by value"), (by_norm, "#0072b2", "by norm")):
        axes.plot(*ends.T, "o", markersize=4, color=colour, label=label)
        axes.plot(*torch.stack([before, ends]).permute(2, 0, 1), color=colour, linewidth=0.6)
    axes.set(aspect="equal", title="only clipping by norm keeps directions")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


@register(
    equation="g ← g · min(1, most / (|g| + 10⁻⁶)),   |g| over all gradients together",
    usual="""
import torch
w = torch.ones(3, requires_grad=True)
(100 * w).sum().backward()
norm = torch.nn.utils.clip_grad_norm_([w], max_norm=1.0)
""",
    when="""For recurrent networks, transformers, and wherever a rare steep batch throws training off. Look at the
norms first: a bound that cuts in every step is a smaller learning rate in disguise.""",
    plot=_plot,
)
def clip_gradient(gradients: Sequence[Tensor], most: float) -> tuple[list[Tensor], Tensor]:
    """Gradient clipping: all gradients together are shortened to a norm, their direction kept.

    g <- g min(1, most / (|g| + 1e-6)), |g| = √(Σ g²) over all parameters

    Args:
        gradients: one tensor for each parameter, of any shapes.
        most: the largest norm allowed; 1 is customary for recurrent networks.

    Returns the gradients and the norm that they had.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013,
    algorithm 1.

    >>> (g,), norm = clip_gradient([torch.tensor([3.0, 4.0])], 1.0)
    >>> g, norm
    (tensor([0.6000, 0.8000]), tensor(5.))
    """
    norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    return [g * factor for g in gradients], norm


def clip_gradient_by_value(gradients: Sequence[Tensor], most: float) -> list[Tensor]:
    """Every number by itself into -most .. most (torch: clip_grad_value_); directions change."""
    return [g.clamp(-most, most) for g in gradients]
