"""Binary cross-entropy on logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    curves: dict[str, _plots.Curve] = {
        "y = 1": lambda z: binary_cross_entropy(z, torch.ones_like(z)),
        "y = 0": lambda z: binary_cross_entropy(z, torch.zeros_like(z)),
    }
    _plots.draw_curves(axes, curves, low=-6, high=6, xlabel="logit z", ylabel="loss")


@register(
    equation="""l(z, y) = −y log σ(z) − (1 − y) log(1 − σ(z))
        = (1 − y) z + log(1 + exp(−z))
        = (1 − y) z + m + log(exp(−m) + exp(−z − m)),     m = max(−z, 0)
∂l/∂z = σ(z) − y""",
    usual="""
import torch
logits, y = torch.randn(32, 3), torch.randint(2, (32, 3)).float()
loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
""",
    when="""For yes/no questions, and for several labels that do not exclude one another. It takes logits: the
logarithm of a sigmoid that has become 0 or 1 is infinite. For two classes it is cross-entropy on the logits 0 and
z.""",
    plot=_plot,
)
def binary_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the binary cross-entropy of each logit: (1 − y) z + log(1 + exp(−z)).

    Args:
        logits: outputs of the network, of any shape, before any sigmoid.
        y: probabilities of yes, mostly 0 or 1, in the dtype and shape of the logits.

    Source: Zhang et al., "Dive into deep learning", 2023, section 4.1.2 (two classes); the stable form: Goodfellow et
    al., "Deep learning", 2016, section 6.2.2.2.

    >>> binary_cross_entropy(torch.tensor([0.0, 1000.0, -1000.0]), torch.tensor([1.0, 0.0, 0.0]))
    tensor([6.9315e-01, 1.0000e+03, 0.0000e+00])
    >>> binary_cross_entropy_naive(torch.tensor([0.0, 1000.0, -1000.0]), torch.tensor([1.0, 0.0, 0.0]))
    tensor([0.6931,    inf,    nan])
    """
    m = torch.where(logits < 0, -logits, 0).detach()
    return (1 - y) * logits + m + ((-m).exp() + (-logits - m).exp()).log()


def binary_cross_entropy_naive(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the definition directly, the sigmoid first.

    >>> binary_cross_entropy_naive(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor([0.6931])
    """
    p = 1 / (1 + (-logits).exp())
    return -y * p.log() - (1 - y) * (1 - p).log()
