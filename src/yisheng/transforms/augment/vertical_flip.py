"""Mirroring top to bottom."""

from __future__ import annotations

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment, Probability
from yisheng.transforms.augment._mirror import mirror


@register(fits=lambda spec: spec.has_maps, requires="images", moves=True)
def vertical_flip(spec: Spec, *, p: Probability = 0.5) -> Augment:  # noqa: ARG001  # any image can be mirrored
    """Mirror each image top to bottom with probability p.

    Suitable where up and down have no meaning: cells under a microscope, aerial images. Together with `flip`, it
    rotates a quarter of the images by 180 degrees.

    Args:
        p: probability for each image. At 0.5 an image and its mirror image are equally likely.

    >>> import torch
    >>> x = torch.arange(3, dtype=torch.uint8).view(1, 1, 3, 1)
    >>> vertical_flip(Spec("regression", (1, 3, 1)), p=1.0)(x, torch.zeros(1, 1), torch.Generator())[0].tolist()
    [[[[2], [1], [0]]]]

    Source: as for `flip`; Cireşan et al., Mitosis detection in breast cancer histology images with deep neural
    networks (2013), for images without an up and down.
    """
    return mirror(-2, p)
