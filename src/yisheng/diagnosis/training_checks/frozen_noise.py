"""Noise that is drawn once and learned by heart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import torch

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_ROWS, MIN_COLUMNS, MIN_VALUES = 40, 2, 60
"""Rows, numbers of each, and different numbers in all, of which a distribution can be known."""
MAX_MEAN, MAX_STD_ERROR, MAX_KURTOSIS_ERROR, MAX_NEIGHBOR_CORRELATION = 3.0, 3.0, 15.0, 4.0
"""Deviation from mean 0, standard deviation 1, a kurtosis of 3 and no correlation with the next value, each times the
root of the number of values: three standard errors, and four for the correlation."""
MIN_CORRELATION, MAX_CORRELATION = 0.15, 0.995
"""Correlation of a target with the input at the same place: it is part of it, and not all of it."""
MAX_CROSS = 0.35
"""Correlation with the input at another place, relative to that."""
MIN_REPETITIONS = 3
"""Rows that come again with the same noise: numbers that are drawn in each step never do."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    pairs = _find_pairs(case)
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
    pairs = _find_pairs(case)
    assert pairs is not None  # ensured by needs
    x, noise = pairs
    if not _is_white(noise) or not _is_part(x, noise):
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


def _find_pairs(case: Case) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return recorded inputs and targets ``(N, D)`` of equal shapes, or None."""
    inputs, targets = [], []
    for record in case.records:
        if record.rows is None or record.targets is None or not record.targets.is_floating_point():
            continue
        x, y = record.rows[0], record.targets[: len(record.rows[0])]
        if x.shape == y.shape and x.is_floating_point() and x[0].numel() >= MIN_COLUMNS:
            inputs.append(x.flatten(1).float().cpu())
            targets.append(y.flatten(1).float().cpu())
    if not inputs or len({part.shape[1] for part in inputs}) > 1:
        return None
    return torch.cat(inputs), torch.cat(targets)


def _is_white(noise: torch.Tensor) -> bool:
    """Return whether values look like standard normal numbers that do not depend on their neighbors."""
    noise = torch.unique(noise, dim=0)
    if noise.numel() < MIN_VALUES or not bool(torch.isfinite(noise).all()):
        return False
    mean, std, root = float(noise.mean()), float(noise.std()), math.sqrt(noise.numel())
    kurtosis = float((noise - mean).pow(4).mean()) / max(std, 1e-12) ** 4
    is_standard = abs(mean) * root < MAX_MEAN and abs(std - 1) * root < MAX_STD_ERROR
    is_normal = abs(kurtosis - 3) * root < MAX_KURTOSIS_ERROR
    return is_standard and is_normal and abs(_correlate(noise[:, 1:], noise[:, :-1])) * root < MAX_NEIGHBOR_CORRELATION


def _is_part(x: torch.Tensor, noise: torch.Tensor) -> bool:
    """Return whether each target is a part of the input at its place, and of no other."""
    at_its_place, elsewhere = _correlate(x, noise), _correlate(x.roll(1, 1), noise)
    return MIN_CORRELATION < at_its_place < MAX_CORRELATION and abs(elsewhere) < MAX_CROSS * at_its_place


def _correlate(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a - a.mean(0), b - b.mean(0)
    size = math.sqrt(float(a.square().sum()) * float(b.square().sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
