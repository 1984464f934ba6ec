"""Lasso: linear regression that leaves out most columns."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedLinear

PENALTY_COUNT = 50
"""Penalties on the path from the smallest one that leaves out all columns down to a thousandth of it."""
FOLDS, MIN_FOLD_ROWS = 5, 4
"""Folds of the rows that choose the penalty; with fewer rows in a fold `DEFAULT_PENALTY` is used."""
DEFAULT_PENALTY = 0.01
MAX_ITERATIONS = 3000


@register(
    fits=lambda spec: spec.is_row and spec.task == "regression",
    requires="rows of a table, and numbers to predict",
    stackable=False,
    fitted="columns",
)
def lasso(spec: Spec, *, alpha: Annotated[float, Interval(gt=0, le=1e12)] | None = None) -> FittedLinear:
    """Build the lasso: w = argmin |Xw + b - y|² / 2N + α|w|₁, by coordinate descent.

    The absolute values in the penalty make most weights exactly zero. That is better than `ridge` where few of many
    columns, such as the indicators of categories, matter. Each target has a regression of its own.

    Args:
        alpha: the penalty α, in the target's scale; if not given, it is chosen for each target by the squared error in
            five random folds of the training rows.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996; Friedman, Hastie and Tibshirani,
    "Regularization paths for generalized linear models via coordinate descent", 2010.

    >>> model = lasso(Spec("regression", (2,)), alpha=0.1)
    >>> x = np.array([[0.0, 1.0], [1.0, -1.0], [2.0, 1.0], [3.0, -1.0]], np.float32)
    >>> model.fit_stage(0, FitRows(x, 3 * x[:, :1], None, seed=0))
    >>> (model.weight != 0).tolist()
    [[True, False]]
    """
    return Lasso(spec, alpha)


class Lasso(FittedLinear):
    """The lasso; the outputs are in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        alpha: see `lasso`.
    """

    def __init__(self, spec: Spec, alpha: float | None) -> None:
        super().__init__(spec)
        self.alpha = alpha

    def fit_stage(self, stage: int, rows: FitRows) -> None:  # noqa: ARG002  # there is one stage
        """Fit the regression of each target."""
        from sklearn.exceptions import ConvergenceWarning

        x, y = rows.x.astype(np.float64), rows.y.reshape(len(rows.y), -1).astype(np.float64)
        weight, bias = np.zeros((self.spec.outputs, x.shape[1])), np.zeros(self.spec.outputs)
        for number, target in enumerate(y.T):
            with warnings.catch_warnings():
                # The smallest penalties of the path may need more iterations; the folds choose what is good enough.
                warnings.simplefilter("ignore", ConvergenceWarning)
                solver = self._make_solver(rows, target).fit(x, target, sample_weight=rows.weight)
            weight[number], bias[number] = solver.coef_, solver.intercept_
        self.weight, self.bias = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()

    def _make_solver(self, rows: FitRows, target: np.ndarray) -> Any:
        from sklearn import linear_model
        from sklearn.model_selection import KFold

        if self.alpha is not None or len(target) < FOLDS * MIN_FOLD_ROWS or np.ptp(target) == 0:
            return linear_model.Lasso(self.alpha or DEFAULT_PENALTY, max_iter=MAX_ITERATIONS)
        folds = KFold(FOLDS, shuffle=True, random_state=rows.seed % 2**31)
        return linear_model.LassoCV(alphas=PENALTY_COUNT, cv=folds, max_iter=MAX_ITERATIONS)
