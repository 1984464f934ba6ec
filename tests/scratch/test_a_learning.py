"""What a perceptron learns and what it cannot, and that the gradients written out lead downhill."""

from __future__ import annotations

import itertools

import pytest
import torch

from yisheng.scratch import linear_regression as line
from yisheng.scratch import softmax_regression as softmaxes
from yisheng.scratch.mlp import learn_xor, mlp
from yisheng.scratch.perceptron import AND, CORNERS, OR, XOR, perceptron


def signs(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(CORNERS @ w + b > 0, 1.0, -1.0)


@pytest.mark.parametrize("y", [AND, OR, -AND, -OR], ids=["and", "or", "not and", "not or"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_the_perceptron_learns_what_a_line_parts(y: torch.Tensor, order: tuple[int, ...]) -> None:
    rows = list(order)
    assert torch.equal(signs(*perceptron(CORNERS[rows], y[rows])), y)


@pytest.mark.parametrize("epochs", [*range(1, 12), 1000, 1001])
def test_the_perceptron_never_learns_xor(epochs: int) -> None:
    assert not torch.equal(signs(*perceptron(CORNERS, XOR, epochs=epochs)), XOR)


def test_no_line_at_all_parts_xor() -> None:
    """Of many lines: three of the four corners at most."""
    draw = torch.Generator().manual_seed(0)
    w, b = torch.randn(20_000, 2, generator=draw), torch.randn(20_000, 1, generator=draw)
    right = (torch.where(w @ CORNERS.T + b > 0, 1.0, -1.0) == XOR).sum(1)
    assert right.max() == 3


@pytest.mark.parametrize("seed", range(5))
def test_an_mlp_learns_xor(seed: int) -> None:
    output = mlp(CORNERS, learn_xor(seed=seed))
    assert torch.equal(output.argmax(1), (XOR > 0).long())
    assert output.softmax(1).amax(1).min() > 0.9


def test_it_stops_after_an_epoch_without_a_mistake() -> None:
    w, b = perceptron(CORNERS, AND)
    more = perceptron(CORNERS, AND, epochs=10_000_000)
    assert torch.equal(w, more[0])
    assert torch.equal(b, more[1])


def test_the_closed_form_is_where_the_gradient_is_zero_and_descent_leads_there() -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, n, generator=draw, dtype=torch.float64) for n in (4, 2))
    best = line.linear_regression(x, y)
    assert max(g.abs().max() for g in line.gradient(x, y, *best)) < 1e-14
    w, b = torch.zeros(2, 4, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for _ in range(500):
        w_slope, b_slope = line.gradient(x, y, w, b)
        w, b = w - 0.3 * w_slope, b - 0.3 * b_slope
    torch.testing.assert_close((w, b), best, atol=1e-12, rtol=0)


def test_softmax_regression_descends_by_its_own_gradient() -> None:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=draw), torch.randint(3, (60,), generator=draw)
    x[range(60), y] += 2
    w, b, losses = torch.zeros(3, 4), torch.zeros(3), []
    for _ in range(50):
        losses.append(float(softmaxes.loss(x, y, w, b)))
        w_slope, b_slope = softmaxes.gradient(x, y, w, b)
        w, b = w - 0.5 * w_slope, b - 0.5 * b_slope
    assert losses[0] == pytest.approx(1.0986, abs=1e-4)  # log 3: nothing is known yet
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.6
    assert (softmaxes.softmax_regression(x, w, b).argmax(1) == y).float().mean() > 0.75


def test_columns_that_depend_on_one_another_are_refused() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]])
    with pytest.raises(torch.linalg.LinAlgError):
        line.linear_regression(x, torch.ones(3, 1))
