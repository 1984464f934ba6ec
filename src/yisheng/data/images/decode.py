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
from typing import Literal

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from yisheng.core.errors import DataError
from yisheng.data.images.resize import Fit, resize

try:
    import simplejpeg  # type: ignore[import-untyped]
except Exception:  # a broken installation may raise anything; Pillow then decodes JPEG too
    simplejpeg = None

DECODER_VERSIONS = f"Pillow {PIL.__version__}, simplejpeg {getattr(simplejpeg, '__version__', 'none')}"
"""The decoders: other versions may round differently."""
MAX_PIXELS = 64_000_000
"""Largest image that is decoded (8,000 x 8,000): larger ones may be decompression bombs."""
LARGE_IMAGE_PIXELS = 8_000_000
"""Pixels from which on only two threads decode at a time: Pillow holds such an image in several copies."""
MAX_SCANS = 500
"""Most scans of a JPEG: each covers the whole image, so that a small file could keep a core busy for hours."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "AVIF")
"""Formats that Pillow may recognize. It would pass EPS, for example, to another program."""
EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
"""EXIF's code for an image that is stored as it is shown; the codes above 4 swap width and height."""

_LARGE_IMAGE_SLOTS = threading.Semaphore(2)
Color = Literal["auto", "gray", "rgb"]


def decode_image(
    content: bytes, name: str, *, color: Color = "auto", size: tuple[int, int] | None = None, fit: Fit = "crop"
) -> np.ndarray:
    """Return the pixels of an image file, upright, transparent parts on white, eight bits a channel.

    Args:
        content: the file's bytes.
        name: name of the file in an error.
        color: ``gray`` or ``rgb``; ``auto`` keeps what the image has.
        size: height and width of the result; None keeps the image's own.
        fit: how the image gets that size, see `yisheng.data.images.resize`.

    Returns:
        uint8 ``(H, W)`` for gray, ``(H, W, 3)`` for RGB.

    Raises:
        DataError: the file is not an image, damaged, or too large.

    >>> file = io.BytesIO()
    >>> Image.new("RGB", (30, 20), "red").save(file, "PNG")
    >>> decode_image(file.getvalue(), "red.png", size=(8, 8))[4, 4]
    array([255,   0,   0], dtype=uint8)
    """
    return decode_image_with_size(content, name, color=color, size=size, fit=fit)[0]


def decode_image_with_size(
    content: bytes, name: str, *, color: Color = "auto", size: tuple[int, int] | None = None, fit: Fit = "crop"
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the pixels as `decode_image` does, and the height and width of the upright image in the file."""
    pixels, original_size = _decode_jpeg(content, color) or _decode_with_pillow(content, name, color)
    return (pixels if size is None else resize(pixels, size, fit)), original_size


def convert_image(
    image: Image.Image, name: str, *, color: Color = "auto", size: tuple[int, int] | None = None, fit: Fit = "crop"
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the pixels of an image in memory, as `decode_image_with_size` returns those of a file.

    Args:
        image: of any mode.
        name: of the image in an error.
        color: ``gray`` or ``rgb``; ``auto`` keeps what the image has.
        size: height and width of the result; None keeps the image's own.
        fit: how the image gets that size, see `yisheng.data.images.resize`.

    Raises:
        DataError: the image is too large, or its file is damaged or closed.
    """
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{name} has {image.width}x{image.height} pixels, more than the {MAX_PIXELS:,} that are read",
            "scale it down first",
        )
    try:
        pixels = _read_pixels(image, color)
    except Exception as error:  # see `_open_image`
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name} cannot be read: {reason}", "open the image again, or give its path") from None
    return (pixels if size is None else resize(pixels, size, fit)), (pixels.shape[0], pixels.shape[1])


def read_size(content: bytes, name: str) -> tuple[int, int]:
    """Return the height and width of an image as stored, without decoding it.

    Raises:
        DataError: the file is not an image, or too large.
    """
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


def _decode_jpeg(content: bytes, color: Color) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return the pixels of a JPEG and its size; None if Pillow must decode it."""
    if simplejpeg is None or not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, color_space, _ = simplejpeg.decode_jpeg_header(content)
        if color_space not in ("Gray", "YCbCr", "RGB") or height * width > MAX_PIXELS:
            return None
        if _count_scans(content) > MAX_SCANS:
            return None
        orientation = _read_jpeg_orientation(content)
        original_size = (width, height) if orientation > 4 else (height, width)
        gray = color == "gray" or (color == "auto" and color_space == "Gray")
        with _LARGE_IMAGE_SLOTS if height * width > LARGE_IMAGE_PIXELS else contextlib.nullcontext():
            pixels = simplejpeg.decode_jpeg(content, "GRAY" if gray else "RGB")
    except ValueError:  # damaged or unusual: Pillow accepts more
        return None
    return _rotate_upright(pixels[..., 0] if gray else pixels, orientation), original_size


def _decode_with_pillow(content: bytes, name: str, color: Color) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the pixels of an image of any format, and its size."""
    with _open_image(content, name) as image:
        if image.format in ("JPEG", "MPO") and _count_scans(content) > MAX_SCANS:
            raise DataError(f"{name} is a JPEG of more than {MAX_SCANS} scans", "save it again, as PNG or JPEG")
        with _LARGE_IMAGE_SLOTS if image.width * image.height > LARGE_IMAGE_PIXELS else contextlib.nullcontext():
            pixels = _read_pixels(image, color)
        return pixels, (pixels.shape[0], pixels.shape[1])


def _read_pixels(image: Image.Image, color: Color) -> np.ndarray:
    """Return the pixels of an opened image, upright, transparent parts on white."""
    image.load()
    flat = _flatten(image)
    mode = {"auto": flat.mode, "gray": "L", "rgb": "RGB"}[color]
    pixels = np.asarray(flat if flat.mode == mode else flat.convert(mode))
    return _rotate_upright(pixels, _read_orientation(image))


@contextlib.contextmanager
def _open_image(content: bytes, name: str) -> Iterator[Image.Image]:
    """Yield the image after a check of its size, not decoded; any error inside becomes a `DataError`."""
    try:
        with Image.open(io.BytesIO(content), formats=_list_available_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{name} has {image.width}x{image.height} pixels, more than the {MAX_PIXELS:,} that are read",
                    "scale it down first",
                )
            yield image
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image in a known format", "give PNG, JPEG, WebP, BMP, GIF or TIFF") from None
    except Image.DecompressionBombError:
        raise DataError(f"{name} decompresses to far more pixels than {MAX_PIXELS:,}", "scale it down first") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name} cannot be decoded: {reason}", "the file is damaged; save it again as PNG") from None


@functools.cache
def _list_available_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _count_scans(content: bytes) -> int:
    """Return the number of scans of a JPEG, those of a thumbnail included.

    The marker of a scan cannot occur inside one: there, a zero follows every 0xFF.
    """
    return content.count(b"\xff\xda")


def _read_jpeg_orientation(content: bytes) -> int:
    """Return the EXIF orientation of a JPEG; a file without the words for it is not parsed."""
    if b"Exif\0" not in content and b"tiff:Orientation" not in content:
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return _read_orientation(image)
    except Exception:  # see `_open_image`
        return UPRIGHT


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged metadata is not a reason to refuse an image."""
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except Exception:  # see `_open_image`
        return UPRIGHT
    return orientation if orientation in range(1, 9) else UPRIGHT


def _rotate_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels upright: ``PIL.ImageOps.exif_transpose`` for arrays, which simplejpeg returns."""
    if orientation == UPRIGHT:
        return pixels
    if orientation in (5, 7):
        pixels = pixels.swapaxes(0, 1)
    return {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1],
        8: np.rot90(pixels),
    }.get(orientation, pixels)


def _flatten(image: Image.Image) -> Image.Image:
    """Return the image in gray or RGB, eight bits a channel, transparent parts on white."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        largest = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.nan_to_num(np.clip(values / largest * 255, 0, 255)).astype(np.uint8))
    mode = "L" if _is_gray(image) else "RGB"
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB").convert(mode) if image.mode == "P" else image.convert(mode)


def _is_gray(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        palette = np.asarray(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La")
