"""What the pages of concepts say is so: capacity, overfitting, saddle points, transfer and others; and their errors."""

from __future__ import annotations

import pytest
import torch

from yisheng.core.errors import UsageError
from yisheng.scratch.autograd import Recorded, autograd
from yisheng.scratch.broadcasting import broadcast_shape, broadcasting
from yisheng.scratch.capacity import capacity
from yisheng.scratch.concatenate import concatenate
from yisheng.scratch.convolution import convolution
from yisheng.scratch.convolution_arithmetic import convolution_arithmetic, count_parameters
from yisheng.scratch.gradient_descent import gradient_descent
from yisheng.scratch.kaiming import kaiming
from yisheng.scratch.learning_rate_schedule import learning_rate_schedule
from yisheng.scratch.likelihood import likelihood
from yisheng.scratch.mlp import mlp
from yisheng.scratch.overfitting import draw_noisy_sine, overfitting
from yisheng.scratch.receptive_field import receptive_field
from yisheng.scratch.regularization import regularization
from yisheng.scratch.saddle_point import saddle_point
from yisheng.scratch.stack import stack
from yisheng.scratch.transfer_learning import learn_source_task, transfer_learning
from yisheng.scratch.vc_dimension import vc_dimension
from yisheng.scratch.weight_decay import weight_decay


@pytest.mark.parametrize("seed", range(5))
def test_more_capacity_fits_the_training_rows_better_and_others_worse(seed: int) -> None:
    errors = overfitting(*draw_noisy_sine(rows=15, seed=seed), degrees=range(13))
    training, validation = errors.T
    assert (training.diff() < 1e-9).all()
    assert 2 <= int(validation.argmin()) <= 7
    assert validation[0] > 3 * validation.min()  # underfitting
    assert validation[12] > 3 * validation.min()  # overfitting
    assert training[12] < 0.1 * validation[12]


@pytest.mark.parametrize(("rows", "inputs"), [(40, 4), (40, 20), (12, 10)])
def test_the_fit_of_random_targets_is_the_number_of_inputs_over_rows(rows: int, inputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, rows, inputs, generator=generator), torch.randn(300, rows, generator=generator)
    mean = torch.stack([capacity(a, b) for a, b in zip(x, y, strict=True)]).mean()
    assert mean == pytest.approx(inputs / (rows - 1), abs=0.02)


@pytest.mark.parametrize("inputs", range(1, 6))
def test_a_hyperplane_shatters_as_many_points_as_inputs_and_one(inputs: int) -> None:
    assert [vc_dimension(n, inputs=inputs) == 2**n for n in range(1, 9)] == [n <= inputs + 1 for n in range(1, 9)]


def test_descent_converges_below_two_over_the_curvature_only() -> None:
    w = torch.tensor(1.0, dtype=torch.float64)
    for curvature in (0.5, 4.0):
        for factor, converges in ((0.1, True), (1.9, True), (2.1, False)):
            path = gradient_descent(lambda w, c=curvature: c * w, w, lr=factor / curvature, steps=300)
            assert (abs(path[-1]) < 1e-6) == converges
        assert gradient_descent(lambda w, c=curvature: c * w, w, lr=1 / curvature, steps=1)[-1] == 0


def test_the_curvatures_tell_a_saddle_from_a_minimum() -> None:
    def slope(w: torch.Tensor) -> torch.Tensor:  # of x² − y² + y⁴/4
        return torch.stack([2 * w[0], w[1] ** 3 - 2 * w[1]])

    saddle, minimum = (torch.tensor([0.0, y], dtype=torch.float64) for y in (0.0, 2**0.5))
    for place in (saddle, minimum):
        assert slope(place).abs().max() < 1e-12
    assert saddle_point(slope, saddle).sign().tolist() == [-1, 1]
    assert (saddle_point(slope, minimum) > 0).all()
    on_the_ridge = gradient_descent(slope, torch.tensor([1.0, 0.0], dtype=torch.float64), steps=200)[-1]
    next_to_it = gradient_descent(slope, torch.tensor([1.0, 1e-6], dtype=torch.float64), steps=200)[-1]
    assert on_the_ridge.abs().max() < 1e-9
    torch.testing.assert_close(next_to_it, minimum, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_pretrained_weights_learn_a_related_task_from_fewer_rows(seed: int) -> None:
    x, y, body, head = learn_source_task(seed=seed)
    random = kaiming(torch.empty(32, 20), generator=torch.Generator().manual_seed(seed)), torch.zeros(32)
    pretrained, scratch = (
        (mlp(x[40:], transfer_learning(x[:40], y[:40], start, head, steps=150)).argmax(1) == y[40:]).double().mean()
        for start in (body, random)
    )
    assert pretrained > scratch + 0.02


def test_weight_decay_shrinks_the_weights_that_the_loss_does_not_need() -> None:
    w = torch.tensor([1.0, 1.0])
    for _ in range(100):
        g = torch.stack([w[0] - 1, torch.tensor(0.0)])
        w = weight_decay(w, g, lr=0.1, weight_decay=0.1)
    torch.testing.assert_close(w, torch.tensor([1 / 1.1, 0.99**100]), atol=1e-5, rtol=0)


def test_only_the_l1_penalty_sets_weights_to_zero() -> None:
    v = torch.arange(-10, 11) / 10
    assert (regularization(v, l1=0.45) == 0).sum() == 9
    assert (regularization(v, l2=100.0) == 0).sum() == 1


def test_two_small_kernels_see_as_much_as_one_large_with_fewer_weights() -> None:
    assert receptive_field([(3, 1), (3, 1)]) == receptive_field([(5, 1)]) == (5, 1)
    large, two_small = count_parameters(64, 64, 5) - 64, 2 * (count_parameters(64, 64, 3) - 64)
    assert 1 - two_small / large == pytest.approx(0.28)
    for kernel in (1, 3, 5, 7):
        assert convolution_arithmetic(28, kernel, padding=(kernel - 1) // 2) == 28
        assert convolution_arithmetic(28, kernel, padding=(kernel - 1) // 2, stride=2) == 14


def test_convolution_commutes() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 9, 9, generator=generator, dtype=torch.float64)
    a, b = torch.randn(2, 1, 1, 3, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(convolution(convolution(x, a), b), convolution(convolution(x, b), a))


def test_an_input_that_the_output_does_not_need_has_a_gradient_of_zeros() -> None:
    _, gradients = autograd(lambda x, y: (x * x).sum(), [torch.ones(2), torch.ones(3)])
    assert torch.equal(gradients[1], torch.zeros(3))


def test_a_long_computation_is_differentiated_without_recursion() -> None:
    def f(x: Recorded) -> Recorded:
        for _ in range(3000):
            x = x + x * Recorded(torch.tensor(-0.001, dtype=torch.float64))
        return x.sum()

    _, (gradient,) = autograd(f, [torch.ones(1, dtype=torch.float64)])
    assert float(gradient) == pytest.approx(0.999**3000)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: broadcasting(torch.ones(2, 3), torch.ones(2)), r"\(2, 3\) and \(2,\) cannot be broadcast"),
        (lambda: broadcast_shape((2,), (3,), (1,)), "cannot be broadcast"),
        (lambda: concatenate([torch.ones(2, 3), torch.ones(2, 2)], 0), "cannot be joined along axis 0"),
        (lambda: concatenate([torch.ones(2, 3), torch.ones(2)], 0), "cannot be joined"),
        (lambda: stack([torch.ones(2), torch.ones(3)]), "cannot be stacked"),
        (lambda: likelihood(torch.ones(1), torch.ones(1), family="poisson"), "not among the families"),  # type: ignore[arg-type]
        (lambda: learning_rate_schedule(0, 1, shape="linear"), "not among the shapes"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_errors(call, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        call()
