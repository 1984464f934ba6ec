"""Resizing of images with operators of tensors, to the pixels of `yisheng.data.images.resize`.

Exported graphs contain it, so that other programs give images of any size and get the run's predictions. Pillow
computes bilinear weights in double precision and multiplies them as integers of 22 bits, first along rows, then along
columns. Here each pass is one product with a matrix of such integers, which double precision holds exactly. Cropping
and padding are rows and columns of zeros in that matrix, so all shapes but the input's are constant.
"""

from __future__ import annotations

import torch

from yisheng.core.spec import Spec

FRACTION_BITS = 22
"""Bits after the point in Pillow's weights for eight-bit pixels (``PRECISION_BITS`` of its ``Resample.c``)."""
TINY = 1e-300
RESIZED_CHANNELS = (1, 3)
"""Numbers of channels of images from files; those of arrays may be other ones."""


def can_resize(spec: Spec) -> bool:
    """Return whether a graph for this data can take images of any size.

    Drawings cannot: they are cropped to their strokes, which depends on the content.
    """
    return spec.is_image and spec.shape[0] in RESIZED_CHANNELS and spec.drawing is None and not spec.inputs


def resize_images(x: torch.Tensor, size: tuple[int, int], fit: str) -> torch.Tensor:
    """Resize images as `yisheng.data.images.resize.resize` does, to the same pixels if they are bytes.

    Args:
        x: ``(N, C, H, W)``: uint8, or floats, which are not rounded.
        size: height and width of the result.
        fit: ``crop``, ``squash`` or ``pad``.

    Returns:
        ``(N, C, *size)`` of the same type.

    >>> resize_images(torch.tensor([[[[0, 100, 200]]]], dtype=torch.uint8), (1, 2), "squash")
    tensor([[[[ 38, 163]]]], dtype=torch.uint8)

    Source: Pillow, ``src/libImaging/Resample.c``.
    """
    is_bytes = not x.is_floating_point()
    rows, columns = (torch.arange(x.shape[axis], dtype=torch.float64, device=x.device) for axis in (2, 3))
    height, width = (torch.ones_like(positions).sum() for positions in (rows, columns))
    if fit == "crop":
        crop_height = torch.minimum(height, torch.round(width * size[0] / size[1]).clamp(min=1))
        crop_width = torch.minimum(width, torch.round(height * size[1] / size[0]).clamp(min=1))
        rows, columns = (rows - (height - crop_height).div(2).floor(), columns - (width - crop_width).div(2).floor())
        height, width = crop_height, crop_width
    inner_height, inner_width = torch.full_like(height, size[0]), torch.full_like(width, size[1])
    if fit == "pad":
        scale = torch.minimum(inner_height / height, inner_width / width)
        inner_height = torch.round(height * scale).clamp(1, size[0])
        inner_width = torch.round(width * scale).clamp(1, size[1])
    to_rows = _compute_weights(rows, height, size[0], inner_height, is_bytes=is_bytes)
    to_columns = _compute_weights(columns, width, size[1], inner_width, is_bytes=is_bytes)
    scaled = _finish_pass(torch.matmul(x.double(), to_columns.T), x.dtype)
    return _finish_pass(torch.matmul(to_rows, scaled.double()), x.dtype)


def _compute_weights(
    positions: torch.Tensor, length: torch.Tensor, size: int, inner: torch.Tensor, *, is_bytes: bool
) -> torch.Tensor:
    """Return the weight of each input pixel in each output pixel, ``(size, n)``.

    Args:
        positions: of the input pixels, 0 for the first one of the crop ``(n,)``.
        length: number of pixels in the crop.
        size: number of output pixels.
        inner: number of output pixels that are not padding.
        is_bytes: return integers, in units of 2^-22.
    """
    outputs = torch.arange(size, dtype=torch.float64, device=positions.device)[:, None]
    outputs = outputs - (size - inner).div(2).floor()
    scale = length / inner
    support = scale.clamp(min=1)  # pixels on either side: more than one where the image is scaled down
    center = (outputs + 0.5) * scale
    first = (center - support + 0.5).floor().clamp(min=0)
    last = torch.minimum((center + support + 0.5).floor(), length)
    is_used = (positions >= first) & (positions < last) & (outputs >= 0) & (outputs < inner)
    weights = (1 - ((positions - center + 0.5) * (1 / support)).abs()).clamp(min=0) * is_used
    weights = weights / weights.sum(1, keepdim=True).clamp(min=TINY)  # padding has no weights at all
    return (weights * 2**FRACTION_BITS + 0.5).floor() if is_bytes else weights


def _finish_pass(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Round sums of pixels and weights to pixels."""
    if dtype.is_floating_point:
        return values.to(dtype)
    return ((values + 2 ** (FRACTION_BITS - 1)) / 2**FRACTION_BITS).floor().clamp(0, 255).to(dtype)
