"""Prepared columns: equal to scikit-learn, finite for any input, saved and read again."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

from yisheng import transforms
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Column, Spec
from yisheng.transforms import _column_statistics, _row_chunks
from yisheng.transforms._row_chunks import RowSubset
from yisheng.transforms.columns import columns

NUMBERS = ("standard", "robust", "quantile", "power", "none")
TABLE = (
    Column("area"),
    Column("town", "category", ("Aden", "Brest", "Cork", "Delft")),
    Column("pool", "yes/no"),
    Column("year"),
    Column("age"),
)
SPEC = Spec("regression", (5,), columns=TABLE)


def rows(n: int = 600, missing_fraction: float = 0.1, seed: int = 0) -> np.ndarray:
    """Return a skewed number, a column with an infrequent category, a yes/no, complete years, and an age."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table = np.stack(
        [
            rng.lognormal(8, 0.7, n),
            rng.choice(4, n, p=[0.5, 0.3, 0.19, 0.01]),
            rng.integers(0, 2, n),
            rng.integers(1900, 2010, n),
            rng.gamma(2, 10, n).round(),
        ],
        axis=1,
    ).astype(np.float32)
    table[rng.random(table.shape) < missing_fraction * np.array([1, 1, 1, 0, 1])] = np.nan
    return table


def numbers_alone(n: int = 600, seed: int = 0) -> np.ndarray:
    return rows(n, 0.1, seed)[:, [0, 3, 4]]


def prepared(x: np.ndarray, fitted: columns) -> np.ndarray:
    """Return the outputs in float64, so that they can be compared to the last digits."""
    return fitted.apply(torch.from_numpy(x.astype(np.float64))).numpy()


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


def test_spec_describes_the_outputs():
    x = rows()
    fitted = transforms.fit("columns", x, {"min_frequency": 10}, columns=TABLE)
    output_spec = transforms.transform_spec(fitted, SPEC)
    assert [(c.name, c.kind) for c in output_spec.columns] == [
        ("area", "number"),
        ("year", "number"),
        ("age", "number"),
        ("pool", "yes/no"),
        ("area missing", "yes/no"),
        ("town missing", "yes/no"),
        ("pool missing", "yes/no"),
        ("age missing", "yes/no"),
        ("town=Aden", "yes/no"),
        ("town=Brest", "yes/no"),
        ("town=Cork", "yes/no"),
        ("town, infrequent", "yes/no"),
    ]
    assert output_spec.shape == fitted.apply(torch.from_numpy(x)).shape[1:] == (12,)
    assert (output_spec.task, output_spec.outputs) == (SPEC.task, SPEC.outputs)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_bins_hold_similar_numbers_of_rows(numbers):
    x = rows(2000)
    fitted = columns.fit(x, columns=TABLE, numbers=numbers)
    bins = fitted.spec(SPEC).columns[0].bins
    if numbers == "quantile":
        assert bins == ()  # its bins are those of the normal distribution
        return
    assert list(bins) == sorted(set(bins))
    assert len(bins) == 49
    area = fitted.apply(torch.from_numpy(x).double())[~np.isnan(x[:, 0]), 0].numpy()
    held = np.histogram(area, bins)[0]
    assert held.sum() >= len(area) - 2  # rounding at the ends
    assert held.min() > 0.5 * held.mean()
    assert held.max() < 2 * held.mean()


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.usefixtures("small_chunks")
def test_fit_uses_the_training_part_alone(numbers):
    x = rows(200)
    part = np.arange(0, 200, 2)
    changed = x.copy()
    changed[1::2] = 3.0
    fitted = transforms.fit("columns", x, {"numbers": numbers}, rows=part, columns=TABLE)
    restored = transforms.fit("columns", changed, {"numbers": numbers}, rows=part, columns=TABLE)
    assert fitted == restored == transforms.fit("columns", x[part], {"numbers": numbers}, columns=TABLE)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_fitted_columns_are_saved_and_read(numbers):
    x = torch.from_numpy(rows())
    fitted = transforms.fit("columns", x.numpy(), {"numbers": numbers, "min_frequency": 4}, columns=TABLE)
    data = json.loads(json.dumps(transforms.to_json(fitted), allow_nan=False))
    restored = transforms.from_json(data)
    assert restored == fitted
    assert torch.equal(restored.apply(x), fitted.apply(x))
    assert transforms.transform_spec(restored, SPEC) == transforms.transform_spec(fitted, SPEC)
    assert (data["name"], data["numbers"], data["clip"], data["min_frequency"], data["max_categories"]) == (
        "columns",
        numbers,
        "auto",
        4,
        50,
    )


any_value = st.floats(width=32) | st.integers(-3, 6).map(float)


@pytest.mark.parametrize("numbers", NUMBERS)
@settings(max_examples=60)
@given(data=st.data())
def test_outputs_are_finite_for_any_input(numbers, data):
    """Training and new rows may hold anything; a column may be empty, a category unseen."""
    rows_of_values = st.lists(st.tuples(*[any_value] * len(TABLE)), min_size=1, max_size=12)
    train, new = (np.array(data.draw(rows_of_values), np.float32) for _ in range(2))
    clip = data.draw(st.sampled_from(["auto", 0.0, 0.1, 3.0]))
    fitted = columns.fit(train, columns=TABLE, numbers=numbers, clip=clip, min_frequency=data.draw(st.integers(1, 3)))
    width = fitted.spec(SPEC).shape[0]
    for part in (train, new):
        for x in (torch.from_numpy(part), torch.from_numpy(part).double()):
            result = fitted.apply(x)
            assert result.shape == (len(part), width)
            assert result.dtype is x.dtype
            assert result.isfinite().all()
            indicators = result[:, 3:]
            assert ((indicators >= -3.5e38) & (indicators <= 3.5e38)).all()


def test_input_is_not_changed_and_leading_axes_are_kept():
    x = torch.from_numpy(rows(24))
    original = x.clone()
    for numbers in NUMBERS:
        fitted = columns.fit(x.numpy(), columns=TABLE, numbers=numbers)
        result = fitted.apply(x)
        assert torch.equal(fitted.apply(x.reshape(2, 12, 5)).reshape(24, -1), result)
        assert torch.equal(torch.cat([fitted.apply(row) for row in x.split(1)]), result)
    assert torch.equal(x.nan_to_num(), original.nan_to_num())


def test_apply_first_used_in_inference_mode_works_in_training():
    fitted = columns.fit(numbers_alone())
    with torch.inference_mode():
        fitted.apply(torch.zeros(1, 3))
    x = torch.zeros(1, 3, requires_grad=True)
    fitted.apply(x).sum().backward()
    assert x.grad is not None


def test_columns_cannot_be_inverted():
    fitted = columns.fit(numbers_alone())
    with pytest.raises(UsageError, match="cannot be inverted"):
        fitted.invert(fitted.apply(torch.zeros(1, 3)))


@pytest.mark.parametrize(
    ("x", "table", "problem"),
    [
        (np.zeros((0, 5), np.float32), TABLE, "no rows"),
        (np.zeros((3, 4), np.float32), TABLE, "5 columns do not fit rows of 4"),
        (np.zeros((3, 1), np.float32), (Column("note", "text"),), r"note \(text\)"),
        (np.zeros((3, 1), np.float32), (Column("town", "category"),), "must have some"),
        (np.zeros(3, np.float32), (), "shape"),
    ],
)
def test_unsuitable_tables_are_refused(x, table, problem):
    with pytest.raises(DataError, match=problem):
        columns.fit(x, columns=table)


def test_data_with_other_columns_is_refused():
    fitted = columns.fit(rows(), columns=TABLE)
    with pytest.raises(DataError, match=r"5 columns.*\(2, 4\)"):
        fitted.apply(torch.zeros(2, 4))
    for changed in (
        Spec("regression", (4,)),
        Spec("regression", (5,)),
        Spec("regression", (5,), columns=(*TABLE[:1], Column("town", "category", ("Aden",)), *TABLE[2:])),
    ):
        with pytest.raises(DataError, match="other kinds or categories"):
            fitted.spec(changed)


SAVED = transforms.to_json(columns.fit(rows(), columns=TABLE, min_frequency=10))


@pytest.mark.parametrize(
    "changes",
    [
        {"kinds": []},
        {"kinds": ["number"] * 5},
        {"kinds": ["number", "category", "yes/no", "number", "text"]},
        {"mean": [0.0]},
        {"mean": [float("nan")] * 5},
        {"scale": [0.0, 1.0, 1.0]},
        {"scale": [1.0, 1.0]},
        {"power": [1.0]},
        {"knots": []},
        {"knots": [1.0] * 7},
        {"knots": [3.0, 2.0, 1.0] * 3},
        {"missing": [9]},
        {"missing": [1, 0]},
        {"missing": [-1]},
        {"infrequent": [0]},
        {"infrequent": [1, 1]},
        {"category_columns": [0]},
        {"category_codes": [-1] * 3},
        {"category_codes": [1, 1, 2]},
        {"category_codes": [0, 1, 2**30]},
        {"numbers": "quantile"},
        {"numbers": "power"},
        {"numbers": "cube"},
        {"clip": "never"},
        {"min_frequency": 0.5},
    ],
)
def test_damaged_json_is_refused(changes):
    assert transforms.from_json(SAVED) is not None
    with pytest.raises(DataError):
        transforms.from_json({**SAVED, **changes})


def test_memory_mapped_data_is_read_in_chunks_and_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(_row_chunks, "CHUNK_VALUES", 100)
    monkeypatch.setattr(_column_statistics, "MIN_SAMPLE_ROWS", 200)
    monkeypatch.setattr(_column_statistics, "SAMPLE_VALUES", 600)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(2000, 3))
    x[:] = numbers_alone(2000)
    read_sizes = []
    real = RowSubset.__getitem__
    monkeypatch.setattr(
        RowSubset, "__getitem__", lambda self, part: read_sizes.append(real(self, part).shape[0]) or real(self, part)
    )
    fitted = transforms.fit("columns", x, {"numbers": "quantile"}, rows=np.arange(1000))
    assert sorted(read_sizes)[-2:] == [33, 200]
    sample_fit = columns.fit(np.asarray(x[:1000:5]), numbers="quantile")
    assert len(fitted.knots) == 3 * 33
    np.testing.assert_allclose(fitted.knots[32::33], sample_fit.knots[9::10])  # the largest of each column's sample


def test_the_mean_of_a_large_part_uses_all_its_rows(monkeypatch):
    monkeypatch.setattr(_column_statistics, "MIN_SAMPLE_ROWS", 10)
    monkeypatch.setattr(_column_statistics, "SAMPLE_VALUES", 30)
    x = numbers_alone(999)
    fitted = columns.fit(x)
    np.testing.assert_allclose(fitted.shift, np.nanmean(x.astype(np.float64), 0), rtol=1e-9)
    np.testing.assert_allclose(fitted.scale, np.nanstd(x.astype(np.float64), 0), rtol=1e-9)
