"""Read request bodies within limits, before anything is parsed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.types import Message as AsgiMessage
from starlette.types import Receive

from yisheng.core.messages import Message
from yisheng.serving.errors import RETRY_AFTER, ApiError

MAX_BODIES_IN_MEMORY = 16
"""Bodies of the largest size that are in memory at the same time, for all requests together."""
DRAIN_SECONDS = 2.0
"""Time for which a client that sends too much is read on."""
MAX_LENGTH_DIGITS = 12


class RequestHeaders:
    """The headers of a request by name, decoded once; those of Starlette are searched and decoded at each look.

    Args:
        raw: names in lower case, and values, of an ASGI scope.

    >>> headers = RequestHeaders([(b"host", b"a"), (b"accept", b"x"), (b"accept", b"y")])
    >>> headers.get("host", ""), headers.getlist("accept"), headers.getlist("origin"), "origin" in headers
    ('a', ['x', 'y'], [], False)
    """

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            self._values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str, default: str) -> str:
        """Return the first value of a header, or the default."""
        return self._values[name][0] if name in self._values else default

    def getlist(self, name: str) -> list[str]:
        """Return all values of a header."""
        return self._values.get(name, [])


class BodyReader:
    """Reads bodies within limits; Starlette and uvicorn limit neither the size, the time nor the sum of bodies.

    Args:
        max_bytes: of one body.
        seconds: for one body.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self.max_bytes = max_bytes
        self.seconds = seconds
        self.bytes_in_memory = 0

    async def read(self, headers: RequestHeaders, receive: Receive) -> bytes | None:
        """Return the body, or None if the client disconnected; it counts until `release` is called with its size.

        Raises:
            ApiError: the body is too large or too slow, or there are too many at once.
        """
        length = headers.get("content-length", "0")
        if length.isdecimal() and (len(length) > MAX_LENGTH_DIGITS or int(length) > self.max_bytes):
            if "expect" not in headers:  # a client that asks first has not sent anything yet
                await self._drain(receive)
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        self.release(len(body))
                        return None
                    piece = message.get("body", b"")
                    body += piece
                    self.bytes_in_memory += len(piece)
                    if len(body) > self.max_bytes:
                        await self._drain(receive)
                        raise self._too_large()
                    if self.bytes_in_memory > MAX_BODIES_IN_MEMORY * self.max_bytes:
                        problem = Message("there are too many large requests at once")
                        raise ApiError(503, "busy", problem, Message("try again in a second"), RETRY_AFTER)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            self.release(len(body))
            problem = Message("the body did not arrive within {seconds} seconds", seconds=f"{self.seconds:g}")
            raise ApiError(408, "too-slow", problem, Message("send less, or faster")) from None
        except BaseException:
            self.release(len(body))
            raise

    def release(self, size: int) -> None:
        """Stop counting a body of this many bytes."""
        self.bytes_in_memory -= size

    def _too_large(self) -> ApiError:
        limit = f"{self.max_bytes:,}"
        problem = Message("the body of a request has at most {limit} bytes, this one has more", limit=limit)
        return ApiError(413, "too-large", problem, Message("send less at a time"))

    async def _drain(self, receive: Receive) -> None:
        """Read on for a moment: a client that is still writing would not see the response."""
        size = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while size <= 4 * self.max_bytes:
                    message = await receive()
                    size += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that yields the body in one message, then what the original yields: the disconnect."""
    is_replayed = False

    async def receive_body_first() -> AsgiMessage:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body_first
