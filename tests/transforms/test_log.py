"""Logarithms of targets: equal to NumPy and scikit-learn, invertible everywhere, chosen for skewed targets."""

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
from yisheng.transforms.log import is_skewed, log


def prices(n: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).lognormal(12, 0.4, (n, 1)).astype(np.float32)


@pytest.mark.parametrize("zeros", [False, True])
def test_log_is_the_standardized_logarithm(zeros, monkeypatch):
    monkeypatch.setattr(_row_chunks, "CHUNK_VALUES", 64)
    y = np.concatenate([prices(), prices(seed=1)], axis=1)
    if zeros:
        y[3] = 0
    fitted = log.fit(y)
    logs = np.log1p(y.astype(np.float64)) if zeros else np.log(y.astype(np.float64))
    expected = StandardScaler().fit(logs)
    np.testing.assert_allclose(fitted.mean, expected.mean_, rtol=1e-12)
    np.testing.assert_allclose(fitted.std, expected.scale_, rtol=1e-12)
    got = fitted.apply(torch.from_numpy(y.astype(np.float64)))
    np.testing.assert_allclose(got, expected.transform(logs), rtol=1e-10, atol=1e-10)


positive = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 20), st.integers(1, 2)), elements=st.floats(0, 2.0**20, width=32)
)


@given(y=positive, added=st.floats(-(2.0**20), 2.0**20, width=32))
def test_every_value_is_restored_by_the_inverse(y, added):
    fitted = log.fit(y)
    x = torch.from_numpy(np.append(y, np.full((1, y.shape[1]), added, np.float32), axis=0).astype(np.float64))
    image = fitted.apply(x)
    assert image.isfinite().all()
    np.testing.assert_allclose(fitted.invert(image), x, rtol=1e-6, atol=1e-6)


@given(z=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_predictions_are_finite_and_in_order_for_any_output(z):
    fitted = log.fit(prices())
    low, high = fitted.invert(torch.tensor([[z], [z + abs(z) / 2 + 1]])).flatten().tolist()
    assert np.isfinite([low, high]).all()
    assert low <= high


def test_prices_are_restored_in_single_precision():
    y = torch.from_numpy(prices())
    fitted = log.fit(y.numpy())
    torch.testing.assert_close(fitted.invert(fitted.apply(y)).to(y.dtype), y, rtol=3e-6, atol=0)
    assert fitted.apply(y).dtype is torch.float32


def test_fit_uses_the_training_part_alone_and_is_saved():
    y = prices()
    changed = y.copy()
    changed[250:] = 1.0
    fitted = transforms.fit("log", y, rows=np.arange(250))
    assert fitted == transforms.fit("log", changed, rows=np.arange(250)) == log.fit(y[:250])
    restored = transforms.from_json(json.loads(json.dumps(transforms.to_json(fitted), allow_nan=False)))
    assert restored == fitted


def test_a_constant_target_keeps_its_scale():
    fitted = log.fit(np.full((5, 1), 7.0, np.float32))
    assert fitted.std == (1.0,)
    torch.testing.assert_close(fitted.invert(torch.zeros(1, 1)), torch.tensor([[7.0]]))


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_negative_targets_are_refused(value):
    y = prices()
    y[7] = value
    with pytest.raises(DataError, match=r"0 or more"):
        log.fit(y)


@pytest.mark.parametrize(
    "changes", [{"offset": [-1.0]}, {"knee": [0.0]}, {"std": [0.0]}, {"mean": [0.0, 1.0]}, {"mean": [float("inf")]}]
)
def test_damaged_json_is_refused(changes):
    data = transforms.to_json(log.fit(prices()))
    with pytest.raises(DataError):
        transforms.from_json({**data, **changes})


@given(shape=st.floats(0.05, 1.5), offset=st.floats(0, 10))
def test_decision_follows_the_skewness_of_scipy(shape, offset):
    y = np.random.Generator(np.random.PCG64(1)).lognormal(0, shape, (200, 1)) + offset
    assert is_skewed(y) == (skew(y)[0] > 1 and abs(skew(np.log(y))[0]) < skew(y)[0] / 2)


@pytest.mark.parametrize(
    ("y", "expected"),
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
def test_skewed_targets_are_recognized(y, expected):
    assert is_skewed(y) is expected
