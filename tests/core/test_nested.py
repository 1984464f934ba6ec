"""Inputs of a network: one tensor, or several by position or by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import DataError
from yisheng.core.input_spec import InputSpec
from yisheng.core.spec import Spec

DTYPES = ("float32", "uint8", "int64")


@st.composite
def several_arrays(draw):
    """A tuple or dict of two or three arrays with the same number of rows."""
    n = draw(st.integers(1, 5))

    def array():
        shape = (n, *draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)))
        dtype = draw(st.sampled_from(DTYPES))
        elements = st.floats(-1e6, 1e6, width=32) if dtype == "float32" else None
        return draw(hnp.arrays(dtype, shape, elements=elements))

    values = [array() for _ in range(draw(st.integers(2, 3)))]
    return dict(zip(("first", "second", "third"), values, strict=False)) if draw(st.booleans()) else values


@given(several_arrays(), st.data())
def test_packed_inputs_are_unpacked_to_the_same_values(arrays, data):
    block, inputs = nested.pack(arrays)
    assert block.dtype == np.uint8
    assert block.shape[1] == sum(item.nbytes for item in inputs)
    assert Spec("regression", block.shape[1:], inputs=inputs).inputs == inputs
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(block) - 1), min_size=1, max_size=4)))
    result = nested.unpack(torch.from_numpy(block).index_select(0, rows), inputs)
    expected = arrays if isinstance(arrays, dict) else dict(enumerate(arrays))
    values = result if isinstance(result, dict) else dict(enumerate(result))
    assert list(values) == list(expected)
    for key, value in expected.items():
        assert torch.equal(values[key], torch.from_numpy(value)[rows])
        assert values[key].is_contiguous()


def test_inputs_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="same number of rows, got 2, 3"):
        nested.pack([np.zeros((2, 1), np.float32), np.zeros((3, 1), np.float32)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": (InputSpec((2,)),)}, "several inputs"),
        ({"inputs": (InputSpec((1,), name="a"), InputSpec((1,)))}, "several inputs"),
        ({"inputs": (InputSpec((1,), name="a"), InputSpec((1,), name="a"))}, "several inputs"),
        ({"inputs": (InputSpec((1,)), InputSpec((2,)))}, "12 bytes do not fit"),
        ({"dtype": "float16"}, "dtype='float16'"),
        ({"link": "odds"}, "link='odds'"),
    ],
)
def test_specs_that_contradict_are_refused(arguments, message):
    with pytest.raises(DataError) as caught:
        Spec("regression", (8,), **arguments)
    assert message in caught.value.problem


class Named(nn.Module):
    def forward(self, first, second, scale=2):
        return (first - second) * scale


class OneArgument(nn.Module):
    def forward(self, batch):
        return batch["first"] - batch["second"]


class AnyKeyword(nn.Module):
    def forward(self, **values):
        return values["first"] - values["second"]


@pytest.mark.parametrize("network", [Named(), OneArgument(), AnyKeyword()])
def test_a_dict_is_passed_by_keyword_or_as_one_argument(network):
    x = {"second": torch.tensor([1.0]), "first": torch.tensor([3.0])}
    assert nested.call(network, x) in (2.0, 4.0)


def test_a_tuple_is_passed_by_position_and_a_tensor_as_it_is():
    assert nested.call(Named(), (torch.tensor(3.0), torch.tensor(1.0))) == 4.0
    assert nested.call(nn.Identity(), torch.tensor(3.0)) == 3.0


def test_rows_are_taken_from_every_tensor():
    x = {"a": torch.arange(4), "b": torch.arange(8).view(4, 2)}
    part = nested.take(x, slice(1, 3))
    assert part["a"].tolist() == [1, 2]
    joined = nested.concatenate([part, nested.take(x, torch.tensor([0]))])
    assert joined["b"].tolist() == [[2, 3], [4, 5], [0, 1]]


def test_ids_are_not_made_floating():
    x = nested.to_double((torch.zeros(2), torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.uint8)))
    assert [tensor.dtype for tensor in x] == [torch.float64, torch.int64, torch.float64]


def arbitrary_strides(shape):
    """Tensors of one shape with every order of their memory."""
    for order in (range(4), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2)):
        inverse = [list(order).index(axis) for axis in range(4)]
        yield torch.rand([shape[axis] for axis in order]).permute(inverse)


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (1, 3, 4, 4), (2, 3, 4, 1), (1, 1, 1, 1), (2, 3, 4, 5)])
def test_every_tensor_gets_the_usual_strides_and_keeps_its_values(shape):
    usual = torch.empty(shape).stride()
    for x in arbitrary_strides(shape):
        result = nested.to_contiguous(x)
        assert torch.equal(result, x)
        assert result.stride() == usual
        convolved = nn.Conv2d(shape[1], 2, 1)(result)
        assert convolved.view(shape[0], -1).shape[0] == shape[0]


def test_arrays_of_one_channel_become_tensors_that_convolutions_leave_contiguous():
    pixels = np.zeros((2, 5, 5, 1), np.float32).transpose(0, 3, 1, 2)
    odd = nn.Conv2d(1, 3, 1)(torch.from_numpy(pixels))
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        odd.view(2, -1)
    assert nn.Conv2d(1, 3, 1)(nested.from_numpy(pixels)).view(2, -1).shape == (2, 75)


def test_an_array_shares_its_memory_with_the_tensor():
    values = np.zeros((3, 2), np.float32)
    nested.from_numpy(values)[0, 0] = 5
    assert values[0, 0] == 5
    values.flags.writeable = False
    assert nested.from_numpy(values)[0, 0] == 5
    assert nested.from_numpy(np.zeros((0, 1, 3), np.float32)).shape == (0, 1, 3)


def test_samples_of_zeros_have_the_form_that_the_network_takes():
    device = torch.device("cpu")
    inputs = (InputSpec((2,), "int64", "ids"), InputSpec((3,), "float32", "size"))
    x = nested.make_zeros(Spec("regression", (28,), inputs=inputs), 4, device=device, dtype=torch.float64)
    assert {name: (value.shape[0], value.dtype) for name, value in x.items()} == {
        "ids": (4, torch.int64),
        "size": (4, torch.float64),
    }
    unnamed = (InputSpec((2,)), InputSpec((3,)))
    assert len(nested.make_zeros(Spec("regression", (20,), inputs=unnamed), 1, device=device)) == 2
