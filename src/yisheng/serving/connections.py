"""Close connections that keep a server waiting: request headers that never end, and clients that do not read."""

from __future__ import annotations

import asyncio
from typing import Any, cast

HEADER_SECONDS = 10.0
"""Time for the header of a request."""
WRITE_SECONDS = 30.0
"""Time that a response waits for a client to read on."""
MAX_CONNECTIONS = 512
"""Connections at a time; a process can often open no more than 1,024 files."""


class TimeoutProtocol(asyncio.Protocol):
    """uvicorn's protocol with timeouts for headers and for writing, and a limit on connections.

    uvicorn waits forever for the first header, and for a client that stops reading; its ``limit_concurrency`` accepts
    a connection before it refuses the request. (`RequestGuard` limits the time of bodies, and uvicorn the pauses
    between requests.)

    Args:
        inner: uvicorn's protocol; its ``cycle`` is set as soon as a header is complete.
        max_connections: at a time.
    """

    def __init__(self, inner: Any, max_connections: int | None = None) -> None:
        self._inner = inner
        self._max_connections = MAX_CONNECTIONS if max_connections is None else max_connections
        self._transport: asyncio.Transport | None = None
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timeout of the first header, or close a connection over the limit."""
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop are no subclass
        self._inner.connection_made(transport)
        if len(self._inner.connections) > self._max_connections:
            self._transport.abort()
            return
        self._start_header_timer()

    def data_received(self, data: bytes) -> None:
        """Pass data on, and start or stop the timeout of a header."""
        self._inner.data_received(data)
        if not self._is_waiting_for_header():
            self._stop_header_timer()
        elif self._header_timer is None:
            self._start_header_timer()

    def eof_received(self) -> bool | None:
        """Pass the end of the client's data on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timeouts."""
        self._stop_header_timer()
        self._stop_write_timer()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the timeout for a client that does not read."""
        self._inner.pause_writing()
        self._write_timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._abort)

    def resume_writing(self) -> None:
        """Stop the timeout for a client that reads again."""
        self._stop_write_timer()
        self._inner.resume_writing()

    def _is_waiting_for_header(self) -> bool:
        cycle = self._inner.cycle
        return cycle is None or cycle.response_complete

    def _start_header_timer(self) -> None:
        self._header_timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._abort_without_header)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _abort_without_header(self) -> None:
        self._header_timer = None
        if self._is_waiting_for_header():
            self._abort()

    def _abort(self) -> None:
        assert self._transport is not None
        self._transport.abort()
