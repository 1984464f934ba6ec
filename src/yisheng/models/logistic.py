"""Logistic regression with an L2 penalty that the validation score chooses."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedLinear
from yisheng.models._logistic_solver import solve_logistic

PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""The strongest penalty comes first, so that each solution is a good start for the next one."""


@register(
    fits=lambda spec: spec.is_row and spec.task != "regression",
    requires="rows of a table, and classes or labels to predict",
    stackable=False,
    fitted="columns",
)
def logistic(spec: Spec, *, l2: Annotated[float, Interval(gt=0, le=1e12)] | None = None) -> FittedLinear:
    """Build logistic regression: the log loss of all rows plus λ/2 |W|² is minimized to its end.

    The bias is not penalized. Several classes share one softmax; each label has a regression of its own. If λ is not
    given, each epoch takes a smaller one, from 1000 to 0.01, and the validation score chooses among them; in
    cross-validation, where it must not, λ is 1.

    Args:
        l2: the penalty λ.

    Source: Cox, "The regression analysis of binary sequences", 1958; Le Cessie and van Houwelingen, "Ridge estimators
    in logistic regression", 1992.

    >>> import numpy as np
    >>> model = logistic(Spec("classification", (1,), classes=("no", "yes")), l2=0.01)
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> model.fit_stage(0, FitRows(x, (x[:, 0] > 0).astype(np.int64), None, seed=0))
    >>> model(torch.tensor([[-1.0], [1.0]])).softmax(1).round(decimals=1)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return Logistic(spec, PENALTIES if l2 is None else (l2,))


class Logistic(FittedLinear):
    """Logistic regression; the outputs are logits.

    Args:
        spec: the contract of the scaled rows.
        penalties: by stage.
    """

    def __init__(self, spec: Spec, penalties: tuple[float, ...]) -> None:
        super().__init__(spec)
        self.penalties = penalties
        self.stages = len(penalties)

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Minimize the penalized loss with the penalty of the stage."""
        penalty = self.penalties[min(stage, len(self.penalties) - 1)]
        weight, bias = solve_logistic(self.spec, rows.x, rows.y, rows.weight, penalty)
        self.weight, self.bias = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
