"""Means of 2 x 2 pixels: torch's results, in every layout, type and mode."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from yisheng.models._pool import AvgPool2d, _quarters

SIZES = st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 3, 5, 17]), st.integers(2, 9), st.integers(2, 9))


def both(x: torch.Tensor, autocast: bool = False) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Means and the input's gradient, ours and torch's."""
    found = []
    for layer in (AvgPool2d(), nn.AvgPool2d(2)):
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            y = layer(given)
        weights = torch.arange(y.numel(), dtype=y.dtype).view(y.shape) % 7
        (gradient,) = torch.autograd.grad((y * weights).sum(), given)
        found.append((y.detach(), gradient))
    return found


def assert_means(y: torch.Tensor, wanted: torch.Tensor, x: torch.Tensor) -> None:
    """The same bits in float32 and float64; in bfloat16 every sum may be rounded."""
    if x.dtype != torch.bfloat16:
        assert torch.equal(y, wanted)
        return
    exact, size = (nn.functional.avg_pool2d(values, 2) for values in (x.double(), x.double().abs()))
    assert bool(((y.double() - exact).abs() <= 2**-7 * size).all())


@given(SIZES, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), st.booleans())
def test_as_torch(size, dtype, channels_last):
    x = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    (y, gradient), (wanted, wanted_gradient) = both(x)
    assert_means(y, wanted, x)
    assert y.dtype == dtype
    assert y.stride() == wanted.stride() or 1 in y.shape
    assert torch.equal(gradient, wanted_gradient)  # a quarter is exact
    assert gradient.stride() == wanted_gradient.stride() or 1 in x.shape


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, 1:, 1:, ::2],
        lambda x: x.permute(1, 0, 3, 2),
        lambda x: x[:1].expand(4, -1, -1, -1),
        lambda x: x[:, :1].contiguous(memory_format=torch.channels_last),
    ],
)
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("columns", [8, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_view(view, autocast, columns, dtype):
    x = view(torch.randn(4, 3, 8, columns)).to(dtype)
    (y, gradient), (wanted, wanted_gradient) = both(x, autocast)
    assert_means(y, wanted, x)
    assert torch.equal(gradient, wanted_gradient)
    assert gradient.dtype == wanted_gradient.dtype == dtype


def test_a_gradient_that_is_the_same_everywhere():
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(AvgPool2d()(x).sum(), x)  # an expanded scalar comes back
    assert torch.equal(gradient, torch.full_like(x, 0.25))


@pytest.mark.parametrize("shape", [(2, 3, 1, 6), (2, 3, 6, 1)])
@pytest.mark.parametrize("training", [False, True])
def test_what_cannot_be_halved_is_refused_as_torch_refuses_it(shape, training):
    with pytest.raises(RuntimeError, match="too small"):
        AvgPool2d().train(training)(torch.randn(shape))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # said when torch loads its own rules
def test_derivatives_forward():
    x, direction = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)
    pool = AvgPool2d()
    for ours, theirs in zip(
        torch.func.jvp(pool, (x,), (direction,)),
        torch.func.jvp(nn.AvgPool2d(2), (x,), (direction,)),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("size", [(6, 4), (6, 5), (5, 4)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_derivatives_of_any_order(size, order):
    x = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=order).requires_grad_()
    pool = AvgPool2d()
    assert torch.autograd.gradcheck(lambda x: pool(x) ** 2, x)
    assert torch.autograd.gradgradcheck(lambda x: pool(x) ** 2, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [(0, 1, 2, 3, 4), (0, 1, 4, 2, 3), (1, 2, 0, 3, 4), (1, 3, 0, 4, 2)])
def test_many_networks_as_one(dtype, layout):
    back = [layout.index(axis) for axis in range(5)]
    x = torch.randn(3, 2, 4, 6, 6).to(dtype).permute(layout).contiguous().permute(back)
    pool = AvgPool2d()

    def gradient(x: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda x: (pool(x) ** 2).sum())(x)

    assert torch.equal(torch.vmap(gradient)(x), torch.stack([gradient(one) for one in x]))


@pytest.mark.parametrize("shape", [(3, 6, 6), (2, 3, 6, 6)])
def test_in_use_it_is_torch_itself(shape):
    x = torch.randn(shape)
    assert torch.equal(AvgPool2d().eval()(x), nn.AvgPool2d(2)(x))


def test_a_single_image_in_training():
    x = torch.randn(3, 6, 6)
    assert torch.equal(AvgPool2d()(x), nn.AvgPool2d(2)(x))


def test_a_gradient_keeps_its_precision_where_half_precision_is_on():
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    g = torch.randn(2, 3, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (gradient,) = torch.autograd.grad(AvgPool2d()(x), x, g)
    (wanted,) = torch.autograd.grad(nn.AvgPool2d(2)(x), x, g)
    assert torch.equal(gradient, wanted)


def test_what_is_kept_between_calls_may_be_learnt_through():
    _quarters.cache_clear()
    x = torch.randn(2, 7, 10, 10).bfloat16()
    with torch.inference_mode(), torch.device("meta"):
        AvgPool2d()(x)
    x.requires_grad_()
    y = AvgPool2d()(x)
    weights = torch.ones_like(y, requires_grad=True)
    (gradient,) = torch.autograd.grad(y, x, weights, create_graph=True)
    assert torch.equal(gradient, torch.full_like(x, 0.25))
    gradient.sum().backward()
    assert torch.equal(weights.grad, torch.ones_like(y))
