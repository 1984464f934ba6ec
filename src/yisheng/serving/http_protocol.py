"""uvicorn's HTTP protocol on httptools, with a bound on what a request sends besides its body."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 320 << 10
"""Bytes of a request that are not its body; of these a read from the socket may have 256 KiB."""
FRAMING_PER_BODY_BYTE = 8
"""Further such bytes for each byte of the body: a chunk of one byte needs five."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """The protocol, which ends a connection whose header, chunk sizes or trailers never end.

    httptools keeps what it has of a header or trailer in memory, and has no limit.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._framing_bytes = self._body_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse data; respond with 400 and close the connection if too much of it is not a body."""
        earlier = self._body_bytes
        super().data_received(data)
        self._framing_bytes += len(data) - max(0, self._body_bytes - earlier)
        if self._framing_bytes > MAX_HEADER_BYTES + FRAMING_PER_BODY_BYTE * self._body_bytes:
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response("The header is too long.")
            else:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """Count from the beginning."""
        self._framing_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)
