"""Readers of request bodies: processes that can be ended, two for ordinary requests and one for what takes longer.

A hostile image or table can take a decoder's time and memory, or crash it; a thread cannot be ended. Ordinary requests
never wait for it: what a quick reader estimates to take long, or what takes it longer than it estimated, goes on in the
slow reader, which has a low priority.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.images.decode_limits import REMEDY
from yisheng.serving.correction_bodies import Correction
from yisheng.serving.errors import RETRY_AFTER, ApiError, too_many_requests
from yisheng.serving.image_inputs import Decoded
from yisheng.serving.inputs import Inputs, collect_images, collect_rows
from yisheng.serving.limits import Limits
from yisheng.serving.messages import ReaderMessage, pack_text, to_array, unpack_text
from yisheng.serving.reader_process import ReaderProcess
from yisheng.serving.row_inputs import RowInputs

QUICK_READERS, SLOW_READERS = 2, 1
MAX_WAITING = 64
"""Requests that wait for a reader."""
START_SECONDS = 0.3
"""Time after which the first reader is started: the service itself starts first."""
IDLE_SECONDS = 10.0
"""Time after which a reader that is not needed is ended."""
CLOSE_SECONDS = 1.0
"""Time for threads to see that their readers were ended."""
MAX_QUICK_SECONDS = 10.0
"""Elapsed time, with that to start it, after which a quick reader is ended; its own bounds end it earlier if the system
has timers (Windows has none)."""


class ReaderPool:
    """The readers of a service.

    Args:
        spec: the model's contract.
        limits: of a request.
    """

    def __init__(self, spec: Spec, limits: Limits) -> None:
        self._spec, self._limits = spec, limits
        self._quick = _Lane(spec, limits, QUICK_READERS, is_slow=False)
        self._slow = _Lane(spec, limits, SLOW_READERS, is_slow=True)

    def start(self) -> None:
        """Start the first reader soon, unless a request starts it; the others start when they are needed."""
        self._start_timer = asyncio.get_running_loop().call_later(START_SECONDS, self._quick.start_first_reader)

    async def close(self) -> None:
        """End all readers at once, whatever they do."""
        self._start_timer.cancel()
        await asyncio.gather(self._quick.close(), self._slow.close())

    async def read_inputs(self, body: bytes, content_type: str) -> Inputs:
        """Return the inputs in the body of a prediction.

        Raises:
            ApiError: see `yisheng.serving.inputs.parse_inputs`; or there are too many requests.
        """
        messages = await self._run({"task": "inputs", "content_type": content_type}, body)
        for header, content in messages:
            if "rows" in header:
                rows = RowInputs(
                    to_array(header["rows"], content), tuple(header["names"]), tuple(map(unpack_text, header["notes"]))
                )
                return collect_rows(rows)
        try:
            return collect_images(_find_names(messages), _collect_decoded(messages))
        except DataError as error:
            raise ApiError(422, "input", error.problem, error.remedy) from None

    async def read_correction(self, body: bytes) -> Correction:
        """Return the sample in the body of a correction.

        Raises:
            ApiError: see `yisheng.serving.correction_bodies.parse_correction`; or there are too many requests.
        """
        messages = await self._run({"task": "correction"}, body)
        header, image = next(message for message in messages if "label" in message[0])
        return Correction(header["label"], image, tuple(header["texts"]))

    async def _run(self, task: dict[str, Any], body: bytes) -> list[ReaderMessage]:
        """Return what the readers wrote; an image that ends the slow reader is a failure, and the next ones follow."""
        messages: list[ReaderMessage] = []
        lane = self._quick
        while True:
            outcome = await lane.run({**task, "done": len(_collect_decoded(messages))}, body, messages)
            if outcome.get("outcome") == "done":
                return messages
            if outcome.get("outcome") in ("refused", "defect"):
                raise _to_error(outcome)
            if lane is self._quick:
                lane = self._slow
                continue
            names, position = _find_names(messages), len(_collect_decoded(messages))
            if position >= len(names):
                problem = _explain_size(Message("reading the body"), None if outcome else self._limits.seconds)
                raise ApiError(413, "too-large", problem, Message("send less at a time"))
            reading = Message("decoding {name}", name=names[position])
            problem = _explain_size(reading, None if outcome else self._limits.seconds)
            messages.append(({"failure": [pack_text(problem), pack_text(REMEDY)]}, b""))
            if position + 1 == len(names):
                return messages


class _Lane:
    """Readers of one kind, and the requests that wait for them in their order."""

    def __init__(self, spec: Spec, limits: Limits, count: int, *, is_slow: bool) -> None:
        self._spec, self._limits, self._is_slow = spec, limits, is_slow
        self._threads = ThreadPoolExecutor(count, "reader")
        self._slots = asyncio.Semaphore(count)
        self._waiting = 0
        self._idle: list[ReaderProcess] = []
        self._busy: dict[asyncio.Future[dict[str, Any]], ReaderProcess] = {}
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def start_first_reader(self) -> None:
        """Start a reader before it is needed, if there is none."""
        if not self._idle and not self._busy:
            with contextlib.suppress(OSError):
                self._start_reader()

    def _start_reader(self) -> None:
        self._idle.append(ReaderProcess(self._spec, self._limits, is_slow=self._is_slow))

    async def run(self, task: Mapping[str, Any], body: bytes, messages: list[ReaderMessage]) -> dict[str, Any]:
        """Do a task with the next free reader; see `ReaderProcess.run`.

        The slow reader is ended if nobody waits for the result any more; a quick one is nearly done then.

        Raises:
            ApiError: there are too many requests.
        """
        if self._waiting >= MAX_WAITING or self._is_closed:
            raise too_many_requests()
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            if not self._idle:
                self._start_reader()
        except OSError:
            self._slots.release()
            problem = Message("no further process can be started")
            raise ApiError(503, "busy", problem, Message("try again later"), RETRY_AFTER) from None
        reader, loop = self._idle.pop(), asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, reader.run, task, body, messages)
        self._busy[future] = reader
        if not self._is_slow:  # the slow reader is ended with the request
            timer = loop.call_later(MAX_QUICK_SECONDS, reader.kill)
            future.add_done_callback(lambda _: timer.cancel())
        future.add_done_callback(self._release)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if self._is_slow:
                reader.kill()
            raise

    async def close(self) -> None:
        """End all readers at once."""
        self._is_closed = True
        for reader in self._busy.values():
            reader.kill()
        if self._busy:
            await asyncio.wait(list(self._busy), timeout=CLOSE_SECONDS)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for reader in self._idle:
            reader.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self, future: asyncio.Future[dict[str, Any]]) -> None:
        """Let the next request have a reader."""
        reader = self._busy.pop(future)
        self._slots.release()
        if self._is_closed:
            return
        if reader.is_alive:
            self._idle.append(reader)
        elif not self._is_slow and not self._idle:
            with contextlib.suppress(OSError):
                self._start_reader()  # before the next request needs it
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_idle_readers)

    def _end_idle_readers(self) -> None:
        min_idle = 0 if self._is_slow else 1
        while len(self._idle) > min_idle:
            self._threads.submit(self._idle.pop(0).close)


def _explain_size(work: Message, seconds: float | None) -> Message:
    """Return why work failed that ended its reader: it takes too much memory, or more than these seconds."""
    if seconds is None:
        return Message("{work} takes too much memory", work=work)
    return Message("{work} takes too much memory, or more than {seconds} seconds", work=work, seconds=f"{seconds:g}")


def _collect_decoded(messages: Sequence[ReaderMessage]) -> list[Decoded]:
    """Return the images that were decoded, and the errors of the others."""
    decoded: list[Decoded] = []
    for header, content in messages:
        if "image" in header:
            decoded.append((to_array(header["image"], content), [*map(unpack_text, header["notes"])]))
        elif "failure" in header:
            decoded.append(DataError(*map(unpack_text, header["failure"])))
    return decoded


def _find_names(messages: Sequence[ReaderMessage]) -> list[str]:
    """Return the names of all images of a request; empty if the body was not parsed so far."""
    return next((header["files"] for header, _ in messages if "files" in header), [])


def _to_error(outcome: Mapping[str, Any]) -> Exception:
    """Return the error that a reader reported."""
    if outcome["outcome"] == "refused":
        status_code, code, problem, remedy = outcome["error"]
        return ApiError(status_code, code, unpack_text(problem), unpack_text(remedy))
    return RuntimeError(f"a reader has a defect:\n{outcome['traceback']}")
