"""Windows of one series that are in the training and in a held-out part: nearly the same rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.dataset import Part
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import PART_NAMES

MIN_LENGTH, MIN_ROWS = 12, 40
"""Values of a window, and windows of each part."""
MIN_PIECE, PIECES = 6, 3
"""Values of the piece of a window that must be in a training window, and the part of a window that it is."""
MAX_VALUES, MAX_HELD_OUT_ROWS = 1 << 20, 500
"""Values of the training windows, and held-out windows that are compared: 0.1 s."""
MIN_DISTINCT_VALUES, MIN_DISTINCT_IN_PIECE = 100, 4
"""Different numbers of all windows, and of a piece: few levels or constant pieces agree by coincidence."""
MIN_FRACTION = 0.2
"""Fraction of each half of the held-out windows: after a split in time only the first windows overlap."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd number whose powers weight the bits of the values of a piece: the hash of Rabin and Karp."""


def _explain_skip(sample: Sample) -> str:
    has_held_out = len(sample.rows("validation")) + len(sample.rows("test")) > 0
    if not has_held_out:
        return Message("there is only a training part")
    return (
        "" if _read_windows(sample, "train", MIN_ROWS) is not None else Message("the rows are not windows of numbers")
    )


@register(cost="cheap", needs=_explain_skip, raw=True, explains=("overfitting", "memorization", "underfitting"))
def overlapping_windows(sample: Sample) -> Iterator[Finding]:
    """Find held-out windows of a series a piece of which is in a training window at another place.

    The windows were cut before the split, and drawn at random: each held-out window has neighbors in the training part
    that are shifted by a few steps.

    Args:
        sample: its rows of all parts.

    Source: Kapoor and Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", 2023,
    section 3 (L3.1, temporal leakage); Hammerla and Plötz, "Let's (not) stick together", 2015.
    """
    training = _read_windows(sample, "train", MAX_VALUES)
    assert training is not None  # ensured by needs
    length = training.shape[1]
    piece = max(MIN_PIECE, length // PIECES)
    if len(np.unique(training[:: max(1, len(training) // 200)])) < MIN_DISTINCT_VALUES:
        return
    place = (length - piece) // 2
    hashes = _hash_pieces(training, piece)
    hashes = np.unique(np.delete(hashes, place, 1))
    for part in ("test", "validation"):
        windows = _read_windows(sample, part, MAX_HELD_OUT_ROWS * length)
        if windows is None or windows.shape[1] != length:
            continue
        pieces = windows[:, place : place + piece]
        ordered = np.sort(pieces, 1)
        is_varied = (ordered[:, 1:] != ordered[:, :-1]).sum(1) + 1 >= MIN_DISTINCT_IN_PIECE
        overlaps = is_varied & np.isin(_hash_pieces(pieces, piece)[:, 0], hashes)
        half = len(overlaps) // 2
        if min(overlaps[:half].mean(), overlaps[half:].mean()) >= MIN_FRACTION:
            yield _build_finding(part, float(overlaps.mean()), len(overlaps), piece)
            return


def _build_finding(part: Part, fraction: float, count: int, piece: int) -> Finding:
    return Finding(
        "overlapping-windows",
        "warning",
        {"part": part, "windows": count, "fraction": fraction, "values": piece},
        Message(
            "{fraction} of the {part} windows overlap with training windows: {piece} of their values are in one at "
            "another place, so their score is too good",
            fraction=f"{fraction:.0%}",
            part=PART_NAMES[part],
            piece=piece,
        ),
        Message(
            "split the series in time (or by series) first, cut the windows of each part then, and leave out the "
            "windows that reach over the border"
        ),
    )


def _read_windows(sample: Sample, part: Part, max_values: int) -> np.ndarray | None:
    """Return windows ``(N, T)`` of a part in their order, of several channels the first; None if they are none."""
    x, rows = sample.x, sample.rows(part)
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or x.ndim not in (2, 3) or len(rows) < MIN_ROWS:
        return None
    if sample.spec.is_image or max(x.shape[1:]) < MIN_LENGTH:
        return None
    interval = max(1, -(-len(rows) * max(x.shape[1:]) // max(max_values, MIN_ROWS * max(x.shape[1:]))))
    chosen = rows[::interval] if part != "train" else rows[: max(MIN_ROWS, max_values // max(x.shape[1:]))]
    windows = x[chosen]
    if windows.ndim == 3:
        windows = windows[:, 0] if windows.shape[2] >= windows.shape[1] else windows[:, :, 0]
    return np.ascontiguousarray(windows, np.float32) + np.float32(0)  # -0 becomes 0


def _hash_pieces(windows: np.ndarray, piece: int) -> np.ndarray:
    """Return a hash of each piece of windows ``(N, T)`` at each place, uint64 ``(N, T - piece + 1)``."""
    bits = windows.view(np.uint32).astype(np.uint64)
    places = bits.shape[1] - piece + 1
    hashes = np.zeros((len(bits), places), np.uint64)
    for number in range(piece):
        hashes = hashes * MULTIPLIER + bits[:, number : number + places]
    return hashes
