"""Readers: processes that parse bodies, and are ended when one takes too much."""

import asyncio
import contextlib
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.hostile_images import jpeg_of_scans_within_limits, png_of_16_bits

from tests.serving.service_client import digit_pixels, encode_png
from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.serving import readers
from yisheng.serving.errors import ApiError
from yisheng.serving.inputs import parse_inputs
from yisheng.serving.limits import Limits
from yisheng.serving.readers import ReaderPool

IMAGES = Spec("classification", (1, 8, 8), classes=("0", "1"))
ROWS = Spec("regression", (2,), columns=(Column("a", source="a"), Column("b", source="b")))
PNG = encode_png(digit_pixels(0))
SLOW_JPEG = jpeg_of_scans_within_limits(random.Random(0))
"""64 million pixels, drawn several times: seconds."""
needs_timers = pytest.mark.skipif(os.name == "nt", reason="Windows has no timers of CPU time")


def make_form(*contents):
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="%d"\r\n\r\n%s\r\n' % (n, content)
        for n, content in enumerate(contents)
    ]
    return b"".join(parts) + b"--x--\r\n"


FORM = "multipart/form-data; boundary=x"


def run_pool(use, spec=IMAGES, limits=Limits()):  # noqa: B008  # frozen
    """Call ``use(pool)`` while a pool of readers runs; return its result."""

    async def run():
        pool = ReaderPool(spec, limits)
        pool.start()
        try:
            return await use(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def test_inputs_are_those_of_this_process():
    body = make_form(PNG, encode_png(digit_pixels(1)))
    inputs = run_pool(lambda pool: pool.read_inputs(body, FORM))
    expected = parse_inputs(body, FORM, IMAGES, Limits())
    np.testing.assert_array_equal(inputs.x, expected.x)
    assert (inputs.names, inputs.notes, inputs.failures) == (expected.names, expected.notes, {})


def test_rows_are_those_of_this_process():
    body = b"b,a\n2,1\n4,3\n"
    inputs = run_pool(lambda pool: pool.read_inputs(body, "text/csv"), ROWS)
    np.testing.assert_array_equal(inputs.x, [[1, 2], [3, 4]])
    assert inputs.names == ("row 1", "row 2")


def test_errors_are_those_of_this_process():
    for body, content_type in ((b"{", "application/json"), (b"x", "image/png"), (b"x", FORM), (b"", "text/csv")):
        with pytest.raises(ApiError) as caught:
            run_pool(lambda pool, body=body, kind=content_type: pool.read_inputs(body, kind))
        with pytest.raises(ApiError) as expected:
            parse_inputs(body, content_type, IMAGES, Limits())
        assert (caught.value.status_code, caught.value.problem) == (expected.value.status_code, expected.value.problem)


def test_a_damaged_image_has_its_error_in_place():
    body = make_form(PNG, PNG[:-30], PNG, b"no image")
    inputs = run_pool(lambda pool: pool.read_inputs(body, FORM))
    assert inputs.names == ("0", "2")
    assert len(inputs.x) == 2
    assert {position: name for position, (name, _) in inputs.failures.items()} == {1: "1", 3: "3"}
    assert "1 cannot be decoded" in inputs.failures[1][1].problem


@needs_timers
@pytest.mark.slow
def test_an_image_that_takes_too_long_has_its_error_in_place():
    body = make_form(PNG, SLOW_JPEG, PNG)
    inputs = run_pool(lambda pool: pool.read_inputs(body, FORM), limits=Limits(pixels=10**9, seconds=0.4))
    assert inputs.names == ("0", "2")
    assert "decoding 1 takes too much memory, or more than 0.4 seconds" in inputs.failures[1][1].problem


@pytest.mark.slow
def test_ordinary_requests_do_not_wait_for_expensive_ones():
    expensive = png_of_16_bits(random.Random(0))

    async def use(pool):
        await asyncio.gather(*[pool.read_inputs(make_form(PNG), FORM) for _ in range(4)])
        tasks = [asyncio.create_task(pool.read_inputs(expensive, "image/png")) for _ in range(4)]
        waits = []
        while not all(task.done() for task in tasks) and len(waits) < 20:
            start = time.perf_counter()
            await pool.read_inputs(make_form(PNG), FORM)
            waits.append(time.perf_counter() - start)
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return waits

    waits = run_pool(use)
    assert len(waits) > 5
    assert np.median(waits) < 0.5
    assert max(waits) < 2


@pytest.mark.slow
def test_nobody_reads_on_for_a_request_that_was_given_up():
    import psutil

    def count_slow():
        return sum(child.nice() > 0 for child in psutil.Process().children())

    async def use(pool):
        task = asyncio.create_task(pool.read_inputs(SLOW_JPEG, "image/jpeg"))
        for _ in range(50):
            await asyncio.sleep(0.2)
            if busy := count_slow():
                break
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.2)
        return busy, count_slow()

    assert run_pool(use, limits=Limits(pixels=10**9)) == (1, 0)


def test_a_reader_that_dies_is_replaced():
    async def use(pool):
        await pool.read_inputs(make_form(PNG), FORM)
        for reader in pool._quick._idle:
            reader._process.kill()
        return await pool.read_inputs(make_form(PNG), FORM)

    assert len(run_pool(use).x) == 1


def test_closing_ends_busy_readers_at_once():
    async def use(pool):
        task = asyncio.create_task(pool.read_inputs(SLOW_JPEG, "image/jpeg"))
        await asyncio.sleep(1)
        start = time.perf_counter()
        await pool.close()
        with contextlib.suppress(ApiError, asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        return time.perf_counter() - start

    pattern = "yisheng-reader-*"
    folders = set(Path(tempfile.gettempdir()).glob(pattern))
    assert run_pool(use, limits=Limits(pixels=10**9)) < 2
    assert set(Path(tempfile.gettempdir()).glob(pattern)) <= folders


def test_too_many_waiting_requests_are_refused(monkeypatch):
    monkeypatch.setattr(readers, "MAX_WAITING", 3)

    async def use(pool):
        requests = [pool.read_inputs(make_form(PNG), FORM) for _ in range(20)]
        results = await asyncio.gather(*requests, return_exceptions=True)
        return [getattr(result, "status_code", 200) for result in results]

    statuses = run_pool(use)
    assert set(statuses) == {200, 503}


def test_idle_readers_end(monkeypatch):
    import psutil

    monkeypatch.setattr(readers, "IDLE_SECONDS", 0.1)

    async def use(pool):
        await asyncio.gather(*[pool.read_inputs(make_form(PNG), FORM) for _ in range(8)])
        await asyncio.sleep(1)
        return len(psutil.Process().children())

    children = len(psutil.Process().children())
    assert run_pool(use) == children + 1
