"""Logarithmic targets: equal to scikit-learn's by hand, invertible everywhere, chosen where the skew calls for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import skew
from sklearn.preprocessing import StandardScaler

from yisheng import transforms
from yisheng.core.errors import DataError
from yisheng.transforms import _row_chunks
from yisheng.transforms.log import _skewness, log, is_skewed


def prices(n: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).lognormal(12, 0.4, (n, 1)).astype(np.float32)


@pytest.mark.parametrize("zeros", [False, True])
def test_it_is_the_standardised_logarithm(zeros, monkeypatch):
    monkeypatch.setattr(_row_chunks, "PIECE", 64)
    y = np.concatenate([prices(), prices(seed=1)], axis=1)
    if zeros:
        y[3] = 0
    fitted = log.fit(y)
    logs = np.log1p(y.astype(np.float64)) if zeros else np.log(y.astype(np.float64))
    theirs = StandardScaler().fit(logs)
    np.testing.assert_allclose(fitted.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(fitted.std, theirs.scale_, rtol=1e-12)
    got = fitted.apply(torch.from_numpy(y.astype(np.float64)))
    np.testing.assert_allclose(got, theirs.transform(logs), rtol=1e-10, atol=1e-10)


positive = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 20), st.integers(1, 2)), elements=st.floats(0, 2.0**20, width=32)
)


@given(y=positive, other=st.floats(-(2.0**20), 2.0**20, width=32))
def test_every_value_comes_back_zeros_and_negative_ones_too(y, other):
    fitted = log.fit(y)
    x = torch.from_numpy(np.append(y, np.full((1, y.shape[1]), other, np.float32), axis=0).astype(np.float64))
    image = fitted.apply(x)
    assert image.isfinite().all()
    np.testing.assert_allclose(fitted.invert(image), x, rtol=1e-6, atol=1e-6)


@given(z=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_predictions_are_finite_and_in_order_whatever_the_network_says(z):
    fitted = log.fit(prices())
    low, high = fitted.invert(torch.tensor([[z], [z + abs(z) / 2 + 1]])).flatten().tolist()
    assert np.isfinite([low, high]).all()
    assert low <= high


def test_prices_survive_single_precision():
    y = torch.from_numpy(prices())
    fitted = log.fit(y.numpy())
    torch.testing.assert_close(fitted.invert(fitted.apply(y)), y, rtol=3e-6, atol=0)
    assert fitted.apply(y).dtype is torch.float32


def test_saved_and_read_back_and_fitted_on_the_training_part_alone():
    y = prices()
    other = y.copy()
    other[250:] = 1.0
    fitted = transforms.fit("log", y, rows=np.arange(250))
    assert fitted == transforms.fit("log", other, rows=np.arange(250)) == log.fit(y[:250])
    again = transforms.from_json(json.loads(json.dumps(transforms.to_json(fitted), allow_nan=False)))
    assert again == fitted


def test_a_constant_target():
    fitted = log.fit(np.full((5, 1), 7.0, np.float32))
    assert fitted.std == (1.0,)
    torch.testing.assert_close(fitted.invert(torch.zeros(1, 1)), torch.tensor([[7.0]]))


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_negative_targets_are_refused(bad):
    y = prices()
    y[7] = bad
    with pytest.raises(DataError, match=r"0 or more"):
        log.fit(y)


@pytest.mark.parametrize(
    "changes", [{"offset": [-1.0]}, {"knee": [0.0]}, {"std": [0.0]}, {"mean": [0.0, 1.0]}, {"mean": [float("inf")]}]
)
def test_damaged_json(changes):
    good = transforms.to_json(log.fit(prices()))
    with pytest.raises(DataError):
        transforms.from_json({**good, **changes})


def test_skewness_is_scipys():
    y = np.concatenate([prices(), np.log(prices(seed=1)), np.ones((500, 1))], axis=1).astype(np.float64)
    np.testing.assert_allclose(_skewness(y), [*skew(y[:, :2]), 0], rtol=1e-9)


@pytest.mark.parametrize(
    ("y", "answer"),
    [
        (prices(), True),
        (np.log(prices()), False),
        (-prices(), False),
        (np.append(prices(), [[0.0]], axis=0), False),
        (np.concatenate([prices(), np.log(prices())], axis=1), False),
        (np.ones((50, 1)), False),
        (np.random.Generator(np.random.PCG64(0)).exponential(size=(500, 1)) ** 0.25 + 1, False),
        (prices(2), False),
    ],
    ids=["prices", "their logs", "negative", "with a zero", "one of two", "constant", "even", "two rows"],
)
def test_when_the_skew_calls_for_it(y, answer):
    assert is_skewed(y) is answer
