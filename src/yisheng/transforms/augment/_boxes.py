"""Random boxes within an image, by area and ratio of the sides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from yisheng.transforms.augment._contract import uniform

TRIES = 10


@dataclass(frozen=True)
class Boxes:
    """One box per sample: int64 ``(B,)`` on the CPU; ``found`` says where one of the tries fitted."""

    top: torch.Tensor
    left: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    found: torch.Tensor


def draw_boxes(
    count: int,
    size: tuple[int, int],
    area: tuple[float, float],
    ratio: tuple[float, float],
    draw: torch.Generator,
) -> Boxes:
    """For each sample the first of ten random boxes that fits into the image, at a random place.

    A try draws an area, evenly, and a ratio of width to height, evenly in its logarithm, so that a box is as
    likely to be twice as wide as twice as high. Sides are rounded to whole pixels, so that area and ratio hold
    within half a pixel of each side.

    Args:
        count: samples.
        size: height and width of the image.
        area: least and largest share of the image.
        ratio: least and largest width/height.
        draw: the generator.

    Source: torchvision, ``RandomResizedCrop.get_params``.
    """
    tall, wide = size
    areas = tall * wide * uniform((TRIES, count), *area, draw)
    ratios = uniform((TRIES, count), math.log(ratio[0]), math.log(ratio[1]), draw).exp()
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    fits = (widths >= 1) & (widths <= wide) & (heights >= 1) & (heights <= tall)
    first = fits.int().argmax(0, keepdim=True)  # the first of the largest
    width, height = widths.gather(0, first)[0].clamp(1, wide), heights.gather(0, first)[0].clamp(1, tall)
    top = (uniform((count,), 0, 1, draw) * (tall - height + 1)).floor()
    left = (uniform((count,), 0, 1, draw) * (wide - width + 1)).floor()
    return Boxes(top.long(), left.long(), height.long(), width.long(), fits.any(0))
