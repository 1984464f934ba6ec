"""The arithmetic of convolutions: size of the output, parameters and multiplications."""

from __future__ import annotations

from typing import Any

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw the size of the output by the kernel's, for an input of 28."""
    kernels = list(range(1, 12))
    for (stride, padding), color in zip(((1, 0), (1, 2), (2, 0), (2, 2)), COLORS, strict=True):
        sizes = [convolution_arithmetic(28, kernel, stride=stride, padding=padding) for kernel in kernels]
        axes.plot(kernels, sizes, "o-", markersize=4, color=color, label=f"stride {stride}, padding {padding}")
    axes.set(xlabel="size of the kernel", ylabel="size of the output", title="input of 28")
    axes.legend()


@register(
    equation="""output = floor((n + 2 padding − dilation (k − 1) − 1) / stride) + 1
parameters = O · C · k · k + O             multiplications = O · C · k · k · output²""",
    usual="""
import torch
layer = torch.nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2)  # AlexNet: 224 -> 55
size = layer(torch.zeros(1, 3, 224, 224)).shape[-1]
""",
    when="""Before building a network: the first linear layer needs the number of values that the last convolution
leaves. padding = (k − 1) / 2 with an odd k keeps the size; padding = (k − 1) / 2 with stride 2 halves it. Pooling
has the same sizes.""",
    plot=_plot,
)
def convolution_arithmetic(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Compute the size of a convolution's or pooling's output along one axis.

    Args:
        size: n, of the input along the axis.
        kernel: k, size of the kernel or window.
        stride: distance between the kernel's positions.
        padding: rows added on each of both sides.
        dilation: distance between the input values that the kernel reads; 1 are neighbors.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, relationship 6 and
    section 5.1; Zhang et al., "Dive into deep learning", 2023, section 7.3.

    >>> convolution_arithmetic(224, 11, stride=4, padding=2), convolution_arithmetic(28, 5, padding=2)
    (55, 28)
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def count_parameters(inputs: int, outputs: int, kernel: int) -> int:
    """Count the weights and biases of a convolution from inputs to outputs channels.

    >>> count_parameters(3, 64, 11)
    23296
    """
    return outputs * inputs * kernel**2 + outputs


def count_multiplications(inputs: int, outputs: int, kernel: int, output_size: int) -> int:
    """Count the multiplications for one image whose output is square.

    >>> count_multiplications(3, 64, 11, 55)
    70276800
    """
    return outputs * inputs * kernel**2 * output_size**2
