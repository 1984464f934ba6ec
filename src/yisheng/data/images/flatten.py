"""From an opened image to pixels in gray or RGB, in the type of its set, without transparency."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from yisheng.core.errors import DataError
from yisheng.core.image_values import ImageValues
from yisheng.core.messages import Message
from yisheng.data.images import bands, image_values
from yisheng.data.images.image_values import BACKGROUNDS, DEFAULT_BACKGROUND, ValueFacts
from yisheng.data.images.raw_values import RawImage, find_value_type

Color = Literal["auto", "gray", "rgb"]
_Flat = tuple[np.ndarray, ValueFacts, tuple[str, ...]]
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_SAMPLED_PIXELS = 1 << 16
"""Pixels by which the visibility of an image is measured, evenly spaced."""
_FLOAT_VALUES = ImageValues(stored="float32")


@dataclass(frozen=True)
class Rules:
    """How images become pixels.

    Args:
        values: of the set; None for an image that belongs to none.
        color: ``gray`` or ``rgb``; ``auto`` keeps what the image has.
        best_background: choose what lies behind transparent parts for each image.
    """

    values: ImageValues | None
    color: Color = "auto"
    best_background: bool = False

    def find_background(self, visible: tuple[bool, ...]) -> int:
        """Return the gray level behind the transparent parts of an image."""
        if self.best_background or self.values is None:
            numbers = [number for number, is_visible in enumerate(visible) if is_visible]
            return BACKGROUNDS[numbers[0]] if numbers else DEFAULT_BACKGROUND
        return DEFAULT_BACKGROUND if self.values.background is None else self.values.background


def may_be_transparent(image: Image.Image) -> bool:
    """Return whether an opened image has a channel or a color for transparency."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def flatten_bytes(image: Image.Image, name: str, rules: Rules) -> _Flat:
    """Return the pixels of a loaded image of 8 bits, its facts, and notes.

    Raises:
        DataError: it is blank on the background of its set.
    """
    mode = "L" if _is_gray(image) else "RGB"
    facts, level = image_values.PLAIN, None
    has_alpha = may_be_transparent(image)
    if has_alpha and (visible := _measure_visibility(image)):
        facts = replace(facts, visible=visible)
        level = rules.find_background(visible)
    target = {"auto": mode, "gray": "L", "rgb": "RGB"}[rules.color]

    def flatten_band(band: Image.Image) -> Image.Image:
        if has_alpha:
            band = band.convert("RGBA")
            if level is not None:
                band = Image.alpha_composite(Image.new("RGBA", band.size, (level, level, level, 255)), band)
        for step in ("RGB", mode, target) if has_alpha or band.mode == "P" else (mode, target):
            band = band if band.mode == step else band.convert(step)
        return band

    pixels = bands.convert_image(image, flatten_band)
    transparency_notes = _check_visibility(facts, pixels, name, rules)
    pixels, notes = fit_bytes(pixels, name, rules)
    return pixels, facts, (*notes, *transparency_notes)


def flatten_raw(raw: RawImage, name: str, rules: Rules) -> _Flat:
    """Return the pixels of an image of more than 8 bits, its facts, and notes.

    Raises:
        DataError: its values do not fit its set, or it is blank on the background of its set.
        ValueError: a value is NaN or infinite.
    """
    facts = image_values.measure_values(raw)
    if rules.values is None:
        value_range, note = image_values.nominal_range(facts), ""
    else:
        value_range, note = image_values.find_range(facts, rules.values, name)
    if raw.alpha is not None:
        opaque = image_values.to_pixels(replace(raw, alpha=None), value_range, _FLOAT_VALUES, DEFAULT_BACKGROUND)
        facts = replace(facts, visible=image_values.measure_visibility(opaque, raw.alpha))
    values = rules.values or ImageValues()
    pixels = image_values.to_pixels(raw, value_range, values, rules.find_background(facts.visible))
    if rules.color == "gray" and pixels.ndim == 3:
        pixels = image_values.as_stored(pixels.astype(np.float32) @ image_values.LUMA, values)
    elif rules.color == "rgb" and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels, facts, (*filter(None, [note]), *_check_visibility(facts, pixels, name, rules))


def fit_bytes(pixels: np.ndarray, name: str, rules: Rules) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return pixels of 8 bits in the type of a set, and notes if its training images have no such ones."""
    if rules.values is None or rules.values.is_plain:
        return pixels, ()
    _, note = image_values.find_range(image_values.PLAIN, rules.values, name)
    return image_values.as_stored(pixels, rules.values), (note,) if note else ()


def read_lazy_file(image: Image.Image) -> bytes | None:
    """Return the file of an image in memory that is not loaded yet and whose mode would lose bits, else None."""
    file = getattr(image, "fp", None)
    if not getattr(image, "tile", None) or file is None or find_value_type(image) == "uint8":
        return None
    position = file.tell()
    file.seek(0)
    content: bytes = file.read()
    file.seek(position)
    with Image.open(io.BytesIO(content)) as reopened:
        return content if (reopened.mode, reopened.size) == (image.mode, image.size) else None


def _measure_visibility(image: Image.Image) -> tuple[bool, ...]:
    """Return whether an image is visible on each background; empty if it is opaque."""
    alpha = bands.convert_image(image, lambda band: band.convert("RGBA").getchannel("A"))
    if alpha.min() == 255:
        return ()
    step = max(1, math.isqrt(image.width * image.height // _SAMPLED_PIXELS))
    sample = image if step == 1 else image.resize((image.width // step, image.height // step), Image.Resampling.NEAREST)
    pixels = np.asarray(sample.convert("RGBA"))
    visible = image_values.measure_visibility(pixels[..., :3], pixels[..., 3] / np.float32(255))
    return visible or (True,) * len(BACKGROUNDS)  # the transparent parts were between the sampled pixels


def _check_visibility(facts: ValueFacts, pixels: np.ndarray, name: str, rules: Rules) -> tuple[str, ...]:
    """Return a note on transparent parts if the training images have none.

    Raises:
        DataError: nothing of the image is visible on the background.
    """
    if not facts.visible or rules.values is None or rules.best_background:
        return ()
    level = rules.find_background(facts.visible)
    is_blank = float(pixels.max()) - float(pixels.min()) < image_values.MIN_CONTRAST
    if is_blank and level in BACKGROUNDS and not facts.visible[BACKGROUNDS.index(level)]:
        raise DataError(
            Message(
                "{name} is blank: its drawing has the color that lies behind transparent parts (gray level {level})",
                name=name,
                level=level,
            ),
            Message("put it on a background of another color, as the training images have it"),
        )
    if rules.values.background is None:
        return (Message("its transparent parts became white, since no training image has any"),)
    return ()


def _is_gray(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        palette = np.asarray(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La")
