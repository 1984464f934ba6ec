"""Rows of a file larger than memory are asked for a batch before they are gathered."""

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
from yisheng.core.types import Dataset, Spec
from yisheng.data import prefetch
from yisheng.data.batches import Batches, batches
from yisheng.transforms.none import none

ROW = (4, 32, 32)
ADVISES = pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="the system takes no advice")


@pytest.fixture
def block(tmp_path, monkeypatch):
    """Rows of 4 KiB in a mapped file of 16 MiB, where 1 MiB of memory is free."""
    monkeypatch.setattr(machine, "memory", lambda: (1 << 30, 1 << 20))
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.uint8, (4096, *ROW))
    rows[:] = np.arange(4096)[:, None, None, None] % 251
    rows.flush()
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


def resident(block: np.ndarray) -> np.ndarray:
    """Which pages of the file are in memory."""
    start = np.frombuffer(block._mmap, np.uint8).ctypes.data
    pages = -(-len(block._mmap) // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(block._mmap)), found) == 0
    return np.frombuffer(found, np.uint8) & 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux which pages are in memory")
def test_just_these_rows_are_read(block, tmp_path):
    with (tmp_path / "rows.npy").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(block).mean() > 0.1:
        pytest.skip("this file system keeps files in memory")
    rows = torch.tensor([7, 900, 901, 4095, 2000])
    wanted = {(128 + 4096 * row) // mmap.PAGESIZE for row in rows.tolist()}  # 128 bytes of NumPy's head
    wanted |= {(127 + 4096 * (row + 1)) // mmap.PAGESIZE for row in rows.tolist()}
    told = prefetch.reader(block)
    assert told is not None
    told(rows)
    until = time.monotonic() + 20
    while not resident(block)[list(wanted)].all() and time.monotonic() < until:
        time.sleep(0.01)
    assert wanted <= set(np.flatnonzero(resident(block)))
    assert resident(block).sum() < 200  # not what lies around them


def test_what_fits_into_memory_comes_to_lie_there_by_itself(block, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: (1 << 30, 1 << 30))
    assert prefetch.reader(block) is None


@pytest.mark.parametrize("change", [np.array, lambda rows: rows[::2], lambda rows: rows[:0]])
def test_what_is_in_memory_or_scattered_or_empty_is_not_asked_for(block, change):
    assert prefetch.reader(change(block)) is None


@ADVISES
def test_a_part_of_a_file_asks_for_its_own_rows(block):
    told = prefetch.reader(block[3000:])
    assert told is not None
    told(torch.tensor([1095]))  # beyond the file's end it would fail
    with pytest.raises((OSError, ValueError)):
        told(torch.tensor([1097]))


@ADVISES
def test_a_map_that_begins_within_the_file(block, tmp_path):
    inner = np.memmap(tmp_path / "rows.npy", np.uint8, "r", offset=70_000, shape=(4000, 4096))
    told = prefetch.reader(inner)
    assert told is not None
    told(torch.tensor([3999]))
    with pytest.raises((OSError, ValueError)):
        told(torch.tensor([4100]))


@ADVISES
def test_batches_of_such_a_file_ask_ahead(block):
    def part(x: np.ndarray) -> Batches:
        spec = Spec("classification", ROW, classes=("a", "b"))
        data = Dataset("rows", spec, x, np.arange(len(x)) % 2)
        rows = np.arange(len(x))
        return batches(data, rows, size=4, scale=none(), target_scale=None, device=torch.device("cpu"), seed=0)

    assert part(block).ahead is not None
    assert part(np.array(block[:64])).ahead is None


class Heard:
    """What it was told."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.ended = 0

    def __call__(self, rows: torch.Tensor) -> None:
        self.rows.append(rows.tolist())

    def done(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("start", [0, 2])
def test_every_batch_is_told_once_before_it_is_gathered(start):
    heard = Heard()
    part = Batches(torch.zeros(20, 2), torch.zeros(20, 1), torch.arange(18), 4, none(), torch.device("cpu"), 0)
    listening = replace(part, ahead=heard)
    seen = []
    for number, (batch, plain) in enumerate(zip(listening.epoch(1, start), part.epoch(1, start), strict=True)):
        assert torch.equal(batch.index, plain.index)
        seen.append(batch.index.tolist())
        assert len(heard.rows) == min(number + 2, len(part) - start)
        assert not heard.ended
    assert heard.rows == seen
    assert heard.ended == 1
    heard.rows.clear()
    assert [batch.index.tolist() for batch in listening] == heard.rows
    assert heard.ended == 2
    next(iter(listening.epoch(0)))  # left in the middle
    assert heard.ended == 3
