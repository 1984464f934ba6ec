"""A box of each image hidden: do not look at one spot only."""

from __future__ import annotations

import math
from typing import Literal

import torch

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.transforms.augment._boxes import draw_boxes
from yisheng.transforms.augment._contract import Augment, Fraction, Probability, Ratio, require_order


@register(fits=lambda spec: spec.is_image, wants="images")
def erase(
    spec: Spec,
    *,
    p: Probability = 0.5,
    area: tuple[Fraction, Fraction] = (0.02, 0.4),
    ratio: tuple[Ratio, Ratio] = (0.3, 1 / 0.3),
    fill: Literal["random", "mean", "zero"] = "random",
) -> Augment:
    """Random erasing: fill a random box of each image with a chance of p.

    Where ten tries fit no box into the image, it stays as it is.

    Args:
        p: chance of each image.
        area: least and largest share of the image that is erased. The paper's values.
        ratio: least and largest width/height of the box. The paper's values, drawn evenly in the logarithm.
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
    require_order("area", area)
    require_order("ratio", ratio)
    _, tall, wide = spec.shape

    def change(x: torch.Tensor, y: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        if not p:
            return x, y
        boxes = draw_boxes(len(x), (tall, wide), area, ratio, draw)
        erased = boxes.found & (torch.rand(len(x), generator=draw) < p)
        rows = _within(boxes.top, boxes.height, tall) & erased[:, None]
        columns = _within(boxes.left, boxes.width, wide)
        hidden = (rows[:, :, None] & columns[:, None])[:, None].to(x.device)
        return torch.where(hidden, _filling(x, fill, draw), x), y

    return change


def _within(start: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """Which of ``size`` places lie in each sample's stretch: bool ``(B, size)``."""
    place = torch.arange(size)
    return (place >= start[:, None]) & (place < (start + length)[:, None])


def _filling(x: torch.Tensor, fill: str, draw: torch.Generator) -> torch.Tensor:
    """What the boxes are filled with, of the dtype of ``x``."""
    if fill == "zero":
        return torch.zeros((), dtype=x.dtype, device=x.device)
    if fill == "mean":
        mean = x.mean((2, 3), keepdim=True, dtype=torch.float32)
        return mean.round().to(x.dtype) if x.dtype == torch.uint8 else mean
    eights = torch.empty(math.ceil(x.numel() / 8), dtype=torch.int64)
    eights.random_(-(2**63), None, generator=draw)  # eight random bytes at a time
    return eights.view(torch.uint8)[: x.numel()].view(x.shape).to(x.device).to(x.dtype)
