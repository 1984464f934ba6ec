"""Prepared columns: their spec, finite outputs, saved and read again, read in chunks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.column_tables import NUMBERS, SPEC, TABLE, numbers_alone, rows
from yisheng import transforms
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.transforms import _column_statistics, _row_chunks
from yisheng.transforms._row_chunks import RowSubset
from yisheng.transforms.columns import columns


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_row_chunks, "CHUNK_VALUES", 64)


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
