"""Logistic regressions of classes or labels, solved to their end by scikit-learn."""

from __future__ import annotations

import numpy as np

from yisheng.core.spec import Spec
from yisheng.models._fitted_model import CERTAIN_LOGIT

MAX_ITERATIONS = 1000


def solve_logistic(
    spec: Spec, x: np.ndarray, y: np.ndarray, row_weight: np.ndarray | None, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights ``(O, D)`` and biases ``(O,)`` that minimize the log loss of all rows plus λ/2 |W|².

    Several classes share one softmax; each label has a regression of its own. A class without rows gets a bias that
    makes it impossible, and where all rows have one class it is certain.

    Args:
        spec: the contract of the scaled rows.
        x: inputs ``(N, D)``.
        y: class numbers ``(N,)`` or labels ``(N, L)``.
        row_weight: weights of the rows ``(N,)``, or None.
        penalty: the factor λ.

    >>> spec = Spec("classification", (1,), classes=("no", "yes"))
    >>> weight, bias = solve_logistic(spec, np.array([[-1.0], [1.0]]), np.array([0, 1]), None, 1.0)
    >>> weight.shape, bool(weight[1] > weight[0])
    ((2, 1), True)
    """
    targets = [y] if spec.task == "classification" else list(y.T.astype(np.int64))
    weight, bias = np.zeros((spec.outputs, x.shape[1])), np.zeros(spec.outputs)
    if spec.task == "classification" and spec.outputs > 1:
        bias[:] = -CERTAIN_LOGIT
    for number, target in enumerate(targets):
        outputs, values, intercepts = _solve(spec, x, target, row_weight, number, penalty)
        weight[outputs], bias[outputs] = values, intercepts
    return weight, bias


def _solve(
    spec: Spec, x: np.ndarray, y: np.ndarray, row_weight: np.ndarray | None, number: int, penalty: float
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return the outputs of a target with their weights and biases."""
    from sklearn.linear_model import LogisticRegression

    classes = np.unique(y)
    is_single = spec.task == "multilabel" or spec.outputs == 1
    if len(classes) == 1:
        output = number if spec.task == "multilabel" else 0 if is_single else int(classes[0])
        logit = (CERTAIN_LOGIT if classes[0] else -CERTAIN_LOGIT) if is_single else 0.0
        return [output], np.zeros((1, x.shape[1])), np.array([logit])
    solver = LogisticRegression(C=1 / penalty, max_iter=MAX_ITERATIONS).fit(x, y, row_weight)
    if len(classes) > 2:
        return [int(label) for label in classes], solver.coef_, solver.intercept_
    if is_single:
        return [number], solver.coef_, solver.intercept_
    no, yes = (int(label) for label in classes)  # their difference is the logit
    zero = np.zeros_like(solver.intercept_)
    return [no, yes], np.concatenate([0 * solver.coef_, solver.coef_]), np.concatenate([zero, solver.intercept_])
