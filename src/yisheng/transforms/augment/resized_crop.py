"""A random box of the image, stretched to the size of the image."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment, Fraction, Ratio, check_range
from yisheng.transforms.augment._random_boxes import Boxes, draw_boxes


@register(fits=lambda spec: spec.has_maps, requires="images", moves=True)
def resized_crop(
    spec: Spec, *, area: tuple[Fraction, Fraction] = (0.08, 1.0), ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)
) -> Augment:
    """Crop a random box of each image and stretch it to the image's size, with bilinear interpolation.

    A box's area and place are drawn uniformly, its aspect ratio uniformly in the logarithm. If none of ten tries fits
    into the image, the box is the largest one at the center whose ratio is in the range. The result is float32.

    Args:
        area: smallest and largest fraction of the image. The published 0.08 is for large photographs; with small
            images or few epochs, 0.3,1 or more loses less of what is to be learned.
        ratio: smallest and largest width/height of the box.

    Raises:
        UsageError: the ends of a range are in the wrong order.

    >>> x = torch.full((2, 3, 8, 8), 7, dtype=torch.uint8)
    >>> part, _ = resized_crop(Spec("regression", (3, 8, 8)))(x, torch.zeros(2, 1), torch.Generator())
    >>> part.shape, part.dtype, bool((part - 7).abs().max() < 1e-4)
    (torch.Size([2, 3, 8, 8]), torch.float32, True)

    Source: Szegedy et al., Going deeper with convolutions (2015), section 6; the rule for the box is torchvision's.
    """
    check_range("area", area)
    check_range("ratio", ratio)
    _, height, width = spec.shape

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        boxes = _use_center_otherwise(draw_boxes(len(x), (height, width), area, ratio, generator), height, width, ratio)
        rows = _grid_positions(boxes.y, boxes.height, height)
        columns = _grid_positions(boxes.x, boxes.width, width)
        grid = torch.stack(
            [columns[:, None].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)], dim=-1
        ).to(x.device, torch.float32)
        return F.grid_sample(x.to(torch.float32), grid, padding_mode="border", align_corners=False), y

    return augment


def _use_center_otherwise(boxes: Boxes, image_height: int, image_width: int, ratio: tuple[float, float]) -> Boxes:
    """Return the boxes; one that does not fit becomes the largest at the center whose ratio is in the range."""
    min_ratio, max_ratio = ratio
    width, height = image_width, image_height
    if image_width / image_height < min_ratio:
        height = max(1, round(image_width / min_ratio))
    elif image_width / image_height > max_ratio:
        width = max(1, round(image_height * max_ratio))

    def choose(drawn: torch.Tensor, center: int) -> torch.Tensor:
        return torch.where(boxes.fits, drawn, torch.tensor(center))

    return Boxes(
        y=choose(boxes.y, (image_height - height) // 2),
        x=choose(boxes.x, (image_width - width) // 2),
        height=choose(boxes.height, height),
        width=choose(boxes.width, width),
        fits=boxes.fits,
    )


def _grid_positions(start: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """Return the position in the image of each output pixel's center, ``(B, size)``, from -1 to 1 for `grid_sample`.

    Positions are clamped to the centers of the box's outermost pixels, so that nothing around the box is visible.
    """
    inside = (torch.arange(size, dtype=torch.float64) + 0.5) * (length[:, None] / size) - 0.5
    inside = torch.minimum(inside.clamp(min=0), length[:, None] - 1.0)
    return (start[:, None] + inside + 0.5) * (2 / size) - 1
