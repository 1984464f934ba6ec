"""Conformal intervals: against NumPy's quantiles and their definitions, and their coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from yisheng.core.errors import UsageError
from yisheng.evaluation.conformal import (
    HeldOutErrors,
    IntervalBounds,
    compute_bounds,
    compute_errors,
    find_largest_level,
    find_rank,
    measure_coverage,
    parse_level,
)
from yisheng.metrics.wilson import compute_wilson_interval
from yisheng.transforms.log import log
from yisheng.transforms.standard import standard


def draw_rows(rng, n, targets=1):
    x = rng.normal(size=(n, 3))
    noise = rng.standard_t(3, size=(n, targets)) * (1 + abs(x[:, :1]))
    return x, x @ rng.normal(size=(3, targets)) + noise


def list_ends(outputs, held_out, sign):
    """Return the ends of the intervals of all held-out rows ``(N, n, T)``, as the definition of CV+ has them."""
    ends = [
        errors.unscale(errors.scale(output) + sign * error)
        for output, errors in zip(outputs, held_out, strict=True)
        for error in errors.errors
    ]
    return np.stack(ends, axis=1)


@pytest.mark.parametrize("n", [19, 40, 333])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_one_model_uses_the_finite_sample_quantile_of_numpy(n, level):
    rng = np.random.default_rng(n)
    y, prediction = rng.normal(size=(2, n, 2))
    new = rng.normal(size=(5, 2))
    bounds = compute_bounds([new], [HeldOutErrors(compute_errors(y, prediction))], level)
    fraction = math.ceil(round(level * (n + 1), 6)) / n
    width = np.quantile(abs(y - prediction), fraction, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(bounds.low, new - width)
    np.testing.assert_allclose(bounds.high, new + width)


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(5, 30), min_size=2, max_size=5),
    level=st.floats(0.05, 0.8),
    targets=st.integers(1, 3),
    seed=st.integers(0, 10**6),
    transform=st.sampled_from(["none", "standard", "log"]),
)
def test_fold_models_use_the_ends_of_all_held_out_rows(sizes, level, targets, seed, transform):
    rng = np.random.default_rng(seed)
    outputs, held_out = [], []
    for size in sizes:
        y = np.exp(rng.normal(size=(size, targets)))
        fitted = {"none": None, "standard": standard, "log": log}[transform]
        scale = None if fitted is None else fitted.fit(y)
        prediction = y * np.exp(rng.normal(size=y.shape, scale=0.2))
        held_out.append(HeldOutErrors(compute_errors(y, prediction, scale), scale))
        outputs.append(np.exp(rng.normal(size=(4, targets), scale=0.1)))
    bounds = compute_bounds(outputs, held_out, level)
    rank = find_rank(level, sum(sizes))
    high = np.sort(list_ends(outputs, held_out, 1), axis=1)[:, rank - 1]
    low = -np.sort(-list_ends(outputs, held_out, -1), axis=1)[:, rank - 1]
    mean = np.mean(outputs, axis=0)
    np.testing.assert_allclose(bounds.high, np.maximum(high, mean), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(bounds.low, np.minimum(low, mean), rtol=1e-9, atol=1e-9)


def test_as_many_folds_as_rows_are_the_jackknife_plus():
    rng = np.random.default_rng(0)
    x, y = draw_rows(rng, 24)
    new = rng.normal(size=(7, 3))
    held_out, outputs, low, high = [], [], [], []
    for train, left_out in KFold(24).split(x):
        model = LinearRegression().fit(x[train], y[train])
        held_out.append(HeldOutErrors(compute_errors(y[left_out], model.predict(x[left_out]))))
        outputs.append(model.predict(new))
        error = abs(y[left_out] - model.predict(x[left_out]))
        low.append(outputs[-1] - error)
        high.append(outputs[-1] + error)
    bounds = compute_bounds(outputs, held_out, 0.8)
    k = math.ceil(0.8 * 25)  # Barber et al. 2021, equation 1.4
    np.testing.assert_allclose(bounds.high, np.sort(high, axis=0)[k - 1])
    np.testing.assert_allclose(bounds.low, np.sort(low, axis=0)[24 - k])


def test_repeats_do_not_make_the_intervals_narrower():
    rng = np.random.default_rng(1)
    errors = [np.sort(abs(rng.normal(size=(30, 1))), axis=0) for _ in range(3)]
    output = np.zeros((1, 1))
    once = compute_bounds([output] * 3, list(map(HeldOutErrors, errors)), 0.9)
    twice = compute_bounds([output] * 6, list(map(HeldOutErrors, errors * 2)), 0.9, repeats=2)
    np.testing.assert_allclose(once.high, twice.high, rtol=1e-12)
    with pytest.raises(UsageError, match="the run has 90"):
        compute_bounds([output] * 6, list(map(HeldOutErrors, errors * 2)), 0.995, repeats=2)


@pytest.mark.parametrize("transform", [None, "log"])
def test_the_coverage_over_many_draws_is_the_level(transform):
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(200):
        y = np.exp(rng.normal(size=(39 + 50, 1)))
        prediction = np.full_like(y, 1.3)
        scale = log.fit(y[:39]) if transform else None
        errors = HeldOutErrors(compute_errors(y[:39], prediction[:39], scale), scale)
        covered.append(compute_bounds([prediction[39:]], [errors], 0.9).covers(y[39:]).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=4 * np.std(covered) / 14)


def test_the_coverage_of_folds_is_near_the_level():
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(25):
        weights = rng.normal(size=(3, 1))
        x = rng.normal(size=(60 + 100, 3))
        y = x @ weights + rng.standard_t(3, size=(160, 1))
        held_out, outputs = [], []
        for train, fold in KFold(5).split(x[:60]):
            model = LinearRegression().fit(x[train], y[train])
            held_out.append(HeldOutErrors(compute_errors(y[fold], model.predict(x[fold]))))
            outputs.append(model.predict(x[60:]))
        covered.append(compute_bounds(outputs, held_out, 0.9).covers(y[60:]).mean())
    assert 0.87 < np.mean(covered) < 0.96


def test_intervals_of_a_logarithm_are_relative():
    y = np.array([[10.0], [100.0], [1000.0], [10_000.0]])
    scale = log.fit(y)
    errors = HeldOutErrors(compute_errors(y, y * 2, scale), scale)
    bounds = compute_bounds([np.array([[50.0], [5000.0]])], [errors], 0.5)
    np.testing.assert_allclose(bounds.high, [[100.0], [10_000.0]])
    np.testing.assert_allclose(bounds.low, [[25.0], [2500.0]])


def test_the_prediction_is_in_its_interval_even_where_folds_disagree():
    held_out = [HeldOutErrors(np.zeros((10, 1)))] * 3
    bounds = compute_bounds([np.array([[0.0]]), np.array([[0.0]]), np.array([[9.0]])], held_out, 0.3)
    assert bounds.low[0, 0] <= 3.0 <= bounds.high[0, 0]


@pytest.mark.parametrize(("level", "n"), [(0.9, 8), (0.95, 18), (0.5, 0), (0.99, 98)])
def test_too_few_rows_are_refused_with_the_number_that_is_enough(level, n):
    errors = HeldOutErrors(np.zeros((n, 1)))
    with pytest.raises(UsageError, match=rf"interval={level:g} requires {n + 1} held-out rows") as caught:
        compute_bounds([np.zeros((1, 1))], [errors], level)
    assert "folds=5" in caught.value.remedy
    compute_bounds([np.zeros((1, 1))], [HeldOutErrors(np.zeros((n + 1, 1)))], level)


@given(n=st.integers(2, 5000))
def test_the_level_that_the_error_names_is_possible(n):
    assert find_rank(math.floor(1000 * find_largest_level(n)) / 1000, n) <= n
    assert find_rank(find_largest_level(n), n) == n


@pytest.mark.parametrize("value", ["0", "1", "90", "90%", "nan", "-0.5", "", None, True, math.inf, "0x1", [0.9]])
def test_a_level_that_is_no_fraction_is_refused(value):
    with pytest.raises(UsageError, match="interval must be a fraction"):
        parse_level(value)


def test_the_coverage_has_wilsons_interval_and_the_median_width():
    rng = np.random.default_rng(4)
    y = rng.normal(size=(50, 2))
    low = -np.ones((50, 2))
    coverage = measure_coverage(IntervalBounds(0.7, low, -low), y)
    assert coverage[1].value == (abs(y[:, 1]) <= 1).mean()
    assert (coverage[1].low, coverage[1].high) == compute_wilson_interval(abs(y[:, 1]) <= 1)
    assert coverage[0].median_width == 2.0


def test_a_prediction_that_is_not_a_number_has_no_bounds():
    errors = HeldOutErrors(np.ones((10, 1)))
    for models in (1, 3):
        bounds = compute_bounds([np.array([[np.nan]])] * models, [errors] * models, 0.5)
        assert np.isnan(bounds.low).all()
