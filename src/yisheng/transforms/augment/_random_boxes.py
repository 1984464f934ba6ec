"""Random boxes within an image, by area and aspect ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from yisheng.transforms.augment._base import draw_uniform

MAX_TRIES = 10


@dataclass(frozen=True)
class Boxes:
    """One box per sample.

    Args:
        y: top edge, int64 ``(B,)``, on the CPU, as are the next ones.
        x: left edge.
        height: pixels.
        width: pixels.
        fits: whether one of the tries fits into the image, bool ``(B,)``.
    """

    y: torch.Tensor
    x: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    fits: torch.Tensor


def draw_boxes(
    count: int,
    size: tuple[int, int],
    area: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> Boxes:
    """Draw for each sample up to ten random boxes, and return the first that fits into the image, at a random place.

    A try draws an area, uniformly, and an aspect ratio (width / height), uniformly in its logarithm, so that a box is
    as likely to be twice as wide as twice as high. Sides are rounded to whole pixels, so that area and ratio hold
    within half a pixel of each side.

    Args:
        count: number of samples.
        size: height and width of the image.
        area: smallest and largest fraction of the image.
        ratio: smallest and largest width/height.
        generator: source of the random numbers.

    Source: torchvision, ``RandomResizedCrop.get_params``.
    """
    image_height, image_width = size
    areas = image_height * image_width * draw_uniform((MAX_TRIES, count), *area, generator)
    ratios = draw_uniform((MAX_TRIES, count), math.log(ratio[0]), math.log(ratio[1]), generator).exp()
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    fits = (widths >= 1) & (widths <= image_width) & (heights >= 1) & (heights <= image_height)
    first = fits.int().argmax(0, keepdim=True)  # argmax returns the first of several ones
    width = widths.gather(0, first)[0].clamp(1, image_width)
    height = heights.gather(0, first)[0].clamp(1, image_height)
    y = (draw_uniform((count,), 0, 1, generator) * (image_height - height + 1)).floor()
    x = (draw_uniform((count,), 0, 1, generator) * (image_width - width + 1)).floor()
    return Boxes(y.long(), x.long(), height.long(), width.long(), fits.any(0))
