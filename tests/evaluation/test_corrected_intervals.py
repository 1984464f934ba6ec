"""Corrected intervals compared with scipy and with the written-out formula."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from yisheng.evaluation.corrected_intervals import corrected_interval, welch_interval

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


@given(VALUES, st.floats(0, 2), st.floats(0.5, 0.999))
def test_corrected_interval_matches_the_formula_of_nadeau_and_bengio(values, ratio, level):
    score = corrected_interval(values, ratio, level=level)
    n = len(values)
    half_width = stats.t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) * math.sqrt(1 / n + ratio)
    assert score.value == pytest.approx(np.mean(values), abs=1e-9)
    assert (score.low, score.high) == pytest.approx(
        (np.mean(values) - half_width, np.mean(values) + half_width), abs=1e-6
    )


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, for nearly equal values
@given(VALUES)
def test_ratio_zero_gives_the_t_interval(values):
    low, high = stats.ttest_1samp(np.array(values) + np.arange(len(values)), 0.0).confidence_interval(0.95)
    score = corrected_interval(list(np.array(values) + np.arange(len(values))), 0.0)
    assert (score.low, score.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, for nearly equal values
@given(VALUES, VALUES)
def test_welch_interval_matches_scipy(first, second):
    first, second = (np.array(v) + np.arange(len(v)) for v in (first, second))
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    score = welch_interval(list(first), list(second))
    assert (score.low, score.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_corrected_interval_of_a_worked_example():
    """Ten folds of 90 and 10 rows."""
    values = [0.80, 0.84, 0.78, 0.82, 0.81, 0.85, 0.79, 0.83, 0.80, 0.82]
    std = math.sqrt(sum((v - 0.814) ** 2 for v in values) / 9)
    half_width = 2.2621571628 * std * math.sqrt(0.1 + 1 / 9)  # t of 9 degrees of freedom at 97.5%
    score = corrected_interval(values, ratio=10 / 90)
    assert (score.value, score.low, score.high) == pytest.approx(
        (0.814, 0.814 - half_width, 0.814 + half_width), abs=1e-9
    )


def test_one_value_has_no_interval_and_equal_values_have_width_zero():
    assert corrected_interval([0.5], 0.25).low is None
    assert welch_interval([0.5], [0.4, 0.3]).low is None
    score = corrected_interval([0.1] * 7, 0.25)
    assert score.value == score.low == score.high == 0.1
    score = welch_interval([0.3] * 3, [0.1] * 2)
    assert score.low == score.high == score.value


def test_corrected_interval_covers_random_splits_and_the_uncorrected_one_does_not():
    """A mean is fitted and scored on random splits of few rows, 300 times."""
    draw = np.random.default_rng(0)
    covered = {0.0: 0, 0.25: 0}
    rounds, n, splits = 300, 50, 15
    for _ in range(rounds):
        y = draw.normal(size=n)
        losses = []
        for _ in range(splits):
            order = draw.permutation(n)
            train, valid = order[:40], order[40:]
            losses.append(float(((y[valid] - y[train].mean()) ** 2).mean()))
        for ratio in covered:
            score = corrected_interval(losses, ratio)
            covered[ratio] += score.low <= 1 + 1 / 40 <= score.high  # the expected loss of a mean over 40 rows
    assert covered[0.0] / rounds < 0.75
    assert covered[0.25] / rounds > 0.88
