"""From the bytes of any image file to pixels: the one reader, for training and for prediction.

JPEG goes through simplejpeg, which decodes to a smaller size right away where a smaller one is wanted; what it
does not take, or finds odd, and every other format goes through Pillow. Both rest on libjpeg-turbo: at full size
their pixels are the same.
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

try:
    import simplejpeg  # type: ignore[import-untyped]
except Exception:  # a broken installation raises what it likes; Pillow then reads JPEG too
    simplejpeg = None

READERS = f"Pillow {PIL.__version__}, simplejpeg {getattr(simplejpeg, '__version__', 'none')}"
"""Who decodes: other versions may round otherwise."""
PIXELS = 64_000_000
"""Largest image that is decoded (8,000 x 8,000); a bomb says it is larger, or is cut off here."""
MANY = 8_000_000
"""Pixels from which on only two threads decode at a time: Pillow holds such an image in several copies."""
SCANS = 500
"""Most scans of a JPEG: each goes over the whole image, so that a small file could keep a core busy for hours."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "AVIF")
"""What Pillow may take a file for. EPS, say, would be handed to another program."""
ORIENTATION = 0x0112

_MANY = threading.Semaphore(2)
Colour = Literal["auto", "grey", "rgb"]
Fit = Literal["crop", "squash", "pad"]


def decode(
    content: bytes, name: str, *, colour: Colour = "auto", size: tuple[int, int] | None = None, fit: Fit = "crop"
) -> np.ndarray:
    """The pixels of an image file, upright, transparent parts on white, eight bits a channel.

    Args:
        content: the file's bytes.
        name: what an error calls it.
        colour: ``grey`` or ``rgb``; ``auto`` is what the image itself has.
        size: height and width of the result; None keeps the image's own.
        fit: how it comes to that size, see `resize`.

    Returns:
        uint8 ``(H, W)`` in grey, ``(H, W, 3)`` in colour.

    Raises:
        DataError: it is no image, damaged, or too large.

    >>> file = io.BytesIO()
    >>> Image.new("RGB", (30, 20), "red").save(file, "PNG")
    >>> decode(file.getvalue(), "red.png", size=(8, 8))[4, 4]
    array([255,   0,   0], dtype=uint8)
    """
    return decode_from(content, name, colour=colour, size=size, fit=fit)[0]


def decode_from(
    content: bytes, name: str, *, colour: Colour = "auto", size: tuple[int, int] | None = None, fit: Fit = "crop"
) -> tuple[np.ndarray, tuple[int, int]]:
    """What `decode` gives, and height and width of the image in the file, upright."""
    pixels, whole = _jpeg(content, colour, size, fit) or _other(content, name, colour)
    return (pixels if size is None else resize(pixels, size, fit)), whole


def size(content: bytes, name: str) -> tuple[int, int]:
    """Height and width of an image as its file lies; nothing is decoded.

    Raises:
        DataError: it is no image, or too large.
    """
    with _opened(content, name) as image:
        return image.height, image.width


def plain(content: bytes, out: np.ndarray) -> bool:
    """Decode a JPEG that has just the size and the channels of ``out`` and nothing special about it.

    It gives what `decode` gives, in less time: small images are decoded in the time that it takes to ask Pillow.

    Args:
        content: the file's bytes.
        out: where the pixels go, uint8 ``(H, W, C)``, contiguous.

    Returns:
        Whether it was done; if not, ``out`` holds anything, and `decode` must do it.
    """
    if simplejpeg is None or _frame(out.shape) not in content:
        return False
    if b"Exif\0" in content or b"Adobe" in content or b"tiff:Orientation" in content:
        return False
    try:
        got = simplejpeg.decode_jpeg(content, "RGB" if out.shape[2] == 3 else "GRAY", buffer=out)
    except ValueError:
        return False
    return bool(got.shape == out.shape)


def resize(pixels: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """Pixels at another size, bilinear with antialiasing.

    Args:
        pixels: uint8 ``(H, W)`` or ``(H, W, 3)``.
        size: height and width of the result.
        fit: ``crop`` cuts the middle out at the wanted ratio of sides; ``squash`` changes the ratio; ``pad`` keeps
            the whole image, and fills up with black.

    >>> resize(np.ones((10, 30), np.uint8), (5, 5), "pad").tolist()[:2]
    [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]
    """
    if fit == "crop":
        pixels = _cropped(pixels, size)
    inner = _inside(pixels.shape[:2], size) if fit == "pad" else size
    if pixels.shape[:2] != inner:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        pixels = np.asarray(image.resize(inner[::-1], Image.Resampling.BILINEAR))
    if inner == size:
        return pixels
    canvas = np.zeros((*size, *pixels.shape[2:]), np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = pixels
    return canvas


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow, which warns of odd metadata and of sizes that are refused here anyway.

    Python's list of filters is shared by all threads: whoever decodes in several takes this around all of them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.cache
def _frame(shape: tuple[int, int, int]) -> bytes:
    """How the header of a plain JPEG of that size begins: baseline, eight bits, so many channels."""
    height, width, channels = shape
    length = 8 + 3 * channels
    return (
        b"\xff\xc0"
        + length.to_bytes(2, "big")
        + b"\x08"
        + b"".join(n.to_bytes(2, "big") for n in (min(height, 65535), min(width, 65535)))
        + bytes([channels])
    )


def _jpeg(
    content: bytes, colour: Colour, size: tuple[int, int] | None, fit: Fit
) -> tuple[np.ndarray, tuple[int, int]] | None:
    """The pixels of a JPEG, perhaps of more than wanted, and its size; None where Pillow must look at it."""
    if simplejpeg is None or not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
        if space not in ("Gray", "YCbCr", "RGB") or height * width > PIXELS or _scans(content) > SCANS:
            return None
        turn = _turn_of(content)
        whole = (width, height) if turn > 4 else (height, width)
        least = (0, 0) if size is None else _inside(whole, size) if fit == "pad" else size
        least = least[::-1] if turn > 4 else least
        grey = colour == "grey" or (colour == "auto" and space == "Gray")
        pixels = simplejpeg.decode_jpeg(content, "GRAY" if grey else "RGB", min_height=least[0], min_width=least[1])
    except ValueError:  # damaged, or only odd: Pillow is more patient
        return None
    return _upright(pixels[..., 0] if grey else pixels, turn), whole


def _other(content: bytes, name: str, colour: Colour) -> tuple[np.ndarray, tuple[int, int]]:
    """The pixels of an image of any format, and its size."""
    with _opened(content, name) as image:
        if image.format in ("JPEG", "MPO") and _scans(content) > SCANS:
            raise DataError(f"{name} is a JPEG of more than {SCANS} scans", "save it again, as PNG or JPEG")
        with _MANY if image.width * image.height > MANY else contextlib.nullcontext():
            image.load()
            flat = _flatten(image)
            mode = {"auto": flat.mode, "grey": "L", "rgb": "RGB"}[colour]
            pixels = _upright(np.asarray(flat if flat.mode == mode else flat.convert(mode)), _turn(image))
        return pixels, (pixels.shape[0], pixels.shape[1])


@contextlib.contextmanager
def _opened(content: bytes, name: str) -> Iterator[Image.Image]:
    """The image, its size looked at but nothing decoded; what goes wrong inside becomes a `DataError`."""
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            if image.width * image.height > PIXELS:
                raise DataError(
                    f"{name} has {image.width}x{image.height} pixels, more than the {PIXELS:,} that are read",
                    "scale it down first",
                )
            yield image
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not an image in a format that is known", "give PNG, JPEG, WebP, BMP, GIF or TIFF"
        ) from None
    except Image.DecompressionBombError:
        raise DataError(f"{name} unfolds to far more pixels than {PIXELS:,}", "scale it down first") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name} cannot be decoded: {why}", "the file is damaged; save it again as PNG") from None


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _scans(content: bytes) -> int:
    """Scans of a JPEG, a thumbnail's included: inside of them 0xFF is always followed by 0, so this marks one."""
    return content.count(b"\xff\xda")


def _turn_of(content: bytes) -> int:
    """How a JPEG lies; only what might say it is parsed."""
    if b"Exif\0" not in content and b"tiff:Orientation" not in content:
        return 1
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return _turn(image)
    except Exception:  # see `_opened`
        return 1


def _turn(image: Image.Image) -> int:
    """How an image lies, 1 to 8, as EXIF counts; damaged metadata are no reason to refuse it."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # see `_opened`
        return 1
    return turn if turn in range(1, 9) else 1


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    if turn == 1:
        return pixels
    if turn in (5, 7):
        pixels = pixels.swapaxes(0, 1)
    return {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1],
        8: np.rot90(pixels),
    }.get(turn, pixels)


def _flatten(image: Image.Image) -> Image.Image:
    """Grey or RGB, eight bits a channel, transparent parts on white."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.nan_to_num(np.clip(values / top * 255, 0, 255)).astype(np.uint8))
    mode = "L" if _is_grey(image) else "RGB"
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB").convert(mode) if image.mode == "P" else image.convert(mode)


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        colours = np.asarray(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La")


def _cropped(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle, at the ratio of ``size``."""
    height, width = pixels.shape[:2]
    tall = min(height, max(1, round(width * size[0] / size[1])))
    wide = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - tall) // 2, (width - wide) // 2
    return pixels[top : top + tall, left : left + wide]


def _inside(whole: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """The largest size of an image that fits into ``size`` whole."""
    scale = min(size[0] / whole[0], size[1] / whole[1])
    tall, wide = (min(limit, max(1, round(n * scale))) for n, limit in zip(whole, size, strict=True))
    return tall, wide
