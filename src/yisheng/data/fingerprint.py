"""A hash of a data set, to notice that it has changed."""

from __future__ import annotations

import hashlib

import numpy as np

from yisheng.core.dataset import Dataset

CHUNK_BYTES = 1 << 24
"""Bytes hashed at a time, so that a memory-mapped block is never in memory as a whole."""


def fingerprint(dataset: Dataset) -> str:
    """Compute a SHA-256 over all values of a data set with their shapes and types, and over its `Spec`.

    It is the same on every machine; another row, order, class name or sample weight gives another.

    Args:
        dataset: the data.

    >>> from yisheng.data.datasets.xor import xor
    >>> fingerprint(xor()) == fingerprint(xor()) != fingerprint(xor(seed=1))
    True
    """
    digest = hashlib.sha256(repr(dataset.spec).encode())
    if dataset.spec.inputs:  # the bytes of a row do not tell which inputs they hold
        digest.update(repr(dataset.spec.inputs).encode())
    for name in ("x", "y", "part", "weight"):
        values = getattr(dataset, name)
        digest.update(f"|{name}".encode())
        if values is None:
            continue
        dtype = values.dtype.newbyteorder("<")
        digest.update(f"{dtype.str}{values.shape}".encode())
        rows = max(1, CHUNK_BYTES // max(1, values[:1].nbytes))
        for start in range(0, len(values), rows):
            chunk = np.ascontiguousarray(values[start : start + rows], dtype=dtype)
            digest.update(chunk.data.cast("B") if chunk.size else b"")
    return digest.hexdigest()
