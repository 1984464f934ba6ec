"""Categories of prepared columns: one-hot as by scikit-learn, unseen ones infrequent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder

from tests.transforms.column_tables import prepared
from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.transforms.columns import columns


def encoder(x: np.ndarray, min_frequency: int, max_categories: int | None = None) -> OneHotEncoder:
    """Return scikit-learn's encoder; its category for missing values may be infrequent, ours never is."""
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=min_frequency,
        max_categories=max_categories,
        sparse_output=False,
    ).fit(x)


def category(counts: Sequence[int], seed: int = 0) -> np.ndarray:
    codes = np.repeat(np.arange(len(counts)), counts).astype(np.float32)
    return np.random.Generator(np.random.PCG64(seed)).permutation(codes)[:, None]


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=8).filter(any),
    min_frequency=st.integers(1, 5),
    max_categories=st.none() | st.integers(2, 7),
)
def test_categories_are_one_hot_as_by_scikit_learn(counts, min_frequency, max_categories):
    x = category(counts)
    new = np.array([[-1.0], *[[float(i)] for i in range(len(counts))]], np.float32)
    table = (Column("c", "category", tuple(map(str, range(len(counts))))),)
    fitted = columns.fit(x, columns=table, min_frequency=min_frequency, max_categories=max_categories or 50)
    reference = encoder(x, min_frequency, max_categories)
    # Of equally frequent categories ours keeps the first; scikit-learn's sort is not stable.
    sizes = np.bincount(x[:, 0].astype(int))
    if max_categories and len(set(sizes[sizes > 0].tolist())) < (sizes > 0).sum():
        return
    for part in (x, new):
        np.testing.assert_array_equal(prepared(part, fitted), reference.transform(part))


def test_missing_values_get_an_indicator_as_by_scikit_learn():
    x = category([5, 4, 3])
    x[::4] = np.nan
    table = (Column("c", "category", ("a", "b", "c")),)
    fitted, reference = columns.fit(x, columns=table, min_frequency=1), encoder(x, 1)
    result = prepared(x, fitted)
    np.testing.assert_array_equal(
        result, reference.transform(x)[:, [3, 0, 1, 2]]
    )  # NaN is their last category, our first
    assert [c.name for c in fitted.spec(Spec("regression", (1,), columns=table)).columns] == [
        "c missing",
        "c=a",
        "c=b",
        "c=c",
    ]


@pytest.mark.parametrize(
    ("new", "min_frequency", "expected"),
    [
        (np.nan, 1, [0, 0, 0]),  # missing for the first time: no indicator at all
        (-1.0, 1, [0, 0, 0]),
        (7.0, 1, [0, 0, 0]),
        (np.inf, 1, [0, 0, 0]),
        (np.nan, 4, [0, 0, 1]),  # there are infrequent ones: it is one of them
        (-1.0, 4, [0, 0, 1]),
        (2.0, 4, [0, 0, 1]),
        (1.0, 4, [0, 1, 0]),
    ],
)
def test_unseen_values_count_as_infrequent(new, min_frequency, expected):
    table = (Column("c", "category", ("a", "b", "c")),)
    fitted = columns.fit(category([5, 4, 3]), columns=table, min_frequency=min_frequency)
    assert fitted.apply(torch.tensor([[new]])).tolist() == [expected]


def test_many_categories_get_few_indicators():
    codes = np.arange(5000, dtype=np.float32)[:, None] // 2
    codes[:200] = 7.0
    table = (Column("postcode", "category", tuple(map(str, range(2500)))),)
    fitted = columns.fit(codes, columns=table)
    assert fitted.spec(Spec("regression", (1,), columns=table)).shape == (2,)
    assert columns.fit(codes, columns=table, min_frequency=1).apply(torch.from_numpy(codes)).shape == (5000, 50)


def test_a_missing_yes_no_becomes_the_fraction_of_yes():
    x = np.array([[0.0], [1.0], [1.0], [1.0], [np.nan]], np.float32)
    fitted = columns.fit(x, columns=(Column("pool", "yes/no"),))
    assert fitted.apply(torch.from_numpy(x)).tolist() == [[0, 0], [1, 0], [1, 0], [1, 0], [0.75, 1]]
    without_missing = columns.fit(x[:4], columns=(Column("pool", "yes/no"),))
    assert without_missing.apply(torch.from_numpy(x)).tolist() == [[0], [1], [1], [1], [0.75]]
