"""Properties that every registered initialization has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.entry import Entry

all_initializations = pytest.mark.parametrize("entry", list(registry.entries("init")), ids=lambda entry: entry.name)
shapes = pytest.mark.parametrize("shape", [(4, 6), (1, 1), (4, 3, 5, 5), (4, 3, 7)], ids=str)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)


@all_initializations
@shapes
@dtypes
def test_it_fills_a_weight_in_place(entry: Entry, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.full(shape, 7.0, dtype=dtype))
    address = weight.data_ptr()
    assert entry.build(weight) is None
    assert weight.data_ptr() == address
    assert weight.dtype == dtype
    assert weight.requires_grad
    assert weight.grad_fn is None
    assert weight.isfinite().all()
    if entry.name != "default":
        assert not (weight == 7).any(), "some weights are not filled"


@all_initializations
@shapes
def test_the_same_seed_gives_the_same_weights(entry: Entry, shape: tuple[int, ...]) -> None:
    weights = torch.zeros(shape), torch.zeros(shape)
    for weight in weights:
        torch.manual_seed(11)
        entry.build(weight)
    assert torch.equal(*weights)


@all_initializations
def test_options_are_documented(entry: Entry) -> None:
    assert set(entry.meta) == set()
    assert all(option.help for option in entry.options.values())
