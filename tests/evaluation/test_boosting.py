"""The gradient-boosting baseline: what it learns from, what it can take, what it says of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from yisheng.core.errors import UsageError
from yisheng.core.types import Column, Dataset, Spec, Split
from yisheng.evaluation import tree_baseline as kind
from yisheng.evaluation.baseline import baseline
from yisheng.evaluation.scores import scores
from yisheng.evaluation.tree_baseline import boosting
from yisheng.transforms.log import log
from yisheng.transforms.standard import standard

TOWNS = Column("town", "category", tuple(f"t{i}" for i in range(8)))


def split(n: int) -> Split:
    rows = np.arange(n)
    return Split(rows[rows % 5 > 1], rows[rows % 5 == 1], rows[rows % 5 == 0])


def prices(n: int = 500, column: Column = TOWNS) -> Dataset:
    """A price by town and by area, with holes that tell something."""
    rng = np.random.Generator(np.random.PCG64(0))
    town = rng.integers(0, len(column.levels), n)
    area = rng.uniform(1, 3, n)
    age = np.where(rng.random(n) < 0.3, np.nan, rng.uniform(0, 50, n))
    y = np.exp(area + (town * 7 % 5) / 2 - np.isnan(age) + 0.05 * rng.normal(size=n))[:, None]
    x = np.stack([area, town, age], axis=1).astype(np.float32)
    spec = Spec("regression", (3,), columns=(Column("area"), column, Column("age")))
    return Dataset("prices", spec, x, y.astype(np.float32))


def test_it_finds_what_trees_can_find_in_numbers_levels_and_holes():
    data = prices()
    found = boosting(data, split(500))
    assert set(found.scores) == {"test", "validation"}
    assert found.scores["test"]["r2"].value > 0.9
    assert found.scores["test"]["rmse"].low < found.scores["test"]["rmse"].value < found.scores["test"]["rmse"].high
    assert set(found.scores["test"]) == set(baseline(data.spec, data.y, data.y))
    assert found.scores["test"] == scores(data.spec, found.predictions["test"])
    assert found.about == "gradient boosting, 600 rounds"
    assert found.seconds > 0


def test_a_level_is_no_number():
    """Towns in another order are the same towns."""
    data = prices()
    x = data.x.copy()
    order = np.random.Generator(np.random.PCG64(1)).permutation(8)
    x[:, 1] = order[x[:, 1].astype(int)]
    for part in ("test", "validation"):
        here, there = (boosting(d, split(500)).predictions[part].prediction for d in (data, replace(data, x=x)))
        assert np.corrcoef(here[:, 0], there[:, 0])[0, 1] > 0.99


def test_nothing_is_learnt_from_the_other_parts():
    data, parts = prices(), split(500)
    x, y = data.x.copy(), data.y.copy()
    y[np.concatenate([parts.test, parts.validation])] = -1e6
    x[parts.validation] = 7.0
    one, other = boosting(data, parts), boosting(replace(data, x=x, y=y), parts)
    assert np.array_equal(one.predictions["test"].prediction, other.predictions["test"].prediction)


def test_shuffled_targets_are_not_learnt():
    data = prices()
    shuffled = replace(data, y=np.random.Generator(np.random.PCG64(2)).permutation(data.y))
    found = boosting(shuffled, split(500)).scores["test"]["r2"].value
    assert found < 0.1


def test_a_target_is_learnt_in_the_scale_of_the_network():
    data, parts = prices(), split(500)
    fitted = log.fit(data.y[parts.train])
    found = boosting(data, parts, target=fitted).predictions["test"]
    trees = HistGradientBoostingRegressor(
        max_iter=600,
        learning_rate=0.05,
        max_leaf_nodes=8,
        max_features=1.0,
        categorical_features=[False, True, False],
        early_stopping=False,
        random_state=kind.derive(0, "trees") % 2**31,
    )
    logs = np.log(data.y[parts.train].astype(np.float64))
    trees.fit(data.x[parts.train], ((logs - logs.mean()) / logs.std()).ravel())
    want = np.exp(trees.predict(data.x[parts.test]) * logs.std() + logs.mean())
    np.testing.assert_allclose(found.prediction.ravel(), want, rtol=1e-6)
    np.testing.assert_array_equal(found.y, data.y[parts.test])
    plain = boosting(data, parts, target=standard.fit(data.y[parts.train])).scores["test"]["rmse"].value
    assert plain == pytest.approx(boosting(data, parts).scores["test"]["rmse"].value, rel=0.1)


def test_unseen_levels_and_infinite_values_are_missing():
    data, parts = prices(), split(500)
    x = data.x.copy()
    x[parts.test[:3], 1] = (-1, 99, np.inf)
    x[parts.test[:3], 2] = np.inf
    missing = x.copy()
    missing[parts.test[:3], 1:] = np.nan
    one, other = (boosting(replace(data, x=values), parts).predictions["test"] for values in (x, missing))
    assert np.array_equal(one.prediction, other.prediction)


def test_more_levels_than_trees_can_tell_apart():
    column = Column("postcode", "category", tuple(map(str, range(300))))
    assert boosting(prices(600, column), split(600)).scores["test"]["r2"].value > 0.3


def classes(n: int = 400) -> Dataset:
    rng = np.random.Generator(np.random.PCG64(0))
    x = rng.normal(size=(n, 4)).astype(np.float32)
    y = ((x[:, 0] > 0).astype(np.int64) + (x[:, 1] * x[:, 0] > 0)).astype(np.int64)
    return Dataset("classes", Spec("classification", (4,), classes=("a", "b", "c")), x, y)


def test_classes_and_one_that_training_never_saw():
    data, parts = classes(), split(400)
    found = boosting(data, parts)
    assert found.scores["test"]["accuracy"].value > 0.85
    np.testing.assert_allclose(found.predictions["test"].prediction.sum(1), 1)
    assert found.about == "gradient boosting, 400 rounds"
    train = parts.train[data.y[parts.train] != 1]
    given = boosting(data, replace(parts, train=train)).predictions["test"].prediction
    assert given.shape == (80, 3)
    assert (given[:, 1] == 0).all()
    alone = boosting(data, replace(parts, train=parts.train[data.y[parts.train] == 2])).predictions["test"].prediction
    assert np.array_equal(alone, np.tile([0.0, 0.0, 1.0], (80, 1)))


def test_labels_and_several_targets():
    data, parts = classes(), split(400)
    y = np.stack([data.x[:, 0] > 0, data.x[:, 1] > 0.5, np.ones(400)], axis=1).astype(np.float32)
    labels = Dataset("labels", Spec("multilabel", (4,), classes=("p", "q", "always")), data.x, y)
    found = boosting(labels, parts)
    assert found.scores["test"]["f1_macro"].value > 0.9
    assert (found.predictions["test"].prediction[:, 2] == 1).all()
    pair = Dataset("pair", Spec("regression", (4,), outputs=2), data.x, data.x[:, :2].copy())
    assert boosting(pair, parts).scores["test"]["r2"].value > 0.9


def test_rows_without_weight_are_not_learnt_from():
    data, parts = prices(), split(500)
    odd = np.zeros(500, np.float32)
    odd[::3] = 1
    y = data.y.copy()
    y[odd == 0] = 1e4
    weighted = boosting(replace(data, y=y, weight=odd), parts).predictions["test"].prediction
    assert weighted.max() < 1e3


def test_large_parts_are_sampled_and_it_says_so(monkeypatch):
    monkeypatch.setattr(kind, "ROWS", 100)
    data, parts = prices(), split(500)
    found = boosting(data, parts, seed=3)
    assert found.about == "gradient boosting, 600 rounds, grown on 100 of 300 rows"
    again, other = boosting(data, parts, seed=3), boosting(data, parts, seed=4)
    assert np.array_equal(again.predictions["test"].prediction, found.predictions["test"].prediction)
    assert not np.array_equal(other.predictions["test"].prediction, found.predictions["test"].prediction)


def test_parts_without_rows_have_no_scores():
    data, parts = prices(), split(500)
    assert list(boosting(data, replace(parts, validation=parts.test[:0])).scores) == ["test"]


def test_images_are_refused():
    x = np.zeros((9, 1, 8, 8), np.uint8)
    data = Dataset("images", Spec("classification", (1, 8, 8), classes=("a", "b")), x, np.arange(9) % 2)
    with pytest.raises(UsageError, match="needs rows"):
        boosting(data, split(9))
