"""Inputs like those of the training, drawn from what was fitted on it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from yisheng.core.types import Spec


def drawn(spec: Spec, scale: Any, n: int, seed: int = 0) -> np.ndarray:
    """Raw inputs in the range of the training part.

    Images are noise, uint8. Numbers lie between the smallest and the largest of the training part, or within three
    standard deviations of its mean, as far as the fitted scaling knows them; categories may be any level, or one that
    was never seen; one value in ten is missing where the scaling fills it in.

    Args:
        spec: the contract.
        scale: the fitted scaling.
        n: how many.
        seed: of the draw.

    Returns:
        uint8 ``(N, C, H, W)`` or float32 ``(N, D)``.

    >>> from yisheng.transforms.unit import unit
    >>> drawn(Spec("regression", (1,)), unit((10.0,), (20.0,)), 3).round().tolist()
    [[16.0], [13.0], [10.0]]
    """
    draw = np.random.default_rng(seed)
    if spec.is_image:
        return draw.integers(0, 256, (n, *spec.shape), dtype=np.uint8)
    D = spec.shape[0]
    fitted = {field.name: getattr(scale, field.name) for field in dataclasses.fields(scale)}
    low, high = _range(fitted, D)
    x = draw.uniform(low, high, (n, D))
    for place, kind in enumerate(fitted.get("kinds", ())):
        if kind == "yes/no":
            x[:, place] = draw.integers(0, 2, n)
        elif kind == "category":
            x[:, place] = draw.integers(-1, max(1, len(spec.columns[place].levels)), n)
    if "kinds" in fitted:
        x[draw.random((n, D)) < 0.1] = np.nan
    return x.astype(np.float32)


def _range(fitted: dict[str, Any], D: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each column."""
    if "low" in fitted:
        return np.array(fitted["low"]), np.array(fitted["high"])
    if "kinds" in fitted:
        low, high = np.zeros(D), np.ones(D)
        numbers = [place for place, kind in enumerate(fitted["kinds"]) if kind == "number"]
        if numbers:
            knots = np.array(fitted["knots"]).reshape(len(numbers), -1)
            low[numbers], high[numbers] = knots[:, 0], knots[:, -1]
        return low, high
    if "mean" in fitted:
        mean, std = np.array(fitted["mean"]), np.array(fitted["std"])
        return mean - 3 * std, mean + 3 * std
    return np.full(D, -3.0), np.full(D, 3.0)
