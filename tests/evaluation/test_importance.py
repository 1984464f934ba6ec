"""Permutation importance and partial dependence: against scikit-learn, and against exact expectations."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.inspection import partial_dependence
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.linear_model import LogisticRegression

from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.evaluation.column_values import format_cell, group_columns
from yisheng.evaluation.importance import ImportanceTable, permutation_importance
from yisheng.evaluation.partial_dependence import MAX_CATEGORIES, MAX_POINTS, choose_grid, compute_partial_dependence


def metric(name):
    return registry.find("metrics", name)


def draw_regression(n=120, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    y = 3 * x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(scale=0.3, size=n)
    return x, y[:, None]


def by_name(columns):
    return {column.column: column for column in columns}


def test_it_agrees_with_scikit_learn_on_a_regression():
    x, y = draw_regression()
    model = HistGradientBoostingRegressor(max_iter=30).fit(x, y[:, 0])
    reference = sklearn_importance(
        model, x, y[:, 0], scoring="neg_root_mean_squared_error", n_repeats=200, random_state=1
    )
    columns = permutation_importance(
        lambda rows: model.predict(rows)[:, None],
        x,
        y,
        {str(i): [i] for i in range(4)},
        metric("rmse"),
        repeats=200,
        with_interval=0,
    )
    for i, name in enumerate("0123"):
        result = by_name(columns)[name]
        error = np.hypot(result.deviation, reference.importances_std[i]) / np.sqrt(200)
        assert result.importance.value == pytest.approx(reference.importances_mean[i], abs=5 * error + 1e-9)
        assert result.deviation == pytest.approx(reference.importances_std[i], rel=0.3, abs=1e-9)


def test_it_agrees_with_scikit_learn_on_classes_whose_columns_move_together():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(150, 3))
    y = (x[:, 0] + 2 * x[:, 1] > 0).astype(np.int64)
    model = LogisticRegression().fit(x, y)
    reference = sklearn_importance(model, x, y, scoring="accuracy", n_repeats=200, random_state=0)
    (result,) = permutation_importance(
        model.predict_proba, x, y, {"second": [1]}, metric("accuracy"), repeats=200, with_interval=0
    )
    assert result.importance.value == pytest.approx(reference.importances_mean[1], abs=0.01)
    (joint,) = permutation_importance(
        model.predict_proba, x, y, {"both": [0, 1, 2]}, metric("accuracy"), repeats=200, with_interval=0
    )
    expected = np.mean([(model.predict(x[rng.permutation(150)]) == y).mean() for _ in range(400)])
    assert joint.importance.value == pytest.approx((model.predict(x) == y).mean() - expected, abs=0.01)


def test_the_mean_squared_error_has_its_exact_expectation():
    x, y = draw_regression(40)
    weights = np.array([[3.0], [0.5], [0.0], [-1.0]])
    columns = permutation_importance(
        lambda rows: rows @ weights, x, y, {str(i): [i] for i in range(4)}, metric("mse"), repeats=1000, with_interval=0
    )
    for i in range(4):
        remaining = x @ weights - x[:, [i]] * weights[i]
        every_pair = ((remaining + (x[:, i] * weights[i])[None] - y) ** 2).mean()
        expected = every_pair - ((x @ weights - y) ** 2).mean()
        result = by_name(columns)[str(i)]
        assert result.importance.value == pytest.approx(expected, abs=5 * result.deviation / np.sqrt(1000) + 1e-12)


def test_the_interval_covers_the_importance_on_all_rows():
    model_weights = np.array([[2.0], [0.2], [0.0]])
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 3))
    y = x @ model_weights + rng.normal(size=(4000, 1))
    truth = {}
    for i in range(3):  # the expectation of a permuted column, over all rows
        truth[i] = 2 * float(model_weights[i, 0]) ** 2
    inside = []
    for start in range(0, 3000, 100):
        rows = slice(start, start + 100)
        columns = permutation_importance(
            lambda z: z @ model_weights, x[rows], y[rows], {str(i): [i] for i in range(3)}, metric("mse"), repeats=5
        )
        for i in range(3):
            score = by_name(columns)[str(i)].importance
            inside.append(score.low <= truth[i] <= score.high)
    assert np.mean(inside) > 0.88


def test_a_column_that_the_model_ignores_has_exactly_none():
    x, y = draw_regression()
    columns = permutation_importance(lambda rows: rows[:, :1] * 3, x, y, {"a": [0], "b": [3]}, metric("r2"))
    assert [column.column for column in columns] == ["a", "b"]
    unused = columns[1]
    assert (unused.importance.value, unused.importance.low, unused.importance.high, unused.deviation) == (0, 0, 0, 0)


def test_values_are_exchanged_within_blocks():
    x = np.repeat(np.arange(6.0), 5)[:, None]
    blocks = np.repeat(np.arange(6), 5)
    (column,) = permutation_importance(lambda rows: rows, x, x, {"a": [0]}, metric("mse"), blocks=blocks)
    assert column.importance.value == 0
    (column,) = permutation_importance(lambda rows: rows, x, x, {"a": [0]}, metric("mse"))
    assert column.importance.value > 1


def test_only_the_most_important_columns_have_an_interval():
    x, y = draw_regression()
    weights = np.array([[3.0], [0.5], [0.0], [-1.0]])
    names = {str(i): [i] for i in range(4)}
    complete = permutation_importance(lambda rows: rows @ weights, x, y, names, metric("mse"))
    limited = permutation_importance(lambda rows: rows @ weights, x, y, names, metric("mse"), with_interval=2)
    assert limited[:2] == complete[:2]
    assert [column.importance.low is None for column in limited] == [False, False, True, True]
    before = x.copy()
    permutation_importance(lambda rows: rows @ weights, x, y, names, metric("mse"))
    np.testing.assert_array_equal(x, before)


def test_the_table_is_sorted_and_becomes_a_frame():
    x, y = draw_regression()
    columns = permutation_importance(lambda r: r[:, :1] + 2 * r[:, 1:2], x, y, {"a": [0], "b": [1]}, metric("mse"))
    table = ImportanceTable(columns[::-1], "mse", 1.0, "test", 120)
    assert [column.column for column in table] == [column.column for column in columns]
    assert table.to_frame()["importance"].tolist() == [column.importance.value for column in columns]
    assert "mse 1.0000 on 120 rows of the test part" in repr(table)
    assert table._repr_html_().count("<tr") == 3


@pytest.mark.parametrize("column", [0, 1])
def test_partial_dependence_is_scikit_learns(column):
    x, y = draw_regression()
    model = HistGradientBoostingRegressor(max_iter=20).fit(x, y[:, 0])
    reference = partial_dependence(model, x, [column], grid_resolution=7, method="brute", kind="both")
    grid = reference["grid_values"][0]
    result = compute_partial_dependence(lambda rows: model.predict(rows)[:, None], x, column, grid)
    np.testing.assert_allclose(result.mean[:, 0], reference["average"][0])
    np.testing.assert_allclose(result.low[:, 0], np.quantile(reference["individual"][0], 0.1, axis=0))
    np.testing.assert_allclose(result.high[:, 0], np.quantile(reference["individual"][0], 0.9, axis=0))


def test_the_grid_has_values_of_the_rows():
    rng = np.random.default_rng(0)
    columns = (Column("area"), Column("town", "category", tuple("abcdefghijklmnopq")), Column("rooms"))
    spec = Spec("regression", (3,), columns=columns)
    x = np.column_stack([rng.normal(size=500), rng.integers(0, 17, 500), rng.integers(1, 5, 500)])
    x[:20, 1] = np.nan
    x[:20, 0] = np.nan
    area, town, rooms = (choose_grid(spec, x, i) for i in range(3))
    assert len(area) == MAX_POINTS
    assert set(area) <= set(x[:, 0])
    assert np.isnan(town[-1])
    assert len(town) == MAX_CATEGORIES + 1
    assert rooms.tolist() == [1, 2, 3, 4]


def test_columns_of_one_source_belong_together():
    date = [Column(f"sold {part}", source="sold", date_part=part) for part in ("year", "month", "weekday")]
    spec = Spec("regression", (5,), columns=(Column("area", source="area"), *date, Column("x")))
    assert group_columns(spec) == {"area": [0], "sold": [1, 2, 3], "x": [4]}
    yes_no = Spec("regression", (1,), columns=(Column("garden", "yes/no", ("no", "yes")),))
    assert [format_cell(yes_no, 0, value) for value in (0.0, 1.0, -1.0, np.nan)] == ["no", "yes", "unknown", "missing"]
