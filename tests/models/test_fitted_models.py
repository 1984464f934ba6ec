"""Trees as tensors predict what those of scikit-learn do, and are the same however they were fitted or loaded."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import ensemble, linear_model, model_selection, neighbors
from sklearn.base import clone

from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel

PORTS = ("Aden", "Brest", "Cork", "Dover", "Elba")
COLUMNS = (Column("age"), Column("port", "category", PORTS), Column("fare"), Column("member", "yes/no"))
SPECS = {
    "numbers": Spec("regression", (4,), columns=COLUMNS),
    "two numbers": Spec("regression", (4,), columns=COLUMNS).with_outputs(2),
    "two classes": Spec("classification", (4,), columns=COLUMNS, classes=("no", "yes")),
    "one logit": Spec("classification", (4,), columns=COLUMNS, classes=("no", "yes")).with_outputs(1),
    "classes": Spec("classification", (4,), columns=COLUMNS, classes=("a", "b", "c", "d")),
    "labels": Spec("multilabel", (4,), columns=COLUMNS, classes=("p", "q", "r")),
}
LIBRARIES = [name for name in ("lightgbm", "catboost") if importlib.util.find_spec(name)]
MODELS = ("boosting", "forest", *LIBRARIES)
OPTIONS: dict[str, dict[str, Any]] = {
    "boosting": {"rounds": 15, "leaf_rows": 5},
    "forest": {"trees": 12},
    "lightgbm": {"rounds": 15, "leaf_rows": 5},
    "catboost": {"rounds": 15, "learning_rate": 0.2},
}
all_models = pytest.mark.parametrize("name", MODELS)
all_specs = pytest.mark.parametrize("task", SPECS)


def draw_rows(spec: Spec, n: int = 240, seed: int = 0, *, missing: float = 0.1, weighted: bool = False) -> FitRows:
    """Return rows whose target depends on numbers, on a category, and on whether a value is missing."""
    rng = np.random.default_rng(seed)
    x = np.stack(
        [rng.normal(size=n), rng.integers(0, len(PORTS) - 1, n), rng.exponential(size=n), rng.integers(0, 2, n)], axis=1
    ).astype(np.float32)
    signal = x[:, 0] + (x[:, 1] == 2) + 0.5 * x[:, 3] + 0.1 * rng.normal(size=n)
    x[rng.random(x.shape) < missing] = np.nan
    weight = rng.uniform(0.5, 2, n).astype(np.float32) if weighted else None
    if spec.task == "regression":
        y = np.stack([signal * (output + 1) for output in range(spec.outputs)], axis=1).astype(np.float32)
    elif spec.task == "multilabel":
        y = np.stack([signal > level for level in (0, 1, 2)], axis=1).astype(np.float32)
    else:
        y = np.digitize(signal, np.quantile(signal, np.linspace(0, 1, len(spec.classes) + 1)[1:-1]))
    return FitRows(x, y, weight, seed)


def fit(name: str, spec: Spec, rows: FitRows, **options: Any) -> FittedModel:
    model: FittedModel = registry.build("models", name, spec, **{**OPTIONS[name], **options})
    for stage in range(model.stages):
        model.fit_stage(stage, rows)
    return model.eval()


def predict(model: FittedModel, spec: Spec, x: np.ndarray) -> np.ndarray:
    """Return numbers ``(N, O)``, or probabilities ``(N, C)``."""
    with torch.no_grad():
        output = model(torch.from_numpy(x)).double()
    if spec.task == "regression":
        return output.numpy()
    if spec.task == "multilabel":
        return output.sigmoid().numpy()
    if spec.outputs == 1:
        return torch.cat([1 - output.sigmoid(), output.sigmoid()], 1).numpy()
    return output.softmax(1).numpy()


def to_sklearn(x: np.ndarray) -> np.ndarray:
    """Return the rows with unknown categories as missing."""
    x = x.astype(np.float64)
    x[~np.isin(x[:, 1], range(len(PORTS) - 1)), 1] = np.nan
    return x


def fit_sklearn_boosting(spec: Spec, rows: FitRows) -> list[Any]:
    options = {
        "max_iter": 15,
        "learning_rate": 0.2,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 5,
        "max_features": 0.75,
        "early_stopping": False,
        "random_state": rows.seed,
        "categorical_features": [1],
    }
    x = to_sklearn(rows.x)
    if spec.task == "classification":
        return [ensemble.HistGradientBoostingClassifier(**options).fit(x, rows.y, rows.weight)]
    make = ensemble.HistGradientBoostingClassifier if spec.task == "multilabel" else None
    make = make or ensemble.HistGradientBoostingRegressor
    return [make(**options).fit(x, column, rows.weight) for column in rows.y.T]


def predict_sklearn(spec: Spec, estimators: list[Any], x: np.ndarray) -> np.ndarray:
    x = to_sklearn(x)
    if spec.task == "classification":
        return estimators[0].predict_proba(x)
    if spec.task == "multilabel":
        return np.stack([estimator.predict_proba(x)[:, 1] for estimator in estimators], axis=1)
    return np.stack([estimator.predict(x) for estimator in estimators], axis=1)


@all_specs
@pytest.mark.parametrize("weighted", [False, True])
def test_boosting_predicts_what_scikit_learn_does(task: str, weighted: bool) -> None:
    spec = SPECS[task]
    rows = draw_rows(spec, weighted=weighted)
    x = draw_rows(spec, seed=1).x
    x[:5, 1] = [len(PORTS) - 1, -1, 7, 254, 300]  # not in the training rows, or no category at all
    # The order of the columns differs, and with it the random columns of a split: all columns may be split here.
    model = fit("boosting", spec, rows, column_fraction=1.0)
    estimators = fit_sklearn_boosting(spec, rows)
    for estimator in estimators:
        estimator.set_params(max_features=1.0).fit(to_sklearn(rows.x), *_targets_of(spec, rows, estimators, estimator))
    expected = predict_sklearn(spec, estimators, x)
    np.testing.assert_allclose(predict(model, spec, x), expected, rtol=1e-5, atol=1e-6)


def _targets_of(spec: Spec, rows: FitRows, estimators: list[Any], estimator: Any) -> tuple[Any, Any]:
    y = rows.y if spec.task == "classification" else rows.y.T[estimators.index(estimator)]
    return y, rows.weight


@all_specs
@pytest.mark.parametrize("method", ["random", "extra"])
def test_a_forest_predicts_what_scikit_learn_does(task: str, method: str) -> None:
    spec = SPECS[task]
    rows, x = draw_rows(spec, weighted=True), draw_rows(spec, seed=1).x
    model = fit("forest", spec, rows, method=method)
    prefix = {"random": "RandomForest", "extra": "ExtraTrees"}[method]
    is_regression = spec.task == "regression"
    make = getattr(ensemble, f"{prefix}{'Regressor' if is_regression else 'Classifier'}")
    options = {"n_estimators": 12, "random_state": rows.seed, "max_features": 1.0 if is_regression else "sqrt"}
    y = rows.y.ravel() if spec.task == "regression" and spec.outputs == 1 else rows.y
    estimator = make(**options).fit(rows.x, y.astype(np.int64) if spec.task == "multilabel" else y, rows.weight)
    if is_regression:
        expected = estimator.predict(x).reshape(len(x), -1)
    elif spec.task == "multilabel":
        expected = np.stack([fractions[:, 1] for fractions in estimator.predict_proba(x)], axis=1)
    else:
        expected = estimator.predict_proba(x)
    smallest = 0.5 / 12  # certain votes are limited, so that no logit is infinite
    if not is_regression:
        expected = np.clip(expected, smallest, 1 - smallest if spec.task == "multilabel" else 1)
    if spec.task == "classification":
        expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(predict(model, spec, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "forest"])
@pytest.mark.parametrize("depth", [1, 3])
def test_no_tree_is_deeper_than_its_limit(name: str, depth: int) -> None:
    spec = SPECS["numbers"]
    free, limited = (fit(name, spec, draw_rows(spec), **options) for options in ({}, {"depth": depth}))
    assert int(limited.trees.depth) == depth < int(free.trees.depth)


@all_models
@all_specs
def test_stages_that_are_fitted_again_are_the_same(name: str, task: str) -> None:
    spec = SPECS[task]
    rows = draw_rows(spec)
    model = fit(name, spec, rows)
    again: FittedModel = registry.build("models", name, spec, **OPTIONS[name])
    again.fit_stage(again.stages - 1, rows)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


@all_models
@all_specs
def test_a_loaded_model_is_the_same_and_does_not_depend_on_other_rows(name: str, task: str) -> None:
    spec = SPECS[task]
    model = fit(name, spec, draw_rows(spec))
    loaded: FittedModel = registry.build("models", name, spec, **OPTIONS[name])
    loaded.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
    x = torch.from_numpy(draw_rows(spec, 30, seed=2).x)
    assert torch.equal(loaded(x), model(x))
    assert torch.equal(torch.cat([model(row) for row in x.split(1)]), model(x))
    assert loaded(x).shape == (30, spec.outputs)


@all_models
@pytest.mark.parametrize("key", ["trees.feature", "trees.left_child", "trees.right_child", "trees.root", "trees.depth"])
def test_a_file_whose_nodes_point_outside_is_refused(name: str, key: str) -> None:
    spec = SPECS["classes"]
    weights = fit(name, spec, draw_rows(spec)).state_dict()
    for value in (-1, 10**9):
        damaged = {**weights, key: torch.full_like(weights[key], value)}
        with pytest.raises(ValueError, match="points to nothing"):
            registry.build("models", name, spec, **OPTIONS[name]).load_state_dict(damaged)


@pytest.mark.parametrize("task", ["two classes", "one logit", "classes", "labels"])
@all_models
def test_rows_of_one_class_only(name: str, task: str) -> None:
    spec = SPECS[task]
    rows = draw_rows(spec)
    constant = FitRows(rows.x, np.ones_like(rows.y), None, 0)
    probabilities = predict(fit(name, spec, constant), spec, rows.x)
    expected = probabilities if spec.task == "multilabel" else probabilities[:, 1]
    assert (expected > 0.85).all()


@all_models
def test_a_class_without_training_rows_is_never_predicted(name: str) -> None:
    spec = SPECS["classes"]
    rows = draw_rows(spec)
    is_present = rows.y != 2
    rows = FitRows(rows.x[is_present], rows.y[is_present], None, 0)
    probabilities = predict(fit(name, spec, rows), spec, rows.x)
    assert (probabilities.argmax(1) != 2).all()
    assert math.isclose(float(probabilities.sum(1).mean()), 1, abs_tol=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 60), missing=st.floats(0, 1), name=st.sampled_from(MODELS))
def test_any_rows_can_be_fitted(seed: int, n: int, missing: float, name: str) -> None:
    for spec in (SPECS["numbers"], SPECS["classes"]):
        rows = draw_rows(spec, n, seed, missing=missing)
        probabilities = predict(fit(name, spec, rows), spec, rows.x)
        assert np.isfinite(probabilities).all()


LINEAR_SPECS = [
    ("ridge", "numbers"),
    ("ridge", "two numbers"),
    ("logistic", "two classes"),
    ("logistic", "one logit"),
    ("logistic", "classes"),
    ("logistic", "labels"),
    *(("neighbors", task) for task in SPECS),
]


def make_sklearn(name: str, spec: Spec) -> Any:
    if name == "ridge":
        return linear_model.Ridge(2.0)
    if name == "logistic":
        return linear_model.LogisticRegression(C=0.5, max_iter=1000)
    return (neighbors.KNeighborsRegressor if spec.task == "regression" else neighbors.KNeighborsClassifier)(7)


def predict_other(spec: Spec, estimator: Any, rows: FitRows, x: np.ndarray) -> np.ndarray:
    weight = {} if rows.weight is None else {"sample_weight": rows.weight}
    if spec.task == "classification":
        return estimator.fit(rows.x, rows.y, **weight).predict_proba(x)
    if spec.task == "multilabel":
        columns = [clone(estimator).fit(rows.x, y.astype(int), **weight).predict_proba(x)[:, 1] for y in rows.y.T]
        return np.stack(columns, axis=1)
    return estimator.fit(rows.x, rows.y, **weight).predict(x).reshape(len(x), -1)


@pytest.mark.parametrize(("name", "task"), LINEAR_SPECS)
@pytest.mark.parametrize("weighted", [False, True])
def test_closed_forms_and_neighbors_predict_what_scikit_learn_does(name: str, task: str, weighted: bool) -> None:
    if name == "neighbors" and weighted:
        pytest.skip("scikit-learn's neighbors take no weights of rows")
    spec = SPECS[task]
    rows, x = draw_rows(spec, missing=0, weighted=weighted), draw_rows(spec, seed=1, missing=0).x
    option = {"k": 7} if name == "neighbors" else {"l2": 2.0}
    model: FittedModel = registry.build("models", name, spec, **option)
    model.fit_stage(0, rows)
    expected = predict_other(spec, make_sklearn(name, spec), rows, x)
    if name == "neighbors" and spec.task != "regression":  # certain votes are limited, so that no logit is infinite
        smallest = 0.5 / 8
        expected = np.clip(expected, smallest, 1 - smallest if spec.task == "multilabel" else 1)
        expected = expected if spec.task == "multilabel" else expected / expected.sum(1, keepdims=True)
    np.testing.assert_allclose(predict(model, spec, x), expected, rtol=1e-4, atol=2e-5)


def test_ridge_chooses_its_penalty_by_leaving_rows_out() -> None:
    spec = Spec("regression", (30,))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 30)).astype(np.float32)
    rows = FitRows(x, (x[:, :1] + rng.normal(size=(40, 1))).astype(np.float32), None, 0)
    model: FittedModel = registry.build("models", "ridge", spec)
    model.fit_stage(0, rows)
    errors = {}
    for exponent in np.arange(-3, 6.5, 0.5):
        folds = model_selection.cross_val_predict(
            linear_model.Ridge(10**exponent), x, rows.y[:, 0], cv=model_selection.LeaveOneOut()
        )
        errors[exponent] = np.mean((folds - rows.y[:, 0]) ** 2)
    best = min(errors, key=errors.__getitem__)
    expected = linear_model.Ridge(10**best).fit(x, rows.y[:, 0]).predict(x)
    np.testing.assert_allclose(predict(model, spec, x)[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "task"), LINEAR_SPECS)
def test_every_stage_can_be_loaded(name: str, task: str) -> None:
    spec = SPECS[task]
    rows = draw_rows(spec, missing=0)
    x = torch.from_numpy(rows.x)
    model: FittedModel = registry.build("models", name, spec)
    for stage in range(model.stages):
        model.fit_stage(stage, rows)
        loaded: FittedModel = registry.build("models", name, spec)
        loaded.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
        assert torch.equal(loaded(x), model(x))
        assert bool(model(x).isfinite().all())
