"""Random shift by a few pixels: padded, then cropped to the old size at a random place."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch.nn import functional as F

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment


@register(fits=lambda spec: spec.has_maps, requires="images", moves=True)
def crop(
    spec: Spec, *, pad: Annotated[int, Interval(ge=0, lt=4096)] = 4, mode: Literal["zeros", "reflect"] = "zeros"
) -> Augment:
    """Pad each image on all sides and crop its old size at a random place: a shift by up to ``pad`` pixels.

    Args:
        pad: pixels on each side; all (2 pad + 1)^2 places are equally likely. 4 is usual for images of 32x32.
        mode: zeros pads with black, reflect with the image mirrored at its outermost pixels.

    Raises:
        UsageError: the padding is as wide as the image, which could then be shifted out completely.

    >>> x = torch.ones(64, 1, 4, 4, dtype=torch.uint8)
    >>> shifted, _ = crop(Spec("regression", (1, 4, 4)), pad=1)(x, torch.zeros(64, 1), torch.Generator())
    >>> sorted(set(shifted.sum((1, 2, 3)).tolist()))  # at the corner, at a side, in the center
    [9, 12, 16]

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition (2016), section 4.2.
    """
    _, height, width = spec.shape
    if pad and pad >= min(height, width):
        raise UsageError(
            Message(
                "crop needs a padding smaller than the images of {width}x{height}, got pad={pad}",
                width=width,
                height=height,
                pad=pad,
            ),
            Message("use crop.pad={pad} or less", pad=min(height, width) - 1),
        )

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        if not pad:
            return x, y
        row, column = torch.randint(2 * pad + 1, (2, len(x)), generator=generator).to(x.device)
        # A view of all windows that could be cropped, of which each image takes one.
        windows = _pad(x, pad, mode).unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(len(x), device=x.device), :, row, column], y

    return augment


def _pad(x: torch.Tensor, pad: int, mode: str) -> torch.Tensor:
    if mode == "zeros":
        return F.pad(x, (pad,) * 4)
    rows, columns = (_reflect_indices(size, pad).to(x.device) for size in x.shape[2:])
    return x.index_select(2, rows).index_select(3, columns)  # F.pad cannot reflect uint8 on a GPU


def _reflect_indices(size: int, pad: int) -> torch.Tensor:
    """Return ``pad`` ... 2 1 | 0 1 2 ... n-1 | n-2 n-3 ...: the source index of each padded row."""
    last = size - 1
    return last - (last - torch.arange(-pad, size + pad).abs()).abs()
