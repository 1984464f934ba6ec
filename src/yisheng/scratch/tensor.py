"""A tensor: numbers in a row of memory, read by shape and strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw which number of memory is at each place of a (3, 4) tensor, and of its transpose, which moves nothing."""
    memory = torch.arange(12.0)
    rows, transposed = tensor(memory, (3, 4), (4, 1)), tensor(memory, (4, 3), (1, 4))
    image = torch.full((4, 8), torch.nan)
    image[:3, :4], image[:, 5:] = rows, transposed
    axes.imshow(image.numpy(), cmap="viridis")
    for i, j in torch.argwhere(image.isfinite()).tolist():
        number = int(image[i, j])
        axes.text(j, i, str(number), ha="center", va="center", color="white" if number < 8 else "black")
    axes.set(xticks=[], yticks=[], title="positions in memory: strides (4, 1), and transposed (1, 4)")
    axes.spines[:].set_visible(False)


def compute_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Compute the strides of numbers that are in memory row by row.

    >>> compute_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides[: len(shape)]))


@register(
    equation="""x[i₁, …, i_n] = memory[offset + i₁ s₁ + … + i_n s_n],     s: the strides
numbers row by row:   s_n = 1,   s_k = s_(k+1) · size_(k+1)""",
    usual="""
import torch
x = torch.arange(12.0).reshape(3, 4)  # x.stride() == (4, 1)
y = x.T  # the same memory with strides (1, 4)
""",
    when="""For everything that torch computes with: a shape, a dtype and a device. Views (reshape, transpose, slices,
expand) only change shape, strides and offset, so writing into one changes the others; `contiguous()` and `clone()`
copy.""",
    plot=_plot,
)
def tensor(memory: Tensor, shape: Sequence[int], strides: Sequence[int], *, offset: int = 0) -> Tensor:
    """Read a tensor of a shape from a row of numbers: along axis k an index moves by the stride s_k.

    Args:
        memory: the numbers (N,).
        shape: size of each axis.
        strides: distance in memory between neighbors along each axis; 0 repeats a number, as broadcasting does.
        offset: position of the first element.

    Source: Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", 2019; van der Walt,
    Colbert and Varoquaux, "The NumPy array", 2011; Zhang et al., "Dive into deep learning", 2023, section 2.1.

    >>> memory = torch.arange(6.0)
    >>> tensor(memory, (2, 3), (3, 1))
    tensor([[0., 1., 2.],
            [3., 4., 5.]])
    >>> tensor(memory, (3, 2), (1, 3))  # its transpose
    tensor([[0., 3.],
            [1., 4.],
            [2., 5.]])
    """
    positions = torch.tensor(offset)
    for size, stride in zip(shape, strides, strict=True):
        positions = positions[..., None] + stride * torch.arange(size)
    return memory[positions]
