"""Stop working on a request that takes too long, or whose client has disconnected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.types import Receive

from yisheng.core.messages import Message
from yisheng.serving.errors import RETRY_AFTER, ApiError

SECONDS_BEFORE_WATCHING = 0.2
"""Most requests are done by then, and need no task that waits for the client to disconnect."""


@contextlib.asynccontextmanager
async def abandon_if_slow_or_disconnected(receive: Receive, seconds: float) -> AsyncIterator[None]:
    """Cancel the block after some time, or when the client disconnects.

    Args:
        receive: of the ASGI connection, after the body was read.
        seconds: for the block.

    Raises:
        ApiError: the time is over, the server is stopped, or the client disconnected (nobody reads that response).
    """
    try:
        async with asyncio.timeout(seconds), cancel_on_disconnect(receive):
            yield
    except TimeoutError:
        problem = Message("the service took more than {seconds} seconds", seconds=f"{seconds:g}")
        raise ApiError(503, "too-slow", problem, Message("send less at a time"), RETRY_AFTER) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        problem = Message("the service is being stopped")
        raise ApiError(503, "stopping", problem, Message("try again later"), RETRY_AFTER) from None


@contextlib.asynccontextmanager
async def cancel_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client disconnects; Starlette alone would compute the response to its end.

    Args:
        receive: of the ASGI connection, after the body was read.

    Raises:
        ApiError: the client disconnected.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    is_disconnected = False
    watcher: asyncio.Task[None] | None = None

    async def wait_for_disconnect() -> None:
        nonlocal is_disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        is_disconnected = True
        task.cancel()

    def start_watching() -> None:
        nonlocal watcher
        watcher = loop.create_task(wait_for_disconnect())

    timer = loop.call_later(SECONDS_BEFORE_WATCHING, start_watching)
    try:
        yield
    except asyncio.CancelledError:
        if not is_disconnected:
            raise
        task.uncancel()
        problem = Message("the client disconnected")
        raise ApiError(503, "disconnected", problem, Message("wait for the response")) from None
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
