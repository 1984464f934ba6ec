"""Shifted by a few pixels: padded, then cut back to size at a random place."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch.nn import functional as F

from yisheng.core.errors import UsageError
from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.transforms.augment._contract import Augment


@register(fits=lambda spec: spec.is_image, wants="images")
def crop(
    spec: Spec, *, pad: Annotated[int, Interval(ge=0, lt=4096)] = 4, mode: Literal["zeros", "reflect"] = "zeros"
) -> Augment:
    """Pad each image on all four sides and cut its old size out at a random place: a shift by up to ``pad``.

    Args:
        pad: pixels on each side; all (2 pad + 1)^2 places are as likely. 4 is usual for images of 32x32.
        mode: what the padding is: zeros (black), or reflect, the image mirrored at its outermost pixels.

    Raises:
        UsageError: the padding is as wide as the image, of which nothing might be left.

    >>> x = torch.ones(64, 1, 4, 4, dtype=torch.uint8)
    >>> shifted, _ = crop(Spec("regression", (1, 4, 4)), pad=1)(x, torch.zeros(64, 1), torch.Generator())
    >>> sorted(set(shifted.sum((1, 2, 3)).tolist()))  # at the corner, at a side, in the middle
    [9, 12, 16]

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition (2016), section 4.2.
    """
    _, height, width = spec.shape
    if pad and pad >= min(height, width):
        raise UsageError(
            f"crop needs a padding smaller than the images of {width}x{height}, got pad={pad}",
            f"give crop.pad={min(height, width) - 1} or less",
        )

    def change(x: torch.Tensor, y: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        if not pad:
            return x, y
        top, left = torch.randint(2 * pad + 1, (2, len(x)), generator=draw).to(x.device)
        # A view of every window that could be cut out, of which each image takes one.
        windows = _padded(x, pad, mode).unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(len(x), device=x.device), :, top, left], y

    return change


def _padded(x: torch.Tensor, pad: int, mode: str) -> torch.Tensor:
    if mode == "zeros":
        return F.pad(x, (pad,) * 4)
    rows, columns = (_reflected(size, pad).to(x.device) for size in x.shape[2:])
    return x.index_select(2, rows).index_select(3, columns)  # F.pad reflects no bytes on a GPU


def _reflected(size: int, pad: int) -> torch.Tensor:
    """``pad`` ... 2 1 | 0 1 2 ... n-1 | n-2 n-3 ...: which row stands where."""
    last = size - 1
    return last - (last - torch.arange(-pad, size + pad).abs()).abs()
