"""Equivalence of from-scratch tensors: strides, broadcasting, joining."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from tests.scratch.case import Case, Pair, run_both
from tests.scratch.random_inputs import draw_int, draw_normal
from yisheng.scratch.broadcasting import broadcasting, sum_to_shape
from yisheng.scratch.concatenate import concatenate
from yisheng.scratch.stack import stack
from yisheng.scratch.tensor import compute_strides, tensor


def make_strides(rng: Generator) -> Pair:
    memory = draw_normal(rng, 120)
    shape = tuple(draw_int(rng, 1, 3) for _ in range(draw_int(rng, 0, 3)))
    strides = tuple(draw_int(rng, 0, 9) for _ in shape)
    offset = draw_int(rng, 0, 20)
    x = draw_normal(rng, *[draw_int(rng, 1, 4) for _ in range(3)])
    scratch = [
        tensor(memory, shape, strides, offset=offset),
        tensor(x.flatten(), x.shape, compute_strides(x.shape)),
        torch.tensor(compute_strides(x.shape)),
    ]
    return scratch, [torch.as_strided(memory, shape, strides, offset), x, torch.tensor(x.stride())]


def draw_shapes(rng: Generator) -> tuple[list[int], list[int]]:
    """Draw two shapes that can be broadcast, of different numbers of axes."""
    common = [draw_int(rng, 1, 4) for _ in range(draw_int(rng, 0, 4))]
    shapes = [[1 if draw_int(rng, 0, 2) == 0 else size for size in common] for _ in range(2)]
    return shapes[0][draw_int(rng, 0, len(common)) :], shapes[1]


def make_broadcasting(rng: Generator) -> Pair:
    x, y = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in draw_shapes(rng))
    return run_both(broadcasting, torch.broadcast_tensors, x, y)


def make_broadcast_gradient(rng: Generator) -> Pair:
    x, y = (torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for shape in draw_shapes(rng))
    product = x * y
    g = torch.randn(product.shape, generator=rng, dtype=torch.float64)
    scratch = [sum_to_shape(g * y.detach(), x.shape), sum_to_shape(g * x.detach(), y.shape)]
    return scratch, list(torch.autograd.grad(product, (x, y), g))


def draw_joined(rng: Generator, is_equal: bool) -> tuple[list[Tensor], int]:
    """Draw tensors that differ in the size of one axis, and that axis, counted from either end."""
    shape = [draw_int(rng, 1, 3) for _ in range(draw_int(rng, 1, 3))]
    axis = draw_int(rng, 0, len(shape) - 1)
    tensors = []
    for _ in range(draw_int(rng, 1, 4)):
        sizes = list(shape)
        sizes[axis] = shape[axis] if is_equal else draw_int(rng, 1, 3)
        tensors.append(draw_normal(rng, *sizes))
    tensors[0] = draw_normal(rng, *shape)
    return tensors, axis - len(shape) * draw_int(rng, 0, 1)


def make_concatenation(rng: Generator) -> Pair:
    tensors, axis = draw_joined(rng, is_equal=False)
    return run_both(lambda *x: concatenate(x, axis), lambda *x: torch.cat(x, axis), *tensors)


def make_stack(rng: Generator) -> Pair:
    tensors, axis = draw_joined(rng, is_equal=True)
    return run_both(lambda *x: stack(x, axis), lambda *x: torch.stack(x, axis), *tensors)


CASES = [
    Case("tensor", "torch.as_strided, Tensor.stride", "numbers, strides", 0, make_strides),
    Case("broadcasting", "torch.broadcast_tensors", "outputs, gradients", 1e-14, make_broadcasting),
    Case(
        "broadcasting",
        "torch.autograd.grad of a product",
        "gradients, summed to the shapes",
        1e-14,
        make_broadcast_gradient,
    ),
    Case("concatenate", "torch.cat", "output, gradients", 0, make_concatenation),
    Case("stack", "torch.stack", "output, gradients", 0, make_stack),
]
