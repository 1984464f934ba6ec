"""Gradient clipping, by norm and by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw gradients of all directions before and after clipping by norm and by value."""
    angles = torch.arange(32) * torch.pi / 16
    gradients = 1.8 * torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)
    by_norm = torch.stack([clip_gradient([g], 1.0)[0][0] for g in gradients])
    by_value = torch.stack(clip_gradient_by_value(list(gradients), 1.0))
    axes.plot(*gradients.T, "o", markersize=4, color="#c8c8c8", label="before")
    for ends, color, label in ((by_value, "#e69f00", "by value"), (by_norm, "#0072b2", "by norm")):
        axes.plot(*ends.T, "o", markersize=4, color=color, label=label)
        axes.plot(*torch.stack([gradients, ends]).permute(2, 0, 1), color=color, linewidth=0.6)
    axes.set(aspect="equal", title="only clipping by norm keeps directions")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


@register(
    equation="g ← g · min(1, max_norm / (|g| + 10⁻⁶)),   |g| over all gradients together",
    usual="""
import torch
w = torch.ones(3, requires_grad=True)
(100 * w).sum().backward()
norm = torch.nn.utils.clip_grad_norm_([w], max_norm=1.0)
""",
    when="""For recurrent networks, transformers, and if rare batches with large gradients disturb the training. Look
at the norms first: a bound that acts in every step has the effect of a smaller learning rate.""",
    plot=_plot,
)
def clip_gradient(gradients: Sequence[Tensor], max_norm: float) -> tuple[list[Tensor], Tensor]:
    """Scale all gradients together down to a maximum norm, keeping their direction.

    g <- g min(1, max_norm / (|g| + 1e-6)), |g| = √(Σ g²) over all parameters

    Args:
        gradients: one tensor for each parameter, of any shapes.
        max_norm: the largest norm allowed; 1 is usual for recurrent networks.

    Returns:
        The gradients, and their norm before clipping.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013,
    algorithm 1.

    >>> (g,), norm = clip_gradient([torch.tensor([3.0, 4.0])], 1.0)
    >>> g, norm
    (tensor([0.6000, 0.8000]), tensor(5.))
    """
    norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return [g * factor for g in gradients], norm


def clip_gradient_by_value(gradients: Sequence[Tensor], clip_value: float) -> list[Tensor]:
    """Clip every number to -clip_value .. clip_value (torch: clip_grad_value_); directions change."""
    return [g.clamp(-clip_value, clip_value) for g in gradients]
