"""Prepared columns: equal to scikit-learn's preparations, finite whatever comes, saved and read back, quick."""

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
from yisheng.transforms import _row_chunks, _column_statistics
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


def rows(n: int = 600, holes: float = 0.1, seed: int = 0) -> np.ndarray:
    """A skewed number, a category with a rare level, a yes/no, years without holes, and an age."""
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
    table[rng.random(table.shape) < holes * np.array([1, 1, 1, 0, 1])] = np.nan
    return table


def numbers_alone(n: int = 600, seed: int = 0) -> np.ndarray:
    return rows(n, 0.1, seed)[:, [0, 3, 4]]


def prepared(x: np.ndarray, fitted: columns) -> np.ndarray:
    """In float64, so that it can be compared to the last digits."""
    return fitted.apply(torch.from_numpy(x.astype(np.float64))).numpy()


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(_row_chunks, "PIECE", 64)


@pytest.mark.usefixtures("small_pieces")
def test_numbers_are_imputed_marked_and_standardised_as_by_scikit_learn():
    x, new = numbers_alone(), numbers_alone(seed=1)
    ours = columns.fit(x, clip=0)
    imputer = SimpleImputer(add_indicator=True).fit(x.astype(np.float64))
    scaler = StandardScaler().fit(x.astype(np.float64))
    for part in (x, new):
        theirs = imputer.transform(part.astype(np.float64))
        theirs[:, :3] = scaler.transform(theirs[:, :3])
        np.testing.assert_allclose(prepared(part, ours), theirs, rtol=1e-9, atol=1e-9)


def test_robust_is_scikit_learns():
    x = numbers_alone().astype(np.float64)
    theirs = RobustScaler().fit(x).transform(SimpleImputer().fit_transform(x))
    np.testing.assert_allclose(prepared(x, columns.fit(x, numbers="robust", clip=0))[:, :3], theirs, rtol=1e-9)


@pytest.mark.parametrize("n", [40, 600, 9000])
def test_quantile_is_scikit_learns(n):
    x, new = numbers_alone(n).astype(np.float64), numbers_alone(500, seed=1).astype(np.float64)
    ours = columns.fit(x, numbers="quantile", clip=0)
    count = len(ours.knots) // 3
    assert count == {40: 10, 600: 20, 9000: 256}[n]
    theirs = QuantileTransformer(n_quantiles=count, output_distribution="normal", subsample=None).fit(x)
    imputer = SimpleImputer().fit(x)
    for part in (x, new):
        want = theirs.transform(imputer.transform(part))
        np.testing.assert_allclose(prepared(part, ours)[:, :3], want, rtol=1e-6, atol=1e-6)


def test_quantile_puts_values_that_are_several_knots_in_their_middle_as_scikit_learn_does():
    rng = np.random.Generator(np.random.PCG64(5))
    x = rng.poisson(1.5, (900, 1)).astype(np.float64)
    ours = columns.fit(x, numbers="quantile", clip=0)
    theirs = QuantileTransformer(n_quantiles=len(ours.knots), output_distribution="normal", subsample=None).fit(x)
    between = np.arange(0, 9, 0.25)[:, None]
    np.testing.assert_allclose(prepared(between, ours), theirs.transform(between), rtol=1e-6, atol=1e-6)


def test_power_is_scikit_learns():
    x = numbers_alone().astype(np.float64)
    theirs = make_pipeline(StandardScaler(), PowerTransformer()).fit(x).transform(SimpleImputer().fit_transform(x))
    got = prepared(x, columns.fit(x, numbers="power", clip=0))[:, :3]
    np.testing.assert_allclose(got, theirs, rtol=1e-4, atol=1e-4)


def test_numbers_as_they_are():
    x = numbers_alone()
    got = prepared(x, columns.fit(x, numbers="none"))[:, :3]
    np.testing.assert_allclose(got, SimpleImputer().fit_transform(x.astype(np.float64)), rtol=1e-12)


def test_a_column_without_spread_keeps_its_scale_whatever_the_way():
    x = np.full((50, 1), 1963.1, np.float32)
    for way in NUMBERS[:-1]:
        assert abs(float(columns.fit(x, numbers=way).apply(torch.from_numpy(x))[0])) < 1e-3
    mostly = np.zeros((50, 1), np.float32)
    mostly[0] = 700  # quartiles are the same: half the range stands in for them
    assert columns.fit(mostly, numbers="robust", clip=0).apply(torch.tensor([[700.0]])).item() == 2


@pytest.mark.parametrize("clip", [0.5, 3.0])
def test_clipped_numbers_stay_in_order_and_within_the_bound(clip):
    x = numbers_alone()
    free, bent = (torch.from_numpy(prepared(x, columns.fit(x, clip=c))[:, :3]) for c in (0, clip))
    torch.testing.assert_close(bent, free / (1 + (free / clip) ** 2).sqrt())
    assert bent.abs().max() < clip
    assert torch.equal(bent.argsort(dim=0, stable=True), free.argsort(dim=0, stable=True))
    assert prepared(x, columns.fit(x)).tolist() == prepared(x, columns.fit(x, clip=3.0)).tolist()


def encoder(x: np.ndarray, rare: int, levels: int | None = None) -> OneHotEncoder:
    """scikit-learn's; its missing level is a level like the others, ours is never rare."""
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=rare, max_categories=levels, sparse_output=False
    ).fit(x)


def category(counts: Sequence[int], seed: int = 0) -> np.ndarray:
    codes = np.repeat(np.arange(len(counts)), counts).astype(np.float32)
    return np.random.Generator(np.random.PCG64(seed)).permutation(codes)[:, None]


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=8).filter(any),
    rare=st.integers(1, 5),
    levels=st.none() | st.integers(2, 7),
)
def test_levels_are_one_hot_as_by_scikit_learn(counts, rare, levels):
    x = category(counts)
    new = np.array([[-1.0], *[[float(i)] for i in range(len(counts))]], np.float32)
    table = (Column("c", "category", tuple(map(str, range(len(counts))))),)
    ours = columns.fit(x, columns=table, min_frequency=rare, max_categories=levels or 50)
    theirs = encoder(x, rare, levels)
    # Of equally frequent levels ours are the first; scikit-learn's sort does not say which.
    sizes = np.bincount(x[:, 0].astype(int))
    if levels and len(set(sizes[sizes > 0].tolist())) < (sizes > 0).sum():
        return
    for part in (x, new):
        np.testing.assert_array_equal(prepared(part, ours), theirs.transform(part))


def test_missing_levels_are_a_level_as_by_scikit_learn():
    x = category([5, 4, 3])
    x[::4] = np.nan
    table = (Column("c", "category", ("a", "b", "c")),)
    ours, theirs = columns.fit(x, columns=table, min_frequency=1), encoder(x, 1)
    got = prepared(x, ours)
    np.testing.assert_array_equal(got, theirs.transform(x)[:, [3, 0, 1, 2]])  # NaN is their last level, our first
    assert [c.name for c in ours.spec(Spec("regression", (1,), columns=table)).columns] == [
        "c missing",
        "c=a",
        "c=b",
        "c=c",
    ]


@pytest.mark.parametrize(
    ("new", "rare", "want"),
    [
        (np.nan, 1, [0, 0, 0]),  # missing for the first time: no level at all
        (-1.0, 1, [0, 0, 0]),
        (7.0, 1, [0, 0, 0]),
        (np.inf, 1, [0, 0, 0]),
        (np.nan, 4, [0, 0, 1]),  # there are rare ones: it is one of them
        (-1.0, 4, [0, 0, 1]),
        (2.0, 4, [0, 0, 1]),
        (1.0, 4, [0, 1, 0]),
    ],
)
def test_what_training_never_saw(new, rare, want):
    table = (Column("c", "category", ("a", "b", "c")),)
    fitted = columns.fit(category([5, 4, 3]), columns=table, min_frequency=rare)
    assert fitted.apply(torch.tensor([[new]])).tolist() == [want]


def test_many_levels_do_not_explode():
    codes = np.arange(5000, dtype=np.float32)[:, None] // 2
    codes[:200] = 7.0
    table = (Column("postcode", "category", tuple(map(str, range(2500)))),)
    fitted = columns.fit(codes, columns=table)
    assert fitted.spec(Spec("regression", (1,), columns=table)).shape == (2,)
    assert columns.fit(codes, columns=table, min_frequency=1).apply(torch.from_numpy(codes)).shape == (5000, 50)


def test_yes_no_is_0_and_1_and_a_missing_one_the_share_of_yes():
    x = np.array([[0.0], [1.0], [1.0], [1.0], [np.nan]], np.float32)
    fitted = columns.fit(x, columns=(Column("pool", "yes/no"),))
    assert fitted.apply(torch.from_numpy(x)).tolist() == [[0, 0], [1, 0], [1, 0], [1, 0], [0.75, 1]]
    whole = columns.fit(x[:4], columns=(Column("pool", "yes/no"),))
    assert whole.apply(torch.from_numpy(x)).tolist() == [[0], [1], [1], [1], [0.75]]


def test_the_contract_afterwards():
    x = rows()
    fitted = transforms.fit("columns", x, {"rare": 10}, columns=TABLE)
    after = transforms.transform_spec(fitted, SPEC)
    assert [(c.name, c.kind) for c in after.columns] == [
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
        ("town, rare", "yes/no"),
    ]
    assert after.shape == fitted.apply(torch.from_numpy(x)).shape[1:] == (12,)
    assert (after.task, after.outputs) == (SPEC.task, SPEC.outputs)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_bins_hold_about_as_many_rows_each(numbers):
    x = rows(2000)
    fitted = columns.fit(x, columns=TABLE, numbers=numbers)
    bins = fitted.spec(SPEC).columns[0].bins
    if numbers == "quantile":
        assert bins == ()  # those of the normal distribution
        return
    assert list(bins) == sorted(set(bins))
    assert len(bins) == 49
    area = fitted.apply(torch.from_numpy(x).double())[~np.isnan(x[:, 0]), 0].numpy()
    held = np.histogram(area, bins)[0]
    assert held.sum() >= len(area) - 2  # rounding at the ends
    assert held.min() > 0.5 * held.mean()
    assert held.max() < 2 * held.mean()


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.usefixtures("small_pieces")
def test_only_the_training_part_is_looked_at(numbers):
    x = rows(200)
    part = np.arange(0, 200, 2)
    other = x.copy()
    other[1::2] = 3.0
    fitted = transforms.fit("columns", x, {"numbers": numbers}, rows=part, columns=TABLE)
    again = transforms.fit("columns", other, {"numbers": numbers}, rows=part, columns=TABLE)
    assert fitted == again == transforms.fit("columns", x[part], {"numbers": numbers}, columns=TABLE)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_saved_and_read_back(numbers):
    x = torch.from_numpy(rows())
    fitted = transforms.fit("columns", x.numpy(), {"numbers": numbers, "rare": 4}, columns=TABLE)
    data = json.loads(json.dumps(transforms.to_json(fitted), allow_nan=False))
    again = transforms.from_json(data)
    assert again == fitted
    assert torch.equal(again.apply(x), fitted.apply(x))
    assert transforms.transform_spec(again, SPEC) == transforms.transform_spec(fitted, SPEC)
    assert (data["name"], data["numbers"], data["clip"], data["rare"], data["levels"]) == (
        "columns",
        numbers,
        "auto",
        4,
        50,
    )


anything = st.floats(width=32) | st.integers(-3, 6).map(float)


@pytest.mark.parametrize("numbers", NUMBERS)
@settings(max_examples=60)
@given(data=st.data())
def test_never_anything_but_finite_numbers(numbers, data):
    """Whatever was in training and whatever comes then; a column may be empty, a category unknown."""
    some = st.lists(st.tuples(*[anything] * len(TABLE)), min_size=1, max_size=12)
    train, new = (np.array(data.draw(some), np.float32) for _ in range(2))
    clip = data.draw(st.sampled_from(["auto", 0.0, 0.1, 3.0]))
    fitted = columns.fit(train, columns=TABLE, numbers=numbers, clip=clip, min_frequency=data.draw(st.integers(1, 3)))
    width = fitted.spec(SPEC).shape[0]
    for part in (train, new):
        for x in (torch.from_numpy(part), torch.from_numpy(part).double()):
            got = fitted.apply(x)
            assert got.shape == (len(part), width)
            assert got.dtype is x.dtype
            assert got.isfinite().all()
            rest = got[:, 3:]
            assert ((rest >= -3.5e38) & (rest <= 3.5e38)).all()


def test_input_is_never_changed_and_axes_before_the_batch_are_kept():
    x = torch.from_numpy(rows(24))
    kept = x.clone()
    for numbers in NUMBERS:
        fitted = columns.fit(x.numpy(), columns=TABLE, numbers=numbers)
        got = fitted.apply(x)
        assert torch.equal(fitted.apply(x.reshape(2, 12, 5)).reshape(24, -1), got)
        assert torch.equal(torch.cat([fitted.apply(row) for row in x.split(1)]), got)
    assert torch.equal(x.nan_to_num(), kept.nan_to_num())


def test_apply_first_used_in_inference_mode_works_in_training():
    fitted = columns.fit(numbers_alone())
    with torch.inference_mode():
        fitted.apply(torch.zeros(1, 3))
    x = torch.zeros(1, 3, requires_grad=True)
    fitted.apply(x).sum().backward()
    assert x.grad is not None


def test_it_cannot_be_turned_back():
    fitted = columns.fit(numbers_alone())
    with pytest.raises(UsageError, match="cannot be turned back"):
        fitted.invert(fitted.apply(torch.zeros(1, 3)))


@pytest.mark.parametrize(
    ("x", "table", "problem"),
    [
        (np.zeros((0, 5), np.float32), TABLE, "no rows"),
        (np.zeros((3, 4), np.float32), TABLE, "5 columns do not fit rows of 4"),
        (np.zeros((3, 1), np.float32), (Column("remark", "text"),), r"remark \(text\)"),
        (np.zeros((3, 1), np.float32), (Column("town", "category"),), "must have levels"),
        (np.zeros(3, np.float32), (), "shape"),
    ],
)
def test_what_cannot_be_fitted(x, table, problem):
    with pytest.raises(DataError, match=problem):
        columns.fit(x, columns=table)


def test_other_data_than_it_was_fitted_on():
    fitted = columns.fit(rows(), columns=TABLE)
    with pytest.raises(DataError, match=r"5 columns.*\(2, 4\)"):
        fitted.apply(torch.zeros(2, 4))
    for other in (
        Spec("regression", (4,)),
        Spec("regression", (5,)),
        Spec("regression", (5,), columns=(*TABLE[:1], Column("town", "category", ("Aden",)), *TABLE[2:])),
    ):
        with pytest.raises(DataError, match="other kinds or levels"):
            fitted.spec(other)


GOOD = transforms.to_json(columns.fit(rows(), columns=TABLE, min_frequency=10))


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
        {"pooled": [0]},
        {"pooled": [1, 1]},
        {"level_of": [0]},
        {"level": [-1] * 3},
        {"level": [1, 1, 2]},
        {"level": [0, 1, 2**30]},
        {"numbers": "quantile"},
        {"numbers": "power"},
        {"numbers": "cube"},
        {"clip": "never"},
        {"rare": 0.5},
    ],
)
def test_damaged_json(changes):
    assert transforms.from_json(GOOD) is not None
    with pytest.raises(DataError):
        transforms.from_json({**GOOD, **changes})


def test_memory_mapped_data_is_read_in_pieces_and_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(_row_chunks, "PIECE", 100)
    monkeypatch.setattr(_column_statistics, "LEAST", 200)
    monkeypatch.setattr(_column_statistics, "SAMPLE", 600)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(2000, 3))
    x[:] = numbers_alone(2000)
    seen = []
    real = RowSubset.__getitem__
    monkeypatch.setattr(
        RowSubset, "__getitem__", lambda self, part: seen.append(real(self, part).shape[0]) or real(self, part)
    )
    fitted = transforms.fit("columns", x, {"numbers": "quantile"}, rows=np.arange(1000))
    assert sorted(seen)[-2:] == [33, 200]
    whole = columns.fit(np.asarray(x[:1000:5]), numbers="quantile")
    assert len(fitted.knots) == 3 * 33
    np.testing.assert_allclose(fitted.knots[32::33], whole.knots[9::10])  # the largest of each column's sample


def test_the_mean_of_a_large_part_is_that_of_all_its_rows(monkeypatch):
    monkeypatch.setattr(_column_statistics, "LEAST", 10)
    monkeypatch.setattr(_column_statistics, "SAMPLE", 30)
    x = numbers_alone(999)
    fitted = columns.fit(x)
    np.testing.assert_allclose(fitted.shift, np.nanmean(x.astype(np.float64), 0), rtol=1e-9)
    np.testing.assert_allclose(fitted.scale, np.nanstd(x.astype(np.float64), 0), rtol=1e-9)
