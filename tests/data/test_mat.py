"""The reader of MATLAB files gives what SciPy's gives, and refuses everything else in bounded memory."""

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


def attempt(folder, content):
    """The arrays, or None for a DataError; any other error is the test's failure."""
    path = folder / "file.mat"
    path.write_bytes(content)
    try:
        return mat.read(path)
    except DataError:
        return None


@settings(max_examples=150)
@given(st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,20}\Z"), arrays, max_size=4), st.booleans())
def test_what_scipy_writes(folder, found, packed):
    io.savemat(folder / "a.mat", found, do_compression=packed)
    got = mat.read(folder / "a.mat")
    assert list(got) == list(found)
    for name, x in found.items():
        assert got[name].dtype == x.dtype
        assert got[name].dtype.isnative
        np.testing.assert_array_equal(got[name], x)


def test_other_variables_are_passed_over(folder):
    there = {
        "text": "abc",
        "record": {"a": 1},
        "cells": np.array([1, "b"], dtype=object),
        "complex": np.ones((2, 2), complex),
        "yes": np.array([[3.0]]),
    }
    for packed in (False, True):
        io.savemat(folder / "b.mat", there, do_compression=packed)
        assert {name: x.tolist() for name, x in mat.read(folder / "b.mat").items()} == {"yes": [[3.0]]}


def element(kind, data, order="<"):
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def by_hand(values, stored, *, array_class=6, shape=None, order="<", name=b"x"):
    """A file as MATLAB itself may write it: doubles in as few bytes as will do, a short name in a small element."""
    flags = element(6, struct.pack(order + "II", array_class, 0), order)
    sizes = element(5, struct.pack(order + "2i", *(shape or (1, len(values)))), order)
    head = len(name) << 16 | 1
    small = struct.pack(order + "I", head) + name.ljust(4, b"\0")
    data = np.array(values, order + mat.DTYPES[stored]).tobytes()
    mark = b"IM" if order == "<" else b"MI"
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 0x0100) + mark
    return header + element(mat.MATRIX, flags + sizes + small + element(stored, data, order), order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_stored_in_fewer_bytes_and_the_other_order(folder, order):
    found = attempt(folder, by_hand([1, 2, 300], 4, order=order))
    assert found is not None
    assert found["x"].dtype == np.float64
    assert found["x"].tolist() == [[1, 2, 300]]


WHOLE = by_hand([1, 2, 3], 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MATLAB 7.3 MAT-file".ljust(512),
        WHOLE[:126],
        WHOLE[:-1],
        WHOLE[:140],
        WHOLE + b"\1",
        by_hand([1, 2, 3], 2, shape=(2, 2)),
        by_hand([1, 2, 3], 2, shape=(-1, -3)),
        by_hand([1, 2, 3], 2, shape=(2**31 - 1, 2**31 - 1)),
        WHOLE[:128] + element(mat.MATRIX, b""),
        WHOLE[:128] + element(mat.COMPRESSED, b"no zlib"),
        WHOLE[:128] + element(mat.COMPRESSED, zlib.compress(element(5, bytes(8)))),
        WHOLE[:128] + element(mat.COMPRESSED, zlib.compress(WHOLE[128:])[:-9]),
    ],
)
def test_damaged_files(folder, content):
    assert attempt(folder, content) is None


@settings(max_examples=300)
@given(st.binary(max_size=120), st.booleans())
def test_random_bytes(folder, data, packed):
    data = element(mat.COMPRESSED, zlib.compress(data)) if packed else data
    attempt(folder, WHOLE[:128] + data)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(120, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(folder, changes):
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    attempt(folder, bytes(content))


def test_bombs(folder):
    zeros = by_hand(np.zeros(1 << 25), 2)[128:]
    packed = element(mat.COMPRESSED, zlib.compress(zeros, 9))
    tracemalloc.start()
    try:
        assert attempt(folder, WHOLE[:128] + packed) is None
        many = element(mat.COMPRESSED, zlib.compress(by_hand(np.zeros(1 << 20), 2)[128:], 9))
        assert attempt(folder, WHOLE[:128] + many * 50) is None
        attempt(folder, WHOLE[:128] + element(mat.MATRIX, bytes(8) * 100_000))
        assert tracemalloc.get_traced_memory()[1] < 120 << 20
    finally:
        tracemalloc.stop()


def test_missing(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        mat.read(tmp_path / "no.mat")
    with pytest.raises(DataError, match="cannot be read"):
        mat.read(tmp_path)
