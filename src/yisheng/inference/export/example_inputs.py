"""Random inputs in the range of the training data, which is read from the fitted transform."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from yisheng.core import nested
from yisheng.core.input_spec import InputSpec
from yisheng.core.spec import Spec
from yisheng.transforms._row_chunks import channel_axis

MISSING_FRACTION = 0.1


def draw_example_inputs(spec: Spec, scale: Any, n: int, seed: int = 0) -> np.ndarray:
    """Draw random raw inputs in the range of the training part.

    Images are uniform noise. Numbers are drawn between the minimum and maximum of the training part, or within three
    standard deviations of its mean, depending on what the fitted transform stores; -1 stands for a category that did
    not occur in training. If the transform fills in missing values, one value in ten is missing (NaN).

    Args:
        spec: the spec of the raw inputs.
        scale: the fitted input transform.
        n: number of inputs N.
        seed: seed of the random generator.

    Returns:
        uint8 ``(N, C, H, W)``, float32 ``(N, D)``, or what else the data set holds.

    >>> from yisheng.transforms.unit import unit
    >>> draw_example_inputs(Spec("regression", (1,)), unit((10.0,), (20.0,)), 3).round().tolist()
    [[16.0], [13.0], [10.0]]
    """
    if spec.inputs:
        items = zip(spec.inputs, scale.fitted, strict=True)
        drawn = [(item, draw_example_inputs(_spec_of_input(item), fitted, n, seed)) for item, fitted in items]
        parts = [values.reshape(n, *item.shape).astype(item.dtype) for item, values in drawn]
        names = [item.name for item in spec.inputs]
        return nested.pack(dict(zip(names, parts, strict=True)) if names[0] else parts)[0]
    random = np.random.default_rng(seed)
    if spec.is_image or spec.dtype == "uint8":
        noise = random.integers(0, 256, (n, *spec.shape), dtype=np.uint8)
        return noise.astype(spec.image_values.stored) if spec.is_image else noise
    fitted = {field.name: getattr(scale, field.name) for field in dataclasses.fields(scale)}
    if spec.dtype == "int64":
        return random.integers(int(fitted["low"]), int(fitted["high"]) + 1, (n, *spec.shape))
    if not spec.is_row:
        axis = channel_axis(1 + len(spec.shape))
        bounds = _read_ranges(fitted, spec.shape[axis - 1])
        low, high = (bound.reshape(-1, *[1] * (len(spec.shape) - axis)) for bound in bounds)
        return random.uniform(low, high, (n, *spec.shape)).astype(np.float32)
    D = spec.shape[0]
    low, high = _read_ranges(fitted, D)
    x = random.uniform(low, high, (n, D))
    for column, kind in enumerate(fitted.get("kinds", ())):
        if kind == "yes/no":
            x[:, column] = random.integers(0, 2, n)
        elif kind == "category":
            x[:, column] = random.integers(-1, max(1, len(spec.columns[column].categories)), n)
    if "kinds" in fitted:
        x[random.random((n, D)) < MISSING_FRACTION] = np.nan
    return x if spec.is_double else x.astype(np.float32)


def _spec_of_input(item: InputSpec) -> Spec:
    """Return the spec of one of several inputs, one value a row as one column; bytes are drawn as bytes."""
    return Spec("regression", item.shape or (1,), dtype=item.dtype)


def _read_ranges(fitted: dict[str, Any], D: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the minimum and maximum of each column, ``(D,)`` each, from the fields of a fitted transform."""
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
