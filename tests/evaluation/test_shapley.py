"""Sampled Shapley values: against the exact ones, with standard errors that are right."""

import itertools
import math

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from yisheng.evaluation.shapley import sample_shapley_values


def compute_exact_values(predict, row, background, groups):
    """Return Shapley values by their definition: all subsets, all background rows."""

    def value(subset):
        rows = background.copy()
        for group in subset:
            rows[:, groups[group]] = row[groups[group]]
        return predict(rows).mean(axis=0)

    count = len(groups)
    values = []
    for group in range(count):
        others = [g for g in range(count) if g != group]
        total = 0.0
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for subset in itertools.combinations(others, size):
                total = total + weight * (value((*subset, group)) - value(subset))
        values.append(total)
    return np.array(values)


def interact(x):
    return np.column_stack([x[:, 0] * x[:, 1] + np.sin(x[:, 2]), x[:, 3] ** 2 * (x[:, 0] > 0) + x[:, 1]])


@pytest.mark.parametrize("groups", [[[0], [1], [2], [3]], [[0, 3], [1], [2]]])
def test_they_are_near_the_exact_values_by_their_standard_errors(groups):
    rng = np.random.default_rng(0)
    background, row = rng.normal(size=(20, 4)), np.array([1.5, -2.0, 0.5, 1.0])
    exact = compute_exact_values(interact, row, background, groups)
    names = {str(number): group for number, group in enumerate(groups)}
    result = sample_shapley_values(interact, row, background, names, pairs=4000)
    assert (abs(result.values - exact) <= 4.5 * result.standard_errors + 1e-12).all()
    assert (result.standard_errors < 0.06).all()
    np.testing.assert_allclose(result.base, interact(background).mean(axis=0))


def test_the_standard_errors_are_the_spread_of_repeated_estimates():
    rng = np.random.default_rng(1)
    background, row = rng.normal(size=(50, 4)), np.array([1.5, -2.0, 0.5, 1.0])
    names = {str(i): [i] for i in range(4)}
    estimates = [sample_shapley_values(interact, row, background, names, pairs=50, seed=seed) for seed in range(200)]
    deviation = np.std([e.values for e in estimates], axis=0)
    reported = np.mean([e.standard_errors for e in estimates], axis=0)
    assert (deviation < 1.25 * reported + 1e-12).all()  # using every background row equally often makes it less


def test_contributions_add_up_to_the_difference_from_the_base():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(80, 5)), rng.integers(0, 3, 80)
    model = RandomForestClassifier(10, random_state=0).fit(x, y)
    result = sample_shapley_values(model.predict_proba, x[0], x[:30], {str(i): [i] for i in range(5)}, pairs=7)
    np.testing.assert_allclose(result.base + result.values.sum(axis=0), result.output, atol=1e-12)
    np.testing.assert_allclose(result.output, model.predict_proba(x[:1])[0])


def test_a_linear_model_has_its_weights_times_the_distance_from_the_mean():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3))
    model = LinearRegression().fit(x, x @ [1.0, -2.0, 0.0])
    result = sample_shapley_values(
        lambda z: model.predict(z)[:, None], x[0], x, {str(i): [i] for i in range(3)}, pairs=40
    )
    np.testing.assert_allclose(result.values[:, 0], model.coef_ * (x[0] - x.mean(axis=0)), atol=1e-12)


def test_a_column_that_is_not_used_contributes_exactly_nothing():
    rng = np.random.default_rng(4)
    result = sample_shapley_values(
        lambda z: z[:, :1] ** 2, rng.normal(size=3), rng.normal(size=(9, 3)), {"a": [0], "b": [1], "c": [2]}, pairs=20
    )
    assert not result.values[1:].any()
    assert not result.standard_errors[1:].any()


def test_the_estimate_does_not_depend_on_the_size_of_batches(monkeypatch):
    from yisheng.evaluation import shapley

    rng = np.random.default_rng(5)
    arguments = (interact, rng.normal(size=4), rng.normal(size=(9, 4)), {str(i): [i] for i in range(4)})
    once = sample_shapley_values(*arguments, pairs=30)
    monkeypatch.setattr(shapley, "MAX_BATCH", 20)
    np.testing.assert_allclose(sample_shapley_values(*arguments, pairs=30).values, once.values, atol=1e-12)
