"""Numbers of prepared columns: equal to scikit-learn, clipped within the bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

from tests.transforms.column_tables import NUMBERS, numbers_alone, prepared
from yisheng.transforms import _row_chunks
from yisheng.transforms.columns import columns


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_row_chunks, "CHUNK_VALUES", 64)


@pytest.mark.usefixtures("small_chunks")
def test_numbers_are_imputed_marked_and_standardized_as_by_scikit_learn():
    x, new = numbers_alone(), numbers_alone(seed=1)
    fitted = columns.fit(x, clip=0)
    imputer = SimpleImputer(add_indicator=True).fit(x.astype(np.float64))
    scaler = StandardScaler().fit(x.astype(np.float64))
    for part in (x, new):
        reference = imputer.transform(part.astype(np.float64))
        reference[:, :3] = scaler.transform(reference[:, :3])
        np.testing.assert_allclose(prepared(part, fitted), reference, rtol=1e-9, atol=1e-9)


def test_robust_scaling_equals_that_of_scikit_learn():
    x = numbers_alone().astype(np.float64)
    reference = RobustScaler().fit(x).transform(SimpleImputer().fit_transform(x))
    np.testing.assert_allclose(prepared(x, columns.fit(x, numbers="robust", clip=0))[:, :3], reference, rtol=1e-9)


@pytest.mark.parametrize("n", [40, 600, 9000])
def test_quantile_scaling_equals_that_of_scikit_learn(n):
    x, new = numbers_alone(n).astype(np.float64), numbers_alone(500, seed=1).astype(np.float64)
    fitted = columns.fit(x, numbers="quantile", clip=0)
    count = len(fitted.knots) // 3
    assert count == {40: 10, 600: 20, 9000: 256}[n]
    reference = QuantileTransformer(n_quantiles=count, output_distribution="normal", subsample=None).fit(x)
    imputer = SimpleImputer().fit(x)
    for part in (x, new):
        expected = reference.transform(imputer.transform(part))
        np.testing.assert_allclose(prepared(part, fitted)[:, :3], expected, rtol=1e-6, atol=1e-6)


def test_values_at_several_knots_get_their_mean_rank_as_in_scikit_learn():
    rng = np.random.Generator(np.random.PCG64(5))
    x = rng.poisson(1.5, (900, 1)).astype(np.float64)
    fitted = columns.fit(x, numbers="quantile", clip=0)
    reference = QuantileTransformer(n_quantiles=len(fitted.knots), output_distribution="normal", subsample=None).fit(x)
    between = np.arange(0, 9, 0.25)[:, None]
    np.testing.assert_allclose(prepared(between, fitted), reference.transform(between), rtol=1e-6, atol=1e-6)


def test_power_scaling_equals_that_of_scikit_learn():
    x = numbers_alone().astype(np.float64)
    reference = make_pipeline(StandardScaler(), PowerTransformer()).fit(x).transform(SimpleImputer().fit_transform(x))
    result = prepared(x, columns.fit(x, numbers="power", clip=0))[:, :3]
    np.testing.assert_allclose(result, reference, rtol=1e-4, atol=1e-4)


def test_none_keeps_numbers():
    x = numbers_alone()
    result = prepared(x, columns.fit(x, numbers="none"))[:, :3]
    np.testing.assert_allclose(result, SimpleImputer().fit_transform(x.astype(np.float64)), rtol=1e-12)


def test_a_constant_column_keeps_its_scale_with_any_method():
    x = np.full((50, 1), 1963.1, np.float32)
    for method in NUMBERS[:-1]:
        assert abs(float(columns.fit(x, numbers=method).apply(torch.from_numpy(x))[0])) < 1e-3
    mostly = np.zeros((50, 1), np.float32)
    mostly[0] = 700  # the quartiles are equal: half of the range is used instead
    assert columns.fit(mostly, numbers="robust", clip=0).apply(torch.tensor([[700.0]])).item() == 2


@pytest.mark.parametrize("clip", [0.5, 3.0])
def test_clipped_numbers_keep_their_order_and_the_bound(clip):
    x = numbers_alone()
    unclipped, clipped = (torch.from_numpy(prepared(x, columns.fit(x, clip=c))[:, :3]) for c in (0, clip))
    torch.testing.assert_close(clipped, unclipped / (1 + (unclipped / clip) ** 2).sqrt())
    assert clipped.abs().max() < clip
    assert torch.equal(clipped.argsort(dim=0, stable=True), unclipped.argsort(dim=0, stable=True))
    assert prepared(x, columns.fit(x)).tolist() == prepared(x, columns.fit(x, clip=3.0)).tolist()
