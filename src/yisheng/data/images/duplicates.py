"""Duplicate images: within a part or across parts, with the same label or another."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.data.images.folder_findings import MAX_EXAMPLES
from yisheng.data.images.part_names import PART_NAMES

MIN_STD = 2.5
"""Standard deviation of pixels from 0 to 255 below which an image is blank, or nearly: such images are often equal,
which says nothing about leaks or labels."""
HASH_SEED = 0
"""Seed of the hash's weights, which are the same in every process."""


def hash_images(pixels: np.ndarray) -> np.ndarray:
    """Return one number per image, uint64 ``(N,)``; equal images have equal numbers, others nearly never.

    It is a sum with random weights, modulo 2^64, of all images at once; a digest of each would take as long as
    decoding a small image.

    Args:
        pixels: uint8 or float32 ``(N, ...)``, contiguous.

    >>> a = hash_images(np.array([[1, 2], [1, 3], [1, 2]], np.uint8))
    >>> bool(a[0] == a[2] != a[1])
    True
    """
    row_bytes = math.prod(pixels.shape[1:]) * pixels.dtype.itemsize
    flat = pixels.view(np.uint8).reshape(len(pixels), row_bytes)
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    words = flat.view(np.uint64)
    mixed = words >> np.uint64(32)
    mixed ^= words  # a product modulo 2^64 depends little on the upper bits
    return mixed @ _hash_weights(words.shape[1])


def group_duplicates(hashes: np.ndarray, pixels: np.ndarray) -> list[list[int]]:
    """Return groups of two or more rows that hold the same image; blank images are in none.

    Args:
        hashes: numbers of `hash_images` ``(N,)``.
        pixels: from 0 to 255, uint8 or float32 ``(N, ...)``; only rows with equal hashes are read.
    """
    order = np.argsort(hashes, kind="stable")
    equals_next = hashes[order[:-1]] == hashes[order[1:]]
    candidates = np.union1d(order[:-1][equals_next], order[1:][equals_next])
    groups = defaultdict(list)
    for row in candidates.tolist():
        image = np.ascontiguousarray(pixels[row])
        if image.std(dtype=np.float64) >= MIN_STD:
            groups[hashlib.sha256(image.data).digest()].append(row)
    return sorted(rows for rows in groups.values() if len(rows) > 1)


def report_duplicates(
    groups: Sequence[Sequence[int]], rows: Sequence[str], y: np.ndarray, part: np.ndarray | None
) -> Iterable[Finding]:
    """Yield the findings about duplicate images.

    Args:
        groups: groups of equal images.
        rows: name of each image.
        y: class numbers ``(N,)``, or labels ``(N, L)``.
        part: official part of each, or None.
    """
    parts = np.zeros(len(rows), np.int8) if part is None else part
    for later in (2, 1):
        leaked = [pair for group in groups for pair in _pair_with_training(group, parts, later)]
        if leaked:
            count = int((parts == later).sum())
            yield Finding(
                "leakage",
                "warning",
                {"part": PART_NAMES[later], "count": len(leaked), "of": count, "first": _examples(leaked, rows)},
                Message(
                    "{count} of {total} images of the {part} part are in the training part too, so its "
                    "score is too high: {examples}",
                    count=len(leaked),
                    total=count,
                    part=PART_NAMES[later],
                    examples=_list_examples(leaked, rows),
                ),
                Message("remove them from the {part} part", part=PART_NAMES[later]),
            )
    pairs = [pair for group in groups for pair in _pair_within_part(group, parts)]
    conflicting = [pair for pair in pairs if not np.array_equal(y[pair[0]], y[pair[1]])]
    same_label = [pair for pair in pairs if np.array_equal(y[pair[0]], y[pair[1]])]
    if conflicting:
        yield Finding(
            "conflicting-labels",
            "warning",
            {"count": len(conflicting), "first": _examples(conflicting, rows)},
            Message(
                "{count} images occur twice with different labels: {examples}",
                count=len(conflicting),
                examples=_list_examples(conflicting, rows),
            ),
            Message("keep the one with the right label"),
        )
    if same_label:
        yield Finding(
            "duplicate-images",
            "note",
            {"count": len(same_label), "first": _examples(same_label, rows)},
            Message(
                "{count} images occur twice in the same part: {examples}",
                count=len(same_label),
                examples=_list_examples(same_label, rows),
            ),
            Message("remove one of each, unless they are meant to count twice"),
        )


def _pair_with_training(group: Sequence[int], parts: np.ndarray, later: int) -> Iterable[tuple[int, int]]:
    """Return the images of a later part, each with its duplicate in the training part."""
    in_training = next((row for row in group if parts[row] == 0), None)
    return [] if in_training is None else [(row, in_training) for row in group if parts[row] == later]


def _pair_within_part(group: Sequence[int], parts: np.ndarray) -> Iterable[tuple[int, int]]:
    """Yield images with their first duplicate in the same part."""
    first: dict[int, int] = {}
    for row in group:
        if int(parts[row]) in first:
            yield row, first[int(parts[row])]
        else:
            first[int(parts[row])] = row


def _examples(pairs: Sequence[tuple[int, int]], rows: Sequence[str]) -> list[str]:
    return [f"{rows[a]} = {rows[b]}" for a, b in pairs[:MAX_EXAMPLES]]


def _list_examples(pairs: Sequence[tuple[int, int]], rows: Sequence[str]) -> str:
    return ", ".join(_examples(pairs, rows)) + (", ..." if len(pairs) > MAX_EXAMPLES else "")


@functools.cache
def _hash_weights(count: int) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(HASH_SEED))
    return generator.integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)
