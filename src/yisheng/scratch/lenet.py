"""LeNet-5 from its layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.average_pooling import average_pooling
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.linear import linear
from yisheng.scratch.sigmoid import sigmoid

Layer = tuple[Tensor, Tensor]
"""Weights and bias."""


@register(
    equation="""convolution 5 x 5, padding 2 below 32 x 32 → sigmoid → average pooling 2
convolution 5 x 5                          → sigmoid → average pooling 2
flatten → linear → sigmoid → linear → sigmoid → linear""",
    usual="""
import torch
import yisheng
spec = yisheng.Spec("classification", (1, 28, 28), classes=tuple("0123456789"))
logits = yisheng.models.build("lenet", spec, style="classic")(torch.randn(2, 1, 28, 28))
""",
    when="""To see how layers make a network. In practice use a residual network, or lenet's modern style (relu, max
pooling, batch norm), which trains in a fraction of the epochs.""",
)
def lenet(x: Tensor, convolutions: Sequence[Layer], linears: Sequence[Layer]) -> Tensor:
    """Compute LeNet-5 in its textbook form: two convolutions with pooling, then three linear layers.

    Args:
        x: images (B, C, H, W), 28 x 28 in the textbook, which pads them by 2; 32 x 32 in the paper.
        convolutions: kernels and bias of two: (6, C, 5, 5), (6,) and (16, 6, 5, 5), (16,).
        linears: weights and bias of three: (120, 16 h w), (120,); (84, 120), (84,); (O, 84), (O,), with h x w the
            size after the second pooling, 5 x 5 of 28 x 28 and of 32 x 32.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II-B;
    Zhang et al., "Dive into Deep Learning", section 7.6.

    >>> import torch
    >>> convolutions = [(torch.ones(6, 1, 5, 5), torch.ones(6)), (torch.ones(16, 6, 5, 5), torch.ones(16))]
    >>> linears = [(torch.ones(o, i), torch.ones(o)) for o, i in ((120, 400), (84, 120), (10, 84))]
    >>> lenet(torch.zeros(2, 1, 28, 28), convolutions, linears).shape
    torch.Size([2, 10])
    """
    for (w, b), padding in zip(convolutions, (2 if min(x.shape[2:]) < 32 else 0, 0), strict=True):
        x = average_pooling(sigmoid(cross_correlation(x, w, b, padding=padding)), 2)
    x = x.flatten(1)
    *hidden_layers, output_layer = linears
    for w, b in hidden_layers:
        x = sigmoid(linear(x, w, b))
    return linear(x, *output_layer)
