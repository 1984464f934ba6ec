"""A random part of the image, stretched back to its size."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.transforms.augment._boxes import Boxes, draw_boxes
from yisheng.transforms.augment._contract import Augment, Fraction, Ratio, require_order


@register(fits=lambda spec: spec.is_image, wants="images")
def resized_crop(
    spec: Spec, *, area: tuple[Fraction, Fraction] = (0.08, 1.0), ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)
) -> Augment:
    """Cut a random box out of each image and stretch it to the image's size, linearly between pixels.

    A box's area is drawn evenly, its ratio evenly in the logarithm, its place evenly. Where ten tries fit no box
    into the image, it is the largest one in the middle whose ratio is in the range. The result is float32.

    Args:
        area: least and largest share of the image. The published 0.08 is for large photographs; with small
            images, or few epochs, 0.3,1 or more loses less of what is to be learnt.
        ratio: least and largest width/height of the box.

    Raises:
        UsageError: the ends of a range are in the wrong order.

    >>> x = torch.full((2, 3, 8, 8), 7, dtype=torch.uint8)
    >>> part, _ = resized_crop(Spec("regression", (3, 8, 8)))(x, torch.zeros(2, 1), torch.Generator())
    >>> part.shape, part.dtype, bool((part - 7).abs().max() < 1e-4)
    (torch.Size([2, 3, 8, 8]), torch.float32, True)

    Source: Szegedy et al., Going deeper with convolutions (2015), section 6; the rule for the box is torchvision's.
    """
    require_order("area", area)
    require_order("ratio", ratio)
    _, tall, wide = spec.shape

    def change(x: torch.Tensor, y: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        boxes = _or_middle(draw_boxes(len(x), (tall, wide), area, ratio, draw), tall, wide, ratio)
        rows = _places(boxes.top, boxes.height, tall)
        columns = _places(boxes.left, boxes.width, wide)
        grid = torch.stack([columns[:, None].expand(-1, tall, -1), rows[:, :, None].expand(-1, -1, wide)], dim=-1).to(
            x.device, torch.float32
        )
        return F.grid_sample(x.to(torch.float32), grid, padding_mode="border", align_corners=False), y

    return change


def _or_middle(boxes: Boxes, tall: int, wide: int, ratio: tuple[float, float]) -> Boxes:
    """The same boxes; where none was found, the largest in the middle whose ratio is in the range."""
    least, most = ratio
    width, height = wide, tall
    if wide / tall < least:
        height = max(1, round(wide / least))
    elif wide / tall > most:
        width = max(1, round(tall * most))

    def choose(drawn: torch.Tensor, instead: int) -> torch.Tensor:
        return torch.where(boxes.found, drawn, torch.tensor(instead))

    return Boxes(
        top=choose(boxes.top, (tall - height) // 2),
        left=choose(boxes.left, (wide - width) // 2),
        height=choose(boxes.height, height),
        width=choose(boxes.width, width),
        found=boxes.found,
    )


def _places(start: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """Where each output pixel's centre lies in the image ``(B, size)``, from -1 to 1 as `grid_sample` counts.

    Outside the centres of the box's outermost pixels it is theirs: nothing of what surrounds the box gets in.
    """
    inside = (torch.arange(size, dtype=torch.float64) + 0.5) * (length[:, None] / size) - 0.5
    inside = torch.minimum(inside.clamp(min=0), length[:, None] - 1.0)
    return (start[:, None] + inside + 0.5) * (2 / size) - 1
