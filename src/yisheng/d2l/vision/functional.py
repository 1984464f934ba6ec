"""Operations on images: PIL images, or tensors ``(..., C, H, W)``. Each computes what torchvision documents."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message


class InterpolationMode(Enum):
    """How pixels between pixels are computed."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


PIL_FILTERS = {
    InterpolationMode.NEAREST: Image.Resampling.NEAREST,
    InterpolationMode.NEAREST_EXACT: Image.Resampling.NEAREST,
    InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
    InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
    InterpolationMode.BOX: Image.Resampling.BOX,
    InterpolationMode.HAMMING: Image.Resampling.HAMMING,
    InterpolationMode.LANCZOS: Image.Resampling.LANCZOS,
}
PIL_DTYPES = {"I": np.int32, "I;16": np.int16, "F": np.float32}
"""Types of the pixels of a PIL image; uint8 in all other modes."""


def is_tensor(image: Any) -> bool:
    """Return whether an image is a tensor, False if it is a PIL image.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(image, torch.Tensor):
        if image.ndim < 2:
            raise UsageError(
                Message("an image must have height and width, got a tensor {shape}", shape=tuple(image.shape)),
                Message("give (C, H, W)"),
            )
        return True
    if isinstance(image, Image.Image):
        return False
    raise UsageError(
        Message("a transform requires a PIL image or a tensor, got {type_name}", type_name=type(image).__name__),
        Message("open the file with PIL.Image.open(path), or make a tensor (C, H, W)"),
    )


def get_size(image: Any) -> tuple[int, int]:
    """Return height and width of an image."""
    if is_tensor(image):
        return int(image.shape[-2]), int(image.shape[-1])
    width, height = image.size
    return height, width


def to_tensor(image: Any) -> torch.Tensor:
    """Return an image as a tensor ``(C, H, W)``; bytes become numbers from 0 to 1.

    Args:
        image: a PIL image, or an array ``(H, W)`` or ``(H, W, C)``.

    Raises:
        UsageError: it is neither.

    >>> to_tensor(np.full((2, 2), 255, np.uint8)).shape
    torch.Size([1, 2, 2])
    """
    if isinstance(image, Image.Image):
        pixels = np.array(image, PIL_DTYPES.get(image.mode, np.uint8), copy=True)
        if image.mode == "1":
            pixels *= 255
    elif isinstance(image, np.ndarray) and image.ndim in (2, 3):
        pixels = image
    else:
        kind = f"an array {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(
            Message("ToTensor requires a PIL image or an array (H, W, C), got {kind}", kind=kind),
            Message("a tensor needs no ToTensor; remove it, or apply it first"),
        )
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(planes))
    return tensor.to(torch.get_default_dtype()) / 255 if tensor.dtype == torch.uint8 else tensor


def normalize(tensor: torch.Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> torch.Tensor:
    """Return (x - mean) / std by channel.

    Args:
        tensor: numbers ``(..., C, H, W)``.
        mean: of each channel, or one for all.
        std: of each channel, or one for all.
        inplace: change the tensor itself.

    Raises:
        UsageError: it is not a tensor of floating-point numbers, or a deviation is 0.
    """
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or tensor.ndim < 3:
        kind = f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise UsageError(
            Message("Normalize requires a tensor of floating-point numbers (C, H, W), got {kind}", kind=kind),
            Message("put ToTensor() before Normalize(...)"),
        )
    center, scale = (
        torch.as_tensor(v, dtype=tensor.dtype, device=tensor.device).reshape(-1, 1, 1) for v in (mean, std)
    )
    if (scale == 0).any():
        raise UsageError(
            Message("a standard deviation of Normalize is 0 in {dtype}: {std}", dtype=tensor.dtype, std=std),
            Message("give positive numbers"),
        )
    target = tensor if inplace else tensor.clone()
    return target.sub_(center).div_(scale)


def resize(
    image: Any,
    size: int | Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Return an image in another size.

    Args:
        image: the image.
        size: height and width, or the length of the shorter side, which keeps the ratio of the sides.
        interpolation: an `InterpolationMode`, or one of PIL's numbers.
        max_size: most pixels of the longer side, if ``size`` is that of the shorter one.
        antialias: smooth a tensor before it becomes smaller, as PIL does.

    Raises:
        UsageError: the size is not a positive number, or the interpolation is not for tensors.

    >>> resize(Image.new("RGB", (40, 20)), 10).size
    (20, 10)
    """
    height, width = _choose_size(get_size(image), size, max_size)
    if (height, width) == get_size(image):
        return image
    mode = _parse_interpolation(interpolation)
    if not is_tensor(image):
        return image.resize((width, height), PIL_FILTERS[mode])
    smooth = mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
    if not smooth and mode not in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        raise UsageError(
            Message("tensors cannot be resized by {interpolation}", interpolation=mode.value),
            Message("use bilinear, bicubic or nearest"),
        )
    batch = image.reshape(-1, *image.shape[-3:]) if image.ndim != 3 else image[None]
    resized = interpolate(batch, (height, width), mode.value, antialias=bool(antialias) and smooth)
    return resized.reshape(*image.shape[:-2], height, width)


def interpolate(batch: torch.Tensor, size: tuple[int, int], mode: str, *, antialias: bool) -> torch.Tensor:
    """Return images ``(B, C, H, W)`` in another size and of the same type; whole numbers are rounded.

    torch's smoothing is wrong for results of one column (torch 2.13 gives all rows the first one's values), so their
    rows and columns are exchanged.
    """
    if size[1] == 1 < size[0]:
        return interpolate(batch.mT, (1, size[0]), mode, antialias=antialias).mT
    is_native = batch.is_floating_point() or (batch.dtype == torch.uint8 and mode == "bilinear" and size != (1, 1))
    values = torch.nn.functional.interpolate(
        batch if is_native else batch.float(),
        size,
        mode=mode,
        align_corners=None if mode.startswith("nearest") else False,
        antialias=antialias,
    )
    if is_native:
        return values
    bounds = torch.iinfo(batch.dtype)
    return values.round().clamp(bounds.min, bounds.max).to(batch.dtype)


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """Return a rectangle of an image; pixels outside of it are 0."""
    if not is_tensor(image):
        return image.crop((left, top, left + width, top + height))
    rows, columns = get_size(image)
    inside = image[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    missing_left, missing_top = max(-left, 0), max(-top, 0)
    missing_right = max(left + width - max(columns, left), 0)
    missing_bottom = max(top + height - max(rows, top), 0)
    return torch.nn.functional.pad(inside, (missing_left, missing_right, missing_top, missing_bottom))


def center_crop(image: Any, output_size: int | Sequence[int]) -> Any:
    """Return the middle of an image; a smaller image gets a border of 0."""
    height, width = parse_pair(output_size, Message("the size of {name}", name="CenterCrop"))
    rows, columns = get_size(image)
    if height > rows or width > columns:
        top, left = max(height - rows, 0) // 2, max(width - columns, 0) // 2
        image = crop(image, -top, -left, max(height, rows), max(width, columns))
        rows, columns = get_size(image)
    return crop(image, round((rows - height) / 2), round((columns - width) / 2), height, width)


def resized_crop(
    image: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """Return a rectangle of an image in another size."""
    return resize(crop(image, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(image: Any) -> Any:
    """Return an image with left and right exchanged."""
    return image.flip(-1) if is_tensor(image) else ImageOps.mirror(image)


def vflip(image: Any) -> Any:
    """Return an image with top and bottom exchanged."""
    return image.flip(-2) if is_tensor(image) else ImageOps.flip(image)


def parse_pair(size: Any, name: str) -> tuple[int, int]:
    """Return a size as height and width: one number is both.

    Raises:
        UsageError: it is not one or two positive numbers.
    """
    sides = (size,) if isinstance(size, int) else tuple(size)
    if len(sides) not in (1, 2) or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UsageError(
            Message("{name} must be one or two positive numbers, got {size}", name=name, size=f"{size!r}"),
            Message("give (height, width)"),
        )
    return sides[0], sides[-1]


def _choose_size(present: tuple[int, int], size: Any, max_size: int | None) -> tuple[int, int]:
    """Return height and width that `resize` makes."""
    sides = (size,) if isinstance(size, int) else tuple(size)
    parse_pair(size, Message("the size of {name}", name="Resize"))
    if len(sides) == 2:
        if max_size is not None:
            raise UsageError(
                Message("max_size belongs to a size of one number"), Message("leave max_size out, or give one number")
            )
        return sides
    if max_size is not None and max_size <= sides[0]:
        raise UsageError(
            Message("max_size must be above the size {side}, got {max_size}", side=sides[0], max_size=max_size),
            Message("give a larger max_size"),
        )
    rows, columns = present
    new_short, new_long = sides[0], int(sides[0] * max(present) / min(present))
    if max_size is not None and new_long > max_size:
        new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if rows <= columns else (new_long, new_short)


def _parse_interpolation(interpolation: Any) -> InterpolationMode:
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    for mode, number in PIL_FILTERS.items():
        if interpolation == number and mode is not InterpolationMode.NEAREST_EXACT:
            return mode
    raise UsageError(
        Message("interpolation must be an InterpolationMode, got {interpolation}", interpolation=f"{interpolation!r}"),
        Message("use InterpolationMode.BILINEAR"),
    )
