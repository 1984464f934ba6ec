"""Weights, temperature and offsets win on rows that they were not chosen by, or are left out."""

import numpy as np
import pytest
import torch

from yisheng.core.choice import Choice
from yisheng.core.columns import Column
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models.ensemble import CANDIDATES
from yisheng.training.fitted import choose_for_fitting
from yisheng.training.portfolio.calibration import (
    TEMPERATURES,
    choose_offsets,
    choose_temperature,
    scale_probabilities,
)
from yisheng.training.portfolio.candidates import ORDER_OF_FEW, ORDER_OF_MANY, make_candidate, order_candidates
from yisheng.training.portfolio.plan import plan_ensemble
from yisheng.training.portfolio.row_losses import make_problem
from yisheng.training.portfolio.weights import choose_best, choose_weights
from yisheng.transforms.columns import columns

NUMBERS = Spec("regression", (2,))
CLASSES = Spec("classification", (2,), classes=("no", "yes"))


def make_folds(n, k=5):
    return [np.arange(i, n, k) for i in range(k)]


def test_models_with_different_errors_share_the_weight():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(600, 1))
    predictions = [y + rng.normal(size=y.shape), y + rng.normal(size=y.shape), y + 5 * rng.normal(size=y.shape)]
    weights = choose_weights(make_problem(NUMBERS, predictions, y, None, "rmse"), make_folds(600), seed=0)
    np.testing.assert_allclose(weights, [0.5, 0.5, 0.0], atol=0.1)
    assert weights.sum() == pytest.approx(1)


def test_the_best_weights_of_independent_errors_are_found():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(20_000, 1))
    predictions = [y + rng.normal(size=y.shape), y + 2 * rng.normal(size=y.shape)]
    weights = choose_weights(make_problem(NUMBERS, predictions, y, None, "rmse"), make_folds(len(y)), seed=0)
    np.testing.assert_allclose(weights, [0.8, 0.2], atol=0.05)  # inverse variances


def test_few_rows_do_not_make_the_weighted_mean_worse_than_the_best_model():
    """On rows that nobody has seen: of equally good models the best one out of fold is a random one."""
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(1100, 1))
        common, scales = rng.normal(size=y.shape), rng.uniform(0.9, 1.2, 8)
        predictions = [y + scale * (0.8 * common + 0.6 * rng.normal(size=y.shape)) for scale in scales]
        fitting = make_problem(NUMBERS, [p[:100] for p in predictions], y[:100], None, "rmse")
        unseen = make_problem(NUMBERS, [p[100:] for p in predictions], y[100:], None, "rmse")
        best = np.zeros(8)
        best[choose_best(fitting)] = 1.0
        weights = choose_weights(fitting, make_folds(100), seed)
        ratios.append(unseen.row_losses(weights).mean() / unseen.row_losses(best).mean())
    assert np.mean(ratios) < 0.95
    assert max(ratios) < 1.02


def test_copies_of_noise_get_no_weight():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(100, 1))
    precise = y + 0.1 * rng.normal(size=y.shape)
    predictions = [precise, *(rng.normal(size=y.shape) for _ in range(20))]
    weights = choose_weights(make_problem(NUMBERS, predictions, y, None, "rmse"), make_folds(100), seed=0)
    assert weights[0] > 0.97


def test_rows_without_weight_do_not_count():
    y = np.concatenate([np.zeros((50, 1)), np.ones((50, 1))])
    predictions = [np.zeros_like(y), np.ones_like(y)]
    weight = np.repeat([1.0, 0.0], 50)
    weights = choose_weights(make_problem(NUMBERS, predictions, y, weight, "rmse"), make_folds(100), seed=0)
    np.testing.assert_array_equal(weights, [1, 0])


@pytest.mark.parametrize("score", ["rmse", "mae", "log-rmse"])
def test_a_score_has_its_loss(score):
    y = np.exp(np.random.default_rng(0).normal(size=(300, 1)))
    perfect, off = y.copy(), y * 1.5
    problem = make_problem(NUMBERS, [off, perfect], y, None, score)
    np.testing.assert_array_equal(choose_weights(problem, make_folds(300), seed=0), [0, 1])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_probabilities_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 1.5
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (p.cumsum(1) < rng.random((len(p), 1))).sum(1).clip(0, 2)
    scaled = scale_probabilities(p, 1 / temperature)
    assert choose_temperature(scaled, y, make_folds(len(y))) == pytest.approx(temperature, rel=0.08)


def test_rows_that_are_all_predicted_correctly_sharpen_probabilities_the_less_the_fewer_they_are():
    def choose(n):
        y = np.arange(n) % 2
        sure = np.where(y == 1, 0.9, 0.1)
        return choose_temperature(np.stack([1 - sure, sure], 1), y, make_folds(n))

    temperatures = [choose(n) for n in (20, 200, 20_000)]
    assert temperatures == sorted(temperatures, reverse=True)
    assert temperatures[0] > 0.8
    assert temperatures[2] == TEMPERATURES.min()


def accuracy(y, p):
    return float((p.argmax(1) == y).mean())


def test_offsets_undo_a_shift_of_the_logits():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=4000) * 2
    y = (rng.random(4000) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    shifted = 1 / (1 + np.exp(-(logit - 1.0)))
    p = np.stack([1 - shifted, shifted], 1)
    offsets = choose_offsets(p, y, make_folds(4000), accuracy)
    assert offsets[1] == pytest.approx(1.0, abs=0.5)
    calibrated = np.stack([1 - 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-logit))], 1)
    assert not choose_offsets(calibrated, y, make_folds(4000), accuracy) or offsets[1] == 0


def test_nothing_is_chosen_for_random_classes():
    """No path beats the baseline where there is nothing to learn: offsets and temperature of shuffled targets."""
    wins = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet([5, 5], 300)
        wins += bool(choose_offsets(p, rng.integers(0, 2, 300), make_folds(300), accuracy))
    assert wins <= 8  # about one in six at random


def test_every_candidate_is_in_both_orders_and_has_settings():
    for rows in (100, 100_000):
        assert sorted(order_candidates(CANDIDATES, rows)) == sorted(CANDIDATES)
    assert sorted(ORDER_OF_FEW) == sorted(ORDER_OF_MANY) == sorted(CANDIDATES)
    for spec in (NUMBERS, CLASSES):
        for name in CANDIDATES:
            config = make_candidate(name, spec, 5000).make_config(Config(seed=3))
            assert config.model.name in (
                "boosting",
                "catboost",
                "forest",
                "ridge",
                "logistic",
                "tabm",
                "embedded-mlp",
                "tabicl",
                "neighbors",
                "lasso",
                "kernel",
            )
    seeds = {make_candidate(name, CLASSES, 100).make_config(Config(seed=3)).seed for name in CANDIDATES}
    assert len(seeds) == len(CANDIDATES)


TABLE = Spec("regression", (1,), columns=(Column("a", source="a"),))


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({"budget": 60}, "ensemble"),
        ({}, "auto"),
        ({"budget": 60, "model": Choice(name="tabm")}, "tabm"),
        ({"budget": 60, "optimizer": Choice(name="auto", options={"lr": 0.1})}, "auto"),
        ({"budget": 60, "batch": 8}, "auto"),
        ({"budget": 60, "loss": Choice(name="huber")}, "auto"),
        ({"budget": 60, "model": Choice(name="ensemble", options={"bag_folds": 3})}, "ensemble"),
    ],
    ids=str,
)
def test_an_ensemble_is_trained_if_nothing_speaks_against_it(settings, model):
    planned, _ = plan_ensemble(Config(**settings), TABLE, rows=900)
    assert planned.model.name == model
    if model == "ensemble":
        assert (planned.budget, planned.model.options["seconds"], planned.validation) == (None, 60.0, 0)
    else:
        assert planned == Config(**{"budget": None, **settings})


def test_images_are_not_for_an_ensemble():
    spec = Spec("classification", (1, 28, 28), classes=("a", "b"))
    assert plan_ensemble(Config(budget=60), spec, rows=900)[0].model.name == "auto"


@pytest.mark.parametrize(("epochs", "folds", "is_refused"), [(4, 5, True), (2, 3, True), (5, 5, False), (3, 2, False)])
def test_an_ensemble_needs_an_epoch_for_each_fold_of_a_candidate(epochs, folds, is_refused):
    config = Config(model=Choice(name="ensemble", options={"bag_folds": folds}), epochs=epochs)
    if is_refused:
        with pytest.raises(UsageError, match=f"a candidate has {folds}: epochs={epochs} trains none"):
            choose_for_fitting(config, NUMBERS, 100)
    else:
        assert choose_for_fitting(config, NUMBERS, 100).epochs == epochs


@pytest.mark.parametrize("name", ["linear", "lasso", "kernel"])
def test_linear_models_and_kernels_get_an_indicator_of_each_of_many_categories(name):
    table = (Column("place", "category", tuple(f"p{i}" for i in range(200))), Column("size"))
    rows = np.stack([np.arange(1000) % 200, np.arange(1000) % 7], 1).astype(np.float32)
    candidate = make_candidate(name, Spec("regression", (2,), columns=table), len(rows))
    config = candidate.make_config(Config(seed=0))
    assert config.scale.name == "columns"
    fitted = columns.fit(rows, columns=table, **config.scale.options)
    assert fitted.apply(torch.from_numpy(rows)).shape == (1000, 201)
