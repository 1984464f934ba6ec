"""Series of evaluation with another sampling rate than those of training: all their frequencies are changed alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from yisheng.diagnosis.row_distance import find_match

MIN_SAMPLES, MAX_CHANNELS = 32, 16
"""Samples of a series, below which its spectrum is too coarse, and channels whose spectra are added."""
PADDING = 4
"""How finely spectra are interpolated."""
QUANTILES = (0.1, 0.25, 0.5)
"""Parts of the power above the noise that lie below the frequencies which are compared, next to that of the peak."""
NOISE_FACTOR = 2.0
"""Power relative to the median one, below which it is noise."""
MIN_RATE, MAX_RATE, RATES_PER_OCTAVE = 1.25, 4.0, 8
"""Sampling rates of evaluation relative to that of training, or the inverse, that are tried: speed that is drawn again
in training, as an augmentation, changes them by 10%."""
MIN_DISTANCE, MAX_REMAINING = 0.03, 0.3
"""Distance of the frequencies as they are, and the part of it that another rate may leave."""
MIN_SMOOTHNESS = 0.2
"""Correlation of a value with the next one: columns of a table have none."""


@dataclass(frozen=True)
class RateChange:
    """The sampling rate of evaluation relative to that of training.

    Args:
        ratio: of the rates.
        distance: of the frequencies as they are.
        remaining: with that rate.
    """

    ratio: float
    distance: float
    remaining: float


def find_rate_change(rows: torch.Tensor, evaluated: torch.Tensor) -> RateChange | None:
    """Return how many times as many samples evaluation takes of the same time as training, or None.

    With another rate the logarithm of each frequency is changed by the same number: the peak of the spectrum, and the
    frequencies below which a tenth, a quarter and half of its power lie.

    Args:
        rows: of training ``(N, C, T)``.
        evaluated: of evaluation, likewise.

    >>> time, pitch = torch.arange(64), torch.linspace(0.1, 0.3, 80)[:, None]
    >>> a, b = (torch.sin(6.28 * pitch * time / rate)[:, None] for rate in (1, 2))
    >>> find_rate_change(a, b).ratio, find_rate_change(a, a)
    (2.0, None)
    """
    if rows.shape[2] < MIN_SAMPLES or rows.shape[1] > MAX_CHANNELS or _measure_smoothness(rows) < MIN_SMOOTHNESS:
        return None
    steps = range(-RATES_PER_OCTAVE * 2, RATES_PER_OCTAVE * 2 + 1)
    ratios = [2 ** (step / RATES_PER_OCTAVE) for step in steps]
    ratios = [ratio for ratio in ratios if MIN_RATE <= max(ratio, 1 / ratio) <= MAX_RATE]
    (peaks, quantiles), (other_peaks, other_quantiles) = _view_frequencies(rows), _view_frequencies(evaluated)
    changes = []
    for view, evaluated_view in ((peaks, other_peaks), (quantiles, other_quantiles)):
        candidates = [evaluated_view, *(evaluated_view + math.log(ratio) for ratio in ratios)]
        match = find_match(view, candidates, min_distance=MIN_DISTANCE, max_remaining=MAX_REMAINING)
        if match is not None:
            changes.append(RateChange(ratios[match.number], match.distance, match.remaining))
    return min(changes, key=lambda change: change.remaining / change.distance, default=None)


def _measure_smoothness(rows: torch.Tensor) -> float:
    centered = rows - rows.mean(2, keepdim=True)
    power = float(centered.square().mean())
    return float((centered[..., 1:] * centered[..., :-1]).mean()) / power if power > 0 else 0.0


def _view_frequencies(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logarithms of the frequency of the peak ``(N, 1)``, and of some quantiles of the power ``(N, Q)``."""
    samples = rows.shape[2]
    centered = (rows - rows.mean(2, keepdim=True)) * torch.hann_window(samples, dtype=rows.dtype)
    power = torch.fft.rfft(centered, n=PADDING * samples).abs().square().mean(1)
    power[:, :PADDING] = 0  # less than one period
    peak = power.argmax(1, keepdim=True).clamp(min=1).to(rows.dtype)
    signal = (power - NOISE_FACTOR * power.median(1, keepdim=True).values).clamp(min=0)
    fraction = signal.cumsum(1) / signal.sum(1, keepdim=True).clamp(min=1e-30)
    quantiles = [(fraction < quantile).sum(1).clamp(min=1).to(rows.dtype) for quantile in QUANTILES]
    return peak.log(), torch.stack(quantiles, 1).log()
