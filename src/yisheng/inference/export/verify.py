"""Whether an exported file answers as the run does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Spec

TOLERANCE = 1e-4
"""Largest difference that is allowed: of probabilities as it is, of numbers as a part of the range of the answers."""
ROUNDING = 1e-6
"""Of numbers also this part of the largest of them: single precision holds no more."""
SIZES = (1, 64)
"""How many inputs are given at a time: one file must take any number."""
ROWS = 256
"""Inputs that are looked at; one at a time an eighth of them."""


@dataclass(frozen=True)
class Agreement:
    """How far a file's answers are from the run's.

    Args:
        rows: inputs that were looked at.
        largest: the largest difference by the number of inputs given at a time.
        allowed: the largest difference that would have been allowed.
    """

    rows: int
    largest: Mapping[int, float]
    allowed: float


def check(
    answer: Callable[[np.ndarray], np.ndarray],
    outputs: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    spec: Spec,
    *,
    sizes: tuple[int, ...] = SIZES,
    alone: int = ROWS // 8,
) -> Agreement:
    """Compare a file's answers with the run's own.

    Args:
        answer: of the file.
        outputs: of the run.
        x: raw inputs ``(N, *shape)``.
        spec: the contract.
        sizes: numbers of inputs to give at a time.
        alone: of ``x`` so many are given one at a time.

    Raises:
        DataError: an answer differs by more than is allowed, or is of another form.
    """
    wanted = outputs(x)
    allowed = _allowed(wanted, spec)
    largest: dict[int, float] = {}
    for size in sizes:
        some = x[:alone] if size == 1 else x
        got = np.concatenate([answer(np.ascontiguousarray(some[at : at + size])) for at in range(0, len(some), size)])
        if got.shape != wanted[: len(some)].shape or got.dtype != np.float32:
            raise DataError(
                f"the exported file gives {got.dtype} {got.shape}, the run float32 {wanted[: len(some)].shape}",
                "export in another format",
            )
        largest[size] = difference(got, wanted[: len(some)])
    worst = max(largest, key=lambda size: largest[size])
    if not largest[worst] <= allowed:
        raise DataError(
            f"the exported file answers other than the run: in batches of {worst} by up to {largest[worst]:.3g}, "
            f"{allowed:.3g} is allowed; nothing was written",
            "export in another format, and report it with the config of the run",
        )
    return Agreement(len(x), largest, allowed)


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest absolute difference; infinite where only one of two is a number.

    >>> difference(np.array([1.0, np.nan]), np.array([1.5, np.nan])), difference(np.array([np.nan]), np.array([1.0]))
    (0.5, inf)
    """
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        apart = np.abs(got.astype(np.float64) - wanted)
    return float(np.where(same, 0, np.nan_to_num(apart, nan=np.inf)).max(initial=0))


def _allowed(wanted: np.ndarray, spec: Spec) -> float:
    if spec.task != "regression" or not np.isfinite(wanted).any():
        return TOLERANCE
    there = wanted[np.isfinite(wanted)].astype(np.float64)
    return float(TOLERANCE * np.ptp(there) + ROUNDING * np.abs(there).max())
