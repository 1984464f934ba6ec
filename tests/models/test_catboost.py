"""Trees of CatBoost, kept as tensors, predict what the library does."""

import numpy as np
import pytest
import torch

from tests.models.test_fitted_models import PORTS, SPECS, draw_rows
from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, StorageError
from yisheng.core.spec import Spec
from yisheng.models._category_numbers import MEAN_FOLDS, list_targets, number_categories
from yisheng.models._fitted_model import FitRows
from yisheng.models._symmetric_trees import convert_trees

library = pytest.importorskip("catboost")


def fit(spec, rows, **options):
    model = registry.build("models", "catboost", spec, **{"rounds": 15, "learning_rate": 0.2, **options})
    for stage in range(model.stages):
        model.fit_stage(stage, rows)
    return model.eval()


def number_rows(columns, x):
    """Return rows as CatBoost gets them: what each column's table says of a code, missing ones and unknown ones."""
    numbers = []
    for column in columns:
        value = x[:, column.source]
        if column.values is None:
            numbers.append(value)
            continue
        count = len(column.values) - 1
        is_known = ~np.isnan(value) & (value >= 0) & (value < count)
        numbers.append(column.values[np.where(is_known, value, count).astype(int)])
    return np.stack(numbers, 1).astype(np.float32)


@pytest.mark.parametrize("task", SPECS)
@pytest.mark.parametrize("missing", [0.0, 0.1], ids=["complete", "missing"])
def test_the_outputs_are_those_of_the_library(task, missing):
    spec = SPECS[task]
    rows = draw_rows(spec, missing=missing, weighted=True)
    x = draw_rows(spec, seed=1).x
    x[:5, 1] = [len(PORTS) - 1, -1, 7, 254, 300]  # not in the training rows, or no category at all
    x[5:8, 0] = [np.nan, 1e30, -1e30]
    model = fit(spec, rows)
    outputs = model(torch.from_numpy(x)).numpy()
    for series in model._series:
        expected = series.model.predict(number_rows(series.columns, x), prediction_type="RawFormulaVal")
        np.testing.assert_allclose(outputs[:, series.outputs], expected.reshape(len(x), -1), rtol=1e-5, atol=1e-6)
    loaded = registry.build("models", "catboost", spec, rounds=15)
    loaded.load_state_dict(model.state_dict())
    torch.testing.assert_close(loaded(torch.from_numpy(x)), model(torch.from_numpy(x)), rtol=0, atol=0)


def test_stages_are_the_rounds_of_one_training():
    spec = SPECS["numbers"]
    rows = draw_rows(spec)
    model = fit(spec, rows, rounds=40, learning_rate=0.1, depth=4, l2=2.0)
    (series,) = model._series
    options = {
        "loss_function": "RMSE",
        "iterations": 40,
        "learning_rate": 0.1,
        "depth": 4,
        "l2_leaf_reg": 2.0,
        "random_seed": rows.seed,
        "thread_count": 1,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    trained_at_once = library.CatBoost(options).fit(series.pool)
    outputs = model(torch.from_numpy(rows.x))[:, 0].numpy()
    x = number_rows(series.columns, rows.x)
    np.testing.assert_allclose(outputs, trained_at_once.predict(x), rtol=1e-5, atol=1e-5)


def test_many_categories_are_learned_by_their_means():
    levels = (tuple(f"level {i}" for i in range(300)), tuple("abcdefghijkl"))
    spec = Spec("regression", (2,), columns=tuple(Column(f"{len(c)}", "category", c) for c in levels))
    draw = np.random.default_rng(0)
    x = np.stack([draw.integers(0, len(c), 6000) for c in levels], 1).astype(np.float32)
    y = sum(draw.normal(size=len(c))[x[:, i].astype(int)] for i, c in enumerate(levels)).astype(np.float32)[:, None]
    model = fit(spec, FitRows(x[:5000], y[:5000], None, 0), rounds=100)
    error = (model(torch.from_numpy(x[5000:])).numpy() - y[5000:]) ** 2
    assert error.mean() < 0.3 * y.var()


def test_a_mean_target_tells_no_row_its_target():
    draw = np.random.default_rng(0)
    codes = np.arange(200.0).repeat(2)[:, None]  # two rows of each category: a mean over all rows would tell much
    y = draw.normal(size=(400, 1))
    x, columns = number_categories(codes, y, {0: 200}, None, np.random.default_rng(1))
    means = x[:, [column.values is not None for column in columns]][:, 1]
    assert abs(np.corrcoef(means, y[:, 0])[0, 1]) < 0.2
    folds = np.random.default_rng(1).permutation(400) % MEAN_FOLDS
    row, partner = 0, 1
    if folds[row] != folds[partner]:
        mean = y[folds != folds[row]].mean()
        assert means[row] == pytest.approx((y[partner, 0] + mean) / 2, rel=1e-4)


def test_shuffled_targets_are_not_learned():
    levels = tuple(f"level {i}" for i in range(150))
    spec = Spec("regression", (1,), columns=(Column("port", "category", levels),))
    draw = np.random.default_rng(0)
    x = draw.integers(0, 150, (3000, 1)).astype(np.float32)
    y = draw.normal(size=(3000, 1)).astype(np.float32)
    model = fit(spec, FitRows(x[:2000], y[:2000], None, 0), rounds=60, learning_rate=0.05)
    assert ((model(torch.from_numpy(x[2000:])).numpy() - y[2000:]) ** 2).mean() < 1.1 * y[2000:].var()


def test_quantiles_and_monotone_columns():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2000, 2)).astype(np.float32)
    y = (x[:, :1] + rng.normal(size=(2000, 1))).astype(np.float32)
    spec = Spec("regression", (2,))
    model = fit(spec, FitRows(x, y, None, 0, quantile=0.9), rounds=60)
    below = (y <= model(torch.from_numpy(x)).numpy()).mean()
    assert below == pytest.approx(0.9, abs=0.03)
    rising = fit(spec, FitRows(x, y, None, 0), rounds=60, monotone=("x1:up",))
    line = torch.stack([torch.linspace(0, 1, 200), torch.full((200,), 0.5)], dim=1)
    assert (rising(line).diff(dim=0) >= 0).all()
    assert (fit(spec, FitRows(x, y, None, 0), rounds=60)(line).diff(dim=0) < 0).any()


def test_the_same_rows_and_seed_give_the_same_trees_and_leave_the_generators_alone():
    spec = SPECS["two classes"]
    before = np.random.get_state()[1].tolist()
    first, second = (fit(spec, draw_rows(spec)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert np.random.get_state()[1].tolist() == before


def test_the_classes_of_the_targets_that_are_averaged():
    y = np.array([3, 1, 1, 1, 3, 0])
    np.testing.assert_array_equal(list_targets(y, [0, 1, 3])[:, 0], y == 1)
    np.testing.assert_array_equal(list_targets(y == 3, [0, 1])[:, 0], y == 3)


def test_splits_of_categories_by_the_library_are_refused():
    plain = {"oblivious_trees": [{"splits": [{"split_type": "OneHotFeature"}], "leaf_values": [0.0, 1.0]}]}
    with pytest.raises(ValueError, match="splits of categories"):
        convert_trees(plain, [], [0], 1)


def test_a_folder_that_cannot_be_written_to_is_an_error_with_its_path(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(StorageError, match="/proc/nowhere"):
        fit(SPECS["numbers"], draw_rows(SPECS["numbers"]))


def test_rows_that_the_library_refuses_are_an_error_of_the_data():
    model = registry.build("models", "catboost", Spec("regression", (1,)))
    rows = FitRows(np.zeros((5, 1), np.float32), np.arange(5, dtype=np.float32)[:, None], None, 0)
    with pytest.raises(DataError, match="CatBoost refuses 5 training rows"):
        model.fit_stage(0, rows)
