"""Every metric equals scikit-learn's, on generated rows with ties and absent classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from yisheng.core import registry

EXAMPLES = settings(max_examples=60, deadline=None)
AVERAGES = ("macro", "micro", "weighted")
SHARES = ("precision", "recall", "f1")
Rows = tuple[np.ndarray, np.ndarray]


def metric(name: str) -> Callable[..., float]:
    return registry.find("metrics", name).build


@st.composite
def classified(draw: st.DrawFn, least: int = 2) -> Rows:
    """Class numbers, and probabilities on a coarse grid so that ties are frequent; some classes are absent."""
    classes, n = draw(st.integers(least, 8)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    present = generator.permutation(classes)[: draw(st.integers(1, classes))]
    counts = generator.integers(1, draw(st.sampled_from([3, 5, 1000])), (n, classes))
    return generator.choice(present, n), counts / counts.sum(axis=1, keepdims=True)


@st.composite
def labelled(draw: st.DrawFn) -> Rows:
    labels, n = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = generator.choice([0.0, 0.3, 0.7, 1.0], labels)
    y = (generator.random((n, labels)) < share).astype(np.float32)
    steps = draw(st.sampled_from([2, 10, 1000]))
    return y, generator.integers(0, steps + 1, (n, labels)) / steps


@st.composite
def measured(draw: st.DrawFn) -> Rows:
    targets, n = draw(st.integers(1, 3)), draw(st.integers(2, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-3, 6))
    y = generator.normal(draw(st.sampled_from([0.0, 5.0])), 1, (n, targets)) * scale
    return y, y + generator.normal(size=(n, targets)) * scale * draw(st.sampled_from([0.0, 0.1, 3.0]))


@EXAMPLES
@given(classified())
def test_accuracy_and_confusion_matrix(rows: Rows) -> None:
    y, p = rows
    said = p.argmax(axis=1)
    assert metric("accuracy")(y, p) == pytest.approx(reference.accuracy_score(y, said))
    expected = reference.confusion_matrix(y, said, labels=np.arange(p.shape[1]))
    np.testing.assert_array_equal(metric("confusion-matrix")(y, p), expected)


@EXAMPLES
@given(classified(least=6), st.sampled_from([3, 5]))
def test_top_k(rows: Rows, k: int) -> None:
    """scikit-learn prefers the last of equally probable classes: ours, with the classes in reverse."""
    y, p = rows
    classes = p.shape[1]
    expected = reference.top_k_accuracy_score(classes - 1 - y, p[:, ::-1], k=k, labels=np.arange(classes))
    assert metric(f"top-{k}-accuracy")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(classified(), st.sampled_from(SHARES), st.sampled_from(AVERAGES))
def test_shares_of_classes(rows: Rows, share: str, average: str) -> None:
    y, p = rows
    expected = getattr(reference, f"{share}_score")(y, p.argmax(axis=1), average=average, zero_division=0)
    assert metric(f"{share}-{average}")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(labelled(), st.sampled_from(SHARES), st.sampled_from(AVERAGES))
def test_shares_of_labels(rows: Rows, share: str, average: str) -> None:
    """Over labels scikit-learn's macro average counts those that occur nowhere as 0; ours leaves them out."""
    y, p = rows
    said = (p >= 0.5).astype(int)
    occurring = np.flatnonzero((y > 0).any(axis=0) | said.any(axis=0))
    value = metric(f"{share}-{average}")(y, p)
    if not len(occurring) or (average == "weighted" and not y.any()):
        assert np.isnan(value)
        return
    how = {"average": average, "labels": occurring} if y.shape[1] > 1 else {"average": "binary"}
    expected = getattr(reference, f"{share}_score")(y.astype(int), said, zero_division=0, **how)
    assert value == pytest.approx(expected)


@EXAMPLES
@given(labelled())
def test_sets_of_labels(rows: Rows) -> None:
    y, p = rows
    said, truth = (p >= 0.5).astype(int), y.astype(int)
    assert metric("subset-accuracy")(y, p) == pytest.approx((said == truth).all(axis=1).mean())
    assert metric("hamming-loss")(y, p) == pytest.approx(reference.hamming_loss(truth, said))


@EXAMPLES
@given(classified())
def test_auc_of_classes(rows: Rows) -> None:
    y, p = rows
    of = range(1, 2) if p.shape[1] == 2 else range(p.shape[1])
    areas = [reference.roc_auc_score(y == c, p[:, c]) for c in of if (y == c).any() and (y != c).any()]
    np.testing.assert_allclose(metric("roc-auc-ovr-macro")(y, p), np.mean(areas) if areas else np.nan)
    if len(np.unique(y)) == p.shape[1] > 2:
        expected = reference.roc_auc_score(y, p, multi_class="ovr", average="macro")
        assert metric("roc-auc-ovr-macro")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(labelled())
def test_auc_of_labels(rows: Rows) -> None:
    y, p = rows
    both = np.flatnonzero((y > 0).any(axis=0) & (y < 1).any(axis=0))
    expected = reference.roc_auc_score(y[:, both], p[:, both], average="macro") if len(both) else np.nan
    np.testing.assert_allclose(metric("roc-auc-ovr-macro")(y, p), expected)


@EXAMPLES
@given(classified())
def test_log_loss_of_classes(rows: Rows) -> None:
    y, p = rows
    expected = reference.log_loss(y, p, labels=np.arange(p.shape[1]))
    assert metric("log-loss")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(labelled())
def test_log_loss_of_labels(rows: Rows) -> None:
    y, p = rows
    expected = np.mean([reference.log_loss(y[:, c], p[:, c], labels=[0, 1]) for c in range(y.shape[1])])
    assert metric("log-loss")(y, p) == pytest.approx(expected, abs=1e-12)


def test_log_loss_of_a_wrong_certainty_is_finite() -> None:
    certain = np.eye(3, dtype=np.float32)[[0, 1]]
    value = metric("log-loss")(np.array([2, 1]), certain)
    assert value == pytest.approx(-np.log(np.finfo(np.float32).eps) / 2)


@EXAMPLES
@given(measured())
def test_errors_of_numbers(rows: Rows) -> None:
    y, p = rows
    assert metric("mse")(y, p) == pytest.approx(reference.mean_squared_error(y, p))
    assert metric("rmse")(y, p) == pytest.approx(reference.root_mean_squared_error(y, p))
    assert metric("mae")(y, p) == pytest.approx(reference.mean_absolute_error(y, p))
    assert metric("r2")(y, p) == pytest.approx(reference.r2_score(y, p))


@EXAMPLES
@given(measured())
def test_log_rmse_clips_both_at_one(rows: Rows) -> None:
    y, p = rows
    value = metric("log-rmse")(y, p)
    if (y > 1).any():
        clipped = np.maximum(y, 1.0) - 1, np.maximum(p, 1.0) - 1
        assert value == pytest.approx(reference.root_mean_squared_log_error(*clipped))
    else:
        assert np.isnan(value)


def test_r2_leaves_constant_targets_out() -> None:
    y = np.array([[1.0, 7.0], [2.0, 7.0], [4.0, 7.0]])
    p = y + np.array([[0.5, 1.0], [0.0, 0.0], [-0.5, 0.0]])
    assert metric("r2")(y, p) == pytest.approx(reference.r2_score(y[:, :1], p[:, :1]))
    assert np.isnan(metric("r2")(y[:, 1:], p[:, 1:]))
    with warnings.catch_warnings(action="ignore"):
        assert np.isnan(metric("r2")(y[:1], p[:1])) == np.isnan(reference.r2_score(y[:1], p[:1]))


def test_squares_of_float32_prices_keep_their_digits() -> None:
    generator = np.random.default_rng(0)
    y = (200_000 + generator.normal(size=(5000, 1))).astype(np.float32)
    p = (y + generator.normal(size=(5000, 1))).astype(np.float32)
    for name, theirs in (("rmse", reference.root_mean_squared_error), ("r2", reference.r2_score)):
        assert metric(name)(y, p) == pytest.approx(theirs(y.astype(float), p.astype(float)), rel=1e-9)


@EXAMPLES
@given(classified())
def test_calibration_error_bin_by_bin(rows: Rows) -> None:
    """As in the source: 15 half-open bins (low, high], one after the other."""
    y, p = rows
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    expected = 0.0
    for b in range(15):
        inside = (confidence * 15 > b) & (confidence * 15 <= b + 1)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metric("calibration-error")(y, p) == pytest.approx(expected)
