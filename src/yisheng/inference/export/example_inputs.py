"""Random inputs in the range of the training data, which is known from the fitted transform."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from yisheng.core.types import Spec

MISSING_FRACTION = 0.1


def draw_example_inputs(spec: Spec, scale: Any, n: int, seed: int = 0) -> np.ndarray:
    """Draw raw inputs in the range of the training part.

    Images are noise, uint8. Numbers are between the smallest and the largest of the training part, or within three
    standard deviations of its mean, whichever the fitted transform knows; categories include one that training has not
    seen; one value in ten is missing if the transform fills in missing values.

    Args:
        spec: the contract.
        scale: the fitted input transform.
        n: number of inputs.
        seed: of the random generator.

    Returns:
        uint8 ``(N, C, H, W)`` or float32 ``(N, D)``.

    >>> from yisheng.transforms.unit import unit
    >>> draw_example_inputs(Spec("regression", (1,)), unit((10.0,), (20.0,)), 3).round().tolist()
    [[16.0], [13.0], [10.0]]
    """
    random = np.random.default_rng(seed)
    if spec.is_image:
        return random.integers(0, 256, (n, *spec.shape), dtype=np.uint8)
    D = spec.shape[0]
    fitted = {field.name: getattr(scale, field.name) for field in dataclasses.fields(scale)}
    low, high = _read_ranges(fitted, D)
    x = random.uniform(low, high, (n, D))
    for column, kind in enumerate(fitted.get("kinds", ())):
        if kind == "yes/no":
            x[:, column] = random.integers(0, 2, n)
        elif kind == "category":
            x[:, column] = random.integers(-1, max(1, len(spec.columns[column].categories)), n)
    if "kinds" in fitted:
        x[random.random((n, D)) < MISSING_FRACTION] = np.nan
    return x.astype(np.float32)


def _read_ranges(fitted: dict[str, Any], D: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest value of each column ``(D,)``, from the fields of a fitted transform."""
    if "low" in fitted:
        return np.array(fitted["low"]), np.array(fitted["high"])
    if "kinds" in fitted:
        low, high = np.zeros(D), np.ones(D)
        numbers = [column for column, kind in enumerate(fitted["kinds"]) if kind == "number"]
        if numbers:
            knots = np.array(fitted["knots"]).reshape(len(numbers), -1)
            low[numbers], high[numbers] = knots[:, 0], knots[:, -1]
        return low, high
    if "mean" in fitted:
        mean, std = np.array(fitted["mean"]), np.array(fitted["std"])
        return mean - 3 * std, mean + 3 * std
    return np.full(D, -3.0), np.full(D, 3.0)
