"""Requests that come at the same time go through the network together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from yisheng.serving.errors import Refusal

Network = Callable[[np.ndarray], np.ndarray]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Waiting:
    """Inputs of a request, ``(n, ...)``, and where their outputs go."""

    x: np.ndarray
    outputs: asyncio.Future[np.ndarray]


class Batches:
    """A queue before a network, and one thread that lets a batch after the other through it.

    While a batch is in the network the next one gathers by itself. Only when the network is idle does a batch wait
    for requests that are being read, at most ``wait``; a lone request never waits.

    Args:
        network: inputs ``(B, ...)`` to outputs ``(B, ...)``; called in one thread alone.
        batch: samples that go through at a time, at most.
        wait: milliseconds.
        most: samples in the queue; what comes then is refused.
        threads: of torch, for a batch.
    """

    def __init__(
        self, network: Network, *, batch: int = 64, wait: float = 2, most: int = 10_000, threads: int = 1
    ) -> None:
        self.network = network
        self.batch = batch
        self.wait = wait / 1000
        self.most = most
        self.queue: deque[Waiting] = deque()
        self.samples = 0
        self.being_read = 0
        self.changed = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, "network", torch.set_num_threads, (threads,))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While the input of a request is being read: an idle network waits a moment for it."""
        self.being_read += 1
        try:
            yield
        finally:
            self.being_read -= 1
            self.changed.set()

    async def outputs(self, x: np.ndarray) -> np.ndarray:
        """The network's outputs for the inputs of one request, which may be more than a batch.

        Raises:
            Refusal: the queue is full.
        """
        if self.samples and self.samples + len(x) > self.most:
            raise Refusal(503, "busy", "too many requests are waiting", "try again in a second", (b"retry-after", b"1"))
        loop = asyncio.get_running_loop()
        pieces = [x[at : at + self.batch] for at in range(0, len(x), self.batch)]
        mine = [Waiting(piece, loop.create_future()) for piece in pieces]
        self.queue.extend(mine)
        self.samples += len(x)
        self.changed.set()
        futures = [waiting.outputs for waiting in mine]
        if len(futures) == 1:
            return await futures[0]
        try:
            return np.concatenate(await asyncio.gather(*futures))
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    async def work(self) -> None:
        """Let batches through until cancelled."""
        try:
            while True:
                while not self.queue:
                    self.changed.clear()
                    await self.changed.wait()
                await self._gather()
                batch = self._take()
                if batch:
                    await self._let_through(batch)
        finally:
            self.thread.shutdown(cancel_futures=True)

    async def beside(self, do: Callable[[np.ndarray], Result], x: np.ndarray) -> Result:
        """Something else that asks the network, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, do, x)

    async def _let_through(self, batch: list[Waiting]) -> None:
        x = np.concatenate([waiting.x for waiting in batch]) if len(batch) > 1 else batch[0].x
        try:
            outputs = await self.beside(self.network, x)
        except Exception as error:
            for waiting in batch:
                if not waiting.outputs.cancelled():
                    waiting.outputs.set_exception(error)
            return
        at = 0
        for waiting in batch:
            if not waiting.outputs.cancelled():
                waiting.outputs.set_result(outputs[at : at + len(waiting.x)])
            at += len(waiting.x)

    async def _gather(self) -> None:
        """Wait until the batch is full, or no request is being read, or the time is up."""
        if self.samples >= self.batch or not self.being_read or not self.wait:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.wait):
                while self.samples < self.batch and self.being_read:
                    self.changed.clear()
                    await self.changed.wait()

    def _take(self) -> list[Waiting]:
        """The next batch; whose client is gone is left out."""
        taken: list[Waiting] = []
        size = 0
        while self.queue and (not taken or size + len(self.queue[0].x) <= self.batch):
            waiting = self.queue.popleft()
            self.samples -= len(waiting.x)
            if not waiting.outputs.cancelled():
                taken.append(waiting)
                size += len(waiting.x)
        return taken
