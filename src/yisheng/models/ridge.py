"""Ridge regression in closed form."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedLinear
from yisheng.models._ridge_solver import solve_ridge

PENALTIES = tuple(10.0**exponent for exponent in np.arange(-3, 6.5, 0.5))


@register(
    fits=lambda spec: spec.is_row and spec.task == "regression",
    requires="rows of a table, and numbers to predict",
    stackable=False,
    fitted="columns",
)
def ridge(spec: Spec, *, l2: Annotated[float, Interval(ge=0, le=1e12)] | None = None) -> FittedLinear:
    """Build ridge regression: W = argmin |XWᵀ + b - Y|² + λ|W|², solved at once.

    The bias is not penalized. It differs from `linear` in the penalty, and in how λ is chosen: by the squared error of
    every row under the weights of the other rows, which has a closed form too.

    Args:
        l2: the penalty λ; chosen from 0.001 to a million if not given.

    Source: Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems", 1970; Golub, Heath and
    Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter", 1979.

    >>> model = ridge(Spec("regression", (1,)), l2=0)
    >>> x = np.array([[0.0], [1.0], [2.0]], np.float32)
    >>> model.fit_stage(0, FitRows(x, 3 * x + 1, None, seed=0))
    >>> model(torch.tensor([[10.0]]))
    tensor([[31.]])
    """
    return Ridge(spec, l2)


class Ridge(FittedLinear):
    """Ridge regression; the outputs are in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        l2: see `ridge`.
    """

    def __init__(self, spec: Spec, l2: float | None) -> None:
        super().__init__(spec)
        self.l2 = l2

    def fit_stage(self, stage: int, rows: FitRows) -> None:  # noqa: ARG002  # there is one stage
        """Solve for the weights."""
        x, y = rows.x.astype(np.float64), rows.y.reshape(len(rows.y), -1).astype(np.float64)
        if self.l2 is None and len(x) > 2:
            weight, bias, _ = solve_ridge(x, y, rows.weight, PENALTIES)
        else:
            weight, bias = _solve_with_penalty(x, y, rows.weight, 1.0 if self.l2 is None else self.l2)
        self.weight = torch.from_numpy(np.ascontiguousarray(weight)).float()
        self.bias = torch.from_numpy(bias).float()


def _solve_with_penalty(
    x: np.ndarray, y: np.ndarray, row_weight: np.ndarray | None, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights ``(O, D)`` and biases ``(O,)`` under a penalty, which may be 0."""
    from sklearn.linear_model import Ridge as Solver

    solver = Solver(penalty).fit(x, y, sample_weight=row_weight)
    return np.reshape(solver.coef_, (y.shape[1], -1)), np.reshape(solver.intercept_, -1)
