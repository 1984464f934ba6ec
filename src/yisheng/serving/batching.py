"""Run requests that arrive at the same time through the network together."""

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

from yisheng.serving.errors import too_many_requests

Network = Callable[[np.ndarray], np.ndarray]
Result = TypeVar("Result")


@dataclass(frozen=True)
class PendingInputs:
    """Inputs of a request, ``(n, ...)``, and the future of their outputs."""

    x: np.ndarray
    outputs: asyncio.Future[np.ndarray]


class BatchQueue:
    """A queue of inputs, and one thread that runs the network on one batch after the other.

    While the network computes a batch, the next one accumulates. Only an idle network waits for requests that are
    still being parsed, for at most ``wait``; a single request never waits.

    Args:
        network: inputs ``(B, ...)`` to outputs ``(B, ...)``; called in one thread only.
        batch: largest number of samples in one forward pass.
        wait: milliseconds.
        max_queued: samples in the queue; a request over this limit is refused.
        threads: of torch, for a batch.
    """

    def __init__(
        self, network: Network, *, batch: int = 64, wait: float = 2, max_queued: int = 10_000, threads: int = 1
    ) -> None:
        self.network = network
        self.batch = batch
        self.wait_seconds = wait / 1000
        self.max_queued = max_queued
        self.queued_samples = 0
        self._queue: deque[PendingInputs] = deque()
        self._requests_being_parsed = 0
        self._changed = asyncio.Event()
        self._network_thread = ThreadPoolExecutor(1, "network", torch.set_num_threads, (threads,))

    @contextlib.contextmanager
    def expect_inputs(self) -> Iterator[None]:
        """Let an idle network wait for the inputs of a request that is parsed in this block."""
        self._requests_being_parsed += 1
        try:
            yield
        finally:
            self._requests_being_parsed -= 1
            self._changed.set()

    async def compute(self, x: np.ndarray) -> np.ndarray:
        """Return the network's outputs for the inputs of one request, which may be more than a batch.

        Raises:
            ApiError: the queue is full.
        """
        if self.queued_samples and self.queued_samples + len(x) > self.max_queued:
            raise too_many_requests()
        loop = asyncio.get_running_loop()
        blocks = [x[start : start + self.batch] for start in range(0, len(x), self.batch)]
        pending = [PendingInputs(block, loop.create_future()) for block in blocks]
        self._queue.extend(pending)
        self.queued_samples += len(x)
        self._changed.set()
        futures = [block.outputs for block in pending]
        if len(futures) == 1:
            return await futures[0]
        try:
            return np.concatenate(await asyncio.gather(*futures))
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    async def run(self) -> None:
        """Compute batches until cancelled."""
        try:
            while True:
                while not self._queue:
                    self._changed.clear()
                    await self._changed.wait()
                await self._wait_for_expected_inputs()
                batch = self._take_batch()
                if batch:
                    await self._compute_batch(batch)
        finally:
            self._network_thread.shutdown(wait=False, cancel_futures=True)  # a batch may take long

    async def run_in_network_thread(self, function: Callable[[np.ndarray], Result], x: np.ndarray) -> Result:
        """Call another function that uses the network, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._network_thread, function, x)

    async def _compute_batch(self, batch: list[PendingInputs]) -> None:
        x = np.concatenate([pending.x for pending in batch]) if len(batch) > 1 else batch[0].x
        try:
            outputs = await self.run_in_network_thread(self.network, x)
        except Exception as error:
            if len(batch) > 1:  # the values of one request may be what the network refuses
                for pending in batch:
                    await self._compute_batch([pending])
            elif not batch[0].outputs.cancelled():
                batch[0].outputs.set_exception(error)
            return
        start = 0
        for pending in batch:
            if not pending.outputs.cancelled():
                pending.outputs.set_result(outputs[start : start + len(pending.x)])
            start += len(pending.x)

    async def _wait_for_expected_inputs(self) -> None:
        """Wait until the batch is full, no request is being parsed, or the time is over."""
        if self.queued_samples >= self.batch or not self._requests_being_parsed or not self.wait_seconds:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.wait_seconds):
                while self.queued_samples < self.batch and self._requests_being_parsed:
                    self._changed.clear()
                    await self._changed.wait()

    def _take_batch(self) -> list[PendingInputs]:
        """Return the next batch, without requests that were cancelled."""
        batch: list[PendingInputs] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].x) <= self.batch):
            pending = self._queue.popleft()
            self.queued_samples -= len(pending.x)
            if not pending.outputs.cancelled():
                batch.append(pending)
                size += len(pending.x)
        return batch
