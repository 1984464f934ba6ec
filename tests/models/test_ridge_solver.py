"""Ridge regression by one eigendecomposition equals scikit-learn's with left-out rows."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from yisheng.models._ridge_solver import solve_ridge
from yisheng.models.ridge import PENALTIES


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "targets"), [(60, 7, 1), (60, 7, 3), (25, 60, 1), (25, 60, 2), (30, 30, 1), (3, 1, 1)]
)
def test_the_solution_is_that_of_scikit_learn(rows, columns, targets, weighted, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) * rng.uniform(0.1, 10, columns) + rng.normal(size=columns)
    y = x[:, :1] * rng.normal(size=targets) + rng.normal(size=(rows, targets)) * 10.0 ** rng.integers(-1, 2)
    weight = rng.uniform(0.2, 3, rows) if weighted else None
    expected = RidgeCV(PENALTIES).fit(x, y, sample_weight=weight)
    found_weight, bias, penalty = solve_ridge(x, y, weight, PENALTIES)
    assert penalty == expected.alpha_
    np.testing.assert_allclose(found_weight, expected.coef_.reshape(targets, -1), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(bias, np.reshape(expected.intercept_, -1), rtol=1e-6, atol=1e-7)


def test_indicators_and_equal_rows_are_no_difficulty():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 12, 80)
    x = np.concatenate([np.eye(12)[codes], np.eye(12)[codes], np.ones((80, 1))], axis=1)
    y = rng.normal(size=(12, 1))[codes] + 0.1 * rng.normal(size=(80, 1))
    expected = RidgeCV(PENALTIES).fit(x, y)
    weight, bias, penalty = solve_ridge(x, y, None, PENALTIES)
    assert penalty == expected.alpha_
    np.testing.assert_allclose(x @ weight.T + bias, expected.predict(x).reshape(-1, 1), rtol=1e-6)
