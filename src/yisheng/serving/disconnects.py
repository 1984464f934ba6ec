"""A request whose client has gone is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from yisheng.serving.errors import Receive, Refusal

AFTER = 0.2
"""Seconds after which a request's client is looked after: most are answered by then, and never need it."""


@contextlib.asynccontextmanager
async def while_there(receive: Receive) -> AsyncIterator[None]:
    """Cancel what happens inside when the client goes away.

    Args:
        receive: tells what the client does, its body having been read.

    Raises:
        Refusal: it went away; nobody reads this.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    gone = False
    watch: asyncio.Task[None] | None = None

    async def wait() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    def begin() -> None:
        nonlocal watch
        watch = loop.create_task(wait())

    timer = loop.call_later(AFTER, begin)
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise Refusal(503, "gone", "the client went away", "stay") from None
    finally:
        timer.cancel()
        if watch is not None:
            watch.cancel()
