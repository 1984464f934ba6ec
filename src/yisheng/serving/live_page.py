"""The live page of a folder of runs: what is new is sent to every open page as it happens (server-sent events)."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.serving import server, static_files
from yisheng.serving.guard import guarded
from yisheng.serving.live_runs import Runs

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"
FRONT = "live.html"
CLIENTS = 32
"""Pages that are served at the same time."""
MESSAGES, BYTES = 1_000, 4 << 20
"""What is kept for a page that lost its connection; one that missed more gets the whole list again."""
EVERY = 0.5
"""Seconds between two looks at the folder."""
ALIVE = 15.0
"""Seconds after which a silent connection is written to, so that a page which is gone is noticed."""
LINGER = 3.0
"""Seconds for open pages to fetch the end of a run."""


class Feed:
    """Numbered messages to all open pages, the newest kept; a page that is slow holds nothing but its place.

    >>> feed = Feed()
    >>> feed.post("run", {"id": "a"})
    >>> [text.decode().splitlines()[1:3] for text in feed.after(feed.place)], feed.after("elsewhere-7") is None
    ([], True)
    """

    def __init__(self) -> None:
        self._name = secrets.token_hex(4)  # numbers of an earlier server mean nothing here
        self._kept: collections.deque[bytes] = collections.deque()
        self._first, self._size = 0, 0
        self._changed = asyncio.Event()
        self.ended = False

    @property
    def place(self) -> str:
        """Where the newest message is."""
        return f"{self._name}-{self._first + len(self._kept)}"

    def post(self, kind: str, data: Any) -> None:
        """Send a message to all."""
        place = f"{self._name}-{self._first + len(self._kept) + 1}"
        self._kept.append(message(kind, data, place))
        self._size += len(self._kept[-1])
        while len(self._kept) > MESSAGES or (self._size > BYTES and len(self._kept) > 1):
            self._size -= len(self._kept.popleft())
            self._first += 1
        self._tell()

    def end(self) -> None:
        """Let every page's stream end when it has got all."""
        self.ended = True
        self._tell()

    def after(self, place: str) -> list[bytes] | None:
        """The messages after a place; None where they are no longer kept."""
        name, _, number = place.rpartition("-")
        if name != self._name or not number.isdecimal() or len(number) > 18:
            return None
        begin = int(number) - self._first
        return list(self._kept)[begin:] if 0 <= begin <= len(self._kept) else None

    async def wait(self) -> bool:
        """Until there is something new; False when it took too long."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALIVE):
                await changed.wait()
                return True
        return False

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def message(kind: str, data: Any, place: str) -> bytes:
    """A server-sent event."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return f"id: {place}\nevent: {kind}\ndata: {text}\n\n".encode()


class Live:
    """The folder, followed for as long as a page is open.

    Args:
        out: the folder of runs.
    """

    def __init__(self, out: Path) -> None:
        self.runs, self.feed, self.clients = Runs(out), Feed(), 0
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Look at the folder once, and send what is new."""
        async with self._looking:
            for kind, data in await asyncio.to_thread(self.runs.look):
                self.feed.post(kind, data)

    async def follow(self) -> None:
        """Look again and again; nothing is read while no page is open."""
        while True:
            began = time.monotonic()
            if self.clients:
                with contextlib.suppress(OSError, MemoryError):  # a look that failed is made up for by the next
                    await self.look()
            await asyncio.sleep(max(EVERY, 4 * (time.monotonic() - began)))  # a large folder must not take a core

    async def stream(self, place: str) -> AsyncIterator[bytes]:
        """What a page gets: the list of the runs, or what it missed; then what is new, as it happens."""
        self.clients += 1
        try:
            yield b"retry: 1000\n\n"
            await self.look()
            while True:
                missed = self.feed.after(place)
                ended = self.feed.ended
                here = self.feed.place
                if missed is None:
                    yield message("runs", self.runs.listed(), here)
                for one in missed or ():
                    yield one
                place = here
                if ended:
                    return
                if place == self.feed.place and not self.feed.ended and not await self.feed.wait():
                    yield b": still here\n\n"
        finally:
            self.clients -= 1


def application(live: Live) -> Starlette:
    """The page, the runs, and the stream of what is new.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.responses import FileResponse, Response, StreamingResponse
        from starlette.routing import Route
    except Exception:
        raise server.missing() from None

    def told(data: Any, status: int = 200) -> Response:
        return Response(json.dumps(data, allow_nan=False), status, media_type="application/json")

    def refused(status: int, code: str, problem: str, remedy: str) -> Response:
        return told({"error": {"problem": problem, "remedy": remedy, "code": code}}, status)

    def unknown() -> Response:
        return refused(404, "unknown", "there is no such run", "go to the list of the runs")

    async def listed(_: Request) -> Response:
        await live.look()
        return told(live.runs.listed())

    async def whole(request: Request) -> Response:
        found = await asyncio.to_thread(live.runs.whole, request.path_params["id"])
        return unknown() if found is None else told(found)

    async def report(request: Request) -> Response:
        path = await asyncio.to_thread(live.runs.report, request.path_params["id"])
        if path is None:
            return unknown()
        # To keep, not to show: its styles stand in the page itself, which the rules for our pages forbid.
        return FileResponse(path, media_type="text/html", filename=f"{path.parent.name}.html")

    async def events(request: Request) -> Response:
        if live.clients >= CLIENTS:
            return refused(503, "busy", f"{CLIENTS} pages are open already", "close some of them")
        return StreamingResponse(live.stream(request.headers.get("last-event-id", "")), media_type="text/event-stream")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(live.follow())
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    routes = [
        *(Route(path, endpoint) for path, endpoint in static_files.endpoints(FRONT).items()),
        Route("/runs", listed),
        Route("/runs/{id}", whole),
        Route("/runs/{id}/report", report),
        Route("/events", events),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def serve(out: Path, port: int, announce: Callable[[str], None], *, beside: bool = False) -> None:
    """Serve the live page on this machine until a signal comes.

    Args:
        out: the folder of runs.
        port: of the address; 0 takes a free one.
        announce: is told the page's address when it can be opened.
        beside: end when standard input is closed, or when the process that started this one is gone.

    Raises:
        MissingPartError: the extra ``serve`` is not installed.
        UsageError: the port is taken.
    """

    async def run() -> None:
        live = Live(out)
        serving = server.server(guarded(application(live)))
        ending = asyncio.create_task(_end(serving, live, asyncio.get_running_loop(), beside=beside))
        announce(f"{server.address(listening)}/")
        await serving.serve(sockets=[listening])
        ending.cancel()

    with server.listen(HOST, port) as listening:
        asyncio.run(run())


async def _end(serving: uvicorn.Server, live: Live, loop: asyncio.AbstractEventLoop, *, beside: bool) -> None:
    """Let streams end before the server waits for them; beside a training, end with it."""
    over = asyncio.Event()
    if beside:
        threading.Thread(target=_wait, args=(loop, over), daemon=True).start()
    parent = os.getppid()
    while not serving.should_exit and not over.is_set():
        if beside and os.getppid() != parent:
            over.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await over.wait()
    if not serving.should_exit and live.clients:
        await live.look()
        live.feed.post("end", {})
        live.feed.end()
        await asyncio.sleep(LINGER)
    live.feed.end()
    serving.should_exit = True


def _wait(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """Until standard input is closed."""
    with contextlib.suppress(OSError, ValueError):
        while sys.stdin is not None and os.read(sys.stdin.fileno(), 1024):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(over.set)
