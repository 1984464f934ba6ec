"""Scores, their intervals, the constant baseline, and the scorer of the validation part."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import nn

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.events import Batch
from yisheng.core.score import Score
from yisheng.core.spec import Spec
from yisheng.evaluation.baseline import score_baseline
from yisheng.evaluation.intervals import bootstrap_metric, compute_interval
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scorer import make_scorer
from yisheng.evaluation.scores import compute_scores, reported_metrics

TWO = Spec("classification", (2,), classes=("no", "yes"))
THREE = Spec("classification", (3,), classes=("a", "b", "c"))
TEN = Spec("classification", (10,), classes=tuple("0123456789"))
LABELS = Spec("multilabel", (3,), classes=("p", "q", "r"))
NUMBER = Spec("regression", (1,))
PAIR = Spec("regression", (2,), outputs=2)
SPECS = (TWO, THREE, TEN, LABELS, NUMBER, PAIR)


def make_predictions(spec: Spec, n: int, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    if spec.task == "classification":
        y = generator.integers(len(spec.classes), size=n)
        exponentials = np.exp(generator.normal(size=(n, len(spec.classes))) + 2 * np.eye(len(spec.classes))[y])
        return Predictions(y, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32), np.arange(n))
    if spec.task == "multilabel":
        y = (generator.random((n, len(spec.classes))) < 0.4).astype(np.float32)
        return Predictions(y, np.clip(0.6 * y + 0.4 * generator.random(y.shape), 0, 1), np.arange(n))
    y = generator.normal(10, 2, (n, spec.outputs)).astype(np.float32)
    return Predictions(y, y + generator.normal(size=y.shape).astype(np.float32), np.arange(n))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.task}-{spec.outputs}")
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_scores_are_plain_json_and_inside_their_intervals(spec: Spec, n: int) -> None:
    scores = compute_scores(spec, make_predictions(spec, n))
    assert scores
    json.dumps({name: asdict(score) for name, score in scores.items()}, allow_nan=False)
    for score in scores.values():
        assert type(score.value) is float
        if n < 2:
            assert score.low is score.high is None
        elif score.low is not None:
            assert type(score.low) is type(score.high) is float
            assert score.low <= score.value <= score.high
    if n == 50:
        assert all(score.low is not None and score.low < score.high for score in scores.values())


def test_several_targets_are_scored_each_in_its_own_unit() -> None:
    spec = Spec("regression", (2,), target="age, price", outputs=2)
    generator = np.random.default_rng(0)
    y = generator.normal(0, 1, (80, 2)) * [10, 1e5]
    predictions = Predictions(y, y + generator.normal(0, 1, (80, 2)) * [2, 5e4], np.arange(80))
    scores = compute_scores(spec, predictions, extra=[registry.find("metrics", "mse")])
    assert list(scores)[:3] == ["r2", "mse", "rmse[age]"]
    assert not {"rmse", "mae", "log_rmse"} & set(scores)
    for number, name in enumerate(spec.target_names):
        single = Predictions(y[:, [number]], predictions.prediction[:, [number]], np.arange(80))
        expected = compute_scores(NUMBER, single, extra=[registry.find("metrics", "mse")])
        assert {key: scores[f"{key}[{name}]"] for key in expected} == expected
    assert scores["r2"].value == pytest.approx(np.mean([scores["r2[age]"].value, scores["r2[price]"].value]))
    assert registry.default("metrics", spec).key == "r2"
    spec = Spec("regression", (2,), outputs=200)
    y = np.ones((4, 200)) * np.arange(4)[:, None]
    assert list(compute_scores(spec, Predictions(y, y + 0.5, np.arange(4)))) == ["r2"]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (THREE, ["accuracy", "calibration_error", "f1_macro", "log_loss", "precision_macro", "recall_macro"]),
        (LABELS, ["f1_macro", "f1_micro", "hamming_loss", "log_loss", "precision_macro", "recall_macro"]),
        (NUMBER, ["rmse", "log_rmse", "mae", "r2"]),
    ],
)
def test_reported_metrics_of_each_task(spec: Spec, names: list[str]) -> None:
    """The default score comes first; classes have the AUC, too."""
    scores = list(compute_scores(spec, make_predictions(spec, 50)))
    assert scores[0] == registry.default("metrics", spec).key == names[0]
    extra = {"classification": {"roc_auc_ovr_macro"}, "multilabel": {"roc_auc_ovr_macro", "subset_accuracy"}}
    assert set(scores) == {*names, *extra.get(spec.task, set())}


def test_top_5_accuracy_is_reported_from_ten_classes_on() -> None:
    assert "top_5_accuracy" in compute_scores(TEN, make_predictions(TEN, 50))
    assert "top-5-accuracy" not in [entry.name for entry in reported_metrics(THREE)]


def test_the_same_predictions_give_the_same_intervals() -> None:
    for spec in SPECS:
        assert compute_scores(spec, make_predictions(spec, 30)) == compute_scores(spec, make_predictions(spec, 30))


def test_undefined_metrics_are_left_out() -> None:
    one_class = Predictions(np.zeros(5, np.int64), np.tile([0.8, 0.2], (5, 1)), np.arange(5))
    scores = compute_scores(TWO, one_class)
    assert "roc_auc_ovr_macro" not in scores
    assert scores["accuracy"].value == 1
    constant = Predictions(np.ones((5, 1)), np.ones((5, 1)), np.arange(5))
    assert set(compute_scores(NUMBER, constant)) == {"rmse", "mae"}


def test_only_the_named_metrics_are_computed() -> None:
    assert list(compute_scores(THREE, make_predictions(THREE, 9), ["f1_weighted", "accuracy"])) == [
        "f1_weighted",
        "accuracy",
    ]


@pytest.mark.parametrize(
    ("spec", "name", "problem"),
    [
        (THREE, "rmse", "needs a number"),
        (NUMBER, "accuracy", "needs classes"),
        (THREE, "confusion-matrix", "is a table"),
        (THREE, "acuracy", "did you mean accuracy"),
        (THREE, "top-5-accuracy", "more than 5 classes"),
    ],
)
def test_metrics_that_do_not_fit_are_refused(spec: Spec, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        compute_scores(spec, make_predictions(spec, 9), [name])
    with pytest.raises(UsageError, match=problem):
        make_scorer(spec, nn.MSELoss(reduction="none"), [name])


def test_non_finite_predictions_are_refused() -> None:
    predictions = Predictions(np.zeros((2, 1)), np.array([[1.0], [np.nan]]), np.arange(2))
    with pytest.raises(NonFiniteError):
        compute_scores(NUMBER, predictions)


def median_error(y: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.median(np.abs(y - prediction)))


def test_metric_without_an_interval_uses_the_bootstrap() -> None:
    """The interval of the median error contains the true value in 87% or more of 60 samples."""
    metric = Entry("metrics", "median-error", median_error, {})
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        y = np.zeros((50, 1))
        low, high = bootstrap_metric(metric, y, generator.normal(size=(50, 1)))
        covered += low <= 0.6745 <= high
    assert 52 <= covered <= 60


def test_interval_always_contains_the_value() -> None:
    def narrow_interval(y: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
        return 0.2, 0.3

    metric = Entry("metrics", "odd", median_error, {"interval": narrow_interval})
    assert compute_interval(metric, np.zeros((5, 1)), np.zeros((5, 1)), 0.1) == (0.1, 0.3)


def test_classification_baseline_predicts_the_class_frequencies() -> None:
    y_train, y_test = np.array([0, 1, 1, 1, 2]), np.array([1, 0, 1, 2])
    scores = score_baseline(THREE, y_train, y_test)
    assert scores["accuracy"].value == 0.5
    assert scores["roc_auc_ovr_macro"].value == 0.5
    frequencies = np.tile([0.2, 0.6, 0.2], (4, 1))
    assert scores["log_loss"].value == pytest.approx(reference.log_loss(y_test, frequencies))
    assert scores["f1_macro"].value == pytest.approx(reference.f1_score(y_test, np.ones(4), average="macro"))


def test_regression_baseline_predicts_the_training_mean() -> None:
    y_train, y_test = np.array([[1.0, 10.0], [3.0, 30.0]], np.float32), np.array([[4.0, 20.0], [2.0, 25.0]], np.float32)
    scores = score_baseline(PAIR, y_train, y_test)
    assert scores["rmse[target-1]"].value == pytest.approx(np.sqrt(2))
    assert scores["rmse[target-2]"].value == pytest.approx(np.sqrt(12.5))
    assert scores["r2"].value < 0


def test_multilabel_baseline_predicts_the_label_frequencies() -> None:
    y_train = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]], np.float32)
    scores = score_baseline(LABELS, y_train, y_train)
    assert scores["hamming_loss"].value == pytest.approx(1 / 9)
    assert scores["subset_accuracy"].value == pytest.approx(2 / 3)


def parts(spec: Spec, n: int, weighted: bool = False) -> Iterator[Batch]:
    torch.manual_seed(0)
    for at in range(0, n, 7):
        size = min(7, n - at)
        x = torch.randn(size, spec.outputs)
        y = torch.randint(spec.outputs, (size,)) if spec.task == "classification" else torch.randn(size, spec.outputs)
        yield Batch(x, y, torch.arange(at, at + size), torch.rand(size) if weighted else None)


def test_scorer_averages_the_loss_over_samples() -> None:
    """The last batch is smaller, so a mean of the batch means would differ."""
    all_x = torch.cat([batch.x for batch in parts(THREE, 23)])
    all_y = torch.cat([batch.y for batch in parts(THREE, 23)])
    score = make_scorer(THREE, nn.CrossEntropyLoss(reduction="none"), ["accuracy", "f1-macro", "loss"])
    scores = score(nn.Identity(), parts(THREE, 23))
    assert list(scores) == ["loss", "accuracy", "f1_macro"]
    assert scores["loss"] == pytest.approx(nn.functional.cross_entropy(all_x, all_y).item())
    predicted = all_x.argmax(1)
    assert scores["accuracy"] == pytest.approx((predicted == all_y).float().mean().item())
    assert scores["f1_macro"] == pytest.approx(reference.f1_score(all_y, predicted, average="macro"))
    assert all(type(value) is float for value in scores.values())


def test_scorer_weights_the_loss_as_training_does() -> None:
    rows = list(parts(THREE, 23, weighted=True))
    weight = torch.cat([batch.weight for batch in rows if batch.weight is not None])
    loss = nn.CrossEntropyLoss(reduction="none")
    losses = loss(torch.cat([batch.x for batch in rows]), torch.cat([batch.y for batch in rows]))
    scores = make_scorer(THREE, loss, [])(nn.Identity(), rows)
    assert scores == {"loss": pytest.approx(((losses * weight).sum() / weight.sum()).item())}


def test_scorer_has_loss_in_the_transformed_scale_and_metrics_in_the_original() -> None:
    rows = list(parts(NUMBER, 23))
    error = torch.cat([batch.x - batch.y for batch in rows])
    loss = registry.find("losses", "mse").build(NUMBER, np.zeros((1, 1)))
    scores = make_scorer(NUMBER, loss, ["rmse"], invert=lambda values: 100 * values)(nn.Identity(), rows)
    assert scores["loss"] == pytest.approx((error**2).mean().item())
    assert scores["rmse"] == pytest.approx(100 * (error**2).mean().sqrt().item(), rel=1e-6)


def test_diverged_model_scores_nan() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * math.nan

    scores = make_scorer(THREE, nn.CrossEntropyLoss(reduction="none"), ["accuracy"])(Broken(), parts(THREE, 9))
    assert math.isnan(scores["accuracy"])
    assert math.isnan(scores["loss"])


def test_scorer_changes_neither_gradients_nor_modes() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    make_scorer(THREE, nn.CrossEntropyLoss(reduction="none"), ["accuracy"])(model, parts(THREE, 9))
    assert model[1].training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_score_without_interval() -> None:
    predictions = Predictions(np.array([1]), np.array([[0.2, 0.8]]), np.array([0]))
    assert compute_scores(TWO, predictions, ["accuracy"])["accuracy"] == Score(1.0)
