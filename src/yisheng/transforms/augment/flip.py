"""Mirroring left to right."""

from __future__ import annotations

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment, Probability
from yisheng.transforms.augment._mirror import mirror


@register(fits=lambda spec: spec.has_maps, requires="images", moves=True)
def flip(spec: Spec, *, p: Probability = 0.5) -> Augment:  # noqa: ARG001  # any image can be mirrored
    """Mirror each image left to right with probability p.

    Suitable for most photographs; not for images where left and right differ, such as letters and digits.

    Args:
        p: probability for each image. At 0.5 an image and its mirror image are equally likely.

    >>> import torch
    >>> x = torch.arange(3, dtype=torch.uint8).view(1, 1, 1, 3)
    >>> flip(Spec("regression", (1, 1, 3)), p=1.0)(x, torch.zeros(1, 1), torch.Generator())[0].tolist()
    [[[[2, 1, 0]]]]

    Source: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks
    (2012), section 4.1.
    """
    return mirror(-1, p)
