"""The idx reader returns intact arrays; everything else is a DataError, in bounded memory."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from yisheng.core.errors import DataError
from yisheng.data import idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def make_idx(x: np.ndarray) -> bytes:
    header = struct.pack(">HBB", 0, CODES[x.dtype.name], x.ndim) + struct.pack(f">{x.ndim}I", *x.shape)
    return header + x.astype(x.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("idx")
    for content in (b"", make_idx(np.zeros(1, np.uint8)), gzip.compress(b"")):
        try_read(path, content)  # what is imported on first use must not count as the reader's memory
    return path


def try_read(folder: Path, content: bytes, **options: int) -> np.ndarray | None:
    """Return the array, or None for a DataError; any other error fails the test."""
    path = folder / "file"
    path.write_bytes(content)
    try:
        return idx.read(path, **options)
    except DataError:
        return None


shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6)
arrays = st.sampled_from(sorted(CODES)).flatmap(lambda name: hnp.arrays(np.dtype(name), shapes))


@settings(max_examples=100, deadline=None)
@given(x=arrays, compressed=st.booleans())
def test_written_arrays_are_read(folder, x, compressed):
    content = make_idx(x)
    array = try_read(folder, gzip.compress(content) if compressed else content)
    assert array is not None
    assert array.dtype == x.dtype
    assert array.dtype.isnative
    assert array.flags.writeable
    assert array.tobytes() == x.tobytes()
    assert array.shape == x.shape


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300), compressed=st.booleans())
def test_random_bytes_never_crash(folder, content, compressed):
    try_read(folder, gzip.compress(content, 1) if compressed else content)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.integers(0, 255),
    axes=st.integers(0, 255),
    sizes=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 4), max_size=9),
    body=st.binary(max_size=64),
    compressed=st.booleans(),
    plausible=st.booleans(),
)
def test_false_headers_take_no_memory(folder, kind, axes, sizes, body, compressed, plausible):
    if plausible:
        kind, axes = 8 + kind % 7, len(sizes)
    content = bytes([0, 0, kind, axes]) + struct.pack(f">{len(sizes)}I", *sizes) + body
    tracemalloc.start()
    array = try_read(folder, gzip.compress(content, 1) if compressed else content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    if array is not None:
        header = 4 + 4 * axes  # with fewer axes than sizes, the remaining sizes are values
        assert array.nbytes == len(content) - header
        assert array.shape == struct.unpack(f">{axes}I", content[4:header])


@settings(max_examples=300, deadline=None)
@given(x=hnp.arrays(np.uint8, (3, 4, 5)), compressed=st.booleans(), data=st.data())
def test_mutated_files_are_refused_or_read(folder, x, compressed, data):
    content = bytearray(gzip.compress(make_idx(x)) if compressed else make_idx(x))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try_read(folder, bytes(content[:cut]))
    array = try_read(folder, bytes(content))
    if array is not None and compressed:
        np.testing.assert_array_equal(array.ravel(), x.ravel())  # gzip's checksum excludes other values


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_files_are_refused(folder, compressed):
    content = make_idx(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    content = gzip.compress(content) if compressed else content
    assert all(try_read(folder, content[:cut]) is None for cut in range(len(content)))
    assert try_read(folder, content) is not None


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("tail", [b"\0", b"more"])
def test_trailing_bytes_are_refused(folder, compressed, tail):
    content = make_idx(np.arange(5, dtype=np.uint8)) + tail
    assert try_read(folder, gzip.compress(content) if compressed else content) is None


def test_garbage_after_compressed_data_is_refused(folder):
    content = gzip.compress(make_idx(np.arange(5, dtype=np.uint8)))
    assert try_read(folder, content + b"garbage") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "nothing"),
        (b"PK\3\4", "50 4b 03 04"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 1, 0]), "got 07"),
        (bytes([0, 0, 8, 0]), "got 0"),
        (bytes([0, 0, 8, 9]), "got 9"),
        (bytes([0, 0, 8, 2, 0, 0, 0, 1]), "within its header"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 0]), "no values"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 0]), r"10 bytes, this one has 9"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1, 0, 0]), r"9 bytes, this one has 10"),
        (bytes([0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255]), "more than"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0]), mtime=0), "ends after 1 bytes"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 0, 0]), mtime=0), "there is more"),
        (gzip.compress(b"", mtime=0)[:-4], "damaged"),
        (gzip.compress(bytes([0, 0, 8, 1, 0x7F, 0, 0, 0]), mtime=0), "more than the 16,777,216 bytes"),
    ],
)
def test_errors_name_the_problem(tmp_path, content, problem):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        idx.read(path)
    assert str(path) in caught.value.problem


def test_decompression_bomb_is_refused_before_it_is_decompressed(tmp_path):
    size = 64 << 20
    bomb = gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", size) + bytes(size), 9)
    path = tmp_path / "bomb"
    path.write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(DataError, match="more than"):
        idx.read(path)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_limit_holds(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(make_idx(np.arange(100, dtype=np.uint8)))
    assert len(idx.read(path, limit=100)) == 100
    with pytest.raises(DataError, match="100 values"):
        idx.read(path, limit=99)


def test_missing_files_and_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        idx.read(tmp_path / "missing")
    with pytest.raises(DataError, match="is not a file"):
        idx.read(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        idx.read("nul\0byte")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is not a file"):
        idx.read(tmp_path / "pipe")
