"""The batch queue: every request gets its own outputs, whatever is combined, refused or cancelled."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.serving.batching import BatchQueue
from yisheng.serving.disconnects import abandon_if_slow_or_disconnected
from yisheng.serving.errors import ApiError


class Doubler:
    """A network that doubles its input, records its calls, and waits while its gate is closed."""

    def __init__(self):
        self.sizes = []
        self.threads = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, x):
        self.gate.wait(10)
        self.sizes.append(len(x))
        self.threads.add(threading.current_thread().name)
        if (x < 0).any():
            raise ValueError("negative")
        return 2 * x


def run_queue(use, **options):
    """Call ``use(queue)`` while a queue runs; return its result and the network."""
    network = Doubler()

    async def run():
        queue = BatchQueue(network, **options)
        task = asyncio.create_task(queue.run())
        try:
            return await use(queue)
        finally:
            network.gate.set()
            task.cancel()
            await asyncio.wait([task])

    return asyncio.run(run()), network


def column(*values):
    return np.array(values, np.float32)[:, None]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 12))
@settings(max_examples=30)
def test_every_request_gets_its_own_outputs(sizes, batch):
    requests = [np.random.default_rng(n).normal(size=(size, 1)) ** 2 for n, size in enumerate(sizes)]

    async def use(queue):
        return await asyncio.gather(*map(queue.compute, requests))

    results, network = run_queue(use, batch=batch)
    for x, outputs in zip(requests, results, strict=True):
        np.testing.assert_array_equal(outputs, 2 * x)
    assert sum(network.sizes) == sum(sizes)
    assert max(network.sizes) <= batch
    assert network.threads == {"network_0"}


def test_requests_that_arrive_during_a_batch_are_combined():
    async def use(queue):
        queue.network.gate.clear()
        running = asyncio.create_task(queue.compute(column(1)))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(queue.compute(column(n))) for n in range(20)]
        await asyncio.sleep(0.05)
        queue.network.gate.set()
        return await asyncio.gather(running, *waiting)

    _, network = run_queue(use, batch=16)
    assert network.sizes == [1, 16, 4]


def test_an_idle_network_waits_only_for_requests_that_are_being_parsed():
    async def use(queue):
        async def parse_and_compute(n):
            with queue.expect_inputs():
                await asyncio.sleep(0.02 * n)
            return await queue.compute(column(n))

        await asyncio.gather(*map(parse_and_compute, range(4)))
        sizes = list(queue.network.sizes)
        await queue.compute(column(9))
        return sizes

    sizes, network = run_queue(use, wait=60_000)
    assert sizes == [4]
    assert network.sizes == [4, 1]


def test_the_wait_for_expected_inputs_is_limited():
    async def use(queue):
        with queue.expect_inputs():
            return await asyncio.wait_for(queue.compute(column(3)), 10)

    outputs, _ = run_queue(use, wait=20)
    assert outputs == 6


def test_a_batch_of_one_combines_nothing():
    async def use(queue):
        return await asyncio.gather(*(queue.compute(column(n)) for n in range(5)))

    _, network = run_queue(use, batch=1, wait=0)
    assert network.sizes == [1] * 5


def test_a_full_queue_refuses_requests_until_it_has_room():
    async def use(queue):
        queue.network.gate.clear()
        running = asyncio.create_task(queue.compute(column(1)))
        await asyncio.sleep(0.05)
        queued = asyncio.create_task(queue.compute(column(1, 2, 3)))
        await asyncio.sleep(0.05)
        with pytest.raises(ApiError) as refused:
            await queue.compute(column(1, 2))
        assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "1"})
        fitting = asyncio.create_task(queue.compute(column(7)))
        await asyncio.sleep(0.05)
        queue.network.gate.set()
        await asyncio.gather(running, queued, fitting)
        assert queue.queued_samples == 0
        return await queue.compute(column(*range(9)))  # larger than the queue, but alone

    outputs, _ = run_queue(use, max_queued=4, batch=2)
    assert outputs.ravel().tolist() == [2.0 * n for n in range(9)]


def test_a_cancelled_request_never_reaches_the_network():
    async def use(queue):
        queue.network.gate.clear()
        running = asyncio.create_task(queue.compute(column(1)))
        await asyncio.sleep(0.05)
        cancelled = asyncio.create_task(queue.compute(column(-1, 5)))
        waiting = asyncio.create_task(queue.compute(column(2)))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        await asyncio.sleep(0.05)
        queue.network.gate.set()
        return await asyncio.gather(running, waiting)

    outputs, network = run_queue(use)
    assert [block.item() for block in outputs] == [2, 4]
    assert network.sizes == [1, 1]


def test_inputs_that_the_network_refuses_fail_their_own_request_only():
    async def use(queue):
        requests = (queue.compute(column(-1)), queue.compute(column(1)))
        failures = await asyncio.gather(*requests, return_exceptions=True)
        return failures, await queue.compute(column(4))

    (failures, outputs), _ = run_queue(use)
    assert [type(failure) for failure in failures] == [ValueError, np.ndarray]
    assert outputs == 8


def test_other_functions_run_in_the_network_thread():
    async def use(queue):
        name = await queue.run_in_network_thread(lambda _: threading.current_thread().name, column(1))
        await queue.compute(column(1))
        return name

    name, network = run_queue(use)
    assert network.threads == {name}


def test_a_request_is_cancelled_when_its_client_disconnects():
    async def run():
        messages = asyncio.Queue()
        is_done = asyncio.Event()

        async def handle_request():
            try:
                async with abandon_if_slow_or_disconnected(messages.get, 60):
                    await asyncio.sleep(60)
            finally:
                is_done.set()

        request = asyncio.create_task(handle_request())
        await asyncio.sleep(0.4)
        assert not is_done.is_set()
        messages.put_nowait({"type": "http.disconnect"})
        with pytest.raises(ApiError) as error:
            await request
        assert error.value.code == "disconnected"
        assert not request.cancelling()

        cancelled = asyncio.create_task(handle_request())
        await asyncio.sleep(0.05)
        cancelled.cancel()  # from elsewhere: the server is being stopped
        with pytest.raises(ApiError) as error:
            await cancelled
        assert error.value.code == "stopping"

    asyncio.run(run())


def test_a_request_that_takes_too_long_is_cancelled():
    async def run():
        async with abandon_if_slow_or_disconnected(asyncio.Queue().get, 0.05):
            await asyncio.sleep(60)

    with pytest.raises(ApiError) as error:
        asyncio.run(run())
    assert (error.value.status_code, error.value.code) == (503, "too-slow")
