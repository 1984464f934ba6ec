"""From a request's body to inputs of the network: images, forms, CSV and JSON, refused here if anything is wrong."""

from __future__ import annotations

import base64
import io
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import YishengError
from yisheng.core.types import Spec
from yisheng.data.compression import decompressed
from yisheng.data.images import decode
from yisheng.inference import images, rows
from yisheng.serving import forms, json_rows
from yisheng.serving.errors import Refusal
from yisheng.serving.limits import Limits

FORM, JSON, CSV = "multipart/form-data", "application/json", "text/csv"
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff", "image/avif")
LIGHT = 32 << 10
"""Bytes of a body that is read at once: handing it to another thread would take longer."""
SMALL = 1 << 16
"""Pixels of an image that is decoded at once."""


@dataclass(frozen=True)
class Inputs:
    """What a request wants to be answered.

    Args:
        x: inputs ``(n, ...)``, as in training.
        names: what each is called.
        notes: what was noticed about each, for people.
    """

    x: np.ndarray
    names: tuple[str, ...]
    notes: tuple[tuple[str, ...], ...]


def kind_of(content_type: str) -> str:
    """The kind of a body in lower case, without parameters.

    >>> kind_of("Text/CSV; charset=utf-8")
    'text/csv'
    """
    return content_type.partition(";")[0].strip().lower()


def is_light(body: bytes, content_type: str) -> bool:
    """Whether reading the body takes less time than handing it to another thread: a small drawing, a few rows."""
    kind = kind_of(content_type)
    if kind == "image/png":
        return len(body) <= LIGHT and 0 < _png_pixels(body) <= SMALL
    return kind == JSON and len(body) <= LIGHT // 32


def read(body: bytes, content_type: str, spec: Spec, limits: Limits) -> Inputs:
    """The inputs in a body; whoever calls it takes `decode.quiet` around it.

    Raises:
        Refusal: it is of another type than the model wants, damaged, or too much.
    """
    try:
        kind = kind_of(content_type)
        if spec.is_image:
            return _images(_files(body, content_type, kind), spec, limits)
        if kind == JSON:
            return _rows(_list(body, "rows"), spec, limits)
        return _table(*_table_file(body, content_type, kind), spec, limits)
    except YishengError as error:
        raise unfit(error) from None


def unfit(error: YishengError) -> Refusal:
    """The refusal of an input that the package's own readers did not take."""
    return Refusal(422, "input", error.problem, error.remedy)


def image(content: bytes, name: str, limits: Limits) -> bytes:
    """The same bytes, if they are an image of no more pixels than a request may have.

    Raises:
        DataError: it is no image.
        Refusal: it is too large.
    """
    height, width = decode.size(content, name)
    if height * width > limits.pixels:
        raise _too_many_pixels(limits)
    return content


def unbase64(text: Any, name: str) -> bytes:
    """The bytes in base64, perhaps as a data URL.

    Raises:
        Refusal: it is something else.
    """
    try:
        if not isinstance(text, str):
            raise ValueError
        head, comma, tail = text.partition(",")
        return base64.b64decode(tail if comma and head.startswith("data:") else text, validate=True)
    except ValueError:
        raise Refusal(422, "input", f"{name} is not in base64", "encode the file's bytes in base64") from None


def load_json(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refusal: it is none, or holds NaN or the like, which JSON has not.
    """

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    try:
        found = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise Refusal(400, "json", f"the body is not JSON: {why}", "send a JSON object in UTF-8") from None
    if not isinstance(found, dict):
        raise Refusal(422, "input", f"a JSON object is wanted, got {_type(found)}", 'send {"rows": [...]}')
    return found


def most_rows(spec: Spec, limits: Limits) -> int:
    """Rows that a request may have."""
    return min(limits.rows, limits.answered // max(1, len(spec.classes)))


def _list(body: bytes, wanted: str) -> list[Any]:
    """The list that a JSON body must hold, and nothing else."""
    found = load_json(body)
    values = found.get(wanted)
    if set(found) != {wanted} or not isinstance(values, list) or not values:
        got = ", ".join(map(repr, list(found)[:5])) or "nothing"
        raise Refusal(
            422, "input", f"one list with the key {wanted!r} is wanted, got {got}", f'send {{"{wanted}": []}}'
        )
    return values


def _files(body: bytes, content_type: str, kind: str) -> list[tuple[str, bytes]]:
    """Names and bytes of the images in a body."""
    if kind == FORM:
        return _form_files(body, content_type)
    if kind == JSON:
        texts = _list(body, "images")
        return [(name := f"image {n + 1}", unbase64(text, name)) for n, text in enumerate(texts)]
    if kind.startswith("image/"):
        return [("image", body)]
    raise _wrong_type(kind, "images", (*IMAGES, FORM, JSON))


def _form_files(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    parts = forms.parse(body, content_type)
    others = [part.name for part in parts if part.name != "file"]
    if others or not parts:
        got = ", ".join(repr(name[:40]) for name in others[:5]) or "none"
        raise Refusal(422, "input", f"a form's fields must be called file, got {got}", "name each field file")
    return [(part.file[:200] or f"file {n + 1}", part.content) for n, part in enumerate(parts)]


def _images(files: Sequence[tuple[str, bytes]], spec: Spec, limits: Limits) -> Inputs:
    if len(files) > limits.images:
        raise Refusal(422, "too-many", f"a request may have {limits.images} images, got {len(files)}", "send fewer")
    pixels = 0
    for name, content in files:
        pixels += _png_pixels(content) or math.prod(decode.size(content, name))
        if pixels > limits.pixels:
            raise _too_many_pixels(limits)
    read = [images.unpack(content, name, spec) for name, content in files]
    return Inputs(
        np.stack([block for block, _ in read]),
        tuple(name for name, _ in files),
        tuple(tuple(notes) for _, notes in read),
    )


def _png_pixels(content: bytes) -> int:
    """Pixels of a PNG as its head tells; 0 if it is something else. Most drawings are PNG, and this is quick."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        return 0
    return int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big")


def _too_many_pixels(limits: Limits) -> Refusal:
    return Refusal(
        413,
        "too-large",
        f"the images of a request may have {limits.pixels:,} pixels together",
        "scale them down first",
    )


def _rows(values: Sequence[Any], spec: Spec, limits: Limits) -> Inputs:
    _require_rows(len(values), spec, limits)
    x, notes = json_rows.read(values, spec)
    return Inputs(x, tuple(f"row {n + 1}" for n in range(len(x))), _beginning_with(notes, len(x)))


def _table_file(body: bytes, content_type: str, kind: str) -> tuple[str, bytes]:
    """Name and bytes of the one table in a body."""
    if kind == CSV:
        return "table", body
    if kind != FORM:
        raise _wrong_type(kind, "rows", (CSV, FORM, JSON))
    files = _form_files(body, content_type)
    if len(files) > 1:
        raise Refusal(422, "input", f"one table is wanted, got {len(files)} files", "send one at a time")
    return files[0]


def _table(name: str, content: bytes, spec: Spec, limits: Limits) -> Inputs:
    _require_rows(content.count(b"\n") - 1, spec, limits)
    if decompressed(io.BytesIO(content)) is not None:
        raise Refusal(415, "type", f"{name} is compressed", "send the text itself")
    with tempfile.TemporaryDirectory(prefix="yisheng-") as folder:
        path = Path(folder, "table.csv")
        path.write_bytes(content)
        try:
            found = rows.read_named(path, spec)
        except YishengError as error:
            problem = error.problem.replace(str(path), name)
            raise Refusal(422, "input", problem, error.remedy.replace(str(path), name)) from None
    names = found.ids or tuple(f"row {n + 1}" for n in range(len(found.x)))
    _require_rows(len(names), spec, limits)
    return Inputs(found.x, names, _beginning_with(found.notes, len(names)))


def _beginning_with(notes: Sequence[str], count: int) -> tuple[tuple[str, ...], ...]:
    """What was noticed of a table stands with its first row."""
    return (tuple(notes), *[()] * (count - 1))


def _require_rows(count: int, spec: Spec, limits: Limits) -> None:
    most = most_rows(spec, limits)
    if count > most:
        raise Refusal(422, "too-many", f"a request may have {most:,} rows, got {count:,}", "send fewer at a time")


def _wrong_type(kind: str, what: str, known: Sequence[str]) -> Refusal:
    given = kind[:100] or "none"
    return Refusal(415, "type", f"the model takes {what}, not the content type {given}", f"send {', '.join(known)}")


def _type(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
