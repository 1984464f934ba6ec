"""Parse a request's body to inputs of the network: images, forms, CSV and JSON; anything else is refused here."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import YishengError
from yisheng.core.types import Spec
from yisheng.data.compression import open_decompressed
from yisheng.data.images import decode
from yisheng.data.tables.decoded_text import find_encoding
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.inference import images, rows
from yisheng.serving.errors import ApiError, to_api_error
from yisheng.serving.forms import parse_form
from yisheng.serving.json_rows import parse_json_rows
from yisheng.serving.json_tensors import parse_json_tensors, takes_tensors
from yisheng.serving.limits import Limits

FORM, JSON, CSV = "multipart/form-data", "application/json", "text/csv"
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff", "image/avif")
MAX_SMALL_BYTES, MAX_SMALL_PIXELS = 32 << 10, 1 << 16
"""A smaller PNG is decoded in the event loop, since handing it to another thread would take longer."""
MAX_SMALL_JSON_BYTES = 1 << 10
MAX_FILENAME_LENGTH = 200
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Inputs:
    """The inputs of a request.

    Args:
        x: inputs ``(n, ...)``, as in training.
        names: of the inputs.
        notes: on each input, for people.
    """

    x: np.ndarray
    names: tuple[str, ...]
    notes: tuple[tuple[str, ...], ...]


def media_type(content_type: str) -> str:
    """Return the media type of a body in lower case, without parameters.

    >>> media_type("Text/CSV; charset=utf-8")
    'text/csv'
    """
    return content_type.partition(";")[0].strip().lower()


def is_small(body: bytes, content_type: str) -> bool:
    """Return whether parsing a body takes less time than handing it to another thread."""
    kind = media_type(content_type)
    if kind == "image/png":
        return len(body) <= MAX_SMALL_BYTES and 0 < _read_png_pixels(body) <= MAX_SMALL_PIXELS
    return kind == JSON and len(body) <= MAX_SMALL_JSON_BYTES


def parse_inputs(body: bytes, content_type: str, spec: Spec, limits: Limits) -> Inputs:
    """Return the inputs in a body; callers wrap it in `decode.silence_pillow`.

    Raises:
        ApiError: the body is of a type that the model does not take, damaged, or too large.
    """
    try:
        kind = media_type(content_type)
        if spec.is_image:
            return _decode_images(_read_files(body, content_type, kind), spec, limits)
        if kind == JSON:
            return _parse_rows(parse_json_list(body, "rows"), spec, limits)
        if takes_tensors(spec):
            raise _wrong_type(kind, spec.description, (JSON,))
        return _parse_table(*_read_table_file(body, content_type, kind), spec, limits, _read_charset(content_type))
    except YishengError as error:
        raise to_api_error(error) from None


def check_image_size(content: bytes, name: str, limits: Limits) -> bytes:
    """Return the same bytes if they are an image of no more pixels than a request may have.

    Raises:
        DataError: the content is not an image.
        ApiError: the image is too large.
    """
    height, width = decode.read_size(content, name)
    if height * width > limits.pixels:
        raise _too_many_pixels(limits)
    return content


def decode_base64(text: Any, name: str) -> bytes:
    """Return the bytes of a base64 text or data URL.

    Raises:
        ApiError: the text is something else.
    """
    try:
        if not isinstance(text, str):
            raise ValueError
        prefix, comma, data = text.partition(",")
        return base64.b64decode(data if comma and prefix.startswith("data:") else text, validate=True)
    except ValueError:
        raise ApiError(422, "input", f"{name} is not in base64", "encode the file's bytes in base64") from None


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ApiError: the body is not one, or contains NaN or infinity, which JSON does not have.
    """

    def refuse_constant(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    try:
        value = json.loads(body, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ApiError(400, "json", f"the body is not JSON: {reason}", "send a JSON object in UTF-8") from None
    if not isinstance(value, dict):
        problem = f"the body must be a JSON object, got {_describe_type(value)}"
        raise ApiError(422, "input", problem, 'send an object such as {"rows": [...]}')
    return value


def parse_json_list(body: bytes, key: str) -> list[Any]:
    """Return the list in a JSON object with this key and no other.

    Raises:
        ApiError: the body is something else, or the list is empty.
    """
    content = parse_json_object(body)
    values = content.get(key)
    if set(content) != {key} or not isinstance(values, list) or not values:
        problem = f"the body must have one key {key!r} with a list, got {describe_keys(content)}"
        raise ApiError(422, "input", problem, f'send {{"{key}": [...]}}')
    return values


def describe_keys(content: dict[str, Any]) -> str:
    """Return the first keys of a JSON object, for an error."""
    return ", ".join(map(repr, list(content)[:5])) or "an empty object"


def max_rows(spec: Spec, limits: Limits) -> int:
    """Return the number of rows that a request may have."""
    return min(limits.rows, limits.output_values // max(1, len(spec.classes)))


def _read_files(body: bytes, content_type: str, kind: str) -> list[tuple[str, bytes]]:
    """Return names and bytes of the images in a body."""
    if kind == FORM:
        return _read_form_files(body, content_type)
    if kind == JSON:
        texts = parse_json_list(body, "images")
        return [(name := f"image {number}", decode_base64(text, name)) for number, text in enumerate(texts, 1)]
    if kind.startswith("image/"):
        return [("image", body)]
    raise _wrong_type(kind, "images", (*IMAGES, FORM, JSON))


def _read_form_files(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    parts = parse_form(body, content_type)
    names = [part.name for part in parts]
    if set(names) != {"file"}:
        listed = ", ".join(repr(name[:40]) for name in dict.fromkeys(names) if name != "file") or "none"
        raise ApiError(422, "input", f"the fields of a form must be called file, got {listed}", "call each field file")
    return [
        (part.filename[:MAX_FILENAME_LENGTH] or f"file {number}", bytes(part.content))
        for number, part in enumerate(parts, 1)
    ]


def _decode_images(files: Sequence[tuple[str, bytes]], spec: Spec, limits: Limits) -> Inputs:
    if len(files) > limits.images:
        problem = f"a request has at most {limits.images} images, got {len(files)}"
        raise ApiError(422, "too-many", problem, "send fewer at a time")
    pixels = 0
    for name, content in files:  # before anything is decoded
        pixels += _read_png_pixels(content) or math.prod(decode.read_size(content, name))
        if pixels > limits.pixels:
            raise _too_many_pixels(limits)
    decoded = [images.decode_input(content, name, spec) for name, content in files]
    return Inputs(
        np.stack([image for image, _ in decoded]),
        tuple(name for name, _ in files),
        tuple(tuple(notes) for _, notes in decoded),
    )


def _read_png_pixels(content: bytes) -> int:
    """Return the number of pixels in a PNG's header, 0 for other formats: faster than Pillow, and most are PNG."""
    if content[:8] != PNG_SIGNATURE or content[12:16] != b"IHDR":
        return 0
    return int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big")


def _too_many_pixels(limits: Limits) -> ApiError:
    problem = f"the images of a request have at most {limits.pixels:,} pixels together"
    return ApiError(413, "too-large", problem, "scale them down first")


def _parse_rows(values: Sequence[Any], spec: Spec, limits: Limits) -> Inputs:
    _check_row_count(len(values), spec, limits)
    x, notes = (parse_json_tensors(values, spec), ()) if takes_tensors(spec) else parse_json_rows(values, spec)
    return Inputs(x, _number_rows(len(x)), _notes_on_first_row(notes, len(x)))


def _read_table_file(body: bytes, content_type: str, kind: str) -> tuple[str, bytes]:
    """Return name and bytes of the one table in a body."""
    if kind == CSV:
        return "table", body
    if kind != FORM:
        raise _wrong_type(kind, "rows", (CSV, FORM, JSON))
    files = _read_form_files(body, content_type)
    if len(files) > 1:
        raise ApiError(422, "input", f"a request has one table, got {len(files)} files", "send one at a time")
    return files[0]


def _read_charset(content_type: str) -> ReadingOptions:
    """Return how a table is read by the charset of its content type; UTF-8, which clients write anyway, says nothing.

    Raises:
        UsageError: there is no such encoding.
    """
    match = re.search(r'charset="?([\w.:-]{1,40})', content_type, re.IGNORECASE)
    charset = find_encoding(match[1]) if match else "utf-8"
    return AUTOMATIC if charset in ("utf-8", "ascii") else ReadingOptions(encoding=charset)


def _parse_table(name: str, content: bytes, spec: Spec, limits: Limits, options: ReadingOptions) -> Inputs:
    _check_row_count(content.count(b"\n") - 1, spec, limits)
    if open_decompressed(io.BytesIO(content)) is not None:
        raise ApiError(415, "type", f"{name} is compressed", "decompress it first")
    with tempfile.TemporaryDirectory(prefix="yisheng-") as folder:
        path = Path(folder, "table.csv")
        path.write_bytes(content)
        try:
            table = rows.read_rows(path, spec, options=options)
        except YishengError as error:
            problem, remedy = (text.replace(str(path), name) for text in (error.problem, error.remedy))
            raise ApiError(422, "input", problem, remedy) from None
    names = table.ids or _number_rows(len(table.x))
    _check_row_count(len(names), spec, limits)
    return Inputs(table.x, names, _notes_on_first_row(table.notes, len(names)))


def _number_rows(count: int) -> tuple[str, ...]:
    return tuple(f"row {number}" for number in range(1, count + 1))


def _notes_on_first_row(notes: Sequence[str], count: int) -> tuple[tuple[str, ...], ...]:
    """Return the notes of each row: those on a table belong to its first row."""
    return (tuple(notes), *[()] * (count - 1))


def _check_row_count(count: int, spec: Spec, limits: Limits) -> None:
    limit = max_rows(spec, limits)
    if count > limit:
        problem = f"a request has at most {limit:,} rows, got {count:,}"
        raise ApiError(422, "too-many", problem, "send fewer at a time")


def _wrong_type(kind: str, inputs: str, accepted: Sequence[str]) -> ApiError:
    problem = f"the model takes {inputs}, not the content type {kind[:100] or 'none'}"
    return ApiError(415, "type", problem, f"send {', '.join(accepted)}")


def _describe_type(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
