"""Mirrored top to bottom."""

from __future__ import annotations

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.transforms.augment._contract import Augment, Probability
from yisheng.transforms.augment._mirror import mirror


@register(fits=lambda spec: spec.is_image, wants="images")
def vertical_flip(spec: Spec, *, p: Probability = 0.5) -> Augment:  # noqa: ARG001  # any image has a mirror image
    """Mirror each image top to bottom with a chance of p.

    Right where up and down mean nothing: cells under a microscope, images from above. With `flip` as well, half
    of the images are turned upside down.

    Args:
        p: chance of each image. At 0.5 an image and its mirror image are as likely.

    >>> import torch
    >>> x = torch.arange(3, dtype=torch.uint8).view(1, 1, 3, 1)
    >>> vertical_flip(Spec("regression", (1, 3, 1)), p=1.0)(x, torch.zeros(1, 1), torch.Generator())[0].tolist()
    [[[[2], [1], [0]]]]

    Source: as for `flip`; Cireşan et al., Mitosis detection in breast cancer histology images with deep neural
    networks (2013), for images without an up and down.
    """
    return mirror(-2, p)
