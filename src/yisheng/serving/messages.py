"""Messages between the service and its readers: a header in JSON, and bytes. Nothing is pickled."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from yisheng.core.messages import Message

_LENGTHS = struct.Struct("<IQ")

ReaderMessage = tuple[dict[str, Any], bytes]


def write_message(stream: IO[bytes], header: Mapping[str, Any], content: bytes | memoryview = b"") -> None:
    """Write a message.

    Args:
        stream: where to.
        header: plain data.
        content: bytes that belong to it.
    """
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), len(content)) + text)
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> ReaderMessage | None:
    """Return the next message, or None if the stream ends before or inside it.

    >>> import io
    >>> stream = io.BytesIO()
    >>> write_message(stream, {"n": 1}, b"abc")
    >>> _ = stream.seek(0)
    >>> read_message(stream), read_message(stream)
    (({'n': 1}, b'abc'), None)
    """
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_length, content_length = _LENGTHS.unpack(lengths)
    header, content = stream.read(header_length), stream.read(content_length)
    if len(header) < header_length or len(content) < content_length:
        return None
    return json.loads(header), content


def pack_text(text: str) -> Any:
    """Return a text for a header: a message with its template and values, so that the service can translate it.

    >>> pack_text(Message("{n} rows", n=3)), pack_text("x.csv")
    ({'template': '{n} rows', 'values': {'n': 3}}, 'x.csv')
    """
    return text.to_json() if isinstance(text, Message) else text


def unpack_text(packed: Any) -> str:
    """Return the text that `pack_text` packed."""
    return Message.from_json(packed) if isinstance(packed, Mapping) else str(packed)


def describe_array(array: np.ndarray) -> dict[str, Any]:
    """Return type and shape of an array, for the header of the message with its bytes."""
    return {"dtype": array.dtype.name, "shape": list(array.shape)}


def to_array(header: Mapping[str, Any], content: bytes) -> np.ndarray:
    """Return the array that `describe_array` described.

    >>> array = np.array([[1.5, 2]], np.float32)
    >>> to_array(describe_array(array), array.tobytes())
    array([[1.5, 2. ]], dtype=float32)
    """
    return np.frombuffer(content, np.dtype(header["dtype"])).reshape(header["shape"])
