"""Boosted trees with monotone constraints and for quantiles: scikit-learn's, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_pinball_loss

import yisheng
from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows
from yisheng.models._monotone import parse_monotone

pytestmark = pytest.mark.usefixtures("without_reports")
COLUMNS = (
    Column("town", "category", ("a", "b", "c"), source="town"),
    Column("area", source="area"),
    Column("age", source="age"),
    Column("sold year", source="sold", date_part="year"),
)


def draw_rows(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[:, 0] = rng.integers(0, 3, n)
    y = (np.sin(2 * x[:, 1]) + x[:, 1] - 0.3 * x[:, 2] + 0.5 * rng.normal(size=n)).astype(np.float32)
    return x, y[:, None]


def fit(spec, x, y, quantile=None, weight=None, **options):
    model = registry.build("models", "boosting", spec, **{"rounds": 40, "column_fraction": 1.0, **options})
    for stage in range(model.stages):
        model.fit_stage(stage, FitRows(x, y, weight, 0, quantile))
    return model


@pytest.mark.parametrize(("direction", "sign"), [("up", 1), ("down", -1)])
def test_the_prediction_only_rises_or_falls(direction, sign):
    x, y = draw_rows()
    spec = Spec("regression", (4,), columns=COLUMNS)
    grid = np.repeat(x[:50], 60, axis=0)
    grid[:, 1] = np.tile(np.linspace(-3, 3, 60), 50)
    plain, constrained = (
        fit(spec, x, y, monotone=monotone)(torch.from_numpy(grid)).reshape(50, 60).diff(dim=1).numpy()
        for monotone in ((), (f"area:{direction}",))
    )
    assert (sign * constrained >= -1e-6).all()
    assert (sign * plain < -1e-3).any()


@pytest.mark.parametrize("is_weighted", [False, True])
def test_it_is_scikit_learns_model_with_the_same_constraints(is_weighted):
    x, y = draw_rows()
    weight = np.random.default_rng(1).exponential(size=len(x)) if is_weighted else None
    spec = Spec("regression", (4,), columns=COLUMNS)
    result = fit(spec, x, y, weight=weight, monotone={"area": "up", "age": "down"}, learning_rate=0.1, leaves=15)
    reference = HistGradientBoostingRegressor(
        max_iter=40,
        learning_rate=0.1,
        max_leaf_nodes=15,
        monotonic_cst=[0, 1, -1, 0],
        categorical_features=[0],
        early_stopping=False,
        random_state=0,
    ).fit(x.astype(np.float64), y[:, 0], sample_weight=weight)
    np.testing.assert_allclose(result(torch.from_numpy(x))[:, 0], reference.predict(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_a_quantile_is_scikit_learns(quantile):
    x, y = draw_rows()
    spec = Spec("regression", (4,), columns=COLUMNS)
    result = fit(spec, x, y, quantile, learning_rate=0.1, leaves=15)(torch.from_numpy(x))[:, 0].numpy()
    reference = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=quantile,
        max_iter=40,
        learning_rate=0.1,
        max_leaf_nodes=15,
        categorical_features=[0],
        early_stopping=False,
        random_state=0,
    ).fit(x.astype(np.float64), y[:, 0])
    np.testing.assert_allclose(result, reference.predict(x), rtol=1e-4, atol=1e-4)
    assert (y[:, 0] <= result).mean() == pytest.approx(quantile, abs=0.06)


@pytest.mark.parametrize(
    ("monotone", "problem"),
    [
        (("area",), "must be as in area:up"),
        (("area:sideways",), "must be as in area:up"),
        (("aera:up",), "no column 'aera'"),
        (("town:up",), "does not hold numbers"),
        (("sold:up",), "does not hold numbers"),
    ],
)
def test_what_has_no_order_is_refused(monotone, problem):
    with pytest.raises(UsageError, match=problem):
        parse_monotone(monotone, Spec("regression", (4,), columns=COLUMNS))
    with pytest.raises(UsageError, match="this is 3 classes"):
        parse_monotone(("area:up",), Spec("classification", (4,), classes=("a", "b", "c"), columns=COLUMNS))


def frame_of(x, y):
    frame = pd.DataFrame({"town": np.array(["Ulm", "Bonn", "Köln"])[x[:, 0].astype(int)]})
    return frame.assign(area=x[:, 1], age=x[:, 2], price=y[:, 0])


def test_a_run_keeps_its_constraint_in_the_folder(tmp_path):
    x, y = draw_rows()
    frame = frame_of(x, y)
    settings = {"data": frame, "target": "price", "out": tmp_path, "quiet": True}
    run = yisheng.train(model="boosting", rounds=10, importance=False, monotone=["area:up"], **settings)
    rows = pd.DataFrame({"town": "Ulm", "area": np.linspace(-3, 3, 50), "age": 0.0})
    predicted = [p.prediction for p in yisheng.load(run.path).predict(rows)]
    assert (np.diff(predicted) >= -1e-6).all()
    assert run.config["model"]["monotone"] == ["area:up"]
    with pytest.raises(UsageError, match="monotone"):
        yisheng.train(model="ridge", monotone=["area:up"], **settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"model": "boosting", "rounds": 20}, {"model": "mlp", "epochs": 15}],
    ids=["boosting", "mlp"],
)
def test_a_run_with_the_pinball_loss_predicts_a_quantile(tmp_path, settings):
    x, y = draw_rows(800)
    frame = frame_of(x, y)
    settings = {"data": frame, "target": "price", "out": tmp_path, "quiet": True, **settings}
    high, low = (yisheng.train(loss="pinball", quantile=quantile, **settings) for quantile in (0.9, 0.1))
    new_x, new_y = draw_rows(1000, seed=1)
    new = frame_of(new_x, new_y)
    for run, quantile in ((high, 0.9), (low, 0.1)):
        predicted = run.outputs(new.drop(columns="price"))[:, 0]
        assert (new_y[:, 0] <= predicted).mean() == pytest.approx(quantile, abs=0.12)
        constant = np.full(1000, np.quantile(y, quantile))
        losses = [mean_pinball_loss(new_y[:, 0], p, alpha=quantile) for p in (predicted, constant)]
        assert losses[0] < 0.8 * losses[1]
        assert run.config["score"] == "loss"


def test_other_fitted_models_have_no_pinball_loss(tmp_path):
    x, y = draw_rows(60)
    with pytest.raises(UsageError, match="cannot minimize another loss"):
        yisheng.train(data=(x, y), task="regression", model="ridge", loss="pinball", out=tmp_path, quiet=True)
