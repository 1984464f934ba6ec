"""Ids and several inputs: what is scaled, what is not, and that it is saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from yisheng import transforms
from yisheng.core import nested
from yisheng.core.choice import Choice
from yisheng.core.config import Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.resolved_config import resolve_config
from yisheng.core.spec import Spec
from yisheng.transforms.raw import raw
from yisheng.transforms.standard import standard

RANDOM = np.random.Generator(np.random.PCG64(0))
IDS = RANDOM.integers(0, 50, (40, 6))
SIZES = RANDOM.normal(3, 2, (40, 2)).astype(np.float32)
PIXELS = RANDOM.integers(0, 256, (40, 3, 4, 4), dtype=np.uint8)


def test_each_input_is_scaled_as_it_would_be_alone():
    block, inputs = nested.pack({"ids": IDS, "size": SIZES, "image": PIXELS})
    rows = np.arange(0, 40, 2)
    fitted = transforms.fit("standard", block, rows=rows, inputs=inputs)
    result = fitted.apply(torch.from_numpy(block))
    assert torch.equal(result["ids"], torch.from_numpy(IDS))
    for name, values in (("size", SIZES), ("image", PIXELS)):
        alone = transforms.fit("standard", values, rows=rows).apply(torch.from_numpy(values))
        assert torch.equal(result[name], alone)
    restored = fitted.invert(result)
    np.testing.assert_allclose(restored["size"], SIZES, rtol=1e-5)
    assert torch.equal(restored["ids"], torch.from_numpy(IDS))


def test_a_transform_of_several_inputs_is_saved_and_read():
    block, inputs = nested.pack([IDS, SIZES])
    fitted = transforms.fit("unit", block, inputs=inputs)
    restored = transforms.from_json(json.loads(json.dumps(transforms.to_json(fitted))))
    assert restored == fitted
    spec = restored.spec(Spec("regression", block.shape[1:], inputs=inputs))
    assert [item.dtype for item in spec.inputs] == ["int64", "float32"]


def test_the_spec_of_scaled_inputs_has_the_types_that_the_network_gets():
    block, inputs = nested.pack([PIXELS, SIZES])
    fitted = transforms.fit("standard", block, inputs=inputs)
    spec = transforms.transform_spec(fitted, Spec("regression", block.shape[1:], inputs=inputs))
    assert [item.dtype for item in spec.inputs] == ["float32", "float32"]
    assert spec.shape == (4 * 48 + 8,)


@pytest.mark.parametrize("change", [{"names": ["a"]}, {"dtypes": ["int32", "int64"]}, {"scales": [{"name": "x"}] * 2}])
def test_a_damaged_transform_of_several_inputs_is_refused(change):
    block, inputs = nested.pack([IDS, SIZES])
    data = transforms.to_json(transforms.fit("standard", block, inputs=inputs))
    with pytest.raises(DataError):
        transforms.from_json({**data, **change})


def test_missing_values_of_one_of_several_inputs_are_refused():
    sizes = SIZES.copy()
    sizes[3, 1] = np.nan
    block, inputs = nested.pack([IDS, sizes])
    with pytest.raises(DataError, match="column number 2"):
        transforms.fit("standard", block, inputs=inputs)


@pytest.mark.parametrize("values", [IDS, PIXELS, SIZES], ids=["ids", "bytes", "numbers"])
def test_raw_values_stay_as_they_are(values):
    fitted = transforms.fit("raw", values)
    result = fitted.apply(torch.from_numpy(values))
    assert torch.equal(result, torch.from_numpy(values))
    assert transforms.from_json(transforms.to_json(fitted)) == fitted
    assert (fitted.low, fitted.high) == (values.min(), values.max())


def test_ids_that_json_cannot_hold_are_refused():
    with pytest.raises(DataError, match="number them from 0"):
        raw.fit(np.array([[2**60]]))


@pytest.mark.parametrize("shape", [(40, 5, 3), (40, 3, 2, 4, 4)], ids=["sequences", "volumes"])
def test_sequences_and_volumes_are_scaled_per_feature_or_channel(shape):
    x = RANDOM.normal(5, 3, shape).astype(np.float32)
    axes = (0, 1) if x.ndim == 3 else (0, 2, 3, 4)
    fitted = standard.fit(x)
    np.testing.assert_allclose(fitted.mean, x.mean(axes, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(fitted.std, x.std(axes, dtype=np.float64), rtol=1e-5)
    result = fitted.apply(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(result.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(fitted.invert(torch.from_numpy(result)), x, rtol=1e-4, atol=1e-4)


def test_ids_are_never_scaled():
    spec = Spec("regression", (6,), dtype="int64")
    network = Choice(name="in-memory:Net", component=torch.nn.Linear)
    assert resolve_config(Config(model=network), spec, 40).scale.name == "raw"
    assert resolve_config(Config(model=network, scale=Choice(name="none")), spec, 40).scale.name == "raw"
    with pytest.raises(UsageError, match="scale=standard is for numbers; these are ids"):
        resolve_config(Config(model=network, scale=Choice(name="standard")), spec, 40)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (Spec("regression", (3,)), "mlp"),
        (Spec("regression", (5, 3)), "mlp"),
        (Spec("regression", (2, 4, 4, 4)), "mlp"),
        (Spec("regression", (3, 16, 16)), "lenet"),
        (Spec("regression", (12, 16, 16)), "lenet"),
    ],
)
def test_every_form_of_numbers_has_a_default_network(spec, name):
    assert resolve_config(Config(), spec, 40).model.name == name


def test_ids_and_several_inputs_need_a_network_of_the_user():
    _, inputs = nested.pack([IDS, SIZES])
    for spec in (Spec("regression", (6,), dtype="int64"), Spec("regression", (56,), inputs=inputs)):
        with pytest.raises(UsageError, match="no network is the default for") as caught:
            resolve_config(Config(), spec, 40)
        assert "model=" in caught.value.remedy
        with pytest.raises(UsageError, match="needs"):
            resolve_config(Config(model=Choice(name="mlp")), spec, 40)


def test_one_value_a_row_is_one_column():
    ages, cities = np.array([1.0, 3.0], np.float32), np.array([4, 7])
    block, inputs = nested.pack({"age": ages, "city": cities, "size": SIZES[:2]})
    fitted = transforms.fit("standard", block, inputs=inputs)
    scaled = fitted.apply(torch.from_numpy(block))
    assert scaled["age"].tolist() == [-1.0, 1.0]
    assert torch.equal(scaled["city"], torch.from_numpy(cities))
    assert fitted.invert(scaled)["age"].tolist() == [1.0, 3.0]
