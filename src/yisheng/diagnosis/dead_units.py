"""Find relu units that are zero for every sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from yisheng.diagnosis.case import MIN_LOSSES_TO_JUDGE, Case
from yisheng.diagnosis.recorder.records import ActivationRecord

MIN_STEPS, MIN_DEAD_FRACTION, MIN_SAMPLES = 3, 0.9, 48
"""Recorded steps, fraction of a layer's units that are zero, and values of each unit: a unit that is active for one
sample in ten is zero for 48 of them once in 150 times."""


@dataclass(frozen=True)
class DeadLayer:
    """A layer of relu units that are nearly all zero for every sample.

    Args:
        layer: its position, as ``after conv1.weight``.
        fraction: fraction of its units that are zero.
        samples: samples that they are zero for.
        dead_from_start: whether it was so before the first update.
    """

    layer: str
    fraction: float
    samples: int
    dead_from_start: bool


def find_dead_layer(case: Case) -> DeadLayer | None:
    """Return the first layer that is dead in the last recorded steps, or None."""
    relus = [relu for record in case.records for relu in record.activations if relu.zero_fraction is not None]
    for name in dict.fromkeys(relu.name for relu in relus):
        history = [relu for relu in relus if relu.name == name]
        dead, samples = _dead_in_last_steps(history)
        if samples < MIN_SAMPLES or len(dead) < MIN_STEPS or len({len(units) for units in dead}) > 1:
            continue
        fraction = float(torch.stack(dead).all(0).float().mean())
        start = history[0].zero_fraction
        can_judge = fraction == 1 or len(case.losses) >= 2 * MIN_LOSSES_TO_JUDGE
        if start is not None and fraction >= MIN_DEAD_FRACTION and can_judge:
            dead_from_start = float((start == 1).float().mean()) >= MIN_DEAD_FRACTION
            return DeadLayer(name, fraction, samples, dead_from_start)
    return None


def _dead_in_last_steps(history: Sequence[ActivationRecord]) -> tuple[list[torch.Tensor], int]:
    """Return which units are zero throughout each of the last steps, and the number of samples in these steps."""
    dead: list[torch.Tensor] = []
    samples = 0
    for relu in reversed(history):
        assert relu.zero_fraction is not None
        dead.append(relu.zero_fraction == 1)
        samples += relu.samples
        if samples >= MIN_SAMPLES and len(dead) >= MIN_STEPS:
            break
    return dead, samples
