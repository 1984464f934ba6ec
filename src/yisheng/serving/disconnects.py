"""Stop working on a request that takes too long, or whose client has disconnected."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

from yisheng.core.messages import Message
from yisheng.serving.errors import RETRY_AFTER, ApiError

SECONDS_BEFORE_WATCHING = 0.2
"""Most requests are done by then, and need neither a task that waits for the client to disconnect nor a deadline."""


class abandon_if_slow_or_disconnected:  # noqa: N801  # a context manager reads as a function
    """Cancel the block after some time, or when the client disconnects; Starlette alone would compute on to its end.

    A class with a single timer, since every request passes through it.

    Args:
        receive: of the ASGI connection, after the body was read.
        seconds: for the block.

    Raises:
        ApiError: the time is over, the server is stopped, or the client disconnected (nobody reads that response).

    >>> async def respond(seconds):
    ...     try:
    ...         async with abandon_if_slow_or_disconnected(asyncio.Queue().get, 0.01):
    ...             await asyncio.sleep(seconds)
    ...     except ApiError as error:
    ...         return error.code
    >>> asyncio.run(respond(0)), asyncio.run(respond(9))
    (None, 'too-slow')
    """

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive, self._seconds = receive, seconds
        self._watcher: asyncio.Task[None] | None = None
        self._cause = ""

    async def __aenter__(self) -> None:
        """Start the timer."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._task = task
        self._timer = loop.call_later(min(SECONDS_BEFORE_WATCHING, self._seconds), self._start_watching)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop watching; turn the cancellation of the block into the error of its cause."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if not isinstance(error, asyncio.CancelledError):
            return
        self._task.uncancel()
        if self._cause == "too-slow":
            problem = Message("the service took more than {seconds} seconds", seconds=f"{self._seconds:g}")
            raise ApiError(503, "too-slow", problem, Message("send less at a time"), RETRY_AFTER) from None
        if self._cause == "disconnected":
            problem = Message("the client disconnected")
            raise ApiError(503, "disconnected", problem, Message("wait for the response")) from None
        problem = Message("the service is being stopped")
        raise ApiError(503, "stopping", problem, Message("try again later"), RETRY_AFTER) from None

    def _start_watching(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        """Wait until the client disconnects or the time is over, and cancel the block."""
        try:
            async with asyncio.timeout(max(0.0, self._seconds - SECONDS_BEFORE_WATCHING)):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
            self._cause = "disconnected"
        except TimeoutError:
            self._cause = "too-slow"
        self._task.cancel()
