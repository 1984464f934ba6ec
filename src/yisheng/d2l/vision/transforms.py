"""Transforms of images, with torchvision's names and arguments; random ones draw from torch's global generator.

Yisheng's own: ``yisheng.train(augment=[...])``, whose draws do not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.core.messages import Message
from yisheng.d2l.vision import functional
from yisheng.d2l.vision.functional import InterpolationMode
from yisheng.d2l.vision.random_transforms import (
    ColorJitter,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "InterpolationMode",
    "Normalize",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "functional",
]


class Compose:
    """Apply transforms one after another.

    Args:
        transforms: functions of an image.

    >>> from PIL import Image
    >>> Compose([Resize((4, 6)), ToTensor()])(Image.new("L", (10, 10))).shape
    torch.Size([1, 4, 6])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {transform}" for transform in self.transforms), ")"])


class ToTensor:
    """Return a PIL image or an array ``(H, W, C)`` as a tensor ``(C, H, W)``; bytes become numbers from 0 to 1."""

    def __call__(self, pic: Any) -> torch.Tensor:
        return functional.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class Normalize(nn.Module):
    """Return (x - mean) / std by channel, for tensors.

    Args:
        mean: of each channel.
        std: of each channel.
        inplace: change the tensor itself.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the normalized tensor."""
        return functional.normalize(tensor, self.mean, self.std, self.inplace)

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"mean={self.mean}, std={self.std}"


class Resize(nn.Module):
    """Return an image in another size.

    Args:
        size: height and width, or the length of the shorter side.
        interpolation: how pixels between pixels are computed.
        max_size: most pixels of the longer side, if ``size`` is that of the shorter one.
        antialias: smooth a tensor before it becomes smaller.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        functional.parse_pair(size, Message("the size of {name}", name="Resize"))
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def forward(self, img: Any) -> Any:
        """Return the resized image."""
        return functional.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"size={self.size}, interpolation={getattr(self.interpolation, 'value', self.interpolation)}"


class CenterCrop(nn.Module):
    """Return the middle of an image.

    Args:
        size: height and width, or one number for both.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = functional.parse_pair(size, Message("the size of {name}", name="CenterCrop"))

    def forward(self, img: Any) -> Any:
        """Return the middle of the image."""
        return functional.center_crop(img, self.size)

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"size={self.size}"
