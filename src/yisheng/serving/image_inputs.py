"""Images in the bodies of requests: each is decoded, or has its own error in its place."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.images.decode_limits import REMEDY, check_cost, estimate_decoding_cost
from yisheng.data.images.decoding_cost import DecodingCost
from yisheng.inference import images
from yisheng.serving.body_formats import (
    FORM,
    IMAGES,
    JSON,
    decode_base64,
    media_type,
    parse_json_list,
    read_form_files,
    refuse_type,
)
from yisheng.serving.errors import ApiError
from yisheng.serving.limits import Limits

SMALL_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
"""A black pixel."""
ImageFile = tuple[str, bytes | DataError]
"""Name and bytes of an image, or why it has none."""
Decoded = tuple[np.ndarray, list[str]] | DataError
"""Pixels and notes of an image, or why it has none."""


def read_files(body: bytes, content_type: str, limits: Limits) -> list[ImageFile]:
    """Return the images in a body, not decoded.

    Raises:
        ApiError: the body is of another type, damaged, or has too many images.
    """
    kind = media_type(content_type)
    files: Sequence[ImageFile]
    if kind == FORM:
        files = read_form_files(body, content_type)
    elif kind == JSON:
        texts = parse_json_list(body, "images")
        files = [_decode_text(text, number) for number, text in enumerate(texts[: limits.images + 1], 1)]
    elif kind.startswith("image/"):
        files = [("image", body)]
    else:
        raise refuse_type(kind, Message("images"), (*IMAGES, FORM, JSON))
    if len(files) > limits.images:
        count = len(texts) if kind == JSON else len(files)
        problem = Message("a request has at most {limit} images, got {count}", limit=limits.images, count=count)
        raise ApiError(422, "too-many", problem, Message("send fewer at a time"))
    return list(files)


def estimate_costs(files: Sequence[ImageFile], limits: Limits) -> list[DecodingCost | DataError]:
    """Return what decoding each image costs, or why it is not decoded.

    Raises:
        ApiError: the images have too many pixels together.
    """
    costs: list[DecodingCost | DataError] = []
    pixels = 0
    for name, content in files:
        try:
            if isinstance(content, DataError):
                raise content
            cost = estimate_decoding_cost(content, name)
            pixels += cost.pixels
            if pixels > limits.pixels:
                limit = f"{limits.pixels:,}"
                problem = Message("the images of a request have at most {limit} pixels together", limit=limit)
                raise ApiError(413, "too-large", problem, Message("scale them down first"))
            check_cost(cost, name)
            costs.append(cost)
        except DataError as error:
            costs.append(error)
    return costs


def decode_files(
    files: Sequence[ImageFile], costs: Sequence[DecodingCost | DataError], spec: Spec, start: int = 0
) -> Iterator[Decoded]:
    """Yield each image as the network takes it, from number ``start`` on; callers wrap it in `decode.silence_pillow`.

    Args:
        files: from `read_files`.
        costs: from `estimate_costs`.
        spec: a contract for images.
        start: number of images that are decoded already.
    """
    for (name, content), cost in zip(files[start:], costs[start:], strict=True):
        if isinstance(cost, DataError) or isinstance(content, DataError):
            assert isinstance(cost, DataError)
            yield cost
            continue
        try:
            yield images.decode_input(content, name, spec)
        except DataError as error:
            yield error
        except MemoryError:
            yield DataError(Message("{name} takes too much memory to decode", name=name), REMEDY)


def load_decoders(spec: Spec) -> None:
    """Load the decoders of images, which takes some tenths of a second, before the first request."""
    if spec.is_image:
        with contextlib.suppress(DataError):  # a blank drawing
            images.decode_input(SMALL_PNG, "image", spec)


def _decode_text(text: object, number: int) -> ImageFile:
    name = f"image {number}"
    try:
        return name, decode_base64(text, Message("image {number}", number=number))
    except ApiError as error:
        return name, DataError(error.problem, error.remedy)
