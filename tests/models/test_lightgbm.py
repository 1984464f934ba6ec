"""Trees of LightGBM, kept as tensors, predict what the library does."""

import numpy as np
import pytest
import torch

from tests.models.test_fitted_models import PORTS, SPECS, draw_rows
from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows
from yisheng.models._lightgbm_text import parse_trees

library = pytest.importorskip("lightgbm")


def fit(spec, rows, **options):
    model = registry.build("models", "lightgbm", spec, **{"rounds": 12, "leaf_rows": 5, **options})
    for stage in range(model.stages):
        model.fit_stage(stage, rows)
    return model.eval()


def draw_unusual_rows(spec):
    x = draw_rows(spec, seed=1).x
    x[:5, 1] = [len(PORTS) - 1, -1, 7, 254, 300]  # not in the training rows, or no category at all
    x[5:8, 0] = [np.nan, 1e30, -1e30]
    return x


@pytest.mark.parametrize("task", SPECS)
@pytest.mark.parametrize("missing", [0.0, 0.1], ids=["complete", "missing"])
def test_the_outputs_are_those_of_the_library(task, missing):
    spec = SPECS[task]
    rows = draw_rows(spec, missing=missing, weighted=True)
    x = draw_unusual_rows(spec)
    model = fit(spec, rows)
    outputs = model(torch.from_numpy(x)).numpy()
    for series in model._series:
        expected = series.booster.predict(x, raw_score=True).reshape(len(x), -1)
        np.testing.assert_allclose(outputs[:, series.outputs], expected, rtol=1e-5, atol=1e-6)


def test_settings_that_are_named_are_those_of_the_library():
    spec = SPECS["two classes"].with_outputs(1)
    rows = draw_rows(spec)
    model = fit(
        spec,
        rows,
        row_fraction=1.0,
        column_fraction=1.0,
        leaves=8,
        learning_rate=0.1,
        l2=2.0,
        cat_smooth=1.0,
        cat_l2=2.0,
    )
    parameters = {
        "objective": "binary",
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": 5,
        "lambda_l2": 2.0,
        "min_sum_hessian_in_leaf": 1e-7,
        "min_data_per_group": 5,
        "cat_smooth": 1.0,
        "cat_l2": 2.0,
        "verbosity": -1,
    }
    data = library.Dataset(rows.x, rows.y.astype(float), categorical_feature=[1], params=parameters)
    expected = library.train(parameters, data, 12).predict(rows.x, raw_score=True)
    np.testing.assert_allclose(model(torch.from_numpy(rows.x))[:, 0].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_categories_beyond_a_word_of_bits_are_split():
    levels = tuple(f"level {i}" for i in range(120))
    spec = Spec("regression", (1,), columns=(Column("port", "category", levels),))
    x = np.arange(120, dtype=np.float32).repeat(20)[:, None]
    y = (np.random.default_rng(0).permutation(120)[x[:, 0].astype(int)] % 2).astype(np.float32)[:, None]
    model = fit(spec, FitRows(x, y, None, 0), rounds=60, learning_rate=0.3)
    np.testing.assert_allclose(model(torch.from_numpy(x)).numpy(), y, atol=0.2)


def test_many_categories_and_few_are_split_as_the_library_does():
    levels = (tuple(f"level {i}" for i in range(700)), tuple("abcdefghijkl"))
    spec = Spec("regression", (2,), columns=tuple(Column(f"{len(c)}", "category", c) for c in levels))
    draw = np.random.default_rng(0)
    x = np.stack([draw.integers(0, len(c), 7000) for c in levels], 1).astype(np.float32)
    y = sum(draw.normal(size=len(c))[x[:, i].astype(int)] for i, c in enumerate(levels)).astype(np.float32)[:, None]
    model = fit(spec, FitRows(x, y, None, 0), rounds=40)
    x[:6] = [[699, 0], [700, 12], [-1, -1], [np.nan, np.nan], [5000, 40], [255, 5]]
    expected = model._series[0].booster.predict(x, raw_score=True)[:, None]
    np.testing.assert_allclose(model(torch.from_numpy(x)).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert ((expected - y)[6:] ** 2).mean() < 0.5 * y.var()
    loaded = registry.build("models", "lightgbm", spec, rounds=40)
    loaded.load_state_dict(model.state_dict())
    torch.testing.assert_close(loaded(torch.from_numpy(x)), model(torch.from_numpy(x)), rtol=0, atol=0)


def test_infrequent_categories_are_learned_with_little_smoothing():
    levels = tuple(f"level {i}" for i in range(150))
    spec = Spec("regression", (1,), columns=(Column("port", "category", levels),))
    x = np.arange(150, dtype=np.float32).repeat(6)[:, None]
    y = np.random.default_rng(0).normal(size=150).astype(np.float32)[x[:, 0].astype(int)][:, None]

    def compute_error(**options):
        model = fit(spec, FitRows(x, y, None, 0), rounds=60, learning_rate=0.3, **options)
        return float(((model(torch.from_numpy(x)).numpy() - y) ** 2).mean())

    assert compute_error(cat_smooth=1.0, cat_l2=1.0) < 0.5 * compute_error()


def test_quantiles_and_monotone_columns():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2000, 2)).astype(np.float32)
    y = (x[:, :1] + rng.normal(size=(2000, 1))).astype(np.float32)
    spec = Spec("regression", (2,))
    model = fit(spec, FitRows(x, y, None, 0, quantile=0.9), rounds=100, leaf_rows=50)
    below = (y <= model(torch.from_numpy(x)).numpy()).mean()
    assert below == pytest.approx(0.9, abs=0.03)
    rising = fit(spec, FitRows(x, y, None, 0), rounds=100, monotone=("x1:up",))
    line = torch.stack([torch.linspace(0, 1, 200), torch.full((200,), 0.5)], dim=1)
    assert (rising(line).diff(dim=0) >= 0).all()
    assert (fit(spec, FitRows(x, y, None, 0), rounds=100)(line).diff(dim=0) < 0).any()


def test_linear_trees_are_refused():
    x = np.random.default_rng(0).normal(size=(200, 2))
    data = library.Dataset(x, x[:, 0], params={"linear_tree": True, "verbosity": -1})
    booster = library.train({"linear_tree": True, "verbosity": -1, "objective": "regression"}, data, 2)
    with pytest.raises(ValueError, match="linear trees"):
        parse_trees(booster.model_to_string(), [0], np.zeros(0, np.int64))


def test_rows_that_the_library_refuses_are_an_error_of_the_data():
    model = registry.build("models", "lightgbm", Spec("regression", (1,)))
    rows = FitRows(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), None, 0)
    with pytest.raises(DataError, match="LightGBM refuses 1 training rows"):
        model.fit_stage(0, rows)
