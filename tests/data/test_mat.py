"""The reader of MATLAB files reads what SciPy writes, and refuses everything else in bounded memory."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import io

from yisheng.core.errors import DataError
from yisheng.data import mat

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
arrays = st.sampled_from(DTYPES).flatmap(
    lambda name: hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=5))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mat")


def try_read(folder, content):
    """Return the arrays, or None for a DataError; any other error fails the test."""
    path = folder / "file.mat"
    path.write_bytes(content)
    try:
        return mat.read(path)
    except DataError:
        return None


@settings(max_examples=150)
@given(st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,20}\Z"), arrays, max_size=4), st.booleans())
def test_arrays_written_by_scipy_are_read(folder, written, compressed):
    io.savemat(folder / "a.mat", written, do_compression=compressed)
    read = mat.read(folder / "a.mat")
    assert list(read) == list(written)
    for name, x in written.items():
        assert read[name].dtype == x.dtype
        assert read[name].dtype.isnative
        np.testing.assert_array_equal(read[name], x)


def test_variables_that_are_not_real_numbers_are_skipped(folder):
    variables = {
        "text": "abc",
        "record": {"a": 1},
        "cells": np.array([1, "b"], dtype=object),
        "complex": np.ones((2, 2), complex),
        "numbers": np.array([[3.0]]),
    }
    for compressed in (False, True):
        io.savemat(folder / "b.mat", variables, do_compression=compressed)
        assert {name: x.tolist() for name, x in mat.read(folder / "b.mat").items()} == {"numbers": [[3.0]]}


def make_element(kind, data, order="<"):
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def make_file(values, stored, *, array_class=6, shape=None, order="<", name=b"x"):
    """Return a file as MATLAB may write it: doubles in as few bytes as possible, a short name in a small element."""
    flags = make_element(6, struct.pack(order + "II", array_class, 0), order)
    sizes = make_element(5, struct.pack(order + "2i", *(shape or (1, len(values)))), order)
    head = len(name) << 16 | 1
    name_element = struct.pack(order + "I", head) + name.ljust(4, b"\0")
    data = np.array(values, order + mat.DTYPES[stored]).tobytes()
    mark = b"IM" if order == "<" else b"MI"
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 0x0100) + mark
    return header + make_element(mat.MATRIX, flags + sizes + name_element + make_element(stored, data, order), order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_in_fewer_bytes_and_either_byte_order_are_read(folder, order):
    arrays = try_read(folder, make_file([1, 2, 300], 4, order=order))
    assert arrays is not None
    assert arrays["x"].dtype == np.float64
    assert arrays["x"].tolist() == [[1, 2, 300]]


INTACT = make_file([1, 2, 3], 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MATLAB 7.3 MAT-file".ljust(512),
        INTACT[:126],
        INTACT[:-1],
        INTACT[:140],
        INTACT + b"\1",
        make_file([1, 2, 3], 2, shape=(2, 2)),
        make_file([1, 2, 3], 2, shape=(-1, -3)),
        make_file([1, 2, 3], 2, shape=(2**31 - 1, 2**31 - 1)),
        INTACT[:128] + make_element(mat.MATRIX, b""),
        INTACT[:128] + make_element(mat.COMPRESSED, b"no zlib"),
        INTACT[:128] + make_element(mat.COMPRESSED, zlib.compress(make_element(5, bytes(8)))),
        INTACT[:128] + make_element(mat.COMPRESSED, zlib.compress(INTACT[128:])[:-9]),
    ],
)
def test_damaged_files_are_refused(folder, content):
    assert try_read(folder, content) is None


@settings(max_examples=300)
@given(st.binary(max_size=120), st.booleans())
def test_random_bytes_never_crash(folder, data, compressed):
    data = make_element(mat.COMPRESSED, zlib.compress(data)) if compressed else data
    try_read(folder, INTACT[:128] + data)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(120, len(INTACT) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_never_crash(folder, changes):
    content = bytearray(INTACT)
    for position, value in changes:
        content[position] = value
    try_read(folder, bytes(content))


def test_decompression_bombs_are_refused(folder):
    zeros = make_file(np.zeros(1 << 25), 2)[128:]
    bomb = make_element(mat.COMPRESSED, zlib.compress(zeros, 9))
    tracemalloc.start()
    try:
        assert try_read(folder, INTACT[:128] + bomb) is None
        variable = make_element(mat.COMPRESSED, zlib.compress(make_file(np.zeros(1 << 20), 2)[128:], 9))
        assert try_read(folder, INTACT[:128] + variable * 50) is None
        try_read(folder, INTACT[:128] + make_element(mat.MATRIX, bytes(8) * 100_000))
        assert tracemalloc.get_traced_memory()[1] < 120 << 20
    finally:
        tracemalloc.stop()


def test_missing_files_and_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        mat.read(tmp_path / "no.mat")
    with pytest.raises(DataError, match="cannot be read"):
        mat.read(tmp_path)
