"""A network that is worse than least squares, linear in its columns or in their squares and products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._quick_model import r2
from yisheng.diagnosis.sample import InconclusiveError, Sample

MAX_ROWS, MAX_CURVED_ROWS, MAX_FEATURES = 20_000, 4000, 400
"""Rows of a linear and of a curved solution, and features: each takes less than a second."""
MIN_ROWS_PER_FEATURE, MIN_TEST_ROWS = 3, 20
"""Rows that determine a weight in spite of noise, and test rows without which R² is not known."""
MIN_GAIN, MIN_ACCURACY_GAIN = 0.01, 0.02
"""R² of the solution above the upper limit of the network's; and accuracy, whose rows are right or wrong."""
MAX_SHARE = 0.8
"""Fraction of the commonest class above which accuracy says little, and a loss may weight the classes."""
DEGREES = (1, 2, 3)
"""Degrees of the polynomials of the columns that are tried, as far as the rows determine their weights."""


def _explain_skip(sample: Sample) -> str:
    if sample.test_score is None or sample.test_score.high is None:
        return Message("it needs the test score of a run whose training has no other cause")
    return (
        ""
        if len(sample.rows("test")) >= MIN_TEST_ROWS
        else Message("it needs at least {MIN_TEST_ROWS} test rows", MIN_TEST_ROWS=MIN_TEST_ROWS)
    )


@register(
    cost="scored",
    fits=lambda spec: spec.is_row and (spec.task == "classification" or (spec.task, spec.outputs) == ("regression", 1)),
    needs=_explain_skip,
    explains=("underfitting", "too-few-epochs", "baseline-not-beaten"),
)
def least_squares(sample: Sample) -> Iterator[Finding]:
    """Find a network whose test R² or accuracy is below that of least squares, min |X w - y|², on the same rows.

    The linear solution needs no learning rate and no epochs, so a network that is worse has not been trained to its
    end. One with the squares and products of the columns, or also their third powers, that is better shows that the
    target is curved and the network too simple or not trained to its end. Of classes, y has a 1 in the column of the
    class, and the largest prediction is the class.

    Args:
        sample: its training and test rows, and the test score of the run.

    Source: Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, sections 3.2, 4.2 and 5.1.
    """
    network = sample.test_score
    assert network is not None  # ensured by needs
    limit = network.value if network.high is None else network.high
    rows, test = sample.draw_rows("train", MAX_ROWS), sample.rows("test")
    x, x_test = _extract_columns(sample, rows, test)
    degrees = [degree for degree in DEGREES if _is_determined(len(rows), x.shape[1], degree)]
    if not degrees:
        raise InconclusiveError(f"{len(rows):,} rows do not determine {x.shape[1]:,} weights")
    is_class = sample.spec.task == "classification"
    if is_class and np.bincount(sample.y[rows]).max() > MAX_SHARE * len(rows):
        raise InconclusiveError("one class has nearly all rows, and the loss may weight the classes")
    y = np.eye(len(sample.spec.classes))[sample.y] if is_class else sample.y[:, 0].astype(np.float64)
    solutions = {degree: _score_polynomial(x, x_test, y, rows, test, degree) for degree in degrees}
    best, min_gain = max(solutions.values()), MIN_ACCURACY_GAIN if is_class else MIN_GAIN
    if best >= limit + min_gain:
        degree = next(degree for degree in degrees if solutions[degree] >= best - min_gain)  # the simplest
        yield _describe(degree, solutions[degree], network.value, x.shape[1], "accuracy" if is_class else "R²")


def _describe(degree: int, solution: float, network: float, features: int, measure: str) -> Finding:
    evidence = {"network": network, "least squares": solution, "features": features, "degree": degree}
    if degree > 1:
        terms = Message("squares and products") if degree == 2 else Message("squares, third powers and products")
        return Finding(
            "least-squares",
            "warning",
            evidence,
            Message(
                "least squares with the {terms} of the columns reach {measure} {solution}, the network only "
                "{network}: no line fits the target, and the network is too simple for it or not trained to "
                "its end",
                terms=terms,
                measure=measure,
                solution=f"{solution:.4g}",
                network=f"{network:.4g}",
            ),
            Message("use a network with hidden layers (model=mlp), more epochs, or give these terms as columns"),
            change={"model": "mlp"},
        )
    return Finding(
        "least-squares",
        "warning",
        evidence,
        Message(
            "linear least squares on the same rows reach {measure} {solution}, the network only "
            "{network}: it has not been trained to its end",
            measure=measure,
            solution=f"{solution:.4g}",
            network=f"{network:.4g}",
        ),
        Message(
            "use model=linear optimizer=lbfgs, which solves it; with another optimizer use more epochs and a larger lr",
        ),
        change={"model": "linear", "optimizer": "lbfgs"},
    )


def _is_determined(rows: int, features: int, degree: int) -> bool:
    """Return whether the rows determine the weights of all terms up to a degree."""
    terms = math.comb(features + degree, degree) - 1
    return terms <= MAX_FEATURES and min(rows, MAX_CURVED_ROWS) >= MIN_ROWS_PER_FEATURE * terms


def _score_polynomial(
    x: np.ndarray, x_test: np.ndarray, y: np.ndarray, rows: np.ndarray, test: np.ndarray, degree: int
) -> float:
    """Return R² (accuracy of classes) on the test rows of least squares in all terms of the columns up to a degree."""
    interval = 1 if degree == 1 else -(-len(rows) // MAX_CURVED_ROWS)
    weights = np.linalg.lstsq(expand_columns(x[::interval], degree), y[rows[::interval]], rcond=None)[0]
    predicted = expand_columns(x_test, degree) @ weights
    if y.ndim > 1:
        return float((predicted.argmax(1) == y[test].argmax(1)).mean())
    return r2(y[test], predicted)


def expand_columns(x: np.ndarray, degree: int) -> np.ndarray:
    """Return a 1 and all products of up to ``degree`` of the columns ``(N, D)``.

    They are those of scikit-learn's ``PolynomialFeatures``, whose import takes longer than a training.

    >>> expand_columns(np.array([[2.0, 3.0]]), 2).tolist()
    [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    orders = (itertools.combinations_with_replacement(range(x.shape[1]), power) for power in range(degree + 1))
    return np.stack([x[:, columns].prod(axis=1) for order in orders for columns in order], axis=1)


def _extract_columns(sample: Sample, rows: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standardized columns of training and test rows; features of a quick model if they are not numbers."""
    x, x_test = (np.asarray(sample.x[part], np.float64) for part in (rows, test))
    is_complete = bool(np.isfinite(x).all() and np.isfinite(x_test).all())
    if not is_complete or any(column.kind == "category" for column in sample.spec.columns):
        return sample.features(rows).astype(np.float64), sample.features(test).astype(np.float64)
    std = x.std(0)
    mean, std = x.mean(0), np.where(std > 0, std, 1.0)
    return (x - mean) / std, (x_test - mean) / std
