"""Rows of a file larger than memory are announced to the system one batch before they are gathered."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from yisheng.core import machine
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.data import prefetch
from yisheng.data.batches import Batches, make_batches
from yisheng.transforms.none import none

ROW = (4, 32, 32)
ADVISES = pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="the system takes no advice")


@pytest.fixture
def block(tmp_path, monkeypatch):
    """Rows of 4 KiB in a mapped file of 16 MiB, where 1 MiB of memory is free."""
    monkeypatch.setattr(machine, "memory_sizes", lambda: (1 << 30, 1 << 20))
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.uint8, (4096, *ROW))
    rows[:] = np.arange(4096)[:, None, None, None] % 251
    rows.flush()
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


def find_resident_pages(block: np.ndarray) -> np.ndarray:
    """Return for each page of the file whether it is in memory."""
    start = np.frombuffer(block._mmap, np.uint8).ctypes.data
    pages = -(-len(block._mmap) // mmap.PAGESIZE)
    is_resident = (ctypes.c_ubyte * pages)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(block._mmap)), is_resident) == 0
    return np.frombuffer(is_resident, np.uint8) & 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux which pages are in memory")
def test_prefetcher_reads_only_the_announced_rows(block, tmp_path):
    with (tmp_path / "rows.npy").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if find_resident_pages(block).mean() > 0.1:
        pytest.skip("this file system keeps files in memory")
    rows = torch.tensor([7, 900, 901, 4095, 2000])
    expected = {(128 + 4096 * row) // mmap.PAGESIZE for row in rows.tolist()}  # after NumPy's header of 128 bytes
    expected |= {(127 + 4096 * (row + 1)) // mmap.PAGESIZE for row in rows.tolist()}
    prefetcher = prefetch.make_prefetcher(block)
    assert prefetcher is not None
    prefetcher(rows)
    until = time.monotonic() + 20
    while not find_resident_pages(block)[list(expected)].all() and time.monotonic() < until:
        time.sleep(0.01)
    assert expected <= set(np.flatnonzero(find_resident_pages(block)))
    assert find_resident_pages(block).sum() < 200  # not their surroundings


def test_block_that_fits_in_memory_needs_no_prefetcher(block, monkeypatch):
    monkeypatch.setattr(machine, "memory_sizes", lambda: (1 << 30, 1 << 30))
    assert prefetch.make_prefetcher(block) is None


@pytest.mark.parametrize("change", [np.array, lambda rows: rows[::2], lambda rows: rows[:0]])
def test_array_in_memory_or_strided_or_empty_needs_no_prefetcher(block, change):
    assert prefetch.make_prefetcher(change(block)) is None


@ADVISES
def test_slice_of_a_map_announces_its_own_rows(block):
    prefetcher = prefetch.make_prefetcher(block[3000:])
    assert prefetcher is not None
    prefetcher(torch.tensor([1095]))  # beyond the file's end it would fail
    with pytest.raises((OSError, ValueError)):
        prefetcher(torch.tensor([1097]))


@ADVISES
def test_map_with_an_offset_announces_its_own_rows(block, tmp_path):
    inner = np.memmap(tmp_path / "rows.npy", np.uint8, "r", offset=70_000, shape=(4000, 4096))
    prefetcher = prefetch.make_prefetcher(inner)
    assert prefetcher is not None
    prefetcher(torch.tensor([3999]))
    with pytest.raises((OSError, ValueError)):
        prefetcher(torch.tensor([4100]))


@ADVISES
def test_batches_of_a_large_map_have_a_prefetcher(block):
    def make_part(x: np.ndarray) -> Batches:
        spec = Spec("classification", ROW, classes=("a", "b"))
        data = Dataset("rows", spec, x, np.arange(len(x)) % 2)
        rows = np.arange(len(x))
        return make_batches(data, rows, size=4, scale=none(), target_scale=None, device=torch.device("cpu"), seed=0)

    assert make_part(block).prefetcher is not None
    assert make_part(np.array(block[:64])).prefetcher is None


class RecordingPrefetcher:
    """Records the announced rows."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.finishes = 0

    def __call__(self, rows: torch.Tensor) -> None:
        self.rows.append(rows.tolist())

    def finish(self) -> None:
        self.finishes += 1


@pytest.mark.parametrize("start", [0, 2])
def test_every_batch_is_announced_once_before_it_is_gathered(start):
    recorder = RecordingPrefetcher()
    part = Batches(torch.zeros(20, 2), torch.zeros(20, 1), torch.arange(18), 4, none(), torch.device("cpu"), 0)
    recorded = replace(part, prefetcher=recorder)
    gathered = []
    for number, (batch, expected) in enumerate(zip(recorded.epoch(1, start), part.epoch(1, start), strict=True)):
        assert torch.equal(batch.index, expected.index)
        gathered.append(batch.index.tolist())
        assert len(recorder.rows) == min(number + 2, len(part) - start)
        assert not recorder.finishes
    assert recorder.rows == gathered
    assert recorder.finishes == 1
    recorder.rows.clear()
    assert [batch.index.tolist() for batch in recorded] == recorder.rows
    assert recorder.finishes == 2
    next(iter(recorded.epoch(0)))  # an abandoned epoch
    assert recorder.finishes == 3
