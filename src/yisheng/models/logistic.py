"""Logistic regression with an L2 penalty that the validation score chooses."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._fitted_model import CERTAIN_LOGIT, FitRows, FittedLinear

PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""The strongest penalty comes first, so that each solution is a good start for the next one."""
MAX_ITERATIONS = 1000


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
        targets = [rows.y] if self.spec.task == "classification" else list(rows.y.T.astype(np.int64))
        weight = np.zeros((self.spec.outputs, rows.x.shape[1]))
        bias = np.zeros(self.spec.outputs)
        for number, y in enumerate(targets):
            outputs, values, intercepts = self._solve(rows, y, number, penalty)
            bias[:] = bias if self.spec.task == "multilabel" or self.spec.outputs == 1 else -CERTAIN_LOGIT
            weight[outputs], bias[outputs] = values, intercepts
        self.weight, self.bias = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()

    def _solve(
        self, rows: FitRows, y: np.ndarray, number: int, penalty: float
    ) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Return the outputs of a target with their weights and biases."""
        from sklearn.linear_model import LogisticRegression

        classes = np.unique(y)
        is_single = self.spec.task == "multilabel" or self.spec.outputs == 1
        if len(classes) == 1:
            output = number if self.spec.task == "multilabel" else 0 if is_single else int(classes[0])
            logit = (CERTAIN_LOGIT if classes[0] else -CERTAIN_LOGIT) if is_single else 0.0
            return [output], np.zeros((1, rows.x.shape[1])), np.array([logit])
        solver = LogisticRegression(C=1 / penalty, max_iter=MAX_ITERATIONS).fit(rows.x, y, rows.weight)
        if len(classes) > 2:
            return [int(label) for label in classes], solver.coef_, solver.intercept_
        if is_single:
            return [number], solver.coef_, solver.intercept_
        no, yes = (int(label) for label in classes)  # their difference is the logit
        zero = np.zeros_like(solver.intercept_)
        return [no, yes], np.concatenate([0 * solver.coef_, solver.coef_]), np.concatenate([zero, solver.intercept_])
