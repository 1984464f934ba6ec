"""Arrays of any usual layout as images: gray or color, one or many, channels first or last, or flattened."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.inference import images
from yisheng.inference.inputs.block import COLOR_CHANNELS, InputBlock, describe, place_on_first, refuse
from yisheng.inference.inputs.brightness import PIXEL_NOTE, is_pixels, to_bytes, to_raw_image

ALPHA_CHANNELS = 4
"""Channels of a color image with transparency."""
MIN_SIDE = 5
"""An axis that is shorter holds channels rather than pixels, unless the network's own images are that small."""


@dataclass(frozen=True)
class Layout:
    """One way to read an array as images.

    Args:
        name: ``flat``, ``gray``, ``first`` or ``last`` (where the channels are).
        count: number of images.
        channels: of each image.
        size: height and width.
    """

    name: str
    count: int
    channels: int
    size: tuple[int, int]

    def rate(self, spec: Spec) -> int:
        """Return how well the layout fits the network's images; below zero if it does not fit at all."""
        if self.name == "flat" or self.size == spec.shape[1:]:
            return 4 + (self.channels == spec.shape[0])
        if min(self.size) < MIN_SIDE:
            return -1
        return 1 + (self.channels == spec.shape[0] > 1)

    def describe(self) -> str:
        """Return the layout in words."""
        color = "gray" if self.channels == 1 else "color"
        kind = "flattened" if self.name == "flat" else color
        return f"{self.count} {kind} image{'s' * (self.count != 1)} of {self.size[1]}x{self.size[0]}"


def read_image_array(x: np.ndarray, spec: Spec, white: float | None = 255.0) -> InputBlock:
    """Return the images in an array, resized and inverted by the rules for files unless they are as in training.

    Args:
        x: as in training, ``(C, H, W)`` or ``(N, C, H, W)``; or images of any size, ``(H, W)``, ``(H, W, c)``,
            ``(N, H, W)``, ``(N, H, W, c)`` or ``(N, c, H, W)`` with c = 1, 3 or 4; or flattened images of the size
            of training, ``(D,)`` or ``(N, D)``. If several of these fit, those of the network's own size and
            channels win, and a note says so.
        spec: a contract for images.
        white: value of white in training, from `yisheng.inference.inputs.brightness.find_white`; floats of the size of
            training are taken as they are if it is not that of bytes.

    If the training images were files of more than 8 bits, the values of an array are those of such files, except for
    floats ``(N, C, H, W)`` that can only be pixels from 0 to 255 as the network takes them: a note says so.

    Raises:
        DataError: the shape is none of these, or fits several equally; the values are not those of images.
    """
    if not x.size:
        refuse(describe(x), spec)
    if not spec.image_values.is_plain and x.shape[-3:] == spec.shape and x.ndim in (3, 4) and is_pixels(x, spec):
        return InputBlock.from_array(x.reshape(-1, *spec.shape).astype(np.float32), (PIXEL_NOTE,))
    if spec.image_values.is_plain and x.shape[1:] == spec.shape:
        return InputBlock.from_array(x)
    if spec.image_values.is_plain and x.shape == spec.shape:
        return InputBlock.from_array(x[None])
    layouts = sorted(_list_layouts(x.shape, spec), key=lambda layout: -layout.rate(spec))
    if not layouts or (len(layouts) > 1 and layouts[0].rate(spec) == layouts[1].rate(spec)):
        refuse(describe(x), spec)
    layout = layouts[0]
    is_ambiguous = len(layouts) > 1 or layout.name == "flat"
    reading = Message("the array of shape {shape} was read as {layout}", shape=x.shape, layout=layout.describe())
    note = (reading,) * is_ambiguous
    if layout.name == "flat":
        if spec.image_values.is_plain:
            return InputBlock.from_array(x.reshape(-1, *spec.shape), note)
        x, layout = x.reshape(-1, *spec.shape), replace(layout, name="first")
    stack = _split(x, layout)
    has_training_values = stack.dtype.kind in ("f" if white else "fiu") and white != 255.0
    is_as_trained = has_training_values and layout.size == spec.shape[1:] and spec.image_values.is_plain
    if is_as_trained and layout.channels in (1, spec.shape[0]) and spec.drawing is None:
        planes = stack[:, None] if stack.ndim == 3 else np.moveaxis(stack, -1, 1)[:, : spec.shape[0]]
        return InputBlock.from_array(np.broadcast_to(planes, (len(planes), *spec.shape)), note)
    return _read_each(stack, note, spec)


def _list_layouts(shape: tuple[int, ...], spec: Spec) -> Iterator[Layout]:
    """Yield the ways to read an array; equal ones once."""
    channels, height, width = spec.shape
    if len(shape) in (1, 2) and shape[-1] == channels * height * width:
        yield Layout("flat", math.prod(shape[:-1]), channels, (height, width))
    if channels not in COLOR_CHANNELS:  # an image of other channels cannot be read by the rules for files
        return
    candidates = []
    if len(shape) == 2:
        candidates.append(Layout("gray", 1, 1, shape))
    if len(shape) in (3, 4):
        count, (first, middle, last) = (shape[0] if len(shape) == 4 else 1), shape[-3:]
        if last in (*COLOR_CHANNELS, ALPHA_CHANNELS):
            candidates.append(Layout("last", count, min(last, 3), (first, middle)))
        if first in (*COLOR_CHANNELS, ALPHA_CHANNELS) and (first != 1 or len(shape) == 4):
            candidates.append(Layout("first", count, min(first, 3), (middle, last)))
    if len(shape) == 3:
        candidates.append(Layout("gray", shape[0], 1, (shape[1], shape[2])))
    yield from (layout for layout in candidates if layout.rate(spec) > 0)


def _split(x: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the images ``(N, H, W)`` in gray or ``(N, H, W, c)`` in color."""
    if layout.name == "gray":
        return x.reshape(-1, *layout.size)
    stack = x if x.ndim == 4 else x[None]
    stack = stack if layout.name == "last" else np.moveaxis(stack, 1, -1)
    return stack[..., 0] if stack.shape[-1] == 1 else stack


def _read_each(stack: np.ndarray, note: tuple[str, ...], spec: Spec) -> InputBlock:
    is_raw = stack.dtype == np.uint16 or (not spec.image_values.is_plain and stack.dtype not in (bool, np.uint8))
    values, value_notes = (stack, ()) if is_raw else to_bytes(stack, Message("the array"))
    blocks, notes = [], place_on_first((*note, *value_notes), len(values))
    for number, array in enumerate(values):
        name = Message("the image") if len(values) == 1 else Message("image {number}", number=number)
        image = to_raw_image(array, name) if is_raw else Image.fromarray(np.ascontiguousarray(array))
        block, image_notes = images.read_memory_image(image, name, spec)
        blocks.append(block)
        notes[number] += tuple(image_notes)
    return InputBlock(np.stack(blocks), [str(number) for number in range(len(blocks))], notes)
