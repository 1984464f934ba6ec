"""Forms, JSON and base64 in the bodies of requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from yisheng.core.messages import Message
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
        problem = Message("{name} is not in base64", name=name)
        raise ApiError(422, "input", problem, Message("encode the file's bytes in base64")) from None


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
        problem = Message("the body is not JSON: {reason}", reason=reason)
        raise ApiError(400, "json", problem, Message("send a JSON object in UTF-8")) from None
    if not isinstance(value, dict):
        problem = Message("the body must be a JSON object, got {received}", received=_describe_type(value))
        raise ApiError(422, "input", problem, Message('send an object such as {"rows": [...]}'))
    return value


def parse_json_list(body: bytes, key: str) -> list[Any]:
    """Return the list in a JSON object with this key and no other.

    Raises:
        ApiError: the body is something else, or the list is empty.
    """
    content = parse_json_object(body)
    values = content.get(key)
    if set(content) != {key} or not isinstance(values, list) or not values:
        problem = Message(
            "the body must have one key {key} with a list, got {received}",
            key=f"{key!r}",
            received=describe_keys(content),
        )
        raise ApiError(422, "input", problem, Message('send {{"{key}": [...]}}', key=key))
    return values


def describe_keys(content: dict[str, Any]) -> str:
    """Return the first keys of a JSON object, for an error."""
    return ", ".join(map(repr, list(content)[:5])) or Message("an empty object")


def read_form_files(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Return names and bytes of the files in a form, whose fields are all called ``file``.

    Raises:
        ApiError: the form is damaged, or has other fields.
    """
    parts = parse_form(body, content_type)
    names = [part.name for part in parts]
    if set(names) != {"file"}:
        listed = ", ".join(repr(name[:40]) for name in dict.fromkeys(names) if name != "file") or Message("none")
        problem = Message("the fields of a form must be called file, got {listed}", listed=listed)
        raise ApiError(422, "input", problem, Message("call each field file"))
    return [
        (part.filename[:MAX_FILENAME_LENGTH] or f"file {number}", bytes(part.content))
        for number, part in enumerate(parts, 1)
    ]


def refuse_type(kind: str, inputs: str, accepted: Sequence[str]) -> ApiError:
    """Return the error for a content type that the model does not take."""
    problem = Message(
        "the model takes {inputs}, not the content type {kind}", inputs=inputs, kind=kind[:100] or Message("none")
    )
    return ApiError(415, "type", problem, Message("send {types}", types=", ".join(accepted)))


def _describe_type(value: Any) -> str:
    names = {list: Message("a list"), str: Message("text"), bool: Message("true or false"), type(None): "null"}
    return names.get(type(value), Message("a number"))
