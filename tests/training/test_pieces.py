"""The pieces of a batch, and the one order in which their gradients are added."""

import copy
import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from yisheng.core.events import Batch
from yisheng.training.pieces import TreeSum, add_tensors, split_batch
from yisheng.training.state import State
from yisheng.training.update import make_update

FLOATS = st.floats(-1e8, 1e8, width=32)


def add_in_pairs(values):
    """Return the sum of a list as a tree: of the largest power of two of values, and of the rest."""
    if len(values) == 1:
        return values[0]
    half = 1 << (len(values) - 1).bit_length() - 1
    return add_in_pairs(values[:half]) + add_in_pairs(values[half:])


@given(st.lists(FLOATS, min_size=1, max_size=40))
def test_a_sum_is_a_tree_whatever_comes_after(values):
    numbers = [torch.tensor([value]) for value in values]
    total = TreeSum()
    for number in numbers:
        total.add([number.clone()])
    assert torch.equal(total.total()[0], add_in_pairs(numbers))


@given(st.lists(st.one_of(st.none(), FLOATS), min_size=1, max_size=16), st.integers(0, 3))
def test_parts_of_the_tree_can_be_added_elsewhere(values, level):
    """Aligned parts of 2^level leaves give the same bits, with missing values and negative zeros."""
    leaves = [[None if value is None else torch.tensor([value, -0.0])] for value in values]
    leaves += [[None]] * (-len(leaves) % 16)
    complete, upper = TreeSum(), TreeSum()
    for leaf in copy.deepcopy(leaves):
        complete.add(leaf)
    for start in range(0, 16, 1 << level):
        part = TreeSum()
        for leaf in copy.deepcopy(leaves[start : start + (1 << level)]):
            part.add(leaf)
        upper.add(part.total())
    (expected,), (result,) = complete.total(), upper.total()
    assert (expected is None) == (result is None)
    assert expected is None or expected.numpy().tobytes() == result.numpy().tobytes()


@given(FLOATS, FLOATS)
def test_addition_is_commutative_to_the_bit(x, y):
    first, second = ([torch.tensor([value])] for value in (x, y))
    forth, back = add_tensors(copy.deepcopy(first), second), add_tensors(copy.deepcopy(second), first)
    assert forth[0].numpy().tobytes() == back[0].numpy().tobytes()


@given(st.integers(1, 60), st.integers(1, 20))
def test_pieces_have_all_rows_and_fractions_that_add_up_to_one(rows, size):
    batch = Batch(torch.arange(rows), torch.arange(rows), torch.arange(rows))
    pieces = split_batch(batch, size)
    assert torch.cat([piece.batch.index for piece in pieces]).tolist() == list(range(rows))
    if len(pieces) > 1:
        assert sum(piece.fraction for piece in pieces) == pytest.approx(1)
        assert size == 1 or all(len(piece.batch) > 1 for piece in pieces)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8])
def test_accumulated_gradients_are_the_tree_of_separate_ones(count):
    """Of up to three pieces that is the order of autograd's own sum."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    batch = Batch(torch.randn(5 * count, 6), torch.randint(0, 4, (5 * count,)), torch.arange(5 * count))
    loss = functools.partial(nn.functional.cross_entropy, reduction="none")
    separate, values = [], []
    for start in range(0, 5 * count, 5):
        rows = slice(start, start + 5)
        part = copy.deepcopy(model)
        mean = loss(part(batch.x[rows]), batch.y[rows]).mean()
        value = mean if count == 1 else mean * (5 / (5 * count))
        value.backward()
        separate.append(torch.cat([p.grad.flatten() for p in part.parameters()]))
        values.append(value.detach())
    sequential = functools.reduce(torch.add, separate)
    gradients = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(
        lambda *_: gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    )
    value = make_update(micro_batch=5)(State(model, optimizer), batch, loss)
    assert torch.equal(gradients[0], add_in_pairs(separate))
    assert torch.equal(value, add_in_pairs(values))
    assert count > 3 or torch.equal(gradients[0], sequential)
