"""Intervals hold the truth about as often as they say, and are not empty where a sample is perfect."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.metrics._bootstrap import mean_interval, percentiles, resampled_means
from yisheng.metrics._wilson import wilson

Rows = tuple[np.ndarray, np.ndarray]


def classes(generator: np.random.Generator, n: int) -> Rows:
    """Five classes, unevenly frequent, 79% of them recognised."""
    y = generator.choice(5, n, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    powers = np.exp(generator.normal(size=(n, 5)) + 2 * np.eye(5)[y])
    return y, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def two_classes(generator: np.random.Generator, n: int) -> Rows:
    """Calibrated by construction: the class is drawn with the very probability that is predicted."""
    p = generator.beta(1, 2, n)
    return (generator.random(n) < p).astype(np.int64), np.stack([1 - p, p], axis=1).astype(np.float32)


def labels(generator: np.random.Generator, n: int) -> Rows:
    """Four labels whose errors go together within a row."""
    y = generator.random((n, 4)) < [0.5, 0.3, 0.2, 0.1]
    scores = 2 * y - 1 + generator.normal(size=(n, 4)) + generator.normal(0, 0.5, (n, 1))
    return y.astype(np.float32), (1 / (1 + np.exp(-scores))).astype(np.float32)


def numbers(generator: np.random.Generator, n: int) -> Rows:
    x = generator.normal(size=(n, 1))
    return (10 + x + 0.5 * generator.normal(size=(n, 1))).astype(np.float32), (10 + 0.9 * x).astype(np.float32)


CASES = [
    *[(classes, 200, name) for name in ("f1-macro", "precision-macro", "roc-auc-ovr-macro", "log-loss")],
    *[(two_classes, 100, name) for name in ("accuracy", "f1-macro", "roc-auc-ovr-macro", "calibration-error")],
    *[(labels, 100, name) for name in ("f1-macro", "f1-micro", "hamming-loss", "subset-accuracy")],
    *[(numbers, 40, name) for name in ("rmse", "mae", "r2", "log-rmse")],
]


@pytest.mark.parametrize(("make", "n", "name"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_coverage(make: object, n: int, name: str) -> None:
    """In 150 samples the 95% interval holds the score of a very large one in 89% or more."""
    metric = registry.find("metrics", name)
    truth = metric.build(*make(np.random.default_rng(1), 200_000))
    generator = np.random.default_rng(2)
    bounds = np.array([metric.meta["interval"](*make(generator, n)) for _ in range(150)])
    held = ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean()
    assert held >= 0.89
    assert 0 < (bounds[:, 1] - bounds[:, 0]).mean() < (0.35 if name not in ("rmse", "r2") else 0.6)


@pytest.mark.parametrize(("p", "n"), [(0.5, 50), (0.9, 100), (0.97, 360)])
def test_coverage_of_wilsons_interval(p: float, n: int) -> None:
    rows = np.random.default_rng(0).random((500, n)) < p
    held = np.mean([low <= p <= high for low, high in map(wilson, rows)])
    assert 0.91 <= held <= 0.99


def test_wilsons_bounds_solve_its_equation() -> None:
    """abs(p - t) = z sqrt(t (1 - t) / n) at both bounds t, but where a bound is 0 or 1."""
    z = NormalDist().inv_cdf(0.975)
    for right, n in [(1, 7), (30, 40), (99, 100), (50, 100)]:
        for t in wilson(np.arange(n) < right):
            assert abs(right / n - t) == pytest.approx(z * np.sqrt(t * (1 - t) / n), rel=1e-9)
    assert wilson(np.zeros(10, bool))[0] == 0
    assert wilson(np.ones(10, bool))[1] == 1


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
def test_a_perfect_sample_is_no_proof_of_perfection(name: str, y: np.ndarray, prediction: np.ndarray) -> None:
    entry = registry.find("metrics", name)
    low, high = entry.meta["interval"](y, prediction)
    assert entry.build(y, prediction) == 1
    assert 0.75 < low < 0.97
    assert high > 0.99


@pytest.mark.parametrize("n", [20, 200, 30_000])
def test_bootstrapped_mean_agrees_with_students_t(n: int) -> None:
    """Also for more rows than are weighted one by one."""
    values = np.random.default_rng(3).normal(5, 2, n)
    low, high = mean_interval(values)
    half = {20: 2.093, 200: 1.972, 30_000: 1.960}[n] * values.std(ddof=1) / np.sqrt(n)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_resampled_means_have_the_rows_covariance() -> None:
    rows = np.random.default_rng(4).normal(size=(300, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    means = resampled_means(rows)
    np.testing.assert_allclose(means.mean(axis=0), rows.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(np.cov(means.T), np.cov(rows.T) / 300, rtol=0.15)


def test_order_of_the_rows_does_not_narrow_the_interval() -> None:
    """Rows sorted by their value, as files sorted by class are, beyond the number weighted one by one."""
    values = np.random.default_rng(5).exponential(size=20_000)
    as_they_come, in_order = (np.ptp(mean_interval(rows)) for rows in (values, np.sort(values)))
    assert in_order == pytest.approx(as_they_come, rel=0.1)


def test_few_or_undefined_values_give_no_interval() -> None:
    assert np.isnan(percentiles(np.ones(1000), 1)).all()
    assert np.isnan(percentiles(np.full(1000, np.nan), 50)).all()


def test_auc_of_two_classes_is_near_delongs_interval() -> None:
    """DeLong's interval, by hand: value +- 1.96 sqrt(var(above)/m + var(below)/n)."""
    y, p = two_classes(np.random.default_rng(6), 400)
    entry = registry.find("metrics", "roc-auc-ovr-macro")
    value, (low, high) = entry.build(y, p), entry.meta["interval"](y, p)
    yes, no = p[y == 1, 1], p[y == 0, 1]
    wins = (yes[:, None] > no) + 0.5 * (yes[:, None] == no)
    deviation = np.sqrt(wins.mean(axis=1).var(ddof=1) / len(yes) + wins.mean(axis=0).var(ddof=1) / len(no))
    assert low == pytest.approx(value - 1.96 * deviation, abs=0.5 * deviation)
    assert high == pytest.approx(value + 1.96 * deviation, abs=0.5 * deviation)


def test_many_classes_are_less_sure_together_than_apart() -> None:
    """The mean of independent areas is known better than each; of one and the same area, as well as it."""
    generator = np.random.default_rng(7)
    y = (generator.random((300, 6)) < 0.4).astype(np.float32)
    p = np.clip(y * 0.3 + generator.random((300, 6)) * 0.7, 0, 1)
    interval = registry.find("metrics", "roc-auc-ovr-macro").meta["interval"]
    one, six = np.ptp(interval(y[:, :1], p[:, :1])), np.ptp(interval(y, p))
    same = np.ptp(interval(y[:, [0] * 6], p[:, [0] * 6]))
    assert same == pytest.approx(one, rel=1e-6)
    assert six < 0.6 * one
