"""Learning-rate schedules: the factor of the learning rate over a training."""

from __future__ import annotations

import math
from typing import Any, Literal

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register

Shape = Literal["constant", "step", "exponential", "inverse", "cosine", "one-cycle"]
SHAPES: tuple[Shape, ...] = ("constant", "step", "exponential", "inverse", "cosine", "one-cycle")


def _plot(axes: Any) -> None:
    """Draw all shapes over 100 steps."""
    for shape in SHAPES:
        axes.plot([learning_rate_schedule(step, 100, shape=shape) for step in range(100)], label=shape)
    axes.set(xlabel="step of 100", ylabel="factor of the learning rate")
    axes.legend(fontsize=8)


@register(
    equation="""step:         factor^floor(t / size)             exponential:  rate^t
inverse:      1 / (1 + k t)                      cosine:       (1 + cos(π t / T)) / 2
one-cycle:    rises from 1/25 to 1 and falls to 4e-6, both along half a cosine""",
    usual="""
import torch
optimizer = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=100, cycle_momentum=False)
""",
    when="""In nearly every training (`yisheng train schedule=cosine`; one-cycle is the default): high rates at first,
to cross plateaus; low ones at the end, so that the weights converge. Cosine and one-cycle need the number of steps in
advance. A warm-up keeps the first steps low, while Adam's and batch norm's means are still unreliable.""",
    plot=_plot,
)
def learning_rate_schedule(step: int, steps: int, *, shape: Shape = "cosine") -> float:
    """Compute the factor of the learning rate in a step.

    Args:
        step: number of the step, from 0.
        steps: number of all steps.
        shape: with the usual numbers: step, a tenth after every third of the training; exponential, 0.95 per step;
            inverse, k = 1; one-cycle, 30% of the steps rising.

    Raises:
        UsageError: there is no such shape.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5; Smith and
    Topin, "Super-convergence", 2019, section 3; Zhang et al., "Dive into deep learning", 2023, section 12.11.

    >>> [learning_rate_schedule(step, 10, shape="cosine") for step in (0, 5)]
    [1.0, 0.5]
    >>> [learning_rate_schedule(step, 9, shape="step") for step in (2, 3)]
    [1.0, 0.1]
    """
    if shape == "constant":
        return 1.0
    if shape == "step":
        return float(0.1 ** (step // math.ceil(steps / 3)))
    if shape == "exponential":
        return float(0.95**step)
    if shape == "inverse":
        return 1 / (1 + step)
    if shape == "cosine":
        return follow_cosine(1.0, 0.0, step / steps)
    if shape == "one-cycle":
        peak = 0.3 * steps - 1
        if step <= peak:
            return follow_cosine(1 / 25, 1.0, step / peak)
        return follow_cosine(1.0, 4e-6, (step - peak) / (steps - 1 - peak))
    raise UsageError(
        Message("shape={shape} is not among the shapes", shape=f"{shape!r}"),
        Message("use {SHAPES}", SHAPES=", ".join(SHAPES)),
    )


def follow_cosine(start: float, end: float, s: float) -> float:
    """Compute the height of half a cosine wave from the start (s = 0) to the end (s = 1).

    >>> follow_cosine(1.0, 0.0, 0.5)
    0.5
    """
    return end + (start - end) * (1 + math.cos(math.pi * s)) / 2
