"""Automatic differentiation: tensors that record how they were computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.broadcasting import sum_to_shape

Pull = Callable[[Tensor], Tensor]
"""Returns the gradient by an operand from that by the result."""


class Recorded:
    """A tensor with the operands that it was computed from, and how each one's gradient follows from its own."""

    def __init__(self, value: Tensor, operands: Sequence[tuple[Recorded, Pull]] = ()) -> None:
        self.value, self.operands = value, operands

    def __add__(self, y: Recorded) -> Recorded:
        shapes = self.value.shape, y.value.shape
        pulls = [lambda g, shape=shape: sum_to_shape(g, shape) for shape in shapes]
        return Recorded(self.value + y.value, list(zip((self, y), pulls, strict=True)))

    def __mul__(self, y: Recorded) -> Recorded:
        a, b = self.value, y.value
        pulls = lambda g: sum_to_shape(g * b, a.shape), lambda g: sum_to_shape(g * a, b.shape)
        return Recorded(a * b, list(zip((self, y), pulls, strict=True)))

    def __matmul__(self, y: Recorded) -> Recorded:
        a, b = self.value, y.value
        return Recorded(a @ b, [(self, lambda g: g @ b.T), (y, lambda g: a.T @ g)])

    def exp(self) -> Recorded:
        y = self.value.exp()
        return Recorded(y, [(self, lambda g: g * y)])

    def log(self) -> Recorded:
        return Recorded(self.value.log(), [(self, lambda g: g / self.value)])

    def sum(self) -> Recorded:
        return Recorded(self.value.sum(), [(self, lambda g: g * torch.ones_like(self.value))])


def _plot(axes: Any) -> None:
    """Draw a function, and its derivative by the recorded operations."""
    x = torch.linspace(-3, 3, 301, dtype=torch.float64)
    unit = Recorded(torch.ones((), dtype=torch.float64))
    y = (unit + Recorded(x).exp()).log().value
    _, (slope,) = autograd(lambda x: (unit + x.exp()).log().sum(), [x])
    axes.plot(x, y, color=COLORS[0], label="log(1 + exp(x))")
    axes.plot(x, slope, "--", color=COLORS[1], label="gradient from the recorded operations")
    axes.set(xlabel="x")
    axes.legend()


@register(
    equation="""y = f(a, b) records   (a, g → g · ∂y/∂a)   and   (b, g → g · ∂y/∂b)
backward from the output:   ∂L/∂a = Σ over the results y computed from a of   ∂L/∂y · ∂y/∂a""",
    usual="""
import torch
w = torch.randn(3, 2, requires_grad=True)
loss = (torch.ones(4, 3) @ w).exp().sum()
(gradient,) = torch.autograd.grad(loss, w)
""",
    when="""Always, instead of deriving gradients manually: it follows loops and conditions, since it records what was
really computed. It costs about two further forward passes and the memory of all recorded values; use
`torch.no_grad()` for predictions.""",
    plot=_plot,
)
def autograd(f: Callable[..., Recorded], inputs: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Compute a function of tensors, and its gradients, from the operations that it applies.

    Args:
        f: takes a `Recorded` for each input and returns one with a single number, by +, *, @, exp, log and sum.
        inputs: tensors of any shape; operands of + and * are broadcast.

    Source: Griewank and Walther, "Evaluating derivatives", 2008, chapter 3; Paszke et al., "Automatic differentiation
    in PyTorch", 2017; Zhang et al., "Dive into deep learning", 2023, section 2.5.

    >>> value, (gradient,) = autograd(lambda x: (x * x).sum(), [torch.tensor([1.0, 2.0])])
    >>> value, gradient
    (tensor(5.), tensor([2., 4.]))
    """
    leaves = [Recorded(x) for x in inputs]
    output = f(*leaves)
    gradients = {output: torch.ones_like(output.value)}
    for result in reversed(sort_operations(output)):
        for operand, pull in result.operands:
            part = pull(gradients[result])
            gradients[operand] = gradients[operand] + part if operand in gradients else part
    return output.value, [gradients.get(leaf, torch.zeros_like(leaf.value)) for leaf in leaves]


def sort_operations(output: Recorded) -> list[Recorded]:
    """List what an output was computed from, operands before their results, by a search in depth."""
    order: list[Recorded] = []
    visited: set[Recorded] = set()
    stack = [(output, False)]
    while stack:
        node, is_complete = stack.pop()
        if is_complete:
            order.append(node)
        elif node not in visited:
            visited.add(node)
            stack += [(node, True), *((operand, False) for operand, _ in node.operands)]
    return order
