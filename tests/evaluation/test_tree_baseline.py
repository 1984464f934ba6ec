"""The tree baseline: which rows and columns it learns from, and its description."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.evaluation import tree_baseline
from yisheng.evaluation.baseline import score_baseline
from yisheng.evaluation.scores import compute_scores
from yisheng.evaluation.tree_baseline import train_tree_baseline
from yisheng.transforms.log import log
from yisheng.transforms.standard import standard

TOWNS = Column("town", "category", tuple(f"t{i}" for i in range(8)))


def split(n: int) -> Split:
    rows = np.arange(n)
    return Split(rows[rows % 5 > 1], rows[rows % 5 == 1], rows[rows % 5 == 0])


def prices(n: int = 500, column: Column = TOWNS) -> Dataset:
    """Return prices by town and area, with informative missing values."""
    rng = np.random.Generator(np.random.PCG64(0))
    town = rng.integers(0, len(column.categories), n)
    area = rng.uniform(1, 3, n)
    age = np.where(rng.random(n) < 0.3, np.nan, rng.uniform(0, 50, n))
    y = np.exp(area + (town * 7 % 5) / 2 - np.isnan(age) + 0.05 * rng.normal(size=n))[:, None]
    x = np.stack([area, town, age], axis=1).astype(np.float32)
    spec = Spec("regression", (3,), columns=(Column("area"), column, Column("age")))
    return Dataset("prices", spec, x, y.astype(np.float32))


def test_trees_learn_from_numbers_categories_and_missing_values():
    data = prices()
    trees = train_tree_baseline(data, split(500))
    assert set(trees.scores) == {"test", "validation"}
    assert trees.scores["test"]["r2"].value > 0.9
    assert trees.scores["test"]["rmse"].low < trees.scores["test"]["rmse"].value < trees.scores["test"]["rmse"].high
    assert set(trees.scores["test"]) == set(score_baseline(data.spec, data.y, data.y))
    assert trees.scores["test"] == compute_scores(data.spec, trees.predictions["test"])
    assert trees.description == "gradient boosting, 600 rounds"
    assert trees.seconds > 0


def test_categories_are_not_ordered():
    """Renumbering the towns changes nothing."""
    data = prices()
    x = data.x.copy()
    order = np.random.Generator(np.random.PCG64(1)).permutation(8)
    x[:, 1] = order[x[:, 1].astype(int)]
    for part in ("test", "validation"):
        original, permuted = (
            train_tree_baseline(d, split(500)).predictions[part].prediction for d in (data, replace(data, x=x))
        )
        assert np.corrcoef(original[:, 0], permuted[:, 0])[0, 1] > 0.99


def test_only_the_training_part_is_learned():
    data, parts = prices(), split(500)
    x, y = data.x.copy(), data.y.copy()
    y[np.concatenate([parts.test, parts.validation])] = -1e6
    x[parts.validation] = 7.0
    original, changed = train_tree_baseline(data, parts), train_tree_baseline(replace(data, x=x, y=y), parts)
    assert np.array_equal(original.predictions["test"].prediction, changed.predictions["test"].prediction)


def test_shuffled_targets_are_not_learned():
    data = prices()
    shuffled = replace(data, y=np.random.Generator(np.random.PCG64(2)).permutation(data.y))
    r2 = train_tree_baseline(shuffled, split(500)).scores["test"]["r2"].value
    assert r2 < 0.1


def test_trees_learn_the_transformed_target():
    data, parts = prices(), split(500)
    transform = log.fit(data.y[parts.train])
    predictions = train_tree_baseline(data, parts, target=transform).predictions["test"]
    trees = HistGradientBoostingRegressor(
        max_iter=600,
        learning_rate=0.05,
        max_leaf_nodes=8,
        max_features=1.0,
        categorical_features=[False, True, False],
        early_stopping=False,
        random_state=tree_baseline.derive(0, "trees") % 2**31,
    )
    logs = np.log(data.y[parts.train].astype(np.float64))
    trees.fit(data.x[parts.train], ((logs - logs.mean()) / logs.std()).ravel())
    expected = np.exp(trees.predict(data.x[parts.test]) * logs.std() + logs.mean())
    np.testing.assert_allclose(predictions.prediction.ravel(), expected, rtol=1e-6)
    np.testing.assert_array_equal(predictions.y, data.y[parts.test])
    standardized = (
        train_tree_baseline(data, parts, target=standard.fit(data.y[parts.train])).scores["test"]["rmse"].value
    )
    assert standardized == pytest.approx(train_tree_baseline(data, parts).scores["test"]["rmse"].value, rel=0.1)


def test_unknown_categories_and_infinite_values_are_missing():
    data, parts = prices(), split(500)
    x = data.x.copy()
    x[parts.test[:3], 1] = (-1, 99, np.inf)
    x[parts.test[:3], 2] = np.inf
    missing = x.copy()
    missing[parts.test[:3], 1:] = np.nan
    odd, expected = (train_tree_baseline(replace(data, x=values), parts).predictions["test"] for values in (x, missing))
    assert np.array_equal(odd.prediction, expected.prediction)


def test_more_categories_than_trees_can_distinguish():
    column = Column("postcode", "category", tuple(map(str, range(300))))
    assert train_tree_baseline(prices(600, column), split(600)).scores["test"]["r2"].value > 0.3


def classes(n: int = 400) -> Dataset:
    rng = np.random.Generator(np.random.PCG64(0))
    x = rng.normal(size=(n, 4)).astype(np.float32)
    y = ((x[:, 0] > 0).astype(np.int64) + (x[:, 1] * x[:, 0] > 0)).astype(np.int64)
    return Dataset("classes", Spec("classification", (4,), classes=("a", "b", "c")), x, y)


def test_classes_without_training_rows_have_probability_zero():
    data, parts = classes(), split(400)
    trees = train_tree_baseline(data, parts)
    assert trees.scores["test"]["accuracy"].value > 0.85
    np.testing.assert_allclose(trees.predictions["test"].prediction.sum(1), 1)
    assert trees.description == "gradient boosting, 400 rounds"
    train = parts.train[data.y[parts.train] != 1]
    probabilities = train_tree_baseline(data, replace(parts, train=train)).predictions["test"].prediction
    assert probabilities.shape == (80, 3)
    assert (probabilities[:, 1] == 0).all()
    single = (
        train_tree_baseline(data, replace(parts, train=parts.train[data.y[parts.train] == 2]))
        .predictions["test"]
        .prediction
    )
    assert np.array_equal(single, np.tile([0.0, 0.0, 1.0], (80, 1)))


def test_multilabel_and_several_targets():
    data, parts = classes(), split(400)
    y = np.stack([data.x[:, 0] > 0, data.x[:, 1] > 0.5, np.ones(400)], axis=1).astype(np.float32)
    labels = Dataset("labels", Spec("multilabel", (4,), classes=("p", "q", "always")), data.x, y)
    trees = train_tree_baseline(labels, parts)
    assert trees.scores["test"]["f1_macro"].value > 0.9
    assert (trees.predictions["test"].prediction[:, 2] == 1).all()
    pair = Dataset("pair", Spec("regression", (4,), outputs=2), data.x, data.x[:, :2].copy())
    assert train_tree_baseline(pair, parts).scores["test"]["r2"].value > 0.9


def test_rows_of_weight_zero_are_not_learned():
    data, parts = prices(), split(500)
    weight = np.zeros(500, np.float32)
    weight[::3] = 1
    y = data.y.copy()
    y[weight == 0] = 1e4
    weighted = train_tree_baseline(replace(data, y=y, weight=weight), parts).predictions["test"].prediction
    assert weighted.max() < 1e3


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_few_rows_have_the_trees_of_all_bins(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_baseline, "MAX_TREES", 30)
    generator = np.random.default_rng(3)
    x = generator.normal(size=(60, 12)).astype(np.float32)
    x[:, 0] = generator.integers(0, 70, 60)
    x[generator.random(x.shape) < 0.1] = np.nan
    categories = Column("c", "category", tuple(map(str, range(70))))
    is_class = task == "classification"
    spec = Spec(
        "classification" if is_class else "regression",
        (12,),
        classes=("p", "q") if is_class else (),
        columns=(categories, *(Column(f"x{i}") for i in range(1, 12))),
    )
    target = np.nan_to_num(x[:, 1]) + generator.normal(size=60)
    y = (target > 0).astype(np.int64) if is_class else target[:, None].astype(np.float32)
    trees = tree_baseline._GradientBoosting(spec, 0, 40)
    assert trees.options["max_bins"] == 70
    fewer_bins = trees.fit(x[:40], y[:40], None)(x)
    trees.options["max_bins"] = 255
    np.testing.assert_array_equal(trees.fit(x[:40], y[:40], None)(x), fewer_bins)


def test_large_parts_are_sampled_and_described(monkeypatch):
    monkeypatch.setattr(tree_baseline, "MAX_TRAINING_ROWS", 100)
    data, parts = prices(), split(500)
    sampled = train_tree_baseline(data, parts, seed=3)
    assert sampled.description == "gradient boosting, 600 rounds, grown on 100 of 300 rows"
    repeated, reseeded = train_tree_baseline(data, parts, seed=3), train_tree_baseline(data, parts, seed=4)
    assert np.array_equal(repeated.predictions["test"].prediction, sampled.predictions["test"].prediction)
    assert not np.array_equal(reseeded.predictions["test"].prediction, sampled.predictions["test"].prediction)


def test_parts_without_rows_have_no_scores():
    data, parts = prices(), split(500)
    assert list(train_tree_baseline(data, replace(parts, validation=parts.test[:0])).scores) == ["test"]


def test_images_are_refused():
    x = np.zeros((9, 1, 8, 8), np.uint8)
    data = Dataset("images", Spec("classification", (1, 8, 8), classes=("a", "b")), x, np.arange(9) % 2)
    with pytest.raises(UsageError, match="needs rows"):
        train_tree_baseline(data, split(9))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_column_without_values_in_the_training_part(task):
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    x[:40, 1] = np.nan
    spec = Spec(task, (2,), classes=("a", "b") if task == "classification" else ())
    y = (x[:, 0] > 0).astype(np.int64) if task == "classification" else x[:, :1]
    trees = train_tree_baseline(Dataset("rows", spec, x, y), Split(np.arange(40), np.arange(0), np.arange(40, 60)))
    assert trees.scores["test"]["r2" if task == "regression" else "accuracy"].value > 0.5
