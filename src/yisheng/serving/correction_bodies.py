"""The body of a correction: a sample with its right label, made ready to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.images import decode, encode
from yisheng.data.images.decode_limits import check_cost, estimate_decoding_cost
from yisheng.serving.body_formats import decode_base64, describe_keys, parse_json_object
from yisheng.serving.errors import ApiError
from yisheng.serving.json_rows import format_row, parse_json_rows
from yisheng.serving.json_tensors import takes_tensors
from yisheng.serving.limits import Limits

THE_IMAGE = Message("the image")
MAX_IMAGE_SIDE = 1024
"""Longest side of an image that is kept, in pixels; larger images are scaled down."""
MAX_VALUE_LENGTH = 1000
"""Characters of a value in a row that is kept."""


@dataclass(frozen=True)
class Correction:
    """A sample with its right label.

    Args:
        label: as it was sent.
        image: the image as a new PNG or TIFF file without metadata; empty for a row.
        texts: the values of the row as a table contains them; empty for an image.
    """

    label: Any
    image: bytes = b""
    texts: tuple[str, ...] = ()


def parse_correction(body: bytes, spec: Spec, limits: Limits) -> Correction:
    """Return the correction in a body; callers wrap it in `decode.silence_pillow`.

    Raises:
        ApiError: the body is not JSON, or does not have a sample and a label; or the image is too large.
        DataError: the content is not an image, or the row does not fit the columns.
        UsageError: the model takes neither images nor rows.
    """
    content = parse_json_object(body)
    sample = "image" if spec.is_image else "row"
    if set(content) != {sample, "label"}:
        received = describe_keys(content)
        problem = Message(
            "the body must have the keys {sample} and label, got {received}", sample=sample, received=received
        )
        raise ApiError(422, "input", problem, Message('send {{"{sample}": ..., "label": ...}}', sample=sample))
    if spec.is_image:
        return Correction(content["label"], image=_read_image(content["image"], spec, limits))
    return Correction(content["label"], texts=_read_row(content["row"], spec))


def _read_image(text: Any, spec: Spec, limits: Limits) -> bytes:
    """Return the image as a new file; one of more than 8 bits keeps its values if those of the training had such."""
    content = decode_base64(text, THE_IMAGE)
    cost = estimate_decoding_cost(content, THE_IMAGE)
    if cost.pixels > limits.pixels:
        problem = Message("an image has at most {limit} pixels", limit=f"{limits.pixels:,}")
        raise ApiError(413, "too-large", problem, Message("scale it down first"))
    check_cost(cost, THE_IMAGE)
    values = spec.image_values
    raw = None if values.is_plain else decode.read_deep_image(content, THE_IMAGE)
    if raw is not None:
        return encode.encode_raw(raw, values, THE_IMAGE, MAX_IMAGE_SIDE)
    return encode.encode_pixels(decode.decode_image(content, THE_IMAGE, values=None), MAX_IMAGE_SIDE)


def _read_row(row: Any, spec: Spec) -> tuple[str, ...]:
    if takes_tensors(spec):
        raise UsageError(
            Message(
                "corrections are kept for images and rows; the model takes {description}", description=spec.description
            ),
            Message("keep the sample in a file of your own"),
        )
    parse_json_rows([row], spec)
    texts = format_row(row, spec)
    unsuitable = [text for text in texts if len(text) > MAX_VALUE_LENGTH or not text.isprintable()]
    if unsuitable:
        raise DataError(
            Message("{unsuitable} cannot be kept in a table", unsuitable=f"{unsuitable[0][:40]!r}"),
            Message("send short text in one line"),
        )
    return tuple(texts)
