"""Bytes that wrap around in training: 250 + 20 is 14 in uint8, so that the brightest values become the darkest."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEVELS = 256
MAX_ROUNDING = 1e-3
"""Distance from an integer of values that were bytes, divided by 255 or not."""
MIN_HIGHEST, MAX_LOWEST = 200.0, 60.0
"""Values that training must reach at both ends: sums that wrap around do."""
MIN_ROWS, MAX_VALUES = 32, 1 << 23
"""Rows that are compared at least, and values of all of them with all cuts."""
CUTS = 24
"""Values of each row below which a wrapped sum may lie that are tried: quantiles."""
MAX_DISTANCE_RATIO, MAX_VARIATION_RATIO = 0.7, 0.8
"""Distance of a row to the nearest one of evaluation, and differences of its neighboring values, with the best cut
relative to those without: of rows that did not wrap around few have such a cut."""
MIN_FRACTION, MIN_FACTOR = 0.25, 5.0
"""Fraction of the rows that have such a cut, and over that of the rows of evaluation."""


@dataclass(frozen=True)
class WrappedRows:
    """Rows of training that are like those of evaluation once their low values are raised by 256.

    Args:
        fraction: of the rows of training.
        other_fraction: of the rows of evaluation, for comparison.
    """

    fraction: float
    other_fraction: float


def find_wrapped_rows(rows: torch.Tensor, evaluated: torch.Tensor) -> WrappedRows | None:
    """Return how many images of training have values that wrapped around, or None if hardly any.

    For each row the values below a cut are raised by 256. A row that wrapped around is then nearer to those of
    evaluation (up to brightness and contrast), or smoother.

    Args:
        rows: of training ``(N, C, H, W)``, bytes, perhaps divided by 255.
        evaluated: of evaluation, on the same scale.
    """
    scale = _find_scale(rows)
    if scale is None or rows.ndim != 4:
        return None
    count = max(MIN_ROWS, MAX_VALUES // (CUTS * rows[0].numel()))
    rows, evaluated = (part[:: -(-len(part) // count)] * scale for part in (rows, evaluated))
    fractions = [
        (_compare_nearest(rows, evaluated), _compare_nearest(evaluated, evaluated, is_same=True)),
        (_compare_variation(rows), _compare_variation(evaluated)),
    ]
    fraction, evaluated_fraction = max(fractions, key=lambda pair: pair[0] - pair[1])
    return (
        WrappedRows(fraction, evaluated_fraction)
        if fraction > max(MIN_FRACTION, MIN_FACTOR * evaluated_fraction)
        else None
    )


def _find_scale(rows: torch.Tensor) -> float | None:
    """Return what makes the values integers from 0 to 255, or None."""
    for scale in (1.0, LEVELS - 1.0):
        values = rows * scale
        is_bytes = float((values - values.round()).abs().max()) < MAX_ROUNDING and float(values.min()) >= 0
        if is_bytes and MIN_HIGHEST <= float(values.max()) < LEVELS and float(values.min()) < MAX_LOWEST:
            return scale
    return None


def _raise_low_values(rows: torch.Tensor) -> torch.Tensor:
    """Return rows whose values below each of several cuts are raised by 256 ``(CUTS, N, C, H, W)``."""
    levels = torch.linspace(0, 1, CUTS + 2, dtype=rows.dtype)[1:-1]
    cuts = rows.flatten(1).quantile(levels, 1, interpolation="higher")
    return rows + LEVELS * (rows < cuts[:, :, None, None, None]).to(rows.dtype)


def _compare_nearest(rows: torch.Tensor, evaluated: torch.Tensor, *, is_same: bool = False) -> float:
    """Return the fraction of rows that a cut brings far nearer to another row of evaluation."""
    standardized = _standardize(evaluated)
    excluded = torch.eye(len(standardized), dtype=torch.bool) if is_same else torch.zeros(1, 1, dtype=torch.bool)

    def measure(part: torch.Tensor) -> torch.Tensor:
        return torch.cdist(_standardize(part), standardized).masked_fill(excluded, torch.inf).amin(1)

    raised = torch.stack([measure(part) for part in _raise_low_values(rows)]).amin(0)
    return float((raised < MAX_DISTANCE_RATIO * measure(rows)).float().mean())


def _standardize(rows: torch.Tensor) -> torch.Tensor:
    values = rows.flatten(1)
    return (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True).clamp(min=1e-6)


def _compare_variation(rows: torch.Tensor) -> float:
    """Return the fraction of rows that a cut makes far smoother."""
    raised = _variation(_raise_low_values(rows)).amin(0)
    return float((raised < MAX_VARIATION_RATIO * _variation(rows)).float().mean())


def _variation(rows: torch.Tensor) -> torch.Tensor:
    """Return the mean difference of neighboring values of each row ``(..., C, H, W)`` -> ``(...)``."""
    return (rows[..., 1:] - rows[..., :-1]).abs().flatten(-3).mean(-1)
