"""From any picture file to the input that the network was trained on."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from yisheng.core.errors import DataError
from yisheng.core.types import Ink, Spec

PIXELS = 64_000_000
"""Largest picture that is decoded (8,000 x 8,000); a bomb says it is larger, or is cut off here."""


def read(path: Path, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """A picture as the network wants it, and what was done to it.

    Args:
        path: a picture file of any mode and size.
        spec: a contract for pictures.

    Returns:
        uint8 ``(C, H, W)`` of ``spec.shape``, and notes for the user ("inverted: ...").

    Raises:
        DataError: the file is missing, no picture, damaged, or too large.
    """
    picture = _open(path)
    channels, height, width = spec.shape
    if spec.ink is not None:
        return _drawing(picture, path, spec.ink, channels, height, width)
    picture = _flatten(picture).convert("L" if channels == 1 else "RGB")
    notes = []
    if picture.size != (width, height):
        notes.append(f"resized from {picture.width}x{picture.height} to {width}x{height}")
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    return _block(np.asarray(picture), channels), notes


def fit_ink(ink: np.ndarray, how: Ink, height: int, width: int) -> np.ndarray:
    """Place a drawing as the training pictures hold theirs: scaled into a box, then centred.

    Args:
        ink: light strokes on black, uint8 ``(h, w)``, cropped to the drawing.
        how: the box's size, and what is centred (LeCun et al. 1998, "Gradient-based learning applied
            to document recognition", section III.A: 20x20 box, centre of mass).
        height: of the result.
        width: of the result.

    Returns:
        uint8 ``(height, width)``.
    """
    scale = how.box / max(ink.shape)
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    small = np.asarray(
        Image.fromarray(ink).resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )
    middle = np.array(small.shape) / 2
    if how.centre == "mass" and small.any():
        total = float(small.sum())
        middle = np.array(
            [(small.sum(1) @ (np.arange(len(small)) + 0.5)), (small.sum(0) @ (np.arange(small.shape[1]) + 0.5))]
        )
        middle = middle / total
    corner = np.round(np.array([height, width]) / 2 - middle).astype(int)
    corner = np.clip(corner, 0, np.maximum(np.array([height, width]) - small.shape, 0))
    result = np.zeros((height, width), np.uint8)
    part = small[:height, :width]
    result[corner[0] : corner[0] + part.shape[0], corner[1] : corner[1] + part.shape[1]] = part
    return result


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is refused below, and of odd metadata
            with Image.open(path) as picture:
                if picture.width * picture.height > PIXELS:
                    raise DataError(
                        f"{path} has {picture.width}x{picture.height} pixels, more than the {PIXELS:,} that are read",
                        "scale it down first",
                    )
                picture.load()
                turned: Image.Image = ImageOps.exif_transpose(picture)
                return turned
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is not a picture in a format that is known", "give PNG, JPEG, WebP, BMP, GIF or TIFF"
        ) from None
    except Image.DecompressionBombError:
        raise DataError(f"{path} unfolds to far more pixels than {PIXELS:,}", "scale it down first") from None
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, ZeroDivisionError, OverflowError, TypeError, KeyError) as error:
        # Pillow's decoders raise all of these on damaged files
        raise DataError(f"{path} cannot be decoded: {error}", "the file is damaged; save it again as PNG") from None


def _flatten(picture: Image.Image) -> Image.Image:
    """Eight bits a channel, transparent parts on white."""
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return picture.convert("RGB")


def _drawing(
    picture: Image.Image, path: Path, ink: Ink, channels: int, height: int, width: int
) -> tuple[np.ndarray, list[str]]:
    grey = np.asarray(_flatten(picture).convert("L"))
    notes = []
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    dark_on_light = np.median(border) > 127
    if dark_on_light:
        grey = 255 - grey
        notes.append("inverted: dark on light, where the training pictures are light on black")
    # paper is never quite even: what is well below the darkest stroke is background
    floor = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    top = float(grey.max())
    if top - floor < 16:
        raise DataError(
            f"{path} is blank: no strokes stand out from the background", "give a picture with more contrast"
        )
    if grey.shape == (height, width) and not dark_on_light:
        return _block(grey, channels), notes
    stretched = np.clip((grey - floor) / (top - floor) * 255, 0, 255)
    strokes = stretched > 255 * 0.35
    rows, columns = np.flatnonzero(strokes.any(1)), np.flatnonzero(strokes.any(0))
    clean = np.where(stretched > 255 * 0.15, stretched, 0).astype(np.uint8)
    cropped = clean[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    notes.append(f"cropped to the drawing and fitted into {width}x{height}")
    return _block(fit_ink(cropped, ink, height, width), channels), notes


def _block(values: np.ndarray, channels: int) -> np.ndarray:
    block = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return np.ascontiguousarray(np.repeat(block, channels, 0) if len(block) < channels else block)
