"""Transforms: equal to scikit-learn, invertible, finite, saved and read again, never in place."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass
from dataclasses import field as option
from typing import Annotated

import numpy as np
import pytest
import torch
from annotated_types import Gt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from yisheng import transforms
from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.transforms import _row_chunks
from yisheng.transforms._row_chunks import RowSubset
from yisheng.transforms.none import none
from yisheng.transforms.standard import standard
from yisheng.transforms.unit import unit

NAMES = ("standard", "unit", "none")
moderate = st.floats(-1e4, 1e4, width=32)
tables = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30), elements=moderate)
images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=6))


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_row_chunks, "CHUNK_VALUES", 64)


def awkward_rows(n: int = 501) -> np.ndarray:
    """Return columns of very different size: a large mean with a small deviation, a constant, two values, tiny ones."""
    rng = np.random.Generator(np.random.PCG64(1))
    columns = [rng.normal(2e4, 3.0, n), np.full(n, 0.1), rng.integers(0, 2, n), rng.normal(0, 1e-6, n), np.zeros(n)]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.usefixtures("small_chunks")
def test_standard_equals_that_of_scikit_learn():
    x = awkward_rows()
    fitted, expected = standard.fit(x), StandardScaler().fit(x.astype(np.float64))
    np.testing.assert_allclose(fitted.mean, expected.mean_, rtol=1e-13)
    np.testing.assert_allclose(fitted.std, expected.scale_, rtol=1e-12)
    got = fitted.apply(torch.from_numpy(x.astype(np.float64)))
    np.testing.assert_allclose(got.numpy(), expected.transform(x.astype(np.float64)), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("small_chunks")
def test_unit_equals_that_of_scikit_learn():
    x = awkward_rows()
    expected = MinMaxScaler().fit(x.astype(np.float64))
    fitted = unit.fit(x)
    np.testing.assert_array_equal(fitted.low, expected.data_min_)
    np.testing.assert_array_equal(fitted.high, expected.data_max_)
    got = fitted.apply(torch.from_numpy(x.astype(np.float64)))
    np.testing.assert_allclose(got.numpy(), expected.transform(x.astype(np.float64)), atol=1e-11)


def test_constant_columns_keep_their_scale():
    fitted = standard.fit(np.full((1000, 1), 0.1, np.float32))
    assert fitted.std == (1.0,)
    assert fitted.apply(torch.full((2, 1), 0.1)).abs().max() < 1e-8
    assert unit.fit(np.full((3, 1), 7.0, np.float32)).apply(torch.tensor([[7.0], [9.0]])).tolist() == [[0.0], [2.0]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.usefixtures("small_chunks")
def test_images_are_scaled_per_channel(channels, dtype):
    rng = np.random.Generator(np.random.PCG64(2))
    x = rng.integers(0, 256, (40, channels, 5, 4)).astype(dtype)
    fitted = standard.fit(x)
    double = x.astype(np.float64)
    np.testing.assert_allclose(fitted.mean, double.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(fitted.std, double.std(axis=(0, 2, 3)), rtol=1e-13)
    got = fitted.apply(torch.from_numpy(x))
    assert got.dtype is torch.float32
    want = (double - double.mean(axis=(0, 2, 3), keepdims=True)) / double.std(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-6)


def test_unit_divides_bytes_by_255():
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    got = unit.fit(x[:, :, :2]).apply(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), x / 255, rtol=1e-6)


def test_a_large_mean_loses_no_digits_in_float32():
    x = torch.tensor([[2000.0], [2001.0], [2002.0]])
    fitted = standard.fit(x.numpy())
    np.testing.assert_allclose(fitted.apply(x).flatten(), [-(1.5**0.5), 0, 1.5**0.5], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(x=st.one_of(tables, images))
def test_invert_undoes_apply(name, x):
    fitted = transforms.fit(name, x)
    back = fitted.invert(fitted.apply(torch.from_numpy(x)))
    assert back.dtype in (torch.float32, torch.float64)  # float64 where float32 cannot hold the units
    np.testing.assert_allclose(back.numpy(), x, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(x).max())))
    double = torch.from_numpy(x.astype(np.float64))
    restored = fitted.invert(fitted.apply(double))
    assert restored.dtype is torch.float64
    np.testing.assert_allclose(restored, double, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(x=st.one_of(tables, images), data=st.data())
def test_fit_uses_the_given_rows_alone(name, x, data):
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(x) - 1), min_size=1))))
    changed = x.copy()
    changed[np.setdiff1d(np.arange(len(x)), rows)] = 77
    fitted = transforms.fit(name, x, rows=rows)
    assert fitted == transforms.fit(name, changed, rows=rows) == transforms.fit(name, x[rows])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "x", [awkward_rows(20), np.arange(48, dtype=np.uint8).reshape(2, 2, 3, 4)], ids=["rows", "bytes"]
)
def test_transforms_are_saved_and_read(name, x):
    fitted = transforms.fit(name, x)
    data = transforms.to_json(fitted)
    restored = transforms.from_json(json.loads(json.dumps(data, allow_nan=False)))
    assert restored == fitted
    assert data["name"] == name
    tensor = torch.from_numpy(x)
    assert torch.equal(restored.apply(tensor), fitted.apply(tensor))
    assert torch.equal(pickle.loads(pickle.dumps(fitted)).apply(tensor), fitted.apply(tensor))


@pytest.mark.parametrize("name", NAMES)
def test_input_is_never_changed(name):
    x = torch.randn(8, 3)
    original = x.clone()
    fitted = transforms.fit(name, x.numpy())
    fitted.apply(x)
    fitted.invert(x)
    assert torch.equal(x, original)


def test_constants_are_created_once_and_not_a_field():
    fitted = standard.fit(awkward_rows(30))
    x = torch.zeros(2, 5)
    fitted.apply(x)
    constants = fitted._affine._constants(x)
    fitted.apply(x)
    assert all(a is b for a, b in zip(constants, fitted._affine._constants(x), strict=True))
    assert set(asdict(fitted)) == {"mean", "std"}
    assert fitted == standard.fit(awkward_rows(30))
    assert hash(fitted) == hash(standard.fit(awkward_rows(30)))


def test_apply_first_used_in_inference_mode_works_in_training():
    fitted = standard((1.0,), (2.0,))
    with torch.inference_mode():
        fitted.apply(torch.ones(1, 1))
    x = torch.ones(1, 1, requires_grad=True)
    fitted.apply(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 0.5


def test_leading_axes_are_kept():
    rng = np.random.Generator(np.random.PCG64(3))
    rows = rng.normal(size=(12, 3)).astype(np.float32)
    fitted = standard.fit(rows)
    stacked = torch.from_numpy(rows).reshape(2, 6, 3)
    assert torch.equal(fitted.apply(stacked).reshape(12, 3), fitted.apply(torch.from_numpy(rows)))
    bytes_ = rng.integers(0, 256, (4, 3, 5, 5)).astype(np.uint8)
    colours = standard.fit(bytes_)
    for column in range(3):  # an axis after the channels does not matter
        one_row = torch.from_numpy(bytes_[:, :, :1])
        assert torch.equal(colours.apply(one_row)[:, column], colours.apply(torch.from_numpy(bytes_))[:, column, :1])


def test_half_precision_is_scaled_in_float32():
    assert standard((1.0,), (2.0,)).apply(torch.ones(2, 1, dtype=torch.bfloat16)).dtype is torch.float32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_columns_are_named(name, value):
    x = np.zeros((10, 3), np.float32)
    x[4, 1] = value
    with pytest.raises(DataError, match=r"column age of"):
        transforms.fit(name, x, columns=[Column(c) for c in ("height", "age", "mass")])
    with pytest.raises(DataError, match=r"column number 2 of"):
        transforms.fit(name, x)
    assert transforms.fit(name, x, rows=np.array([0, 1, 5])).apply(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [standard, unit])
def test_fit_refuses_nonfinite_values(kind, value):
    x = np.zeros((10, 9), np.float32)
    x[0, :7] = value
    with pytest.raises(DataError, match=r"columns number 1, .*number 5 and 2 more"):
        kind.fit(x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (np.zeros((0, 3), np.float32), "no rows"),
        (np.zeros((0, 1, 4, 4), np.uint8), "no rows"),
        (np.zeros(3, np.float32), "shape"),
    ],
)
def test_unsuitable_arrays_are_refused(name, x, problem):
    with pytest.raises(DataError, match=problem):
        transforms.fit(name, x)


@pytest.mark.parametrize("kind", [standard, unit])
def test_fit_refuses_arrays_without_columns(kind):
    with pytest.raises(DataError, match="shape"):
        kind.fit(np.zeros(3, np.float32))


def test_a_wrong_number_of_columns_is_refused():
    with pytest.raises(DataError, match=r"2 columns.*\(4, 3\)"):
        standard((0.0, 0.0), (1.0, 1.0)).apply(torch.zeros(4, 3))
    with pytest.raises(DataError, match="1 channels"):
        standard((0.0,), (1.0,)).invert(torch.zeros(4, 3, 8, 8))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"name": 3},
        {"name": "standart", "mean": [0.0], "std": [1.0]},
        {"name": "standard"},
        {"name": "standard", "mean": [0.0]},
        {"name": "standard", "mean": [0.0], "std": [1.0], "extra": 1},
        {"name": "standard", "mean": 0.0, "std": [1.0]},
        {"name": "standard", "mean": ["0"], "std": [1.0]},
        {"name": "standard", "mean": [True], "std": [1.0]},
        {"name": "standard", "mean": [None], "std": [1.0]},
        {"name": "standard", "mean": [0.0, 1.0], "std": [1.0]},
        {"name": "standard", "mean": [], "std": []},
        {"name": "standard", "mean": [0.0], "std": [0.0]},
        {"name": "standard", "mean": [0.0], "std": [-1.0]},
        {"name": "standard", "mean": [float("nan")], "std": [1.0]},
        {"name": "standard", "mean": [0.0], "std": [float("inf")]},
        {"name": "unit", "low": [1.0], "high": [0.0]},
        {"name": "unit", "low": [], "high": []},
        {"name": "none", "mean": [0.0]},
    ],
)
def test_damaged_json_is_refused(data):
    with pytest.raises(DataError):
        transforms.from_json(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([*NAMES, "", "STANDARD", "x"]),
    fields=st.dictionaries(st.sampled_from(["mean", "std", "low", "high", "x"]), json_values | st.lists(st.floats())),
)
def test_any_json_is_a_transform_or_a_data_error(name, fields):
    try:
        fitted = transforms.from_json({"name": name, **fields})
    except DataError:
        return
    assert transforms.to_json(fitted)["name"] == name.lower()


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="did you mean standard"):
        transforms.fit("standart", np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
    ("spec", "name"),
    [(Spec("regression", (3,)), "standard"), (Spec("classification", (3,), classes=("a", "b")), "none")],
)
def test_default_target_scale_depends_on_the_task(spec, name):
    assert registry.default("transforms", spec).name == name


def test_fitted_fields_are_not_options():
    assert all(not entry.options for entry in registry.entries("transforms") if entry.name in NAMES)


def test_options_are_keyword_only_fields():
    @registry.register(kind="transforms")
    @dataclass(frozen=True)
    class divide:  # noqa: N801
        """Division by the largest value to a power.

        Args:
            largest: fitted value.
            power: of the largest value.
        """

        largest: float
        power: Annotated[float, Gt(0)] = option(default=1.0, kw_only=True)

        fit = apply = invert = None

    options = registry.find("transforms", "divide").options
    assert list(options) == ["power"]
    assert options["power"].default == 1.0
    assert options["power"].help == "of the largest value."
    assert transforms.to_json(divide(4.0, power=0.5)) == {"name": "divide", "largest": 4.0, "power": 0.5}


def test_row_subset_is_an_array():
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    part = RowSubset(x, np.array([0, 5]))
    np.testing.assert_array_equal(np.asarray(part), x[[0, 5]])
    np.testing.assert_array_equal(np.asarray(part, dtype=np.float64), x[[0, 5]].astype(np.float64))
    assert part.shape == (2, 2)


def test_memory_mapped_data_is_read_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(_row_chunks, "CHUNK_VALUES", 100)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(1000, 10))
    x[:] = np.random.Generator(np.random.PCG64(4)).normal(size=x.shape)
    read_sizes = []
    real = RowSubset.__getitem__
    monkeypatch.setattr(
        RowSubset, "__getitem__", lambda self, part: read_sizes.append(real(self, part).size) or real(self, part)
    )
    fitted = transforms.fit("standard", x, rows=np.arange(0, 1000, 2))
    np.testing.assert_allclose(fitted.mean, x[::2].astype(np.float64).mean(axis=0), atol=1e-12)
    assert max(read_sizes) <= 100
    assert none.fit(x) == none()
