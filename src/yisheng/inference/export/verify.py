"""Verify that an exported file predicts as the run does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.images.resize import resize

TOLERANCE = 1e-4
"""Largest difference that is allowed: of probabilities absolute, of numbers as a fraction of their range."""
RELATIVE_ROUNDING = 1e-6
"""Fraction of the largest number that is allowed on top of it: single precision is not more accurate."""
BATCH_SIZES = (1, 64)
"""Sizes of the batches: one file must accept any."""
MAX_ROWS = 256
ROWS_ONE_BY_ONE = MAX_ROWS // 8
"""Inputs that are given in batches of one."""


@dataclass(frozen=True)
class Agreement:
    """How far a file's predictions are from the run's.

    Args:
        rows: number of inputs.
        largest: the largest difference, by the size of the batches.
        allowed: the largest difference that is allowed.
        other_sizes: the largest difference for images of other sizes; None if the file takes only one size.
    """

    rows: int
    largest: Mapping[int, float]
    allowed: float
    other_sizes: float | None = None


def verify_export(
    predict: Callable[[np.ndarray], np.ndarray],
    predict_original: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    spec: Spec,
    *,
    sizes: tuple[int, ...] = BATCH_SIZES,
    alone: int = ROWS_ONE_BY_ONE,
) -> Agreement:
    """Compare a file's predictions with the run's.

    Args:
        predict: of the file.
        predict_original: of the run.
        x: raw inputs ``(N, *shape)``.
        spec: the contract.
        sizes: sizes of the batches.
        alone: number of inputs that are given in batches of one.

    Raises:
        DataError: a prediction differs by more than is allowed, or has another shape or type.
    """
    expected = predict_original(x)
    allowed = _allowed_difference(expected, spec)
    largest: dict[int, float] = {}
    for size in sizes:
        inputs = x[:alone] if size == 1 else x
        batches = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        actual = np.concatenate([predict(np.ascontiguousarray(batch)) for batch in batches])
        if actual.shape != expected[: len(inputs)].shape or actual.dtype != expected.dtype:
            raise DataError(
                Message(
                    "the exported file returns {dtype} {shape}, the run {run_dtype} {run_shape}",
                    dtype=actual.dtype,
                    shape=actual.shape,
                    run_dtype=expected.dtype,
                    run_shape=expected[: len(inputs)].shape,
                ),
                Message("export in another format"),
            )
        largest[size] = compute_max_difference(actual, expected[: len(inputs)])
    worst_size = max(largest, key=lambda size: largest[size])
    if not largest[worst_size] <= allowed:
        raise DataError(
            Message(
                "the exported file predicts differently from the run: in batches of {worst_size} by up to "
                "{largest}, {allowed} is allowed; nothing was written",
                worst_size=worst_size,
                largest=f"{largest[worst_size]:.3g}",
                allowed=f"{allowed:.3g}",
            ),
            Message("export in another format, and report it with the config of the run"),
        )
    return Agreement(len(x), largest, allowed)


def verify_resizing(
    predict: Callable[[np.ndarray], np.ndarray],
    predict_original: Callable[[np.ndarray], np.ndarray],
    spec: Spec,
    dtype: np.dtype[Any],
) -> float:
    """Compare a file's predictions for random images of several sizes with the run's for the same images, resized.

    Args:
        predict: of the file.
        predict_original: of the run, for images of its own size.
        spec: the contract, for images.
        dtype: type of the raw pixels.

    Returns:
        The largest difference.

    Raises:
        DataError: a prediction differs by more than is allowed.
    """
    channels, height, width = spec.shape
    sizes = (1, 1), (height // 2 + 1, width), (height, width + 1), (2 * height + 3, width), (height, 3 * width + 2)
    random, largest = np.random.default_rng(0), 0.0
    for size in sizes:
        images = random.integers(0, 256, (2, channels, *size)).astype(dtype)
        pixels = images[:, 0] if channels == 1 else images.transpose(0, 2, 3, 1)
        resized = [resize(image, (height, width), spec.fit) for image in pixels]
        x = np.stack([image.reshape(height, width, channels).transpose(2, 0, 1) for image in resized])
        expected = predict_original(np.ascontiguousarray(x))
        difference, allowed = compute_max_difference(predict(images), expected), _allowed_difference(expected, spec)
        if not difference <= allowed:
            raise DataError(
                Message(
                    "the exported file predicts differently from the run for images of {width}x{height}: by up to "
                    "{difference}, {allowed} is allowed; nothing was written",
                    width=size[1],
                    height=size[0],
                    difference=f"{difference:.3g}",
                    allowed=f"{allowed:.3g}",
                ),
                Message("use resize=false, and report it with the config of the run"),
            )
        largest = max(largest, difference)
    return largest


def compute_max_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Compute the largest absolute difference; infinite if only one of two values is a number.

    >>> compute_max_difference(np.array([1.0, np.nan]), np.array([1.5, np.nan]))
    0.5
    >>> compute_max_difference(np.array([np.nan]), np.array([1.0]))
    inf
    """
    is_equal = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        differences = np.abs(actual.astype(np.float64) - expected)
    return float(np.where(is_equal, 0, np.nan_to_num(differences, nan=np.inf)).max(initial=0))


def _allowed_difference(expected: np.ndarray, spec: Spec) -> float:
    if spec.task != "regression" or not np.isfinite(expected).any():
        return TOLERANCE
    finite = expected[np.isfinite(expected)].astype(np.float64)
    return float(TOLERANCE * np.ptp(finite) + RELATIVE_ROUNDING * np.abs(finite).max())
