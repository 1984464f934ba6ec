"""Mean targets of categories: those of scikit-learn, and for training rows those of other rows."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import TargetEncoder

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.models._target_means import TargetMeans
from yisheng.training.portfolio.target_encoding import SMOOTHING, encode_targets, list_encoded_columns

N, SIZE = 200, 20
TOWN = Column("town", "category", tuple(f"t{i}" for i in range(SIZE)))
TASKS = ("regression", "two classes", "three classes", "multilabel")


def make_data(task, seed=0, group=None):
    draw = np.random.default_rng(seed)
    x = np.c_[draw.normal(size=N), draw.integers(0, SIZE, N)].astype(np.float32)
    table = (Column("a"), TOWN)
    if task == "regression":
        y = draw.normal(size=(N, 2)).astype(np.float32)
        return Dataset(task, Spec(task, (2,), columns=table, outputs=2), x, y, group=group)
    if task == "multilabel":
        y = (draw.random((N, 2)) < 0.3).astype(np.float32)
        return Dataset(task, Spec(task, (2,), classes=("p", "q"), columns=table, outputs=2), x, y, group=group)
    classes = ("a", "b") if task == "two classes" else ("a", "b", "c")
    spec = Spec("classification", (2,), classes=classes, columns=table)
    return Dataset(task, spec, x, draw.integers(0, len(classes), N), group=group)


@pytest.mark.parametrize("task", TASKS)
def test_the_means_are_those_of_scikit_learn(task):
    data, rows = make_data(task), np.arange(0, N, 2)
    assert list_encoded_columns(data.spec) == [1]
    encoded, plain = encode_targets(data, rows, seed=0)
    codes = data.x[:, [1]]
    if task in ("regression", "multilabel"):
        targets = list(data.y.T)
        kind = "continuous"
    else:
        targets, kind = [data.y], "binary" if task == "two classes" else "multiclass"
    encoders = [
        TargetEncoder(smooth=SMOOTHING, target_type=kind, categories=[np.arange(SIZE)]).fit(codes[rows], y[rows])
        for y in targets
    ]
    expected = np.concatenate([encoder.transform(codes) for encoder in encoders], axis=1)
    others = np.setdiff1d(np.arange(N), rows)
    np.testing.assert_allclose(encoded.x[others, 2:], expected[others], rtol=1e-5)
    module = TargetMeans(plain)
    np.testing.assert_allclose(module(torch.from_numpy(data.x)).numpy()[:, 2:], expected, rtol=1e-5)
    assert encoded.spec == module.spec(data.spec)
    assert [column.source or column.name for column in encoded.spec.columns][:2] == ["a", "town"]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_training_row_does_not_know_its_own_target(grouped):
    group = np.arange(N) // 4 if grouped else None
    data, rows = make_data("regression", group=group), np.arange(150)
    before = encode_targets(data, rows, seed=0)[0].x
    for row in (0, 77):
        mates = np.flatnonzero(group == group[row]) if grouped else [row]
        changed = data.y.copy()
        changed[mates] += 100
        after = encode_targets(Dataset("changed", data.spec, data.x, changed, group=group), rows, seed=0)[0].x
        np.testing.assert_array_equal(after[mates], before[mates])
        assert not np.array_equal(after, before)


def test_missing_and_unseen_values_have_means_of_their_own():
    data = make_data("two classes")
    data.x[:40, 1] = np.nan
    data.y[:40] = 1
    _, plain = encode_targets(data, np.arange(N), seed=0)
    prior = data.y.mean()
    values = TargetMeans(plain)(torch.tensor([[0, torch.nan], [0, SIZE + 1.0], [0, -1.0]]))[:, 2]
    np.testing.assert_allclose(values, [(40 + SMOOTHING * prior) / (40 + SMOOTHING), prior, prior], rtol=1e-5)


def test_damaged_means_are_refused():
    for plain in ({"columns": [0, 1], "means": [[[0.5], [0.5]]]}, {"columns": [0], "means": [[[0.5]]]}):
        with pytest.raises(ValueError, match="contradict"):
            TargetMeans(plain)
