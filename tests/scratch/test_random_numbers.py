"""Random numbers of dropout and initialization equal the library's from the same seed, to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.scratch.dropout import dropout
from yisheng.scratch.kaiming import kaiming, kaiming_normal
from yisheng.scratch.xavier import xavier, xavier_normal


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1,), (7,), (33, 65), (4, 3, 8, 8)], ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_dropout_equals_the_librarys_from_the_global_generator(dtype, shape, p) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    drawn = []
    for form in (lambda: dropout(x, p=p), lambda: F.dropout(x, p, training=True)):
        torch.manual_seed(5)
        drawn.append((form(), form(), torch.rand(3)))  # later random numbers are equal, too
    assert all(map(torch.equal, *drawn))


def test_dropout_of_a_transposed_tensor_equals_the_librarys() -> None:
    x = torch.ones(5, 9).T
    torch.manual_seed(3)
    values = dropout(x, p=0.5)
    torch.manual_seed(3)
    assert torch.equal(values, F.dropout(x, 0.5, training=True))


def test_dropout_is_the_identity_in_prediction_and_keeps_the_mean_in_training() -> None:
    x = torch.ones(200_000)
    state = torch.get_rng_state()
    assert dropout(x, p=0.7, training=False) is x
    assert torch.equal(torch.get_rng_state(), state)
    dropped = dropout(x, p=0.7, generator=torch.Generator().manual_seed(0))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.3])
    assert dropped.mean() == pytest.approx(1, abs=0.02)  # four standard errors
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("scratch", "library"),
    [
        (xavier, nn.init.xavier_uniform_),
        (xavier_normal, nn.init.xavier_normal_),
        (kaiming, nn.init.kaiming_uniform_),
        (kaiming_normal, nn.init.kaiming_normal_),
    ],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("shape", [(5, 9), (4, 3, 5, 5), (6, 2, 3)], ids=str)
def test_initial_weights_equal_the_librarys_and_the_argument_is_not_changed(scratch, library, shape) -> None:
    weight = torch.full(shape, 7.0)
    torch.manual_seed(3)
    values = scratch(weight)
    torch.manual_seed(3)
    torch.testing.assert_close(values, library(torch.empty(shape)))
    assert (weight == 7).all()


@pytest.mark.parametrize("gain", [1.0, 5 / 3])
def test_the_gain_of_xavier_equals_the_librarys(gain: float) -> None:
    for scratch, library in ((xavier, nn.init.xavier_uniform_), (xavier_normal, nn.init.xavier_normal_)):
        generators = [torch.Generator().manual_seed(1) for _ in range(2)]
        values = scratch(torch.empty(30, 20), gain=gain, generator=generators[0])
        torch.testing.assert_close(values, library(torch.empty(30, 20), gain=gain, generator=generators[1]))
