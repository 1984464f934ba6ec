"""Relu units that answer nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from yisheng.diagnosis.case import PATIENCE, Case

RUNNING, SHARE, SAMPLES = 3, 0.9, 48


@dataclass(frozen=True)
class Dead:
    """A layer of relu units that are nearly all zero for every sample.

    Args:
        layer: as in `watch.Bend`.
        share: of its units.
        samples: that they were zero for.
        born: whether it was so before the first update.
    """

    layer: str
    share: float
    samples: int
    born: bool


def dead_layer(case: Case) -> Dead | None:
    """The first layer found dead in the last steps that were looked at, three of them or more."""
    bends = [bend for moment in case.moments for bend in moment.bends if bend.zero is not None]
    for name in dict.fromkeys(bend.name for bend in bends):
        seen = [bend for bend in bends if bend.name == name]
        last: list[torch.Tensor] = []
        samples = 0
        for bend in reversed(seen):
            assert bend.zero is not None
            last.append(bend.zero == 1)
            samples += bend.samples
            if samples >= SAMPLES and len(last) >= RUNNING:
                break
        if samples < SAMPLES or len(last) < RUNNING or len({len(one) for one in last}) > 1:
            continue
        share = float(torch.stack(last).all(0).float().mean())
        first = seen[0].zero
        if first is not None and share >= SHARE and (share == 1 or len(case.losses) >= 2 * PATIENCE):
            return Dead(name, share, samples, float((first == 1).float().mean()) >= SHARE)
    return None
