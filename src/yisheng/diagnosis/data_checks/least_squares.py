"""A network that is worse than the solution of linear least squares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._quick_model import r2
from yisheng.diagnosis.sample import InconclusiveError, Sample

MAX_ROWS, MAX_FEATURES = 20_000, 400
"""Rows and features of the solution: it takes less than a second."""
MIN_ROWS_PER_FEATURE, MIN_TEST_ROWS = 3, 20
MIN_GAIN = 0.01
"""R² of the solution above the upper limit of the network's."""


def _explain_skip(sample: Sample) -> str:
    if sample.test_score is None or sample.test_score.high is None:
        return "it needs the test score of a run whose training has no other cause"
    return "" if len(sample.rows("test")) >= MIN_TEST_ROWS else f"it needs at least {MIN_TEST_ROWS} test rows"


@register(
    cost="scored",
    fits=lambda spec: spec.task == "regression" and spec.outputs == 1 and spec.is_row,
    needs=_explain_skip,
    explains=("underfitting", "too-few-epochs", "baseline-not-beaten"),
)
def least_squares(sample: Sample) -> Iterator[Finding]:
    """Find a network whose test R² is below that of linear least squares, min |X w - y|², on the same rows.

    The solution needs no learning rate and no epochs, so a network that is worse has not been trained to its end.

    Args:
        sample: its training and test rows, and the test score of the run.

    Source: Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, section 3.2.
    """
    network = sample.test_score
    assert network is not None  # ensured by needs
    limit = network.value if network.high is None else network.high
    rows, test = sample.draw_rows("train", MAX_ROWS), sample.rows("test")
    x, x_test = _extract_columns(sample, rows, test)
    if x.shape[1] > MAX_FEATURES or len(rows) < MIN_ROWS_PER_FEATURE * x.shape[1]:
        raise InconclusiveError(f"{len(rows):,} rows do not determine {x.shape[1]:,} weights")
    weights = np.linalg.lstsq(_add_constant(x), sample.y[rows, 0].astype(np.float64), rcond=None)[0]
    prediction = _add_constant(x_test) @ weights
    solution = r2(sample.y[test, 0].astype(np.float64), prediction)
    if solution < limit + MIN_GAIN:
        return
    yield Finding(
        "least-squares",
        "warning",
        {"network": network.value, "least squares": solution, "features": x.shape[1]},
        f"linear least squares on the same rows reach R² {solution:.4g}, the network only {network.value:.4g}: it has "
        "not been trained to its end",
        "use model=linear optimizer=lbfgs, which solves it; with another optimizer use more epochs and a larger lr",
        change={"model": "linear", "optimizer": "lbfgs"},
    )


def _extract_columns(sample: Sample, rows: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standardized columns of training and test rows; features of a quick model if they are not numbers."""
    x, x_test = (np.asarray(sample.x[part], np.float64) for part in (rows, test))
    is_complete = bool(np.isfinite(x).all() and np.isfinite(x_test).all())
    if not is_complete or any(column.kind == "category" for column in sample.spec.columns):
        return sample.features(rows).astype(np.float64), sample.features(test).astype(np.float64)
    std = x.std(0)
    mean, std = x.mean(0), np.where(std > 0, std, 1.0)
    return (x - mean) / std, (x_test - mean) / std


def _add_constant(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
