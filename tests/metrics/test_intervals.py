"""95% intervals contain the true score in about 95% of the samples, and are not empty for a perfect sample."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.metrics.bootstrap import compute_mean_interval, compute_percentile_interval, resample_means
from yisheng.metrics.wilson import compute_wilson_interval

Rows = tuple[np.ndarray, np.ndarray]


def draw_classes(generator: np.random.Generator, n: int) -> Rows:
    """Draw five classes of different frequency; 79% of the rows are predicted correctly."""
    y = generator.choice(5, n, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    exponentials = np.exp(generator.normal(size=(n, 5)) + 2 * np.eye(5)[y])
    return y, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def draw_two_classes(generator: np.random.Generator, n: int) -> Rows:
    """Draw calibrated predictions: each class is drawn with the probability that is predicted."""
    p = generator.beta(1, 2, n)
    return (generator.random(n) < p).astype(np.int64), np.stack([1 - p, p], axis=1).astype(np.float32)


def draw_labels(generator: np.random.Generator, n: int) -> Rows:
    """Draw four labels whose errors are correlated within a row."""
    y = generator.random((n, 4)) < [0.5, 0.3, 0.2, 0.1]
    scores = 2 * y - 1 + generator.normal(size=(n, 4)) + generator.normal(0, 0.5, (n, 1))
    return y.astype(np.float32), (1 / (1 + np.exp(-scores))).astype(np.float32)


def draw_numbers(generator: np.random.Generator, n: int) -> Rows:
    x = generator.normal(size=(n, 1))
    return (10 + x + 0.5 * generator.normal(size=(n, 1))).astype(np.float32), (10 + 0.9 * x).astype(np.float32)


CASES = [
    *[(draw_classes, 200, name) for name in ("f1-macro", "precision-macro", "roc-auc-ovr-macro", "log-loss")],
    *[(draw_two_classes, 100, name) for name in ("accuracy", "f1-macro", "roc-auc-ovr-macro", "calibration-error")],
    *[(draw_labels, 100, name) for name in ("f1-macro", "f1-micro", "hamming-loss", "subset-accuracy")],
    *[(draw_numbers, 40, name) for name in ("rmse", "mae", "r2", "log-rmse")],
]


@pytest.mark.parametrize(("make", "n", "name"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_coverage_of_metric_intervals(make: object, n: int, name: str) -> None:
    """In 89% or more of 150 samples the 95% interval contains the score of a very large sample."""
    metric = registry.find("metrics", name)
    true_score = metric.build(*make(np.random.default_rng(1), 200_000))
    generator = np.random.default_rng(2)
    bounds = np.array([metric.meta["interval"](*make(generator, n)) for _ in range(150)])
    coverage = ((bounds[:, 0] <= true_score) & (true_score <= bounds[:, 1])).mean()
    assert coverage >= 0.89
    assert 0 < (bounds[:, 1] - bounds[:, 0]).mean() < (0.35 if name not in ("rmse", "r2") else 0.6)


@pytest.mark.parametrize(("p", "n"), [(0.5, 50), (0.9, 100), (0.97, 360)])
def test_coverage_of_the_wilson_interval(p: float, n: int) -> None:
    rows = np.random.default_rng(0).random((500, n)) < p
    coverage = np.mean([low <= p <= high for low, high in map(compute_wilson_interval, rows)])
    assert 0.91 <= coverage <= 0.99


def test_wilson_bounds_solve_their_equation() -> None:
    """abs(p - t) = z sqrt(t (1 - t) / n) at both bounds t, unless a bound is 0 or 1."""
    z = NormalDist().inv_cdf(0.975)
    for successes, n in [(1, 7), (30, 40), (99, 100), (50, 100)]:
        for t in compute_wilson_interval(np.arange(n) < successes):
            assert abs(successes / n - t) == pytest.approx(z * np.sqrt(t * (1 - t) / n), rel=1e-9)
    assert compute_wilson_interval(np.zeros(10, bool))[0] == 0
    assert compute_wilson_interval(np.ones(10, bool))[1] == 1


@pytest.mark.parametrize(
    ("name", "y", "prediction"),
    [
        *[(name, np.arange(30) % 3, np.eye(3)[np.arange(30) % 3]) for name in ("accuracy", "f1-macro", "recall-macro")],
        ("roc-auc-ovr-macro", np.arange(30) % 3, np.eye(3)[np.arange(30) % 3]),
        ("roc-auc-ovr-macro", np.arange(30) % 2, np.eye(2)[np.arange(30) % 2]),
        *[
            (name, np.eye(3, dtype=np.float32)[np.arange(30) % 3], np.eye(3)[np.arange(30) % 3])
            for name in ("f1-macro", "f1-micro", "subset-accuracy")
        ],
    ],
)
def test_the_interval_of_a_perfect_sample_is_not_empty(name: str, y: np.ndarray, prediction: np.ndarray) -> None:
    entry = registry.find("metrics", name)
    low, high = entry.meta["interval"](y, prediction)
    assert entry.build(y, prediction) == 1
    assert 0.75 < low < 0.97
    assert high > 0.99


@pytest.mark.parametrize("n", [20, 200, 30_000])
def test_the_bootstrap_interval_of_a_mean_agrees_with_students_t(n: int) -> None:
    """Also for more rows than are weighted individually."""
    values = np.random.default_rng(3).normal(5, 2, n)
    low, high = compute_mean_interval(values)
    half_width = {20: 2.093, 200: 1.972, 30_000: 1.960}[n] * values.std(ddof=1) / np.sqrt(n)
    assert low == pytest.approx(values.mean() - half_width, abs=0.15 * half_width)
    assert high == pytest.approx(values.mean() + half_width, abs=0.15 * half_width)


def test_resampled_means_have_the_rows_covariance() -> None:
    rows = np.random.default_rng(4).normal(size=(300, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    means = resample_means(rows)
    np.testing.assert_allclose(means.mean(axis=0), rows.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(np.cov(means.T), np.cov(rows.T) / 300, rtol=0.15)


def test_sorted_rows_do_not_narrow_the_interval() -> None:
    """Rows may come sorted by value, and there are more of them than are weighted individually."""
    values = np.random.default_rng(5).exponential(size=20_000)
    unsorted_width, sorted_width = (np.ptp(compute_mean_interval(rows)) for rows in (values, np.sort(values)))
    assert sorted_width == pytest.approx(unsorted_width, rel=0.1)


def test_one_row_or_undefined_values_have_no_interval() -> None:
    assert np.isnan(compute_percentile_interval(np.ones(1000), 1)).all()
    assert np.isnan(compute_percentile_interval(np.full(1000, np.nan), 50)).all()


def test_the_auc_interval_of_two_classes_is_near_delongs() -> None:
    """DeLong's interval: value +- 1.96 sqrt(var(placements of positives)/m + var(placements of negatives)/n)."""
    y, p = draw_two_classes(np.random.default_rng(6), 400)
    entry = registry.find("metrics", "roc-auc-ovr-macro")
    value, (low, high) = entry.build(y, p), entry.meta["interval"](y, p)
    positives, negatives = p[y == 1, 1], p[y == 0, 1]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    standard_error = np.sqrt(
        wins.mean(axis=1).var(ddof=1) / len(positives) + wins.mean(axis=0).var(ddof=1) / len(negatives)
    )
    assert low == pytest.approx(value - 1.96 * standard_error, abs=0.5 * standard_error)
    assert high == pytest.approx(value + 1.96 * standard_error, abs=0.5 * standard_error)


def test_the_auc_interval_narrows_with_independent_labels() -> None:
    """The mean of independent areas is known better than each of them; of equal areas, equally well."""
    generator = np.random.default_rng(7)
    y = (generator.random((300, 6)) < 0.4).astype(np.float32)
    p = np.clip(y * 0.3 + generator.random((300, 6)) * 0.7, 0, 1)
    interval = registry.find("metrics", "roc-auc-ovr-macro").meta["interval"]
    one_label, six_labels = np.ptp(interval(y[:, :1], p[:, :1])), np.ptp(interval(y, p))
    equal_labels = np.ptp(interval(y[:, [0] * 6], p[:, [0] * 6]))
    assert equal_labels == pytest.approx(one_label, rel=1e-6)
    assert six_labels < 0.6 * one_label
