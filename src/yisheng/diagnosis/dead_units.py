"""Relu units that answer nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from yisheng.diagnosis.case import MIN_LOSSES_TO_JUDGE, Case

MIN_STEPS, MIN_DEAD_FRACTION, MIN_SAMPLES = 3, 0.9, 48


@dataclass(frozen=True)
class DeadLayer:
    """A layer of relu units that are nearly all zero for every sample.

    Args:
        layer: as in `watch.Bend`.
        share: of its units.
        samples: that they were zero for.
        born: whether it was so before the first update.
    """

    layer: str
    fraction: float
    samples: int
    dead_from_start: bool


def find_dead_layer(case: Case) -> DeadLayer | None:
    """The first layer found dead in the last steps that were looked at, three of them or more."""
    bends = [bend for moment in case.records for bend in moment.activations if bend.zero_fraction is not None]
    for name in dict.fromkeys(bend.name for bend in bends):
        seen = [bend for bend in bends if bend.name == name]
        last: list[torch.Tensor] = []
        samples = 0
        for bend in reversed(seen):
            assert bend.zero_fraction is not None
            last.append(bend.zero_fraction == 1)
            samples += bend.samples
            if samples >= MIN_SAMPLES and len(last) >= MIN_STEPS:
                break
        if samples < MIN_SAMPLES or len(last) < MIN_STEPS or len({len(one) for one in last}) > 1:
            continue
        share = float(torch.stack(last).all(0).float().mean())
        first = seen[0].zero_fraction
        if first is not None and share >= MIN_DEAD_FRACTION and (share == 1 or len(case.losses) >= 2 * MIN_LOSSES_TO_JUDGE):
            return DeadLayer(name, share, samples, float((first == 1).float().mean()) >= MIN_DEAD_FRACTION)
    return None
