"""Random erasing: a box of each image is hidden, so that a network does not depend on a single spot."""

from __future__ import annotations

import math
from typing import Literal

import torch

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment, Fraction, Probability, Ratio, check_range
from yisheng.transforms.augment._random_boxes import draw_boxes


@register(fits=lambda spec: spec.is_image, requires="images")
def erase(
    spec: Spec,
    *,
    p: Probability = 0.5,
    area: tuple[Fraction, Fraction] = (0.02, 0.4),
    ratio: tuple[Ratio, Ratio] = (0.3, 1 / 0.3),
    fill: Literal["random", "mean", "zero"] = "random",
) -> Augment:
    """Fill a random box of each image with probability p.

    If none of ten tries fits into the image, it is not changed.

    Args:
        p: probability for each image.
        area: smallest and largest fraction of the image that is erased. The paper's values.
        ratio: smallest and largest width/height of the box. The paper's values, drawn uniformly in the logarithm.
        fill: random, a value from 0 to 255 for each pixel and channel (the paper's best); the mean of the image
            in each channel; or zero, black.

    Raises:
        UsageError: the ends of a range are in the wrong order.

    >>> x = torch.full((1, 1, 10, 10), 9, dtype=torch.uint8)
    >>> hide = erase(Spec("regression", (1, 10, 10)), p=1.0, area=(0.25, 0.25), ratio=(1.0, 1.0), fill="zero")
    >>> int((hide(x, torch.zeros(1, 1), torch.Generator())[0] == 0).sum())
    25

    Source: Zhong, Zheng, Kang, Li and Yang, Random erasing data augmentation (2020), algorithm 1.
    """
    check_range("area", area)
    check_range("ratio", ratio)
    _, height, width = spec.shape

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        if not p:
            return x, y
        boxes = draw_boxes(len(x), (height, width), area, ratio, generator)
        chosen = boxes.fits & (torch.rand(len(x), generator=generator) < p)
        rows = _mask_interval(boxes.y, boxes.height, height) & chosen[:, None]
        columns = _mask_interval(boxes.x, boxes.width, width)
        hidden = (rows[:, :, None] & columns[:, None])[:, None].to(x.device)
        return torch.where(hidden, _fill_values(x, fill, generator), x), y

    return augment


def _mask_interval(start: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """Return the mask of the pixels in each sample's interval, bool ``(B, size)``."""
    position = torch.arange(size)
    return (position >= start[:, None]) & (position < (start + length)[:, None])


def _fill_values(x: torch.Tensor, fill: str, generator: torch.Generator) -> torch.Tensor:
    """Return the content of the boxes, of the dtype of ``x``."""
    if fill == "zero":
        return torch.zeros((), dtype=x.dtype, device=x.device)
    if fill == "mean":
        mean = x.mean((2, 3), keepdim=True, dtype=torch.float32)
        return mean.round().to(x.dtype) if x.dtype == torch.uint8 else mean
    words = torch.empty(math.ceil(x.numel() / 8), dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)  # eight random bytes at a time
    return words.view(torch.uint8)[: x.numel()].view(x.shape).to(x.device).to(x.dtype)
