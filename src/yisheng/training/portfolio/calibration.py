"""Temperature and class offsets of an ensemble, from out-of-fold predictions, where they win on other folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

MIN_PROBABILITY = 1e-9
TEMPERATURES = np.exp(np.linspace(-1.2, 1.6, 57))
LOG_TEMPERATURE_STD = 0.2
"""Standard deviation of the logarithms of temperatures before the rows are seen: a few rows that are all predicted
correctly say nothing about the next one."""
OFFSETS = np.linspace(-1.5, 1.5, 31)
MAX_OFFSET_CLASSES = 20
SWEEPS = 2
MIN_FOLD_GAIN_T = 1.0
"""Offsets must win by more than this many standard errors of the gains of the folds."""
Score = Callable[[np.ndarray, np.ndarray], float]
"""``(y, probabilities) -> score``, higher is better."""


def choose_temperature(probabilities: np.ndarray, y: np.ndarray, folds: Sequence[np.ndarray]) -> float:
    """Return the temperature T of softmax(log p / T) that is most probable; 1 if it does not win out of fold.

    It minimizes Σ_n loss_n(T) + (log T / s)² / 2, where s is the standard deviation of log T before the rows are seen:
    with many rows the log-loss decides, with few the temperature stays near 1.

    Args:
        probabilities: out-of-fold, ``(N, C)``, or ``(N, L)`` of labels.
        y: classes ``(N,)`` or labels ``(N, L)``.
        folds: row numbers of each fold.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """

    def losses(temperature: float) -> np.ndarray:
        return _log_losses(scale_probabilities(probabilities, temperature, exclusive=y.ndim == 1), y)

    table = np.stack([losses(temperature) for temperature in TEMPERATURES])
    prior = (np.log(TEMPERATURES) / LOG_TEMPERATURE_STD) ** 2 / 2
    gains = []
    for fold in folds:
        other_rows = np.setdiff1d(np.arange(len(y)), fold)
        if len(fold) and len(other_rows):
            chosen = int((table[:, other_rows].sum(1) + prior).argmin())
            gains.append(losses(1.0)[fold] - table[chosen, fold])
    if not gains or np.concatenate(gains).mean() <= 0:
        return 1.0
    return float(TEMPERATURES[(table.sum(1) + prior).argmin()])


def scale_probabilities(probabilities: np.ndarray, temperature: float, *, exclusive: bool = True) -> np.ndarray:
    """Return probabilities with their logits divided by a temperature; each label by itself if not ``exclusive``.

    >>> scale_probabilities(np.array([[0.2, 0.8]]), 0.5).round(2)
    array([[0.06, 0.94]])
    """
    p = probabilities.astype(np.float64).clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    powers: np.ndarray = p ** (1 / temperature)
    if exclusive:
        return powers / powers.sum(1, keepdims=True)
    return powers / (powers + (1 - p) ** (1 / temperature))


def choose_offsets(probabilities: np.ndarray, y: np.ndarray, folds: Sequence[np.ndarray], score: Score) -> list[float]:
    """Return an offset of each class's logit that improves a score of the decisions; none if they do not win.

    Offsets that are chosen without a fold must be better than none on the rows of that fold, by more than the standard
    error over the folds.

    Args:
        probabilities: out-of-fold ``(N, C)``.
        y: classes ``(N,)``.
        folds: row numbers of each fold.
        score: accuracy, for example.
    """
    classes = probabilities.shape[1]
    logits = np.log(probabilities.clip(MIN_PROBABILITY))
    if classes > MAX_OFFSET_CLASSES:
        return []
    gains = []
    for fold in folds:
        other_rows = np.setdiff1d(np.arange(len(y)), fold)
        if len(fold) < 2 or len(other_rows) < 2:
            continue
        offsets = _search_offsets(logits[other_rows], y[other_rows], score)
        gains.append(_score(logits[fold] + offsets, y[fold], score) - _score(logits[fold], y[fold], score))
    if len(gains) < 2:
        return []
    standard_error = float(np.std(gains, ddof=1)) / len(gains) ** 0.5
    if not np.mean(gains) > max(MIN_FOLD_GAIN_T * standard_error, 0.0):
        return []
    return [float(offset) for offset in _search_offsets(logits, y, score)]


def _search_offsets(logits: np.ndarray, y: np.ndarray, score: Score) -> np.ndarray:
    """Return the best offsets, one class after the other; of equally good ones the middle."""
    offsets = np.zeros(logits.shape[1])
    free = range(1, 2) if len(offsets) == 2 else range(len(offsets))
    for _ in range(1 if len(offsets) == 2 else SWEEPS):
        for label in free:
            values = []
            for offset in OFFSETS:
                trial = offsets.copy()
                trial[label] = offset
                values.append(_score(logits + trial, y, score))
            best = np.flatnonzero(np.isclose(values, np.nanmax(values), rtol=0, atol=1e-12))
            offsets[label] = OFFSETS[best[np.abs(OFFSETS[best]).argmin()]] if len(best) > 3 else OFFSETS[best].mean()
    return offsets


def _score(logits: np.ndarray, y: np.ndarray, score: Score) -> float:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return score(y, shifted / shifted.sum(1, keepdims=True))


def _log_losses(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    p = probabilities.clip(MIN_PROBABILITY, 1.0)
    if y.ndim == 1:
        losses: np.ndarray = -np.log(p[np.arange(len(y)), y])
        return losses
    labels: np.ndarray = -np.log(np.where(y > 0.5, p, (1 - p).clip(MIN_PROBABILITY))).mean(1)
    return labels
