"""What a perceptron can learn, and descent by the from-scratch gradients."""

from __future__ import annotations

import itertools

import pytest
import torch

from yisheng.scratch import linear_regression as least_squares
from yisheng.scratch import softmax_regression as softmax_model
from yisheng.scratch.mlp import learn_xor, mlp
from yisheng.scratch.perceptron import AND, CORNERS, OR, XOR, perceptron


def classify(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(CORNERS @ w + b > 0, 1.0, -1.0)


@pytest.mark.parametrize("y", [AND, OR, -AND, -OR], ids=["and", "or", "not and", "not or"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_the_perceptron_learns_separable_classes(y: torch.Tensor, order: tuple[int, ...]) -> None:
    rows = list(order)
    assert torch.equal(classify(*perceptron(CORNERS[rows], y[rows])), y)


@pytest.mark.parametrize("epochs", [*range(1, 12), 1000, 1001])
def test_the_perceptron_never_learns_xor(epochs: int) -> None:
    assert not torch.equal(classify(*perceptron(CORNERS, XOR, epochs=epochs)), XOR)


def test_no_line_separates_xor() -> None:
    """Each of 20,000 random lines classifies three of the four corners correctly at most."""
    generator = torch.Generator().manual_seed(0)
    w, b = torch.randn(20_000, 2, generator=generator), torch.randn(20_000, 1, generator=generator)
    correct = (torch.where(w @ CORNERS.T + b > 0, 1.0, -1.0) == XOR).sum(1)
    assert correct.max() == 3


@pytest.mark.parametrize("seed", range(5))
def test_an_mlp_learns_xor(seed: int) -> None:
    output = mlp(CORNERS, learn_xor(seed=seed))
    assert torch.equal(output.argmax(1), (XOR > 0).long())
    assert output.softmax(1).amax(1).min() > 0.9


def test_the_perceptron_stops_after_an_epoch_without_a_mistake() -> None:
    w, b = perceptron(CORNERS, AND)
    w_of_more_epochs, b_of_more_epochs = perceptron(CORNERS, AND, epochs=10_000_000)
    assert torch.equal(w, w_of_more_epochs)
    assert torch.equal(b, b_of_more_epochs)


def test_the_gradient_is_zero_at_the_closed_form_and_descent_converges_to_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, n, generator=generator, dtype=torch.float64) for n in (4, 2))
    solution = least_squares.linear_regression(x, y)
    assert max(g.abs().max() for g in least_squares.gradient(x, y, *solution)) < 1e-14
    w, b = torch.zeros(2, 4, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for _ in range(500):
        w_gradient, b_gradient = least_squares.gradient(x, y, w, b)
        w, b = w - 0.3 * w_gradient, b - 0.3 * b_gradient
    torch.testing.assert_close((w, b), solution, atol=1e-12, rtol=0)


def test_softmax_regression_learns_by_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=generator), torch.randint(3, (60,), generator=generator)
    x[range(60), y] += 2
    w, b, losses = torch.zeros(3, 4), torch.zeros(3), []
    for _ in range(50):
        losses.append(float(softmax_model.loss(x, y, w, b)))
        w_gradient, b_gradient = softmax_model.gradient(x, y, w, b)
        w, b = w - 0.5 * w_gradient, b - 0.5 * b_gradient
    assert losses[0] == pytest.approx(1.0986, abs=1e-4)  # log 3: uniform probabilities
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.6
    assert (softmax_model.softmax_regression(x, w, b).argmax(1) == y).float().mean() > 0.75


def test_linearly_dependent_columns_are_an_error() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]])
    with pytest.raises(torch.linalg.LinAlgError):
        least_squares.linear_regression(x, torch.ones(3, 1))
