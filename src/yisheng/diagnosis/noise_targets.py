"""Recorded inputs and targets of the same shape, and whether the targets are noise."""

from __future__ import annotations

import math

import torch

from yisheng.diagnosis.case import Case

MIN_COLUMNS, MIN_VALUES = 2, 60
"""Numbers of a row, and different numbers in all, of which a distribution can be known."""
MAX_MEAN, MAX_STD_ERROR, MAX_KURTOSIS_ERROR, MAX_NEIGHBOR_CORRELATION = 3.0, 3.0, 15.0, 4.0
"""Deviation from mean 0, standard deviation 1, a kurtosis of 3 and no correlation with the next value, each times the
root of the number of values: three standard errors, and four for the correlation."""


def find_pairs(case: Case) -> tuple[torch.Tensor, torch.Tensor] | None:
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


def is_white(noise: torch.Tensor) -> bool:
    """Return whether rows ``(N, D)`` look like standard normal numbers that do not depend on their neighbors.

    >>> is_white(torch.randn(200, 4, generator=torch.Generator().manual_seed(0))), is_white(torch.rand(200, 4))
    (True, False)
    """
    noise = torch.unique(noise, dim=0)
    if noise.numel() < MIN_VALUES or not bool(torch.isfinite(noise).all()):
        return False
    mean, std, root = float(noise.mean()), float(noise.std()), math.sqrt(noise.numel())
    kurtosis = float((noise - mean).pow(4).mean()) / max(std, 1e-12) ** 4
    is_standard = abs(mean) * root < MAX_MEAN and abs(std - 1) * root < MAX_STD_ERROR
    is_normal = abs(kurtosis - 3) * root < MAX_KURTOSIS_ERROR
    return is_standard and is_normal and abs(correlate(noise[:, 1:], noise[:, :-1])) * root < MAX_NEIGHBOR_CORRELATION


def correlate(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the correlation of the deviations of two tables ``(N, D)`` from the means of their columns."""
    a, b = a - a.mean(0), b - b.mean(0)
    size = math.sqrt(float(a.square().sum()) * float(b.square().sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
