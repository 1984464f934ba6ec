"""The learning-rate range test: train for a few steps at a growing learning rate, and watch the loss.

Source: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3; the exponential growth and the
end at divergence are those of Howard and Gugger, "fastai: a layered API for deep learning", 2020.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.reporting.lr_find_facts import RangeCurve
from yisheng.training.loop import set_lr
from yisheng.training.setup import Assembly

DIVERGENCE: Final = 4.0
"""The test ends when the averaged loss is this many times its smallest value."""
AVERAGE_DECAY: Final = 0.9
"""Decay of the average loss that decides about the end. It lags behind; the curve is smoothed without lag."""
SMOOTHING_FRACTION: Final = 0.02
"""Standard deviation of the smoothing window, as a fraction of the test's steps."""
WARM_UP_FRACTION: Final = 0.05
"""Fraction of the steps at the beginning in which no rate is suggested: the loss has hardly moved."""
MIN_FALL: Final = 0.02
"""Fraction of the first loss by which the smoothed loss must fall, else nothing can be suggested."""


def run_range_test(assembly: Assembly, *, seed: int, low: float, high: float, steps: int) -> RangeCurve:
    """Train an assembly at learning rates from ``low`` to ``high``; its weights are worthless afterwards.

    Step i of n has the rate ``low * (high / low) ** (i / (n - 1))``. The batches are those of a training, beginning
    again when an epoch ends.

    Args:
        assembly: the training, at its beginning.
        seed: its seed, for the result.
        low: the first learning rate.
        high: the last one.
        steps: number of steps; the test ends earlier when the loss diverges.
    """
    state, base = assembly.state, assembly.state.optimizer.param_groups[0]["initial_lr"]
    rates, losses = [float(rate) for rate in np.geomspace(low, high, steps)], []
    average, smallest, diverged = 0.0, math.inf, None
    state.model.train()
    for number, (rate, batch) in enumerate(zip(rates, _repeat_batches(assembly), strict=False), 1):
        set_lr(state.optimizer, rate / base)
        try:
            value = assembly.step(state, batch, assembly.loss)
        except NonFiniteError:
            diverged = rate
            break
        state.advance(value, len(batch))
        losses.append(float(value))
        average = AVERAGE_DECAY * average + (1 - AVERAGE_DECAY) * losses[-1]
        unbiased = average / (1 - AVERAGE_DECAY**number)
        if not math.isfinite(unbiased) or unbiased > DIVERGENCE * smallest:
            diverged = rate
            break
        smallest = min(smallest, max(unbiased, float(np.finfo(np.float32).tiny)))
    smooth = smooth_losses(losses, max(1.0, SMOOTHING_FRACTION * steps))
    steepest, minimum = find_rates(rates[: len(losses)], smooth, skip=math.ceil(WARM_UP_FRACTION * steps))
    return RangeCurve(seed, tuple(rates[: len(losses)]), tuple(losses), tuple(smooth), steepest, minimum, diverged)


def smooth_losses(losses: Sequence[float], width: float) -> list[float]:
    """Return losses averaged with a normal window, which does not lag behind them.

    Args:
        losses: of each step.
        width: standard deviation of the window, in steps.

    >>> smooth_losses([1.0, 1.0, 1.0], 2.0)
    [1.0, 1.0, 1.0]
    """
    values = np.asarray(losses, np.float64)
    positions = np.arange(len(values))
    weights = np.exp(-0.5 * ((positions[:, None] - positions) / width) ** 2)
    return [float(value) for value in (weights @ values) / weights.sum(1)] if len(values) else []


def find_rates(rates: Sequence[float], smooth: Sequence[float], *, skip: int) -> tuple[float | None, float | None]:
    """Return the rate of the steepest descent and that of the smallest loss; None if the loss does not fall.

    Args:
        rates: learning rates.
        smooth: the smoothed losses.
        skip: number of steps at the beginning that are not considered.

    >>> find_rates([0.001, 0.01, 0.1, 1.0], [2.0, 1.9, 1.0, 3.0], skip=0)
    (0.01, 0.1)
    """
    values = np.asarray(smooth)
    if len(values) <= skip + 2:
        return None, None
    lowest = skip + int(np.argmin(values[skip:]))
    if lowest == skip or values[0] - values[lowest] < MIN_FALL * abs(values[0]):
        return None, None
    slopes = np.gradient(values, np.log(rates))
    steepest = skip + int(np.argmin(slopes[skip : lowest + 1]))
    return rates[steepest], rates[lowest]


def _repeat_batches(assembly: Assembly) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from assembly.train.epoch(epoch)
