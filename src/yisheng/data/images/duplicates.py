"""Images that are there twice: within a part, across parts, with the same label or with another."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from yisheng.core.types import Finding
from yisheng.data.images.folder_labels import NAMED, PARTS

SEED = 0
"""The weights of the sums are the same in every process."""


def sums(pixels: np.ndarray) -> np.ndarray:
    """One number for each image, uint64 ``(N,)``; equal images have equal ones, others hardly ever.

    A sum with random weights, modulo 2^64: all images of a piece in one go, where a digest of each would take
    as long as decoding a small one.

    Args:
        pixels: uint8 ``(N, ...)``, contiguous.

    >>> a = sums(np.array([[1, 2], [1, 3], [1, 2]], np.uint8))
    >>> bool(a[0] == a[2] != a[1])
    True
    """
    flat = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    words = flat.view(np.uint64)
    mixed = words >> np.uint64(32)
    mixed ^= words  # a product keeps little of the upper bits
    return mixed @ _weights(words.shape[1])


def groups(values: np.ndarray, pixels: np.ndarray) -> list[list[int]]:
    """Rows that hold the very same image, in groups of two or more.

    Args:
        values: their `sums`.
        pixels: uint8 ``(N, ...)``; only rows with equal sums are looked at.
    """
    order = np.argsort(values, kind="stable")
    like_next = values[order[:-1]] == values[order[1:]]
    suspects = np.union1d(order[:-1][like_next], order[1:][like_next])
    found = defaultdict(list)
    for row in suspects.tolist():
        found[hashlib.sha256(np.ascontiguousarray(pixels[row]).data).digest()].append(row)
    return sorted(rows for rows in found.values() if len(rows) > 1)


def findings(
    twins: Sequence[Sequence[int]], rows: Sequence[str], y: np.ndarray, part: np.ndarray | None
) -> Iterable[Finding]:
    """What to say about images that are there twice.

    Args:
        twins: groups of equal images.
        rows: name of each image.
        y: class numbers ``(N,)``, or labels ``(N, L)``.
        part: official part of each, or None.
    """
    parts = np.zeros(len(rows), np.int8) if part is None else part
    for later in (2, 1):
        across = [(a, b) for group in twins for a, b in _across(group, parts, later)]
        if across:
            n = int((parts == later).sum())
            where = f"{len(across)} of {n} images of the {PARTS[later]} part"
            yield Finding(
                "leakage",
                "warning",
                {"part": PARTS[later], "count": len(across), "of": n, "first": _pairs(across, rows)},
                f"{where} are in the {PARTS[0]}ing part too, so its score flatters: {_text(across, rows)}",
                f"remove them from the {PARTS[later]} part",
            )
    within = [pair for group in twins for pair in _within(group, parts)]
    differ = [pair for pair in within if not np.array_equal(y[pair[0]], y[pair[1]])]
    same = [pair for pair in within if np.array_equal(y[pair[0]], y[pair[1]])]
    if differ:
        yield Finding(
            "conflicting-labels",
            "warning",
            {"count": len(differ), "first": _pairs(differ, rows)},
            f"{len(differ)} images are there twice with different labels: {_text(differ, rows)}",
            "keep the one with the right label",
        )
    if same:
        yield Finding(
            "duplicate-images",
            "note",
            {"count": len(same), "first": _pairs(same, rows)},
            f"{len(same)} images are there twice in the same part: {_text(same, rows)}",
            "remove one of each, unless they are meant to count twice",
        )


def _across(group: Sequence[int], parts: np.ndarray, later: int) -> Iterable[tuple[int, int]]:
    """Images of a later part with their like in the training part."""
    trained = next((row for row in group if parts[row] == 0), None)
    return [] if trained is None else [(row, trained) for row in group if parts[row] == later]


def _within(group: Sequence[int], parts: np.ndarray) -> Iterable[tuple[int, int]]:
    """Images with the first of their like in the same part; another label shows against any that came before."""
    first: dict[int, int] = {}
    for row in group:
        if int(parts[row]) in first:
            yield row, first[int(parts[row])]
        else:
            first[int(parts[row])] = row


def _pairs(pairs: Sequence[tuple[int, int]], rows: Sequence[str]) -> list[str]:
    return [f"{rows[a]} = {rows[b]}" for a, b in pairs[:NAMED]]


def _text(pairs: Sequence[tuple[int, int]], rows: Sequence[str]) -> str:
    return ", ".join(_pairs(pairs, rows)) + (", ..." if len(pairs) > NAMED else "")


@functools.cache
def _weights(count: int) -> np.ndarray:
    draw = np.random.Generator(np.random.PCG64(SEED))
    return draw.integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)
