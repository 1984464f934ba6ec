"""The importance of each parameter of a search for the score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MIN_TRIALS = 8
"""Trials with a score below which nothing can be learned about their parameters."""
TREES = 64
BACKGROUND_SETTINGS = 256
"""Settings of the other parameters to average over."""
PARAMETER_VALUES = 32
"""Values of the parameter itself."""


def compute_importance(
    axes: Sequence[Mapping[str, Any]],
    settings: Sequence[Mapping[str, Any]],
    scores: Sequence[float | None],
) -> dict[str, float] | None:
    """Compute the fraction of the score's variance that each parameter explains by itself.

    A forest f of regression trees learns the score from the settings. With a_j(v) the mean of f over the whole space
    where parameter j has value v, the fraction is

        R² Var_v[a_j(v)] / Var[f],

    the first-order term of the functional analysis of variance, times the fraction R² of the scores' variance that the
    trees explain on trials they were not fitted on (out of bag), so that noise does not count as importance. The
    fractions add up to R² at most: the remaining variance comes from interactions of parameters, from the randomness
    of trainings, and from the small number of trials. Scores beyond one and a half quartile ranges from the quartiles
    (Tukey's fences) are clipped, so that one diverged trial does not dominate the variance.

    Args:
        axes: as in ``trials.json``: ``name``, ``kind``, ``values`` (of a choice), ``low`` and ``high`` (of a range).
        settings: settings of the trials.
        scores: mean score of each trial; None and non-finite ones are ignored.

    Returns:
        Parameter's name -> fraction, 0 to 1. None for fewer than 8 trials with a score, for equal scores, or if the
        trees predict no better than the mean (R² <= 0).

    Source: Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance" (2014),
        section 3.

    >>> axes = [{"name": name, "kind": "uniform", "low": 0, "high": 1} for name in ("lr", "weight_decay")]
    >>> settings = [{"lr": i / 12, "weight_decay": i * 5 % 12 / 12} for i in range(12)]
    >>> importance = compute_importance(axes, settings, [s["lr"] for s in settings])
    >>> importance["lr"] > 0.7, importance["weight_decay"] < 0.1
    (True, True)
    >>> compute_importance(axes, settings[:7], [0.0] * 7) is None
    True
    """
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    scored = [(s, float(y)) for s, y in zip(settings, scores, strict=True) if y is not None and math.isfinite(y)]
    if len(scored) < MIN_TRIALS or not axes:
        return None
    y = _clip_outliers(np.array([score for _, score in scored]))
    if np.ptp(y) == 0:
        return None
    encoders = [_AxisEncoder(axis, [s.get(axis["name"]) for s, _ in scored]) for axis in axes]
    x = np.column_stack([encoder.observed for encoder in encoders])
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, oob_score=True, random_state=0)
    forest.fit(x, (y - y.mean()) / y.std())
    explained = float(forest.oob_score_)
    if not explained > 0:
        return None
    rng = np.random.default_rng(0)
    background = np.column_stack(
        [encoder.spaced_values(BACKGROUND_SETTINGS)[rng.permutation(BACKGROUND_SETTINGS)] for encoder in encoders]
    )
    variance = float(forest.predict(background).var())
    if variance == 0:
        return None
    importance = {}
    for j, (axis, encoder) in enumerate(zip(axes, encoders, strict=True)):
        grid = np.repeat(background[None], PARAMETER_VALUES, axis=0)
        grid[:, :, j] = encoder.spaced_values(PARAMETER_VALUES)[:, None]
        predictions = forest.predict(grid.reshape(-1, len(encoders)))
        marginal = predictions.reshape(PARAMETER_VALUES, BACKGROUND_SETTINGS).mean(1)
        importance[str(axis["name"])] = explained * float(marginal.var()) / variance
    excess = max(1.0, sum(importance.values()) / explained)  # the sampled variances may add up to slightly more than R²
    return {name: fraction / excess for name, fraction in importance.items()}


class _AxisEncoder:
    """An axis as numbers: ranges on their own scale, choices by their position in the list.

    Args:
        axis: as in ``trials.json``.
        values: the values of the trials.
    """

    def __init__(self, axis: Mapping[str, Any], values: Sequence[Any]) -> None:
        import numpy as np

        self._is_log = axis["kind"] in ("log", "logint")
        self._categories = 0
        if axis["kind"] == "choice":
            numbers = {_value_key(value): i for i, value in enumerate(axis.get("values") or ())}
            for value in values:
                numbers.setdefault(_value_key(value), len(numbers))
            self._categories = len(numbers)
            self._ends = (0.0, len(numbers) - 1.0)
            self.observed = np.array([float(numbers[_value_key(value)]) for value in values])
        else:
            self.observed = np.array([self._transform(value) for value in values])
            self._ends = (self._transform(axis["low"]), self._transform(axis["high"]))

    def _transform(self, value: float) -> float:
        return math.log(value) if self._is_log else float(value)

    def spaced_values(self, n: int) -> np.ndarray:
        """Return ``n`` evenly spaced values of the axis."""
        import numpy as np

        if self._categories:
            return np.floor(np.arange(n) * self._categories / n)
        low, high = self._ends
        return low + (high - low) * (np.arange(n) + 0.5) / n


def _value_key(value: Any) -> str:
    """Return a key that is the same for equal values of Python and of JSON."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_value_key, value))}]"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value)) if is_number else repr(value)


def _clip_outliers(y: np.ndarray) -> np.ndarray:
    """Clip scores to Tukey's fences."""
    import numpy as np

    low, high = np.quantile(y, [0.25, 0.75])
    margin = 1.5 * (high - low)
    return np.clip(y, low - margin, high + margin) if margin > 0 else y
