"""scikit-learn's own checks, and what its users do with an estimator: search, cross-validate, pickle, weigh."""

import copy
import io
import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_wine, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import yisheng
from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.settings import merge_settings
from yisheng.core.types import Dataset, Spec, Split
from yisheng.estimators.base import UNUSED_KEYS
from yisheng.estimators.fit import MIN_ROWS_TO_HOLD_OUT
from yisheng.estimators.merge_rows import merge_equal_rows
from yisheng.sklearn import Classifier, ParameterError, Regressor, RowsError
from yisheng.training.loop import fit
from yisheng.training.setup import assemble

LONG = {"check_classifiers_train", "check_regressors_train", "check_regressor_data_not_an_array"}
"""Checks that fit hundreds of rows several times."""
FULL_BATCH = {"batch": 1000, "validation": 0, "epochs": 30, "random_state": 0}


def every_check():
    for estimator in (Classifier(), Regressor()):
        for one, check in estimator_checks_generator(estimator):
            name = check.func.__name__ if not hasattr(check.func, "func") else check.func.func.__name__
            marks = [pytest.mark.slow] if name in LONG else []
            yield pytest.param(one, check, marks=marks, id=f"{type(one).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(every_check()))
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    check(estimator)


def test_the_check_that_needs_a_variable_set_before_scipy_passes_too():
    code = (
        "from yisheng.sklearn import Classifier, Regressor\n"
        "from sklearn.utils.estimator_checks import check_array_api_input as check\n"
        "for kind in (Classifier, Regressor):\n"
        "    check(kind.__name__, kind(epochs=2), array_namespace='numpy', expect_only_array_outputs=False)\n"
        "print('passed')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "SCIPY_ARRAY_API": "1"}
    )
    assert done.stdout == "passed\n", done.stderr


# Weights


def rows(kind, n=12, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 4))
    y = random.permutation(np.arange(n) % 3) if kind is Classifier else X[:, 0] - 2 * X[:, 1] + random.normal(size=n)
    return X, y, random.integers(0, 5, size=n)


def answer(estimator, X):
    return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_row_of_weight_three_is_one_that_is_given_three_times_to_the_bit(kind, optimizer):
    X, y, weight = rows(kind)
    order = np.random.default_rng(1).permutation(len(X))
    model = kind(optimizer=optimizer, **FULL_BATCH)
    repeated = answer(model.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)), X)
    weighted = answer(model.fit(X[order], y[order], sample_weight=0.7 * weight[order]), X)
    unweighted = answer(model.fit(X, y), X)
    np.testing.assert_array_equal(repeated, weighted)
    assert not np.allclose(repeated, unweighted, rtol=1e-3)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_merging_equal_rows_changes_nothing_but_the_rounding(kind):
    X, y, weight = rows(kind)
    X, y = np.repeat(X, weight, axis=0).astype(np.float32), np.repeat(y, weight)
    words = {"hidden": (16,), "optimizer": "sgd", "schedule": "constant", "scale": "none"}
    ours = kind(**words, **FULL_BATCH, settings={"target_scale": "none"}).fit(X, y)
    spec = Spec("classification", (4,), ("0", "1", "2")) if kind is Classifier else Spec("regression", (4,))
    target = y.astype(np.int64) if kind is Classifier else y.astype(np.float32)[:, None]
    plain = {key: value for key, value in FULL_BATCH.items() if key != "random_state"}
    more = {"target_scale": "none", "score": "loss", "data": "in-memory", **plain, **words}
    config = merge_settings((key, value, "command line") for key, value in more.items()).config
    none = np.zeros(0, np.int64)
    got = assemble(config, Dataset("d", spec, X, target), Split(np.arange(len(X)), none, none), torch.device("cpu"))
    assert len(got.train) == 1
    events = fit(
        *(got.state, got.train, got.validation),
        loss=got.loss,
        score=lambda *_: {},
        epochs=got.config.epochs,
        schedule=got.schedule,
        step=got.step,
    )
    assert len(list(events)) == 60
    for name, theirs in got.state.model.state_dict().items():
        torch.testing.assert_close(ours.network_.state_dict()[name].float(), theirs, rtol=1e-4, atol=1e-6)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, -0.0, 1.5, np.nan]), st.integers(0, 3)), min_size=1))
def test_merged_rows_are_different_and_weigh_as_much(cells):
    x, y = np.array([c[:2] for c in cells], np.float32), np.array([c[0] % 2 for c in cells])
    weight = np.array([c[2] + 1 for c in cells], np.float32)
    once = merge_equal_rows(Dataset("d", Spec("classification", (2,), ("a", "b")), x, y, weight=weight))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1] + 0.0, "y": y, "weight": weight})
    wanted = frame.groupby(["a", "b", "y"], dropna=False).weight.sum()
    found = pd.DataFrame({"a": once.x[:, 0], "b": once.x[:, 1], "y": once.y})
    found["weight"] = 1.0 if once.weight is None else once.weight
    found = found.set_index(["a", "b", "y"]).weight
    assert found.index.is_unique
    assert set(map(str, found.index)) == set(map(str, wanted.index))
    np.testing.assert_allclose(np.sort(found / found.max()), np.sort(wanted / wanted.max()), rtol=1e-6)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_rows_of_weight_zero_are_left_out_also_where_batches_are_drawn(kind):
    X, y, weight = rows(kind, n=150)
    X[weight == 0] = 1e6
    model = kind(epochs=3, random_state=0)
    weighted = answer(model.fit(X, y, sample_weight=weight), X)
    assert model.config_["batch"] == 16
    assert "loss" in model.history_[-1]  # some are held out
    there = weight > 0
    np.testing.assert_array_equal(weighted, answer(model.fit(X[there], y[there], sample_weight=weight[there]), X))
    assert not np.array_equal(weighted, answer(model.fit(X[there], y[there]), X))


def test_weights_of_any_size_are_taken_by_their_ratios():
    X, y, weight = rows(Regressor)
    first, second = (
        Regressor(**FULL_BATCH).fit(X, y, sample_weight=weight * factor).predict(X) for factor in (1, 1e300)
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)


# The same as the package's own training


@pytest.mark.parametrize("model", ["mlp", "linear"])
def test_the_weights_are_those_of_a_run_to_the_bit(tmp_path, model):
    X, y = load_iris(return_X_y=True)
    X, names = X.astype(np.float32), ("a", "b", "c")
    data = Dataset("iris", Spec("classification", (4,), names), X, y.astype(np.int64))
    words = {"model": model, "epochs": 7, "lr": 0.01, "validation": 0.2}
    run = yisheng.train(data=data, test=0, seed=3, score="loss", out=tmp_path, quiet=True, **words)
    ours = Classifier(random_state=3, **words).fit(X, np.array(names)[y])
    theirs = load_file(run.path / "model.safetensors")
    assert ours.best_epoch_ == run.run.best["epoch"]
    assert ours.network_.state_dict().keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours.network_.state_dict()[name], value.double()), name
    said = [answer.probabilities for answer in run.predict(X)]
    wanted = np.array([[one[name] for name in names] for one in said])
    np.testing.assert_allclose(ours.predict_proba(X), wanted, rtol=1e-4, atol=1e-6)
    kept = {key: value for key, value in run.run.config.items() if key != "boosting"}
    assert {key: value for key, value in ours.config_.items() if key != "boosting"} == kept


def test_what_a_row_is_answered_does_not_depend_on_the_others():
    X, y = load_iris(return_X_y=True)
    model = Classifier(epochs=3, random_state=0).fit(X, y)
    alone = np.concatenate([model.predict_proba(row[None]) for row in X])
    np.testing.assert_allclose(model.predict_proba(X), alone, rtol=1e-13)
    assert model.predict_proba(X).dtype == np.float64


def test_a_few_rows_are_all_learned_from_and_many_are_not():
    X, y = make_classification(MIN_ROWS_TO_HOLD_OUT + 1, random_state=0)
    few, many = (Classifier(epochs=2).fit(X[:n], y[:n]) for n in (MIN_ROWS_TO_HOLD_OUT - 1, MIN_ROWS_TO_HOLD_OUT))
    assert "loss" not in few.history_[0]
    assert few.best_epoch_ == few.n_iter_ == 2
    assert "loss" in many.history_[0]


def test_patience_ends_training():
    X, y = load_iris(return_X_y=True)
    model = Classifier(optimizer="sgd", lr=1e-9, patience=2, random_state=0, settings={"score": "accuracy"}).fit(X, y)
    assert model.n_iter_ == 3
    assert model.history_[0].keys() == {"epoch", "training_loss", "loss", "accuracy"}


@pytest.mark.slow
def test_it_is_as_good_as_linear_models_where_these_are_right():
    X, y = load_wine(return_X_y=True)
    ours, theirs = (cross_val_score(make_pipeline(StandardScaler(), m), X, y, cv=3).mean()
                    for m in (Classifier(random_state=0), LogisticRegression()))  # fmt: skip
    assert ours > theirs - 0.03
    X, y = load_diabetes(return_X_y=True)
    ours, theirs = (cross_val_score(m, X, y, cv=3).mean() for m in (Regressor(random_state=0), LinearRegression()))
    assert ours > theirs - 0.05


# What users do


GRID = {"hidden": [(8,), (32,)], "lr": [3e-3, 3e-2], "dropout": [0.0, 0.2]}


def search(jobs):
    X, y = load_iris(return_X_y=True)
    model = Classifier(epochs=20, batch=32, random_state=0)
    return GridSearchCV(model, GRID, cv=3, n_jobs=jobs, error_score="raise").fit(X, y)


def test_a_grid_of_three_parameters_is_searched():
    found = search(1)
    assert len(found.cv_results_["params"]) == 8
    assert found.best_score_ > 0.9
    assert found.best_estimator_.config_["model"]["hidden"] == list(found.best_params_["hidden"])
    assert len(set(found.cv_results_["mean_test_score"])) > 1


@pytest.mark.slow
def test_two_processes_find_the_same_as_one():
    one, two = search(1), search(2)
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])


def test_a_pipeline_passes_weights_and_parameters_on():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), Classifier(epochs=10, random_state=0))
    pipeline.set_params(classifier__hidden=(16,)).fit(X, y, classifier__sample_weight=np.arange(len(y)))
    assert pipeline[-1].config_["model"]["hidden"] == [16]
    assert (pipeline.predict(X[y == 2]) == 2).mean() > 0.9


def test_a_clone_has_the_parameters_and_nothing_else():
    model = Classifier("linear", lr=0.5, settings={"clip_norm": 1.0}).fit(*load_iris(return_X_y=True))
    other = clone(model)
    assert other.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        other.predict([[1, 2, 3, 4]])
    assert not hasattr(other, "network_")


@pytest.mark.parametrize("name", [e.name for e in registry.entries("models") if e.meta.get("requires") != "images"])
@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_every_network_of_rows_comes_back_from_a_file(tmp_path, kind, name):
    X, y = load_iris(return_X_y=True)
    model = kind(name, epochs=1, random_state=0).fit(X, y)
    wanted = answer(model, X)
    joblib.dump(model, tmp_path / "model.joblib")
    back = [joblib.load(tmp_path / "model.joblib", mmap_mode=mode) for mode in (None, "r")]
    assert all(isinstance(value, np.memmap) for value in back[1]._fitted.weights.values())
    for other in (*back, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(answer(other, X), wanted)


def test_the_same_seed_gives_the_same_network_and_another_another():
    X, y = load_iris(return_X_y=True)

    def trained(seed):
        return Classifier(epochs=2, dropout=0.5, random_state=seed).fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), trained(2))
    np.testing.assert_array_equal(trained(np.random.RandomState(5)), trained(np.random.RandomState(5)))
    np.random.seed(7)
    first, second = trained(None), trained(None)
    assert not np.array_equal(first, second)
    np.random.seed(7)
    np.testing.assert_array_equal(trained(None), first)


def test_no_other_random_numbers_are_touched_and_threads_do_not_disturb_each_other():
    X, y = load_iris(return_X_y=True)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    models = [Classifier(epochs=3, dropout=0.5, random_state=seed) for seed in (0, 1, 2, 3)]
    one = [model.fit(X, y).predict_proba(X) for model in models]
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda model: clone(model).fit(X, y).predict_proba(X), models))
    np.testing.assert_array_equal(one, many)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_it_is_silent_and_writes_no_file_unless_asked(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    Classifier(epochs=2).fit(X, y)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    Classifier(epochs=2, verbose=True).fit(X, y)
    assert "epoch 2/2" in sys.stderr.getvalue()


def test_several_targets_come_back_in_their_form():
    X, y = load_diabetes(return_X_y=True)
    both = np.column_stack([y, 1000 - 3 * y])
    model = Regressor(epochs=20, random_state=0).fit(X, both)
    assert model.predict(X).shape == both.shape
    assert model.score(X, both) > 0.4
    assert model.fit(X, y[:, None]).predict(X).shape == (len(y), 1)
    assert model.fit(X, y).predict(X).shape == (len(y),)


def test_inside_the_package_sklearn_is_still_scikit_learn():
    code = "import yisheng.sklearn, sklearn, sys; assert sklearn.clone; assert sklearn is not yisheng.sklearn"
    subprocess.run([sys.executable, "-c", code], check=True)


# Tables, missing values


def table(n=200):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, n),
            "town": random.choice(["Aden", "Brest", "Cork"], n),
            "level": pd.Categorical(random.choice([3, 4], n)),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), "D"),
            "paid": random.random(n) > 0.5,
            "name": [f"n{i}" for i in range(n)],
        }
    )
    frame.loc[3, "age"], frame.loc[5, "town"] = np.nan, None
    return frame, np.where((frame.town == "Aden") | (frame.level == 3), "yes", "no")


def test_a_table_is_taken_as_it_is():
    X, y = table()
    model = Classifier(epochs=30, lr=0.01, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.config_["scale"]["name"] == "columns"
    assert model.left_out_ == {"name": "left out: a different text in every row"}
    assert list(model.feature_names_in_) == list(X.columns)
    later = X.copy()
    later.loc[0, "town"] = "Dover"  # never seen
    later["age"] = np.nan
    assert np.isfinite(model.predict_proba(later)).all()
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict_proba(later), model.predict_proba(later))
    np.testing.assert_allclose(model.predict_proba(X.iloc[7:8]), model.predict_proba(X)[7:8], rtol=1e-12)
    assert cross_val_score(Classifier(epochs=30, lr=0.01, random_state=0), X, y, cv=3).mean() > 0.9


def test_a_table_is_answered_by_its_columns_alone():
    X, y = table()
    model = Regressor(epochs=1).fit(X, np.arange(len(X)))
    with pytest.raises(RowsError, match="fitted on a DataFrame, got ndarray"):
        model.predict(X.to_numpy())
    with pytest.raises(ValueError, match="yet now missing"):
        model.predict(X.drop(columns="town"))
    with pytest.raises(RowsError, match="no column is left to learn from: name"):
        model.fit(X[["name"]], y == "yes")


def test_numbers_in_a_table_are_those_of_the_array():
    X, y = load_iris(return_X_y=True, as_frame=True)
    first = Classifier(epochs=2, random_state=0).fit(X, y)
    second = Classifier(epochs=2, random_state=0).fit(X.to_numpy(), y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X.to_numpy()))


def test_missing_values_are_learned_from():
    X, y = load_iris(return_X_y=True)
    X[::7, 2] = np.nan
    model = Classifier(random_state=0).fit(X, y)
    assert model.config_["scale"]["name"] == "columns"
    assert model.score(X, y) > 0.9
    whole = np.arange(len(X)) % 7 > 0
    with pytest.raises(RowsError, match="missing or infinite values in column x3 of the given part"):
        Classifier(epochs=1).fit(X[whole], y[whole]).predict(X)
    assert Classifier(epochs=30, scale="columns", random_state=0).fit(X[whole], y[whole]).score(X, y) > 0.8


# What is refused


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model": "lenett"}, "did you mean lenet"),
        ({"model": "lenet"}, "needs images"),
        ({"epochs": 0}, "epochs must be"),
        ({"model": "linear", "hidden": (3,)}, "hidden is not an option of model=linear"),
        ({"settings": 3}, "settings must be a mapping"),
        ({"settings": {"nonsense": 1}}, "unknown key 'nonsense'"),
        ({"settings": {"learning-rate": 1}}, "say lr= itself"),
        ({"settings": {"folds": 3}}, "use cross_val_score"),
        ({"model": {"hidden": (3,)}}, "model must have a name"),
        ({"validation": 0.999}, "leave nothing to train on"),
        ({"device": "cuda:99"}, "cannot be used here"),
    ],
)
def test_parameters_are_looked_at_in_fit(parameters, said):
    model = Classifier(**parameters)
    with pytest.raises(ParameterError, match=said) as caught:
        model.fit(*load_iris(return_X_y=True))
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, yisheng.UsageError)


def test_each_key_of_the_config_has_its_place():
    """A new key is a parameter, has a place in settings, or is refused there: it is never ignored."""
    mine = set(Classifier().get_params()) | set(UNUSED_KEYS)
    assert set(Config.model_fields) - mine == {
        *("weights", "finetune", "head_lr", "init", "init_linear", "init_conv", "target_scale", "augment"),
        *("accumulate", "split", "score", "clip_norm", "clip_value", "precision", "memory_format", "decay_bias"),
    }


def test_settings_and_numpys_numbers_reach_the_config():
    X, y = load_iris(return_X_y=True)
    model = Classifier(
        {"name": "mlp", "batch_norm": True},
        hidden=np.array([4, 5]),
        epochs=np.int64(2),
        lr=np.float32(0.5),
        settings={"clip-norm": 1.0, "optimizer.betas": (0.8, 0.99), "class_weight": "balanced", "precision": "bf16"},
    ).fit(X, y)
    config = model.config_
    assert config["model"] == {
        "name": "mlp",
        "hidden": [4, 5],
        "activation": "relu",
        "dropout": 0.0,
        "batch_norm": True,
    }
    assert config["optimizer"]["betas"] == [0.8, 0.99]
    assert (config["epochs"], config["clip_norm"], config["optimizer"]["lr"]) == (2, 1.0, 0.5)
    assert (config["precision"], config["loss"]["class_weight"]) == ("bf16", "balanced")


def test_rows_that_cannot_be_taken_are_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="got 1 class: a"):
        Classifier().fit(X, ["a"] * len(X))
    with pytest.raises(ValueError, match="infinity or a value too large for dtype\\('float32'\\)"):
        Classifier().fit(np.where(X > 7, 1e39, X), y)
    with pytest.raises(ValueError, match="Negative values"):
        Classifier().fit(X, y, sample_weight=y - 1.0)
    with pytest.raises(RowsError, match="targets must be finite numbers"):
        Regressor().fit(X, np.where(y == 0, 1e39, y))
