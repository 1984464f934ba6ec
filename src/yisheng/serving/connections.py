"""Connections that keep a server waiting are cut off: heads that never end, and clients that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

HEAD = 10.0
"""Seconds for the head of a request."""
UNREAD = 30.0
"""Seconds that an answer waits for a client to read on."""
MOST = 512
"""Connections at a time; a process may often have no more than 1,024 files open."""


class Patience(asyncio.Protocol):
    """uvicorn's protocol, whose patience has an end.

    uvicorn waits for the first head for ever, and so does it for a client that stops reading. (Bodies are timed by the
    guard, and pauses between requests by uvicorn.)

    Args:
        inner: uvicorn's protocol; it has a ``cycle`` as soon as a head is complete.
        most: connections at a time.
    """

    def __init__(self, inner: Any, most: int = MOST) -> None:
        self.inner = inner
        self.most = most
        self.transport: asyncio.Transport | None = None
        self.head: asyncio.TimerHandle | None = None
        self.unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.inner.connection_made(transport)
        if len(self.inner.connections) > self.most:
            transport.abort()
            return
        self.head = self._after(HEAD, self._end_if_no_head)

    def data_received(self, data: bytes) -> None:
        """It sends something."""
        self.inner.data_received(data)
        if not self._waits_for_head():
            self._forget_head()
        elif self.head is None:
            self.head = self._after(HEAD, self._end_if_no_head)

    def eof_received(self) -> bool | None:
        """It will send no more."""
        return self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._forget_head()
        self._forget_unread()
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """It does not read what is sent."""
        self.inner.pause_writing()
        self.unread = self._after(UNREAD, self._abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._forget_unread()
        self.inner.resume_writing()

    def _waits_for_head(self) -> bool:
        cycle = self.inner.cycle
        return cycle is None or cycle.response_complete

    def _after(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, do)

    def _forget_head(self) -> None:
        if self.head is not None:
            self.head.cancel()
            self.head = None

    def _forget_unread(self) -> None:
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None

    def _end_if_no_head(self) -> None:
        self.head = None
        if self._waits_for_head():
            self._abort()

    def _abort(self) -> None:
        assert self.transport is not None
        self.transport.abort()
