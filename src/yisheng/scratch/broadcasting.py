"""Broadcasting: operands of different shapes are repeated to a common one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw the sum of a column (3, 1) and a row (1, 4)."""
    column, row = torch.tensor([[0.0], [10.0], [20.0]]), torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    image = torch.full((4, 6), torch.nan)
    image[1:, :1], image[:1, 2:] = column, row
    image[1:, 2:] = torch.stack(broadcasting(column, row)).sum(0)
    axes.imshow(image.numpy(), cmap="viridis")
    for i, j in torch.argwhere(image.isfinite()).tolist():
        axes.text(j, i, f"{image[i, j]:g}", ha="center", va="center", color="white" if image[i, j] < 15 else "black")
    axes.set(xticks=[], yticks=[], title="(3, 1) + (1, 4) gives (3, 4)")
    axes.spines[:].set_visible(False)


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Return the common shape: sizes are compared from the last axis on, and 1 or a missing axis fits any size.

    >>> broadcast_shape((5, 1, 4), (3, 1))
    (5, 3, 4)
    """
    axes = max(map(len, shapes))
    padded = [(1,) * (axes - len(shape)) + tuple(shape) for shape in shapes]
    sizes = []
    for sizes_of_axis in zip(*padded, strict=True):
        different = {size for size in sizes_of_axis if size != 1}
        if len(different) > 1:
            raise UsageError(
                Message(
                    "shapes {shapes} cannot be broadcast", shapes=" and ".join(str(tuple(shape)) for shape in shapes)
                ),
                Message("make the sizes of each axis, counted from the last, equal or 1"),
            )
        sizes.append(different.pop() if different else 1)
    return tuple(sizes)


@register(
    equation="""shapes are aligned at the last axis; size 1 (or a missing axis) is repeated to the other size
the gradient by an operand is the sum over the axes along which it was repeated""",
    usual="""
import torch
x, bias = torch.randn(32, 10), torch.randn(10)
y = x + bias  # (32, 10) + (10,)
""",
    when="""To add a bias to every row, to scale every channel, to subtract all pairs: no loop and no copy. Beware of
(N, 1) and (N,): their difference is (N, N), and a loss of it is wrong without any error; yisheng's doctor finds
it.""",
    plot=_plot,
)
def broadcasting(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat two tensors along their axes of size 1 to their common shape.

    Args:
        x: of any shape.
        y: of any shape whose sizes, aligned at the last axis, equal those of x or are 1.

    Raises:
        UsageError: the shapes do not fit.

    Source: van der Walt, Colbert and Varoquaux, "The NumPy array: a structure for efficient numerical computation",
    2011; Zhang et al., "Dive into deep learning", 2023, section 2.1.4.

    >>> x, y = broadcasting(torch.tensor([[1.0], [2.0]]), torch.tensor([10.0, 20.0]))
    >>> x
    tensor([[1., 1.],
            [2., 2.]])
    >>> x + y
    tensor([[11., 21.],
            [12., 22.]])
    """
    shape = broadcast_shape(x.shape, y.shape)
    return _repeat(x, shape), _repeat(y, shape)


def _repeat(x: Tensor, shape: Sequence[int]) -> Tensor:
    x = x.reshape((1,) * (len(shape) - x.dim()) + tuple(x.shape))
    for axis, size in enumerate(shape):
        if x.shape[axis] != size:
            x = x.index_select(axis, torch.zeros(size, dtype=torch.int64))
    return x


def sum_to_shape(g: Tensor, shape: Sequence[int]) -> Tensor:
    """Sum a gradient over the axes along which an operand of a shape was repeated.

    >>> sum_to_shape(torch.ones(4, 3), (3,))
    tensor([4., 4., 4.])
    """
    padded = (1,) * (g.dim() - len(shape)) + tuple(shape)
    for axis, size in enumerate(padded):
        if size == 1 and g.shape[axis] != 1:
            g = g.sum(axis, keepdim=True)
    return g.reshape(tuple(shape))
