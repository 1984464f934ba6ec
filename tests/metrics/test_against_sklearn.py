"""Every metric equals scikit-learn's on generated rows with ties and absent classes."""

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
SCORES = ("precision", "recall", "f1")
Rows = tuple[np.ndarray, np.ndarray]


def metric(name: str) -> Callable[..., float]:
    return registry.find("metrics", name).build


@st.composite
def draw_classification(draw: st.DrawFn, min_classes: int = 2) -> Rows:
    """Draw class numbers, and probabilities on a coarse grid so that ties are frequent; some classes are absent."""
    classes, n = draw(st.integers(min_classes, 8)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    present = generator.permutation(classes)[: draw(st.integers(1, classes))]
    counts = generator.integers(1, draw(st.sampled_from([3, 5, 1000])), (n, classes))
    return generator.choice(present, n), counts / counts.sum(axis=1, keepdims=True)


@st.composite
def draw_labels(draw: st.DrawFn) -> Rows:
    labels, n = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    frequency = generator.choice([0.0, 0.3, 0.7, 1.0], labels)
    y = (generator.random((n, labels)) < frequency).astype(np.float32)
    steps = draw(st.sampled_from([2, 10, 1000]))
    return y, generator.integers(0, steps + 1, (n, labels)) / steps


@st.composite
def draw_regression(draw: st.DrawFn) -> Rows:
    targets, n = draw(st.integers(1, 3)), draw(st.integers(2, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-3, 6))
    y = generator.normal(draw(st.sampled_from([0.0, 5.0])), 1, (n, targets)) * scale
    return y, y + generator.normal(size=(n, targets)) * scale * draw(st.sampled_from([0.0, 0.1, 3.0]))


@EXAMPLES
@given(draw_classification())
def test_accuracy_and_confusion_matrix(rows: Rows) -> None:
    y, p = rows
    predicted = p.argmax(axis=1)
    assert metric("accuracy")(y, p) == pytest.approx(reference.accuracy_score(y, predicted))
    expected = reference.confusion_matrix(y, predicted, labels=np.arange(p.shape[1]))
    np.testing.assert_array_equal(metric("confusion-matrix")(y, p), expected)


@EXAMPLES
@given(draw_classification(min_classes=6), st.sampled_from([3, 5]))
def test_top_k_accuracy(rows: Rows, k: int) -> None:
    """scikit-learn prefers the last of equally probable classes, so it gets the classes in reverse order."""
    y, p = rows
    classes = p.shape[1]
    expected = reference.top_k_accuracy_score(classes - 1 - y, p[:, ::-1], k=k, labels=np.arange(classes))
    assert metric(f"top-{k}-accuracy")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(draw_classification(), st.sampled_from(SCORES), st.sampled_from(AVERAGES))
def test_averaged_scores_of_classes(rows: Rows, score: str, average: str) -> None:
    y, p = rows
    expected = getattr(reference, f"{score}_score")(y, p.argmax(axis=1), average=average, zero_division=0)
    assert metric(f"{score}-{average}")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(draw_labels(), st.sampled_from(SCORES), st.sampled_from(AVERAGES))
def test_averaged_scores_of_labels(rows: Rows, score: str, average: str) -> None:
    """scikit-learn's macro average counts labels that do not occur as 0; this package leaves them out."""
    y, p = rows
    predicted = (p >= 0.5).astype(int)
    occurring = np.flatnonzero((y > 0).any(axis=0) | predicted.any(axis=0))
    value = metric(f"{score}-{average}")(y, p)
    if not len(occurring) or (average == "weighted" and not y.any()):
        assert np.isnan(value)
        return
    options = {"average": average, "labels": occurring} if y.shape[1] > 1 else {"average": "binary"}
    expected = getattr(reference, f"{score}_score")(y.astype(int), predicted, zero_division=0, **options)
    assert value == pytest.approx(expected)


@EXAMPLES
@given(draw_labels())
def test_subset_accuracy_and_hamming_loss(rows: Rows) -> None:
    y, p = rows
    predicted, true = (p >= 0.5).astype(int), y.astype(int)
    assert metric("subset-accuracy")(y, p) == pytest.approx((predicted == true).all(axis=1).mean())
    assert metric("hamming-loss")(y, p) == pytest.approx(reference.hamming_loss(true, predicted))


@EXAMPLES
@given(draw_classification())
def test_auc_of_classes(rows: Rows) -> None:
    y, p = rows
    classes = range(1, 2) if p.shape[1] == 2 else range(p.shape[1])
    areas = [reference.roc_auc_score(y == c, p[:, c]) for c in classes if (y == c).any() and (y != c).any()]
    np.testing.assert_allclose(metric("roc-auc-ovr-macro")(y, p), np.mean(areas) if areas else np.nan)
    if len(np.unique(y)) == p.shape[1] > 2:
        expected = reference.roc_auc_score(y, p, multi_class="ovr", average="macro")
        assert metric("roc-auc-ovr-macro")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(draw_labels())
def test_auc_of_labels(rows: Rows) -> None:
    y, p = rows
    defined = np.flatnonzero((y > 0).any(axis=0) & (y < 1).any(axis=0))
    expected = reference.roc_auc_score(y[:, defined], p[:, defined], average="macro") if len(defined) else np.nan
    np.testing.assert_allclose(metric("roc-auc-ovr-macro")(y, p), expected)


@EXAMPLES
@given(draw_classification())
def test_log_loss_of_classes(rows: Rows) -> None:
    y, p = rows
    expected = reference.log_loss(y, p, labels=np.arange(p.shape[1]))
    assert metric("log-loss")(y, p) == pytest.approx(expected)


@EXAMPLES
@given(draw_labels())
def test_log_loss_of_labels(rows: Rows) -> None:
    y, p = rows
    expected = np.mean([reference.log_loss(y[:, c], p[:, c], labels=[0, 1]) for c in range(y.shape[1])])
    assert metric("log-loss")(y, p) == pytest.approx(expected, abs=1e-12)


def test_log_loss_of_a_confident_mistake_is_finite() -> None:
    confident = np.eye(3, dtype=np.float32)[[0, 1]]
    value = metric("log-loss")(np.array([2, 1]), confident)
    assert value == pytest.approx(-np.log(np.finfo(np.float32).eps) / 2)


@EXAMPLES
@given(draw_regression())
def test_regression_errors(rows: Rows) -> None:
    y, p = rows
    assert metric("mse")(y, p) == pytest.approx(reference.mean_squared_error(y, p))
    assert metric("rmse")(y, p) == pytest.approx(reference.root_mean_squared_error(y, p))
    assert metric("mae")(y, p) == pytest.approx(reference.mean_absolute_error(y, p))
    assert metric("r2")(y, p) == pytest.approx(reference.r2_score(y, p))


@EXAMPLES
@given(draw_regression())
def test_log_rmse_clips_targets_and_predictions_at_one(rows: Rows) -> None:
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
    for name, expected in (("rmse", reference.root_mean_squared_error), ("r2", reference.r2_score)):
        assert metric(name)(y, p) == pytest.approx(expected(y.astype(float), p.astype(float)), rel=1e-9)


@EXAMPLES
@given(draw_classification())
def test_calibration_error_bin_by_bin(rows: Rows) -> None:
    """As in the source: 15 half-open bins (low, high], one after the other."""
    y, p = rows
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    expected = 0.0
    for b in range(15):
        inside = (confidence * 15 > b) & (confidence * 15 <= b + 1)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert metric("calibration-error")(y, p) == pytest.approx(expected)
