"""Layers, batches, folds, clipping, gradient checks and averages, and their errors."""

from __future__ import annotations

import pytest
import torch

from yisheng.core.errors import UsageError
from yisheng.scratch.average_pooling import average_pooling
from yisheng.scratch.batch_norm import batch_norm
from yisheng.scratch.clip_gradient import clip_gradient
from yisheng.scratch.convolution_1x1 import convolution_1x1
from yisheng.scratch.cross_correlation import cross_correlation, cross_correlation_by_loops
from yisheng.scratch.exponential_average import exponential_average
from yisheng.scratch.gradient_check import gradient_check
from yisheng.scratch.k_fold import k_fold
from yisheng.scratch.mini_batches import mini_batches
from yisheng.scratch.padding import padding
from yisheng.scratch.vanishing_gradients import vanishing_gradients


def test_an_epoch_has_every_row_once_in_a_new_order() -> None:
    x, generator = torch.arange(23), torch.Generator().manual_seed(1)
    epochs = [list(mini_batches(x, -x, size=5, generator=generator)) for _ in range(2)]
    assert [len(rows) for rows, _ in epochs[0]] == [5, 5, 5, 5, 3]
    orders = [torch.cat([rows for rows, _ in epoch]) for epoch in epochs]
    assert all(torch.equal(order.sort().values, x) for order in orders)
    assert not torch.equal(*orders)
    assert all(torch.equal(rows, -targets) for rows, targets in epochs[0])


def test_folds_of_shuffled_rows_partition_them_and_depend_on_the_seed_only() -> None:
    folds, folds_of_same_seed = (k_fold(23, k=4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert [len(validation) for _, validation in folds] == [6, 6, 6, 5]
    assert torch.equal(torch.cat([validation for _, validation in folds]).sort().values, torch.arange(23))
    assert not torch.equal(folds[0][1], k_fold(23, k=4)[0][1])
    for (train, validation), (expected_train, _) in zip(folds, folds_of_same_seed, strict=True):
        assert torch.equal(train, expected_train)
        assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(23))


@pytest.mark.parametrize("k", [1, 0, 24, -3])
def test_an_impossible_number_of_folds_is_an_error(k: int) -> None:
    with pytest.raises(UsageError, match="k must be from 2 to the 23 rows"):
        k_fold(23, k=k)


@pytest.mark.parametrize(("size", "targets"), [(0, 5), (-1, 5), (2, 4)])
def test_impossible_batches_are_an_error(size: int, targets: int) -> None:
    with pytest.raises(UsageError, match="batches of"):
        next(mini_batches(torch.ones(5), torch.ones(targets), size=size))


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_batch_norm_needs_more_than_one_value_per_channel_in_training(shape: tuple[int, ...]) -> None:
    scale, shift = torch.ones(3), torch.zeros(3)
    with pytest.raises(UsageError, match="one value per channel"):
        batch_norm(torch.ones(shape), scale, shift, shift, scale, training=True)
    assert batch_norm(torch.ones(shape), scale, shift, shift, scale, training=False)[0].shape == shape


def test_moving_averages_have_no_gradient() -> None:
    x = torch.randn(8, 3, requires_grad=True)
    scale, shift = torch.ones(3), torch.zeros(3)
    y, mean, var = batch_norm(x, scale, shift, shift, scale, training=True)
    assert y.requires_grad
    assert not mean.requires_grad
    assert not var.requires_grad


def test_loops_and_windows_give_the_same_sums_over_channels() -> None:
    """An output channel is the sum of the input channels' correlations."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 7, 6, generator=generator, dtype=torch.float64)
    w = torch.randn(2, 3, 3, 2, generator=generator, dtype=torch.float64)
    by_loops = torch.stack(
        [sum(cross_correlation_by_loops(x[0, c], w[o, c]) for c in range(3)) for o in range(2)]
    )  # fmt: skip
    torch.testing.assert_close(cross_correlation(x, w)[0], by_loops, rtol=0, atol=1e-13)
    padded = padding(x, 1)
    torch.testing.assert_close(cross_correlation(x, w, padding=1), cross_correlation(padded, w), rtol=0, atol=0)
    subsampled = cross_correlation(x, w)[:, :, ::2, ::2]
    torch.testing.assert_close(cross_correlation(x, w, stride=2), subsampled, rtol=0, atol=1e-13)


def test_convolution_1x1_equals_a_correlation_with_kernels_of_one_pixel() -> None:
    x, w = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    torch.testing.assert_close(convolution_1x1(x, w), cross_correlation(x, w[:, :, None, None]), rtol=0, atol=1e-13)


def test_gradient_descent_recovers_a_kernel() -> None:
    """The kernel is learnt from an image and its edges, as in the textbook."""
    x = torch.ones(1, 1, 6, 8)
    x[..., 2:6] = 0
    edges = cross_correlation(x, torch.tensor([[[[1.0, -1.0]]]]))
    w = torch.zeros(1, 1, 1, 2, requires_grad=True)
    for _ in range(60):
        (g,) = torch.autograd.grad((cross_correlation(x, w) - edges).square().sum(), w)
        w = (w - 0.02 * g).detach().requires_grad_()
    torch.testing.assert_close(w.detach().flatten(), torch.tensor([1.0, -1.0]), rtol=0, atol=0.02)


def test_average_pooling_equals_a_correlation_with_equal_weights() -> None:
    x = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    w = torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64)
    torch.testing.assert_close(average_pooling(x, 2), cross_correlation(x, w, stride=2), rtol=0, atol=1e-14)


def test_short_gradients_are_not_clipped() -> None:
    gradients = [torch.tensor([0.3]), torch.tensor([[0.4]])]
    clipped, norm = clip_gradient(gradients, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(gradients, clipped, strict=True))
    assert norm == pytest.approx(0.5)


@pytest.mark.parametrize("factor", [1.001, -1.0, 0.0])
def test_a_wrong_gradient_is_detected(factor: float) -> None:
    x = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64)

    def f(x: torch.Tensor) -> torch.Tensor:
        return (1 / (1 + (-x).exp())).sum()

    s = 1 / (1 + (-x).exp())
    correct = s * (1 - s)
    assert gradient_check(f, x, correct) < 1e-8
    wrong = correct.clone()
    wrong[0, 1] *= factor
    assert gradient_check(f, x, wrong) > 1e-5


def test_a_constant_function_passes_the_gradient_check() -> None:
    x = torch.ones(2, dtype=torch.float64)
    assert gradient_check(lambda x: 0 * x.sum(), x, torch.zeros(2, dtype=torch.float64)) == 0


def test_the_average_of_equal_values_is_that_value_from_the_start() -> None:
    x = torch.full((20, 2), 3.0, dtype=torch.float64)
    torch.testing.assert_close(exponential_average(x, beta=0.99), x)
    assert exponential_average(x, beta=0.99, corrected=False)[0, 0] == pytest.approx(0.03)


def test_gradients_vanish_with_sigmoids_but_not_with_relu_and_kaiming() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(32, 64, generator=generator)
    weights = [torch.randn(64, 64, generator=generator) / 8 for _ in range(30)]
    sigmoid = vanishing_gradients(x, weights)
    relu = vanishing_gradients(x, [2**0.5 * w for w in weights], activation="relu")
    assert sigmoid[0] < 1e-12 * sigmoid[-1]
    assert 0.01 < relu[0] / relu[-1] < 100
