"""Bodies of requests: read whole before anything else happens, so far and so long as the limits say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from yisheng.serving.errors import Message, Receive, Refusal

AT_ONCE = 16
"""Bodies of the largest size that are held at the same time, all requests together."""
POURING = 2.0
"""Seconds that a client which sends too much is read on."""


class Bodies:
    """The bodies that are held at a time.

    Args:
        most: bytes of one.
        seconds: for the whole of one.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self.held = 0

    async def read(self, heads: Mapping[str, Sequence[str]], receive: Receive) -> bytes | None:
        """The whole body, or None where the client went away. It is held until `release` is told its size.

        Raises:
            Refusal: it is too large or too slow, or too much is held already.
        """
        length = heads.get("content-length", ("0",))[0]
        if length.isdecimal() and (len(length) > 12 or int(length) > self.most):
            if "expect" not in heads:  # a client that asks first has sent nothing yet
                await self._pour_away(receive)
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
                    self.held += len(piece)
                    if len(body) > self.most:
                        await self._pour_away(receive)
                        raise self._too_large()
                    if self.held > AT_ONCE * self.most:
                        busy = "too many large requests at once"
                        raise Refusal(503, "busy", busy, "try again in a second", (b"retry-after", b"1"))
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            self.release(len(body))
            slow = f"the body did not come within {self.seconds:g} seconds"
            raise Refusal(408, "too-slow", slow, "send less, or faster") from None
        except BaseException:
            self.release(len(body))
            raise

    def release(self, size: int) -> None:
        """A body is done with."""
        self.held -= size

    def _too_large(self) -> Refusal:
        problem = f"a request may have {self.most:,} bytes, and this one has more"
        return Refusal(413, "too-large", problem, "send less at a time")

    async def _pour_away(self, receive: Receive) -> None:
        """Read on for a moment: a client that is still writing would not see the answer."""
        poured = 0
        try:
            async with asyncio.timeout(POURING):
                while poured <= 4 * self.most:
                    message = await receive()
                    poured += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def again(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then what the server tells: that the client went away."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
