"""From the bytes of any image file to pixels: the only decoder, for training and for prediction.

simplejpeg decodes JPEG. Pillow decodes all other formats, and JPEG files that simplejpeg refuses or that are unusual.
Both build on libjpeg-turbo, so their pixels are the same. JPEG files are decoded at full size, not scaled down on the
way: that would change pixels by up to 100 levels against the same image as PNG, or against other programs.
"""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from yisheng.core.errors import DataError
from yisheng.core.image_values import ImageValues
from yisheng.core.messages import Message
from yisheng.data.images import flatten, image_values
from yisheng.data.images.decode_limits import check_decoding_cost
from yisheng.data.images.decoding_cost import MAX_PIXELS as MAX_PIXELS
from yisheng.data.images.flatten import Color
from yisheng.data.images.image_values import ValueFacts
from yisheng.data.images.orientation import read_jpeg_orientation, read_orientation, rotate_upright
from yisheng.data.images.raw_values import RawImage, find_value_type, read_raw
from yisheng.data.images.resize import Fit, resize

try:
    import simplejpeg  # type: ignore[import-untyped]
except Exception:  # a broken installation may raise anything; Pillow then decodes JPEG too
    simplejpeg = None

DECODER_VERSIONS = f"Pillow {PIL.__version__}, simplejpeg {getattr(simplejpeg, '__version__', 'none')}"
"""The decoders: other versions may round differently."""
LARGE_IMAGE_PIXELS = 8_000_000
"""Pixels from which on only two threads decode at a time: Pillow holds such an image in several copies."""
MAX_PLAIN_SCANS = 4
"""Scans of a JPEG that is decoded without an estimate of its cost."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "AVIF")
"""Formats that Pillow may recognize. It would pass EPS, for example, to another program."""
PLAIN_VALUES = ImageValues()
"""Images of 8 bits, as nearly all sets have them."""

_LARGE_IMAGE_SLOTS = threading.Semaphore(2)


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image.

    Args:
        pixels: from 0 to 255, in the type of the set: uint8 or float32, ``(H, W)`` for gray, ``(H, W, 3)`` for RGB.
        original_size: height and width of the upright image in the file.
        facts: what it says about the values of a set.
        notes: for people, where its values are not those of the set.
    """

    pixels: np.ndarray
    original_size: tuple[int, int]
    facts: ValueFacts = image_values.PLAIN
    notes: tuple[str, ...] = ()


def decode_image(
    content: bytes,
    name: str,
    *,
    color: Color = "auto",
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    values: ImageValues | None = PLAIN_VALUES,
) -> np.ndarray:
    """Return the pixels of an image file from 0 to 255, upright, without transparency.

    Args:
        content: the file's bytes.
        name: name of the file in an error.
        color: ``gray`` or ``rgb``; ``auto`` keeps what the image has.
        size: height and width of the result; None keeps the image's own.
        fit: how the image gets that size, see `yisheng.data.images.resize`.
        values: how the values of the set become pixels; None for an image that belongs to no set, to show it.

    Returns:
        uint8 (or float32, if the set has more levels) ``(H, W)`` for gray, ``(H, W, 3)`` for RGB.

    Raises:
        DataError: the file is not an image, damaged, or too large; or its values do not fit the set.

    >>> file = io.BytesIO()
    >>> Image.new("RGB", (30, 20), "red").save(file, "PNG")
    >>> decode_image(file.getvalue(), "red.png", size=(8, 8))[4, 4]
    array([255,   0,   0], dtype=uint8)
    """
    return decode_with_facts(content, name, color=color, size=size, fit=fit, values=values).pixels


def decode_with_facts(
    content: bytes,
    name: str,
    *,
    color: Color = "auto",
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    values: ImageValues | None = PLAIN_VALUES,
    best_background: bool = False,
) -> DecodedImage:
    """Return the pixels as `decode_image` does, with the size in the file, notes, and facts about the values.

    Args:
        content: see `decode_image`.
        name: see `decode_image`.
        color: see `decode_image`.
        size: see `decode_image`.
        fit: see `decode_image`.
        values: see `decode_image`.
        best_background: choose what lies behind transparent parts for each image, for drawings of which only the
            shape counts.

    Raises:
        DataError: see `decode_image`.
    """
    check_decoding_cost(content, name)
    rules = flatten.Rules(values, color, best_background)
    image = _decode_jpeg(content, name, rules) or _decode_with_pillow(content, name, rules)
    return image if size is None else replace(image, pixels=resize(image.pixels, size, fit))


def convert_image(
    image: Image.Image | RawImage,
    name: str,
    *,
    color: Color = "auto",
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    values: ImageValues | None = PLAIN_VALUES,
    best_background: bool = False,
) -> DecodedImage:
    """Return the pixels of an image in memory, as `decode_with_facts` returns those of a file.

    Args:
        image: of any mode, or values as a file would hold them.
        name: of the image in an error.
        color: ``gray`` or ``rgb``; ``auto`` keeps what the image has.
        size: height and width of the result; None keeps the image's own.
        fit: how the image gets that size, see `yisheng.data.images.resize`.
        values: see `decode_image`.
        best_background: see `decode_with_facts`.

    Raises:
        DataError: the image is too large, its file is damaged or closed, or its values do not fit the set.
    """
    height, width = image.values.shape[:2] if isinstance(image, RawImage) else (image.height, image.width)
    if width * height > MAX_PIXELS:
        raise DataError(
            Message(
                "{name} has {width}x{height} pixels, more than the {limit} that are read",
                name=name,
                width=width,
                height=height,
                limit=f"{MAX_PIXELS:,}",
            ),
            Message("scale it down first"),
        )
    rules = flatten.Rules(values, color, best_background)
    try:
        if isinstance(image, RawImage):
            decoded = _describe(*flatten.flatten_raw(image, name, rules))
        else:
            decoded = _read_pixels(image, name, rules, flatten.read_lazy_file(image))
    except DataError:
        raise
    except Exception as error:  # see `_open_image`
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            Message("{name} cannot be read: {reason}", name=name, reason=reason),
            Message("open the image again, or give its path"),
        ) from None
    return decoded if size is None else replace(decoded, pixels=resize(decoded.pixels, size, fit))


def read_deep_image(content: bytes, name: str) -> RawImage | None:
    """Return the values of an image of more than 8 bits (or of signed ones), upright; None for one of 8 bits.

    Raises:
        DataError: the file is not an image, damaged, or too large.
    """
    check_decoding_cost(content, name)
    with _open_image(content, name) as image, _limit_large(image):
        dtype = find_value_type(image)
        if dtype == "uint8":
            return None
        raw, orientation = read_raw(image, dtype, content), read_orientation(image)
        alpha = None if raw.alpha is None else rotate_upright(raw.alpha, orientation)
        return RawImage(rotate_upright(raw.values, orientation), dtype, alpha)


def read_facts(content: bytes, name: str) -> ValueFacts:
    """Return what an image says about the values of a set; one of 8 bits without transparency is not decoded.

    Raises:
        DataError: the file is not an image, damaged, or too large.
    """
    if content.startswith(b"\xff\xd8\xff"):
        return image_values.PLAIN
    check_decoding_cost(content, name)
    with _open_image(content, name) as image:
        if find_value_type(image) == "uint8" and not flatten.may_be_transparent(image):
            return image_values.PLAIN
    return decode_with_facts(content, name, values=None).facts


def read_size(content: bytes, name: str) -> tuple[int, int]:
    """Return the height and width of an image as stored, without decoding it.

    Raises:
        DataError: the file is not an image, or too large.
    """
    check_decoding_cost(content, name)
    with _open_image(content, name) as image:
        return image.height, image.width


def decode_plain_jpeg(content: bytes, out: np.ndarray) -> bool:
    """Decode a JPEG that has the size and the channels of ``out``, no rotation and no unusual colors.

    The pixels are those of `decode_image`. For small images it is faster: they are decoded in the time that Pillow
    takes to read a header.

    Args:
        content: the file's bytes.
        out: where the pixels are written, uint8 ``(H, W, C)``, contiguous.

    Returns:
        Whether it was done; if not, the values of ``out`` are undefined, and `decode_image` must do it.
    """
    if simplejpeg is None or _start_of_frame(out.shape) not in content:
        return False
    if b"Exif\0" in content or b"Adobe" in content or b"tiff:Orientation" in content:
        return False
    if content.count(b"\xff\xda") > MAX_PLAIN_SCANS:
        return False
    try:
        pixels = simplejpeg.decode_jpeg(content, "RGB" if out.shape[2] == 3 else "GRAY", buffer=out)
    except ValueError:
        return False
    return bool(pixels.shape == out.shape)


@contextlib.contextmanager
def silence_pillow() -> Iterator[None]:
    """Ignore Pillow's warnings, about odd metadata and about sizes that are refused here anyway.

    All threads share Python's list of warning filters, so enter this context around all decoding threads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.cache
def _start_of_frame(shape: tuple[int, int, int]) -> bytes:
    """Return the bytes by which the frame header of a baseline JPEG of that shape begins."""
    height, width, channels = shape
    length = 8 + 3 * channels
    sides = b"".join(side.to_bytes(2, "big") for side in (min(height, 65535), min(width, 65535)))
    return b"\xff\xc0" + length.to_bytes(2, "big") + b"\x08" + sides + bytes([channels])


def _decode_jpeg(content: bytes, name: str, rules: flatten.Rules) -> DecodedImage | None:
    """Return the pixels of a JPEG; None if Pillow must decode it."""
    if simplejpeg is None or not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, color_space, _ = simplejpeg.decode_jpeg_header(content)
        if color_space not in ("Gray", "YCbCr", "RGB") or height * width > MAX_PIXELS:
            return None
        orientation = read_jpeg_orientation(content)
        original_size = (width, height) if orientation > 4 else (height, width)
        gray = rules.color == "gray" or (rules.color == "auto" and color_space == "Gray")
        with _LARGE_IMAGE_SLOTS if height * width > LARGE_IMAGE_PIXELS else contextlib.nullcontext():
            pixels = simplejpeg.decode_jpeg(content, "GRAY" if color_space == "Gray" and gray else "RGB")
            if gray and pixels.shape[2] == 3:  # not the file's luma, which other formats do not have
                pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    except ValueError:  # damaged or unusual: Pillow accepts more
        return None
    pixels, notes = flatten.fit_bytes(pixels[..., 0] if gray else pixels, name, rules)
    return DecodedImage(rotate_upright(pixels, orientation), original_size, notes=notes)


def _decode_with_pillow(content: bytes, name: str, rules: flatten.Rules) -> DecodedImage:
    """Return the pixels of an image of any format."""
    with _open_image(content, name) as image, _limit_large(image):
        return _read_pixels(image, name, rules, content)


def _limit_large(image: Image.Image) -> contextlib.AbstractContextManager[object]:
    """Return a context that few large images can be in at a time."""
    return _LARGE_IMAGE_SLOTS if image.width * image.height > LARGE_IMAGE_PIXELS else contextlib.nullcontext()


def _read_pixels(image: Image.Image, name: str, rules: flatten.Rules, content: bytes | None) -> DecodedImage:
    """Return the pixels of an opened image, upright, without transparency."""
    if content is None:
        image.load()  # what is in memory has the type of its mode
    dtype = find_value_type(image)
    if dtype == "uint8":
        image.load()
        flat = flatten.flatten_bytes(image, name, rules)
    else:
        flat = flatten.flatten_raw(read_raw(image, dtype, content), name, rules)
    pixels, facts, notes = flat
    return _describe(rotate_upright(pixels, read_orientation(image)), facts, notes)


def _describe(pixels: np.ndarray, facts: ValueFacts, notes: tuple[str, ...]) -> DecodedImage:
    return DecodedImage(pixels, (pixels.shape[0], pixels.shape[1]), facts, notes)


@contextlib.contextmanager
def _open_image(content: bytes, name: str) -> Iterator[Image.Image]:
    """Yield the image after a check of its size, not decoded; any error inside becomes a `DataError`."""
    try:
        with Image.open(io.BytesIO(content), formats=_list_available_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    Message(
                        "{name} has {width}x{height} pixels, more than the {limit} that are read",
                        name=name,
                        width=image.width,
                        height=image.height,
                        limit=f"{MAX_PIXELS:,}",
                    ),
                    Message("scale it down first"),
                )
            yield image
    except UnidentifiedImageError:
        if content[:4] in (b"II*\0", b"MM\0*"):
            raise DataError(
                Message(
                    "{name} is a TIFF of a kind that cannot be read, such as 16 or 64-bit floats, or floats in color",
                    name=name,
                ),
                Message("save it as 32-bit floats or 16 bits in gray, or as 8 or 16 bits in color"),
            ) from None
        raise DataError(
            Message("{name} is not an image in a known format", name=name),
            Message("give PNG, JPEG, WebP, BMP, GIF or TIFF"),
        ) from None
    except Image.DecompressionBombError:
        raise DataError(
            Message("{name} decompresses to far more pixels than {limit}", name=name, limit=f"{MAX_PIXELS:,}"),
            Message("scale it down first"),
        ) from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            Message("{name} cannot be decoded: {reason}", name=name, reason=reason),
            Message("the file is damaged; save it again as PNG"),
        ) from None


@functools.cache
def _list_available_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
