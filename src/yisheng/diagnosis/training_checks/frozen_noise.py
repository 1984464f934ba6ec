"""Noise that is drawn once and learned by heart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.noise_targets import correlate, find_pairs, is_white
from yisheng.diagnosis.wording import describe_shortage

MIN_ROWS = 40
"""Rows of which a distribution can be known."""
MIN_CORRELATION, MAX_CORRELATION = 0.15, 0.995
"""Correlation of a target with the input at the same place: it is part of it, and not all of it."""
MAX_CROSS = 0.35
"""Correlation with the input at another place, relative to that."""
MIN_REPETITIONS = 3
"""Rows that come again with the same noise: numbers that are drawn in each step never do."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    pairs = find_pairs(case)
    if pairs is None:
        return Message("the targets are not numbers of the shape of the inputs")
    return describe_shortage(MIN_ROWS, len(pairs[0]), Message("recorded rows"))


@register(needs=explain_skip, when="during", cause="structure", explains=("overfitting", "memorization", "instant-fit"))
def frozen_noise(case: Case) -> Iterator[Finding]:
    """Find a network that is to predict the noise of its inputs, of which each row always has the same.

    The targets are standard normal numbers that do not depend on one another, each of them is a part of the input at
    its place, and rows with their noise come again. The network can then learn them by heart.

    Args:
        case: rows of its inputs and targets.

    Source: Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020, algorithm 1 (noise is drawn in each
    step).
    """
    pairs = find_pairs(case)
    assert pairs is not None  # ensured by needs
    x, noise = pairs
    if not is_white(noise) or not _is_part(x, noise):
        return
    counts = Counter(torch.cat([x, noise], 1)[i].numpy().tobytes() for i in range(len(x)))
    repetitions = sum(count - 1 for count in counts.values())
    if repetitions < MIN_REPETITIONS:
        return
    yield Finding(
        "frozen-noise",
        "error",
        {"rows": len(x), "rows that came again with the same noise": repetitions},
        Message(
            "the targets are the noise of the inputs, and of {rows} recorded rows {count} came again with the same "
            "noise: it was drawn once, and the network learns it by heart",
            rows=len(x),
            count=repetitions,
        ),
        Message("draw noise and times in each step: torch.randn_like(x), torch.rand(len(x))"),
        source=case.sources.get("loss", ""),
    )


def _is_part(x: torch.Tensor, noise: torch.Tensor) -> bool:
    """Return whether each target is a part of the input at its place, and of no other."""
    at_its_place, elsewhere = correlate(x, noise), correlate(x.roll(1, 1), noise)
    return MIN_CORRELATION < at_its_place < MAX_CORRELATION and abs(elsewhere) < MAX_CROSS * at_its_place
