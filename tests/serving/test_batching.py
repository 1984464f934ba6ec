"""Batches: every request gets its own outputs, whatever is put together, refused or given up."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.serving.batching import Batches
from yisheng.serving.disconnects import while_there
from yisheng.serving.errors import Refusal


class Network:
    """Twice the input; notes what it was given, and waits where it is told to."""

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


def run(use, **settings):
    """Use batches while they work."""
    network = Network()

    async def go():
        batches = Batches(network, **settings)
        work = asyncio.create_task(batches.work())
        try:
            return await use(batches)
        finally:
            network.gate.set()
            work.cancel()
            await asyncio.wait([work])

    return asyncio.run(go()), network


def column(*values):
    return np.array(values, np.float32)[:, None]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 12))
@settings(max_examples=30)
def test_every_request_gets_its_own(sizes, batch):
    requests = [np.random.default_rng(n).normal(size=(size, 1)) ** 2 for n, size in enumerate(sizes)]

    async def use(batches):
        return await asyncio.gather(*map(batches.outputs, requests))

    found, network = run(use, batch=batch)
    for x, outputs in zip(requests, found, strict=True):
        np.testing.assert_array_equal(outputs, 2 * x)
    assert sum(network.sizes) == sum(sizes)
    assert max(network.sizes) <= batch
    assert network.threads == {"network_0"}


def test_what_comes_while_the_network_works_goes_together():
    async def use(batches):
        batches.network.gate.clear()
        first = asyncio.create_task(batches.outputs(column(1)))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batches.outputs(column(n))) for n in range(20)]
        await asyncio.sleep(0.05)
        batches.network.gate.set()
        return await asyncio.gather(first, *others)

    _, network = run(use, batch=16)
    assert network.sizes == [1, 16, 4]


def test_an_idle_network_waits_for_what_is_being_read_and_for_nothing_else():
    async def use(batches):
        async def read(n):
            with batches.reading():
                await asyncio.sleep(0.02 * n)
            return await batches.outputs(column(n))

        await asyncio.gather(*map(read, range(4)))
        together = list(batches.network.sizes)
        await batches.outputs(column(9))
        return together

    together, network = run(use, wait=60_000)
    assert together == [4]
    assert network.sizes == [4, 1]


def test_waiting_has_an_end():
    async def use(batches):
        with batches.reading():
            return await asyncio.wait_for(batches.outputs(column(3)), 10)

    found, _ = run(use, wait=20)
    assert found == 6


def test_one_by_one_puts_nothing_together():
    async def use(batches):
        return await asyncio.gather(*(batches.outputs(column(n)) for n in range(5)))

    _, network = run(use, batch=1, wait=0)
    assert network.sizes == [1] * 5


def test_a_full_queue_refuses_and_recovers():
    async def use(batches):
        batches.network.gate.clear()
        first = asyncio.create_task(batches.outputs(column(1)))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batches.outputs(column(1, 2, 3)))
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal) as refused:
            await batches.outputs(column(1, 2))
        assert (refused.value.status, refused.value.headers) == (503, ((b"retry-after", b"1"),))
        fits = asyncio.create_task(batches.outputs(column(7)))
        await asyncio.sleep(0.05)
        batches.network.gate.set()
        await asyncio.gather(first, second, fits)
        assert batches.samples == 0
        return await batches.outputs(column(*range(9)))  # larger than the queue, but alone

    found, _ = run(use, most=4, batch=2)
    assert found.ravel().tolist() == [2.0 * n for n in range(9)]


def test_a_request_that_was_given_up_never_reaches_the_network():
    async def use(batches):
        batches.network.gate.clear()
        first = asyncio.create_task(batches.outputs(column(1)))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(batches.outputs(column(-1, 5)))
        stays = asyncio.create_task(batches.outputs(column(2)))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0.05)
        batches.network.gate.set()
        return await asyncio.gather(first, stays)

    found, network = run(use)
    assert [one.item() for one in found] == [2, 4]
    assert network.sizes == [1, 1]


def test_a_failure_is_told_to_those_in_the_batch_and_the_next_one_works():
    async def use(batches):
        both = await asyncio.gather(batches.outputs(column(-1)), batches.outputs(column(1)), return_exceptions=True)
        return both, await batches.outputs(column(4))

    (both, after), _ = run(use)
    assert [type(one) for one in both] == [ValueError] * 2
    assert after == 8


def test_something_else_goes_between_two_batches():
    async def use(batches):
        names = await batches.beside(lambda _: threading.current_thread().name, column(1))
        await batches.outputs(column(1))
        return names

    name, network = run(use)
    assert network.threads == {name}


def test_a_request_ends_when_its_client_goes(monkeypatch):
    async def go():
        messages = asyncio.Queue()
        ended = asyncio.Event()

        async def work():
            try:
                async with while_there(messages.get):
                    await asyncio.sleep(60)
            finally:
                ended.set()

        task = asyncio.create_task(work())
        await asyncio.sleep(0.4)
        assert not ended.is_set()
        messages.put_nowait({"type": "http.disconnect"})
        with pytest.raises(Refusal, match="went away"):
            await task
        assert not task.cancelling()

        other = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        other.cancel()  # by somebody else: not swallowed
        with pytest.raises(asyncio.CancelledError):
            await other

    asyncio.run(go())
