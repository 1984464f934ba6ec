"""Mixup: each sample is mixed with another one, inputs and targets alike."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from torch.nn import functional as F

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment


@register(
    fits=lambda spec: spec.is_numeric and all(column.kind == "number" for column in spec.columns),
    requires="images, or columns of numbers only (ids and categories cannot be mixed)",
)
def mixup(spec: Spec, *, alpha: Annotated[float, Interval(gt=0, le=100)] = 0.2) -> Augment:
    """Mix every sample of a batch with another one of it, and their targets in the same proportion.

        x' = λ x + (1 − λ) x[partner]      y' = λ y + (1 − λ) y[partner]      λ ~ Beta(alpha, alpha)

    One λ is drawn for each batch, as in the authors' code; the partners are a random permutation. Class numbers
    become soft labels ``(B, C)``: λ for one class, 1 − λ for the other. The result is float32.

    Args:
        alpha: strength of the mixing: near 0 hardly any, at 1 every λ is equally likely. The paper uses 0.1 to 0.4
            for ImageNet, and 1 for CIFAR-10.

    >>> x = torch.tensor([[0.0], [10.0]])
    >>> mixed, y = mixup(Spec("classification", (1,), classes=("a", "b")))(x, torch.tensor([0, 1]), torch.Generator())
    >>> bool(torch.allclose(mixed[:, 0], 10 * y[:, 1])), bool(torch.allclose(y.sum(1), torch.ones(2)))
    (True, True)

    Source: Zhang, Cissé, Dauphin and Lopez-Paz, mixup: Beyond empirical risk minimization (2018), section 2.
    """

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        partner = torch.randperm(len(x), generator=generator).to(x.device)
        partner_weight = 1 - _draw_beta(alpha, generator)
        if y.dtype == torch.int64:
            y = F.one_hot(y, len(spec.classes))
        x, y = x.to(torch.float32), y if y.dtype == torch.float64 else y.to(torch.float32)
        return torch.lerp(x, x[partner], partner_weight), torch.lerp(y, y[partner], partner_weight)

    return augment


def _draw_beta(alpha: float, generator: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha) with NumPy, since torch's distribution takes no generator."""
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    return float(np.random.Generator(np.random.PCG64(seed)).beta(alpha, alpha))
