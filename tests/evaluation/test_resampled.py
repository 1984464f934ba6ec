"""Corrected intervals against scipy and against the formula written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from yisheng.evaluation.corrected_intervals import corrected, welch

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


@given(VALUES, st.floats(0, 2), st.floats(0.5, 0.999))
def test_corrected_is_the_formula_of_nadeau_and_bengio(values, ratio, level):
    score = corrected(values, ratio, level=level)
    n = len(values)
    half = stats.t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) * math.sqrt(1 / n + ratio)
    assert score.value == pytest.approx(np.mean(values), abs=1e-9)
    assert (score.low, score.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=1e-6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, of values that hardly differ
@given(VALUES)
def test_without_correction_it_is_the_t_interval(values):
    low, high = stats.ttest_1samp(np.array(values) + np.arange(len(values)), 0.0).confidence_interval(0.95)
    score = corrected(list(np.array(values) + np.arange(len(values))), 0.0)
    assert (score.low, score.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, of values that hardly differ
@given(VALUES, VALUES)
def test_welch_is_scipys(first, second):
    first, second = (np.array(v) + np.arange(len(v)) for v in (first, second))
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    score = welch(list(first), list(second))
    assert (score.low, score.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_by_hand():
    """Ten folds of 90 and 10 rows: the numbers of the formula, one after the other."""
    values = [0.80, 0.84, 0.78, 0.82, 0.81, 0.85, 0.79, 0.83, 0.80, 0.82]
    spread = math.sqrt(sum((v - 0.814) ** 2 for v in values) / 9)
    half = 2.2621571628 * spread * math.sqrt(0.1 + 1 / 9)  # t of 9 degrees of freedom at 97.5%
    score = corrected(values, ratio=10 / 90)
    assert (score.value, score.low, score.high) == pytest.approx((0.814, 0.814 - half, 0.814 + half), abs=1e-9)


def test_one_value_has_no_interval_and_equal_values_have_no_width():
    assert corrected([0.5], 0.25).low is None
    assert welch([0.5], [0.4, 0.3]).low is None
    score = corrected([0.1] * 7, 0.25)
    assert score.value == score.low == score.high == 0.1
    score = welch([0.3] * 3, [0.1] * 2)
    assert score.low == score.high == score.value


def test_the_plain_interval_of_random_splits_holds_far_too_seldom_and_the_corrected_one_often_enough():
    """A mean is learnt and scored on random splits of few rows, many times over."""
    draw = np.random.default_rng(0)
    held = {0.0: 0, 0.25: 0}
    rounds, n, splits = 300, 50, 15
    for _ in range(rounds):
        y = draw.normal(size=n)
        losses = []
        for _ in range(splits):
            order = draw.permutation(n)
            train, valid = order[:40], order[40:]
            losses.append(float(((y[valid] - y[train].mean()) ** 2).mean()))
        for ratio in held:
            score = corrected(losses, ratio)
            held[ratio] += score.low <= 1 + 1 / 40 <= score.high  # the expected loss of a mean over 40 rows
    assert held[0.0] / rounds < 0.75
    assert held[0.25] / rounds > 0.88
