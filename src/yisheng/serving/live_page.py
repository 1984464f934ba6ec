"""The live page of a folder of runs: every change is sent to all open pages (server-sent events)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from yisheng.core.messages import Message
from yisheng.serving import server
from yisheng.serving.errors import ApiError, AsciiJSONResponse, handle_http_error
from yisheng.serving.event_feed import EventFeed, format_event
from yisheng.serving.guard import RequestGuard
from yisheng.serving.live_runs import LiveRuns
from yisheng.serving.static_files import make_page_routes

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
PAGE = "live.html"
MAX_PAGES = 32
"""Pages that are served at the same time."""
POLL_SECONDS = 0.5
MIN_PAUSE_PER_POLL = 4
"""The pause between two polls is at least this many times the time of a poll: a large folder must not use a core."""
SECONDS_TO_FETCH_END = 3.0
"""Time for open pages to fetch the end of a run before the server stops."""


class LivePage:
    """The folder of runs, polled while a page is open, and the events to the pages.

    Args:
        out: the folder of runs.
    """

    def __init__(self, out: Path) -> None:
        self.runs, self.feed, self.open_pages = LiveRuns(out), EventFeed(), 0
        self._poll_lock = asyncio.Lock()

    async def poll(self) -> None:
        """Read what is new in the folder, and send it."""
        async with self._poll_lock:
            for kind, data in await asyncio.to_thread(self.runs.poll):
                self.feed.post(kind, data)

    async def poll_forever(self) -> None:
        """Poll repeatedly; nothing is read while no page is open."""
        while True:
            start = time.monotonic()
            if self.open_pages:
                with contextlib.suppress(OSError, MemoryError):  # the next poll makes up for one that failed
                    await self.poll()
            await asyncio.sleep(max(POLL_SECONDS, MIN_PAUSE_PER_POLL * (time.monotonic() - start)))

    async def stream(self, last_id: str) -> AsyncIterator[bytes]:
        """Yield the events to a page: the list of the runs or the events that it missed, then every new event.

        Args:
            last_id: of the last event that the page received; empty for a new page.
        """
        self.open_pages += 1
        try:
            yield b"retry: 1000\n\n"
            await self.poll()
            while True:
                missed = self.feed.events_after(last_id)
                is_closed, newest_id = self.feed.is_closed, self.feed.last_id
                if missed is None:
                    yield format_event("runs", self.runs.list_runs(), newest_id)
                for event in missed or ():
                    yield event
                last_id = newest_id
                if is_closed:
                    return
                if last_id == self.feed.last_id and not self.feed.is_closed and not await self.feed.wait():
                    yield b": keep-alive\n\n"
        finally:
            self.open_pages -= 1


def create_live_app(live: LivePage) -> Starlette:
    """Return the application with the page, the runs, and the stream of events."""

    async def list_runs(_: Request) -> Response:
        await live.poll()
        return AsciiJSONResponse(live.runs.list_runs())

    async def describe_run(request: Request) -> Response:
        description = await asyncio.to_thread(live.runs.describe_run, request.path_params["id"])
        if description is None:
            raise _unknown_run()
        return AsciiJSONResponse(description)

    async def download_report(request: Request) -> Response:
        path = await asyncio.to_thread(live.runs.find_report, request.path_params["id"])
        if path is None:
            raise _unknown_run()
        # As a download: the report has inline styles, which the security headers of our pages forbid.
        return FileResponse(path, media_type="text/html", filename=f"{path.parent.name}.html")

    async def stream_events(request: Request) -> Response:
        if live.open_pages >= MAX_PAGES:
            problem = Message("{count} pages are open already", count=MAX_PAGES)
            raise ApiError(503, "busy", problem, Message("close some of them"))
        return StreamingResponse(live.stream(request.headers.get("last-event-id", "")), media_type="text/event-stream")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        polling = asyncio.create_task(live.poll_forever())
        try:
            yield
        finally:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling

    routes = [
        *make_page_routes(PAGE),
        Route("/runs", list_runs),
        Route("/runs/{id}", describe_run),
        Route("/runs/{id}/report", download_report),
        Route("/events", stream_events),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: handle_http_error})


def _unknown_run() -> ApiError:
    return ApiError(404, "unknown", Message("there is no such run"), Message("go to the list of the runs"))


def serve(out: Path, port: int, announce: Callable[[str], None], *, until_eof: bool = False) -> None:
    """Serve the live page on this machine until a signal comes.

    Args:
        out: the folder of runs.
        port: 0 for any that is free.
        announce: called with the page's address when it can be opened.
        until_eof: end also when standard input is closed, or when the process that started this one is gone.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
        UsageError: the port is in use.
    """

    async def run() -> None:
        live = LivePage(out)
        uvicorn_server = server.make_server(RequestGuard(create_live_app(live)))
        stopping = asyncio.create_task(_stop_gracefully(uvicorn_server, live, until_eof=until_eof))
        announce(f"{server.format_url(listening)}/")
        await uvicorn_server.serve(sockets=[listening])
        stopping.cancel()

    with server.listen(HOST, port) as listening:
        asyncio.run(run())


async def _stop_gracefully(uvicorn_server: uvicorn.Server, live: LivePage, *, until_eof: bool) -> None:
    """Close the streams before the server waits for them; next to a training, stop the server when it ends."""
    loop, training_ended = asyncio.get_running_loop(), asyncio.Event()
    if until_eof:
        threading.Thread(target=_wait_for_eof, args=(loop, training_ended), daemon=True).start()
    parent = os.getppid()
    while not uvicorn_server.should_exit and not training_ended.is_set():
        if until_eof and os.getppid() != parent:
            training_ended.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await training_ended.wait()
    if not uvicorn_server.should_exit and live.open_pages:
        await live.poll()
        live.feed.post("end", {})
        live.feed.close()
        await asyncio.sleep(SECONDS_TO_FETCH_END)
    live.feed.close()
    uvicorn_server.should_exit = True


def _wait_for_eof(loop: asyncio.AbstractEventLoop, is_closed: asyncio.Event) -> None:
    """Set the event when standard input is closed."""
    with contextlib.suppress(OSError, ValueError):
        while sys.stdin is not None and os.read(sys.stdin.fileno(), 1024):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(is_closed.set)
