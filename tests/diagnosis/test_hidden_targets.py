"""Columns that contain the target without determining it alone: windows, sums, and values filled in by class."""

import numpy as np
import pytest

from tests.diagnosis.generated_data import make_sample, make_table, run_check

CHECK = "target-in-inputs"


def make_series(seed, n=400):
    generator = np.random.default_rng(seed)
    series = np.zeros(n)
    for step in range(2, n):
        series[step] = 0.6 * series[step - 1] - 0.2 * series[step - 2] + generator.normal()
    return series


def summarize(series, length, function):
    """Return a summary of each value and those before it ``(N,)``; NaN for the first ones."""
    windows = np.lib.stride_tricks.sliding_window_view(series, length)
    return np.r_[np.full(length - 1, np.nan), function(windows, axis=1)]


def find(x, y, classes=0):
    return run_check(CHECK, make_sample(make_table(x, y, **({"classes": classes} if classes else {}))))


@pytest.mark.parametrize(
    ("length", "function"), [(3, np.mean), (20, np.mean), (7, np.max), (5, np.std), (5, np.median)]
)
def test_summary_of_successive_targets_must_end_before_the_present_row(length, function):
    y = make_series(0)
    lags = np.stack([np.roll(y, shift) for shift in (1, 2, 7)], 1)
    summary = 5 - 3 * summarize(y, length, function)  # in another unit
    (finding,) = find(np.c_[lags, summary][30:], y[30:])
    assert finding.evidence["columns"] == ["c3"]
    assert finding.evidence["length of the window"] == length
    assert "shift(1)" in finding.remedy
    assert find(np.c_[lags, np.roll(summary, 1)][30:], y[30:]) == []


def test_running_and_centered_means_of_targets_are_found():
    y = make_series(1)
    running = np.zeros(400)
    for step in range(1, 400):
        running[step] = 0.8 * running[step - 1] + 0.2 * y[step]
    centered = np.convolve(y, np.ones(5) / 5, "same")
    for column in (running, centered):
        (finding,) = find(np.c_[np.roll(y, 1), column][5:-5], y[5:-5])
        assert finding.evidence["columns"] == ["c1"]
    driven = np.zeros(400)  # a state that the target drives: what it was is to be found from the state
    for step in range(1, 400):
        driven[step] = 0.8 * driven[step - 1] + 0.5 * y[step]
    assert find(np.c_[np.roll(y, 1), driven][5:], y[5:]) == []


def test_series_that_follow_from_themselves_are_not_reported():
    steps = np.arange(400)
    for y in (np.sin(steps / 3), np.sin(steps / 9) + np.sin(steps / 4.7), np.arange(400) % 7 + np.sin(steps / 5)):
        lags = np.stack([np.roll(y, shift) for shift in (1, 2, 3)], 1)
        assert find(np.c_[lags, summarize(y, 5, np.mean)][10:], y[10:]) == []


def test_columns_whose_sum_is_the_target_are_found():
    generator = np.random.default_rng(0)
    season = 1 + np.sin(np.arange(500) / 30)
    casual, registered = generator.poisson(40 * season + 5), generator.poisson(100 + 60 * season)
    weather = np.c_[season + 0.2 * generator.normal(size=500), generator.normal(size=(500, 3))]
    (finding,) = find(np.c_[casual, weather, registered], casual + registered)
    assert finding.evidence["columns"] == ["c0", "c5"]
    price, pieces = np.exp(generator.normal(size=500)), generator.integers(1, 9, 500)
    similar = price * np.exp(0.3 * generator.normal(size=500))
    (finding,) = find(np.c_[price, pieces, similar, weather], price * pieces)
    assert finding.evidence["columns"] == ["c0", "c1"]
    assert "product" in finding.cause
    y = make_series(2)
    x = np.c_[[np.roll(y, shift) for shift in (1, 2, 3, 7)]].T
    rows = generator.permutation(np.arange(10, 400))  # no windows can be seen
    (finding,) = find(np.c_[x, summarize(y, 3, np.mean)][rows], y[rows])
    assert finding.evidence["columns"] == ["c0", "c1", "c4"]


def test_targets_made_from_columns_for_practice_are_not_reported():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 8))
    assert find(x, x @ generator.normal(size=8)) == []
    assert find(x, x[:, 0] + x[:, 1]) == []
    assert find(np.exp(x), np.exp(x[:, 0] + x[:, 1])) == []
    states = generator.normal(size=(400, 4))  # each column is a mixture of a few numbers, and so is the target
    assert find(states @ generator.normal(size=(4, 16)), states.sum(1)) == []


def fill_in(x, y, mask, function):
    """Return columns whose marked values are replaced by a summary of the others of the same class."""
    filled = x.copy()
    for number in np.unique(y):
        for column in range(x.shape[1]):
            rows = y == number
            others = x[rows & ~mask[:, column], column]
            filled[rows & mask[:, column], column] = function(others)
    return filled


@pytest.mark.parametrize("function", [np.mean, np.median])
def test_values_filled_in_by_class_are_found(function):
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 600)
    x = generator.normal(size=(600, 5)) + 0.3 * y[:, None]
    mask = (generator.random(x.shape) < 0.3) & (np.arange(5) > 2)
    (finding,) = find(fill_in(x, y, mask, function), y, classes=3)
    assert finding.evidence["columns"] == ["c3", "c4"]
    assert 0.3 * mask.sum() < finding.evidence["values filled in"] <= mask.sum()  # of the training rows
    assert find(fill_in(x, np.zeros(600), mask, function), y, classes=3) == []
    assert find(fill_in(x, generator.integers(0, 5, 600), mask, function), y, classes=3) == []


def test_values_filled_in_by_intervals_of_the_target_are_found():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(600, 4))
    y = x[:, 0] + generator.normal(size=600)
    mask = (generator.random(x.shape) < 0.3) & (np.arange(4) == 2)
    quarters = np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75]))
    (finding,) = find(fill_in(x, quarters, mask, np.mean), y)
    assert finding.evidence["columns"] == ["c2"]
    assert find(fill_in(x, generator.integers(0, 4, 600), mask, np.mean), y) == []


def test_ends_of_a_range_are_not_filled_in():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 600)
    signal = (2 * y[:, None] - 1) * np.abs(generator.normal(size=(600, 4)))
    x = np.c_[np.clip(signal, -1, 1)]
    x[:, 1:] += 0.3 * generator.normal(size=(600, 3))
    assert [f.cause for f in find(x, y, classes=2) if "filled in" in f.cause] == []
