"""How much each parameter of a search matters for the score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FEWEST = 8
"""Of fewer trials with a score nothing is said."""
TREES = 64
POINTS, LEVELS = 256, 32
"""Settings that the other parameters are averaged over, and values of the parameter itself."""


def importance(
    axes: Sequence[Mapping[str, Any]],
    settings: Sequence[Mapping[str, Any]],
    scores: Sequence[float | None],
) -> dict[str, float] | None:
    """The share of the score's variance that each parameter explains by itself.

    A forest f of regression trees learns the score from the settings. With a_j(v) the mean of f over the whole space
    where parameter j has value v, the share is

        R² Var_v[a_j(v)] / Var[f],

    the first-order term of the functional analysis of variance, times the share R² of the scores' variance that the
    trees explain on the trials they were not grown on (out of bag; it is what keeps noise from passing as
    importance). The shares add up to R² at most: the rest is the interplay of parameters, chance between trainings,
    and what so few trials cannot tell. Scores beyond one and a half quartile ranges from the quartiles (Tukey's
    fences) are drawn in to there, so that one diverged trial does not stand for all the variance.

    Args:
        axes: as in ``trials.json``: ``name``, ``kind``, ``values`` (of a choice), ``low`` and ``high`` (of a range).
        settings: of the trials.
        scores: mean score of each; None and non-finite ones are left out.

    Returns:
        Parameter's name -> share, 0 to 1; None where that cannot be told: fewer than 8 trials with a score, all
        scores the same, or trees that predict no better than the mean (R² <= 0).

    Source: Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance" (2014),
        section 3.

    >>> axes = [{"name": name, "kind": "uniform", "low": 0, "high": 1} for name in ("lr", "wd")]
    >>> settings = [{"lr": i / 12, "wd": i * 5 % 12 / 12} for i in range(12)]
    >>> shares = importance(axes, settings, [s["lr"] for s in settings])
    >>> shares["lr"] > 0.7, shares["wd"] < 0.1
    (True, True)
    >>> importance(axes, settings[:7], [0.0] * 7) is None
    True
    """
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    kept = [(s, float(y)) for s, y in zip(settings, scores, strict=True) if y is not None and math.isfinite(y)]
    if len(kept) < FEWEST or not axes:
        return None
    y = _fenced(np.array([score for _, score in kept]))
    if np.ptp(y) == 0:
        return None
    codes = [_Code(axis, [s.get(axis["name"]) for s, _ in kept]) for axis in axes]
    x = np.column_stack([code.observed for code in codes])
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, oob_score=True, random_state=0)
    forest.fit(x, (y - y.mean()) / y.std())
    explained = float(forest.oob_score_)
    if not explained > 0:
        return None
    draw = np.random.default_rng(0)
    points = np.column_stack([code.spread(POINTS)[draw.permutation(POINTS)] for code in codes])
    whole = float(forest.predict(points).var())
    if whole == 0:
        return None
    shares = {}
    for j, (axis, code) in enumerate(zip(axes, codes, strict=True)):
        levels = code.spread(LEVELS)
        grid = np.repeat(points[None], LEVELS, axis=0)
        grid[:, :, j] = levels[:, None]
        marginal = forest.predict(grid.reshape(-1, len(codes))).reshape(LEVELS, POINTS).mean(1)
        shares[str(axis["name"])] = explained * float(marginal.var()) / whole
    most = max(1.0, sum(shares.values()) / explained)  # the sampled variances may add up to a little more than all
    return {name: share / most for name, share in shares.items()}


class _Code:
    """An axis as numbers: ranges on their own scale, choices by their place in the list (trees can cut out any)."""

    def __init__(self, axis: Mapping[str, Any], values: Sequence[Any]) -> None:
        import numpy as np

        self.log = axis["kind"] in ("log", "logint")
        if axis["kind"] == "choice":
            known = {_word(value): i for i, value in enumerate(axis.get("values") or ())}
            for value in values:
                known.setdefault(_word(value), len(known))
            self.ends = (0.0, len(known) - 1.0)
            self.levels = len(known)
            self.observed = np.array([float(known[_word(value)]) for value in values])
        else:
            self.levels = 0
            self.observed = np.array([self._scaled(value) for value in values])
            self.ends = (self._scaled(axis["low"]), self._scaled(axis["high"]))

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else float(value)

    def spread(self, n: int) -> np.ndarray:
        """``n`` values that fill the axis evenly."""
        import numpy as np

        if self.levels:
            return np.floor(np.arange(n) * self.levels / n)
        low, high = self.ends
        return low + (high - low) * (np.arange(n) + 0.5) / n


def _word(value: Any) -> str:
    """The same word for the same value, whether it came from Python or through JSON."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_word, value))}]"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value)) if number else repr(value)


def _fenced(y: np.ndarray) -> np.ndarray:
    """Scores drawn in to Tukey's fences."""
    import numpy as np

    low, high = np.quantile(y, [0.25, 0.75])
    reach = 1.5 * (high - low)
    return np.clip(y, low - reach, high + reach) if reach > 0 else y
