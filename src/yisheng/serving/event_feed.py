"""Numbered server-sent events to all open pages."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import secrets
from typing import Any

MAX_EVENTS, MAX_BYTES = 1_000, 4 << 20
"""Events that are kept for a page that lost its connection; a page that missed more receives the whole list again."""
KEEP_ALIVE_SECONDS = 15.0
"""Time after which a silent connection is written to, so that a page that is gone is noticed."""


class EventFeed:
    """Events to all open pages, of which the newest are kept; a slow page costs nothing but its position.

    >>> feed = EventFeed()
    >>> feed.post("run", {"id": "a"})
    >>> feed.events_after(feed.last_id), feed.events_after("of-another-server-7") is None
    ([], True)
    """

    def __init__(self) -> None:
        self._name = secrets.token_hex(4)  # event ids of an earlier server are not valid here
        self._events: collections.deque[bytes] = collections.deque()
        self._dropped, self._bytes = 0, 0
        self._changed = asyncio.Event()
        self.is_closed = False

    @property
    def last_id(self) -> str:
        """Return the id of the newest event."""
        return f"{self._name}-{self._dropped + len(self._events)}"

    def post(self, kind: str, data: Any) -> None:
        """Send an event to all pages."""
        id = f"{self._name}-{self._dropped + len(self._events) + 1}"
        self._events.append(format_event(kind, data, id))
        self._bytes += len(self._events[-1])
        while len(self._events) > MAX_EVENTS or (self._bytes > MAX_BYTES and len(self._events) > 1):
            self._bytes -= len(self._events.popleft())
            self._dropped += 1
        self._notify()

    def close(self) -> None:
        """Let every page's stream end when it has received all events."""
        self.is_closed = True
        self._notify()

    def events_after(self, id: str) -> list[bytes] | None:
        """Return the events after an id, or None if they are no longer kept."""
        name, _, number = id.rpartition("-")
        if name != self._name or not number.isdecimal() or len(number) > 18:
            return None
        index = int(number) - self._dropped
        return list(self._events)[index:] if 0 <= index <= len(self._events) else None

    async def wait(self) -> bool:
        """Wait for a new event; return False after `KEEP_ALIVE_SECONDS` without one."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await changed.wait()
                return True
        return False

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def format_event(kind: str, data: Any, id: str) -> bytes:
    """Return a server-sent event.

    >>> format_event("run", {"id": 1}, "a-2")
    b'id: a-2\\nevent: run\\ndata: {"id":1}\\n\\n'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return f"id: {id}\nevent: {kind}\ndata: {text}\n\n".encode()
