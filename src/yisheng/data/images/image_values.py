"""From the values in image files to pixels from 0 to 255: decided once for a set, then the same for every image.

The training files decide: the type of their values by the headers, and black and white by the values, where the type
does not say it (floats, 12 bits in 16). A later image is read by that decision, never by its own largest value; one
that does not fit is refused, or read with a note that says its values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.image_values import ImageValues, PixelType, ValueRange
from yisheng.core.messages import Message
from yisheng.data.images import bands
from yisheng.data.images.raw_values import RawImage

BACKGROUNDS = (255, 0, 128)
"""Gray levels that may lie behind transparent parts, in order of preference: white, black, gray."""
DEFAULT_BACKGROUND = BACKGROUNDS[0]
MIN_CONTRAST = 16
"""Difference from the background, of 255, from which an opaque pixel is visible."""
MIN_VISIBLE_FRACTION = 0.6
"""Fraction of the opaque pixels that must be visible on a background."""
NOMINAL_RANGES: dict[PixelType, ValueRange] = {
    "uint16": ValueRange("uint16", 0.0, 65535.0),
    "float32": ValueRange("float32", 0.0, 1.0),
}
"""Black and white of types that no training image has, if its values leave no doubt."""
MIN_NOMINAL_HIGH = 4096
"""Largest value of a 16-bit image below which its white may be that of 8, 10 or 12 bits."""
LUMA = np.array([19595, 38470, 7471], np.float32) / 65536
"""Parts of red, green and blue in gray: those of Pillow."""
_BIT_DEPTHS = (8, 10, 12, 14, 16, 24)
_EXACT_WHITES = (1.0, 255.0, 65535.0)
_MAX_ROUNDING = 0.01
"""Part of a pixel level by which floats may differ from multiples of white / 255."""
_CHECKED_VALUES = 4096


@dataclass(frozen=True)
class ValueFacts:
    """What one image says about the values of a set.

    Args:
        dtype: type of its values.
        low: smallest value.
        high: largest value.
        exact_whites: values of white for which every value is a multiple of white / 255, so that 8 bits keep it.
        visible: whether it is visible on each of `BACKGROUNDS`; empty for an image without transparent parts.
    """

    dtype: PixelType = "uint8"
    low: float = 0.0
    high: float = 255.0
    exact_whites: tuple[float, ...] = (255.0,)
    visible: tuple[bool, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Return whether the image has 8 bits and no transparent parts, so that it says nothing."""
        return self.dtype == "uint8" and not self.visible


PLAIN = ValueFacts()


def measure_values(raw: RawImage) -> ValueFacts:
    """Return what an image's values say.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    values = raw.values
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        count = int(values.size - np.isfinite(values).sum())
        raise ValueError(f"{count} of its {values.size} values are NaN or infinite")
    exact = tuple(white for white in _EXACT_WHITES if low >= 0 and high <= white and _are_multiples(values, white))
    return ValueFacts(raw.dtype, low, high, exact)


def _are_multiples(values: np.ndarray, white: float) -> bool:
    flat = values.reshape(-1)
    starts = (0, *range(_CHECKED_VALUES, len(flat), bands.BAND_VALUES))
    for start in starts:
        block = flat[start : _CHECKED_VALUES if start == 0 else start + bands.BAND_VALUES]
        if block.dtype.kind in "iu":
            if white < 255 or (block % (int(white) // 255)).any():
                return False
            continue
        levels = block * np.float64(255 / white)
        levels -= np.rint(levels)
        if len(levels) and np.abs(levels, out=levels).max() > _MAX_ROUNDING:
            return False
    return True


def measure_visibility(levels: np.ndarray, alpha: np.ndarray) -> tuple[bool, ...]:
    """Return whether an image is visible on each of `BACKGROUNDS`; empty if nothing is transparent.

    Args:
        levels: pixels from 0 to 255, ``(H, W)`` or ``(H, W, 3)``.
        alpha: opacity from 0 to 1, ``(H, W)``.

    >>> measure_visibility(np.full((2, 2), 255), np.array([[1.0, 0.0], [0.0, 0.0]]))
    (False, True, True)
    """
    if alpha.min() >= 1:
        return ()
    total = float(alpha.sum())
    if not total:  # nothing to see on any of them
        return (True,) * len(BACKGROUNDS)
    visible = []
    for background in BACKGROUNDS:
        contrast = np.abs(levels.astype(np.float32) - background)
        distinct = (contrast.max(2) if contrast.ndim == 3 else contrast) >= MIN_CONTRAST
        visible.append(float(alpha[distinct].sum()) >= MIN_VISIBLE_FRACTION * total)
    return tuple(visible)


def decide_values(training: Sequence[ValueFacts], later: Sequence[ValueFacts] = ()) -> ImageValues:
    """Decide how the values of a set's images become pixels.

    Args:
        training: of the training images.
        later: of the validation and test images, which decide only whether 8 bits are enough.

    >>> decide_values([ValueFacts("uint16", 0, 4000, ()), ValueFacts("uint16", 0, 255, (255.0,))])
    ImageValues(ranges=(ValueRange(dtype='uint16', low=0.0, high=4095.0),), stored='float32', background=None)
    """
    counts = Counter(facts.dtype for facts in training)
    types = sorted(counts, key=lambda dtype: (-counts[dtype], dtype))
    ranges = tuple(_find_range(dtype, [facts for facts in training if facts.dtype == dtype]) for dtype in types)
    white_of = {value_range.dtype: value_range.high for value_range in ranges if value_range.low == 0}
    is_exact = all(white_of.get(facts.dtype) in facts.exact_whites for facts in training)
    is_exact = is_exact and all(
        white_of[facts.dtype] in facts.exact_whites for facts in later if facts.dtype in white_of
    )
    visible = [facts.visible for facts in training if facts.visible]
    counts_visible = [sum(image[number] for image in visible) for number in range(len(BACKGROUNDS))]
    background = BACKGROUNDS[counts_visible.index(max(counts_visible))] if visible else None
    return ImageValues(ranges or (ValueRange(),), "uint8" if is_exact else "float32", background)


def _find_range(dtype: PixelType, images: Sequence[ValueFacts]) -> ValueRange:
    """Return black and white of the training images of one type."""
    low, high = min(facts.low for facts in images), max(facts.high for facts in images)
    if dtype == "uint8":
        return ValueRange()
    if dtype == "float32":
        return ValueRange(dtype, *_find_float_range(low, high))
    if dtype == "int8":
        return ValueRange(dtype, -128.0, 127.0)
    if (
        dtype == "uint16" and high > 255 and all(65535 in facts.exact_whites for facts in images)
    ):  # 8 bits, spread over 16
        return ValueRange(dtype, 0.0, 65535.0)
    if low >= 0:
        return ValueRange(dtype, 0.0, float(next((2**bits - 1 for bits in _BIT_DEPTHS if high < 2**bits), high)))
    return ValueRange(dtype, low, high)


def _find_float_range(low: float, high: float) -> tuple[float, float]:
    """Return the usual range of floats that holds the values, or their own if there is none."""
    for usual_low, usual_high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0)):
        is_filled = high > 4 or usual_high == 1  # values slightly above 1 are not those of bytes
        if usual_low <= low and high <= usual_high and is_filled:
            return usual_low, usual_high
    return (low, high) if high > low else (low, low + 1.0)


def find_range(facts: ValueFacts, values: ImageValues, name: str) -> tuple[ValueRange, str]:
    """Return black and white of an image, and a note if they are not those of its type in training.

    Args:
        facts: of the image.
        values: of the set.
        name: of the image in an error.

    Raises:
        DataError: the image's values do not fit those of the set, and what they mean is in doubt.
    """
    if facts.dtype == "uint8":
        note = Message(
            "it has 8 bits, the training images {training_values}: 255 was read as white",
            training_values=describe_range(values.ranges[0]),
        )
        return ValueRange(), "" if ValueRange() in values.ranges else note
    described = Message("{dtype} from {low} to {high}", dtype=facts.dtype, low=f"{facts.low:g}", high=f"{facts.high:g}")
    trained_range = next((r for r in values.ranges if r.dtype == facts.dtype), None)
    if trained_range is not None:
        if trained_range.low <= facts.low and facts.high <= trained_range.high:
            return trained_range, ""
        outside = Message(
            "its values are {values}, those of the training images {training_values}",
            values=described,
            training_values=describe_range(trained_range),
        )
        if values.stored == "uint8":
            raise DataError(
                Message("{name} cannot be used: {outside}", name=name, outside=outside),
                Message("save it with the values of the training images"),
            )
        return trained_range, Message("{difference}: what is outside may be misjudged", difference=outside)
    for similar in values.ranges:  # whole numbers in another type
        kinds = similar.dtype.lstrip("u")[:3], facts.dtype.lstrip("u")[:3]
        same_units = kinds == ("int", "int") and (similar.dtype, facts.dtype) != ("uint8", "uint16")
        if same_units and similar.low <= facts.low and facts.high <= similar.high:
            return similar, Message(
                "its values are {values}, read as the {training_values} of the training images",
                values=described,
                training_values=describe_range(similar),
            )
    nominal = NOMINAL_RANGES.get(facts.dtype)
    is_clear = facts.dtype == "float32" or facts.high >= MIN_NOMINAL_HIGH
    if nominal is not None and is_clear and nominal.low <= facts.low and facts.high <= nominal.high:
        return nominal, Message(
            "its values are {values}, the training images {training_values}: {white} is white",
            values=described,
            training_values=describe_range(values.ranges[0]),
            white=f"{nominal.high:g}",
        )
    raise DataError(
        Message(
            "{name} holds {values}, the training images {training_values}: which value is white?",
            name=name,
            values=described,
            training_values=describe_range(values.ranges[0]),
        ),
        Message("save it with the type and the range of the training images"),
    )


def nominal_range(facts: ValueFacts) -> ValueRange:
    """Return black and white of an image that belongs to no set, to show it."""
    return _find_range(facts.dtype, [facts])


def to_pixels(raw: RawImage, value_range: ValueRange, values: ImageValues, background: int) -> np.ndarray:
    """Return pixels from 0 to 255, float32 or uint8 ``(H, W)`` or ``(H, W, 3)``.

    Args:
        raw: the image.
        value_range: its black and white.
        values: of the set, with the type of the pixels.
        background: gray level behind transparent parts.
    """
    is_wide = raw.values.dtype.itemsize > 2 and raw.values.dtype.kind in "iu"

    def scale(rows: slice) -> np.ndarray:
        pixels: np.ndarray = raw.values[rows].astype(np.float64 if is_wide else np.float32)
        np.subtract(pixels, value_range.low, out=pixels)
        np.multiply(pixels, 255 / (value_range.high - value_range.low), out=pixels)
        pixels = pixels.astype(np.float32, copy=False)
        if raw.alpha is not None:
            alpha = raw.alpha[rows] if pixels.ndim == 2 else raw.alpha[rows][..., None]
            pixels = pixels * alpha + np.float32(background) * (1 - alpha)
        return as_stored(pixels, values)

    return bands.map_rows(raw.values, scale)


def as_stored(pixels: np.ndarray, values: ImageValues) -> np.ndarray:
    """Return pixels in the type of the set, rounded if that is 8 bits."""
    if values.stored == "float32":
        return pixels.astype(np.float32, copy=False)
    return pixels if pixels.dtype == np.uint8 else np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def describe_range(value_range: ValueRange) -> Message:
    """Return a range in words.

    >>> describe_range(ValueRange("uint16", 0, 4095)), describe_range(ValueRange())
    ('uint16 from 0 to 4,095 (12 bits)', '8 bits')
    """
    if value_range.dtype == "uint8":
        return Message("8 bits")
    ends = (value_range.low, value_range.high)
    low, high = (f"{value:,.0f}" if value == int(value) else f"{value:g}" for value in ends)
    bits = int(value_range.high).bit_length()
    is_power = value_range.low == 0 and value_range.dtype != "float32" and value_range.high == 2**bits - 1
    text = Message("{dtype} from {low} to {high}", dtype=value_range.dtype, low=low, high=high)
    return Message("{values} ({bits} bits)", values=text, bits=bits) if is_power else text


def describe_values(values: ImageValues) -> str:
    """Return in one line how the values of a set become pixels; empty for 8 bits without transparent parts.

    >>> describe_values(ImageValues((ValueRange("float32", 0.0, 1.0),), "float32"))
    'the images hold float32 from 0 to 1, kept as float32 since 8 bits would lose levels; later images are read so too'
    """
    if values.is_plain and values.background is None:
        return ""
    ranges, *further_ranges = map(describe_range, values.ranges)
    for value_range in further_ranges:
        ranges = Message("{values}, and some {others}", values=ranges, others=value_range)
    text = Message("the images hold {values}", values=ranges)
    if not values.is_plain and values.stored == "float32":
        text = Message("the images hold {values}, kept as float32 since 8 bits would lose levels", values=ranges)
    elif not values.is_plain:
        text = Message("the images hold {values}, kept in 8 bits, which lose none of their levels", values=ranges)
    if values.background is not None:
        names = {255: Message("white"), 0: Message("black"), 128: Message("gray")}
        background = names.get(values.background, str(values.background))
        text = Message("{values}; transparent parts are {background}", values=text, background=background)
    return Message("{values}; later images are read so too", values=text)
