"""Forms, JSON and base64 in the bodies of requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from yisheng.serving.errors import ApiError
from yisheng.serving.forms import parse_form

FORM, JSON, CSV = "multipart/form-data", "application/json", "text/csv"
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff", "image/avif")
MAX_FILENAME_LENGTH = 200
_URL_SAFE = str.maketrans("-_", "+/")


def media_type(content_type: str) -> str:
    """Return the media type of a body in lower case, without parameters.

    >>> media_type("Text/CSV; charset=utf-8")
    'text/csv'
    """
    return content_type.partition(";")[0].strip().lower()


def decode_base64(text: Any, name: str) -> bytes:
    """Return the bytes of a text in base64, or of a data URL.

    All usual forms are read: with line breaks (MIME), without padding, with ``-`` and ``_`` (for URLs).

    Args:
        text: the value in the JSON.
        name: of the input in an error.

    Raises:
        ApiError: the text is something else.

    >>> decode_base64("data:;base64,Pz8\\n_", "the image"), decode_base64("Pw", "the image")
    (b'???', b'?')
    """
    try:
        if not isinstance(text, str):
            raise ValueError
        if text[:5].lower() == "data:":
            prefix, comma, text = text.partition(",")
            if not comma:
                raise ValueError
            text = unquote_to_bytes(text)
            if not prefix.lower().endswith(";base64"):
                return text
            text = text.decode("ascii")
        digits = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
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


def read_form_files(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Return names and bytes of the files in a form, whose fields are all called ``file``.

    Raises:
        ApiError: the form is damaged, or has other fields.
    """
    parts = parse_form(body, content_type)
    names = [part.name for part in parts]
    if set(names) != {"file"}:
        listed = ", ".join(repr(name[:40]) for name in dict.fromkeys(names) if name != "file") or "none"
        raise ApiError(422, "input", f"the fields of a form must be called file, got {listed}", "call each field file")
    return [
        (part.filename[:MAX_FILENAME_LENGTH] or f"file {number}", bytes(part.content))
        for number, part in enumerate(parts, 1)
    ]


def refuse_type(kind: str, inputs: str, accepted: Sequence[str]) -> ApiError:
    """Return the error for a content type that the model does not take."""
    problem = f"the model takes {inputs}, not the content type {kind[:100] or 'none'}"
    return ApiError(415, "type", problem, f"send {', '.join(accepted)}")


def _describe_type(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
