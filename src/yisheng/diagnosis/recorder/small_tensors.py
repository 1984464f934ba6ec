"""Statistics of small tensors on the processor: the calls of NumPy take less time than those of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

MAX_SMALL_VALUES = 4096
"""Values of a tensor up to which the calls take longer than the computation."""

Floats = NDArray[np.float32]


def is_small(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is small, dense, of float32 and on the processor."""
    is_plain = tensor.is_cpu and tensor.dtype == torch.float32 and tensor.layout == torch.strided
    return is_plain and 0 < tensor.numel() <= MAX_SMALL_VALUES


def is_dense(value: object) -> TypeGuard[torch.Tensor]:
    """Return whether a value is a tensor of ordered numbers that can be indexed: not sparse, nested or complex.

    >>> is_dense(torch.eye(2)), is_dense(torch.eye(2).to_sparse()), is_dense(2.0)
    (True, False, False)
    """
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_nested or value.is_quantized or value.is_complex() or is_transformed(value))


def is_transformed(value: object) -> bool:
    """Return whether a value is a tensor without values of its own, as inside of `torch.func.vmap` and `grad`.

    What is computed there belongs to the transformation, a look at the random generator included.

    >>> seen = []
    >>> _ = torch.func.vmap(lambda x: seen.append(is_transformed(x)) or x)(torch.eye(2))
    >>> seen, is_transformed(torch.eye(2))
    ([True], False)
    """
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_meta:
        return False
    try:
        value.data_ptr()
    except RuntimeError:
        return True
    return False


def join(tensors: Sequence[torch.Tensor]) -> Floats:
    """Return a copy of the values of small tensors as one array ``(N,)``."""
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors] or [np.empty(0, np.float32)])


def root_mean_squares(values: Floats, sizes: Sequence[int]) -> list[float]:
    """Return the root mean square of each segment of an array.

    Args:
        values: of all segments ``(N,)``.
        sizes: number of values of each.

    >>> root_mean_squares(np.array([1, 1, 3, 4, 5], np.float32), [2, 3])[0]
    1.0
    """
    if not sizes:
        return []
    lengths = np.array(sizes)
    sums = np.add.reduceat(np.square(values, dtype=np.float64), np.cumsum(lengths) - lengths)
    roots: list[float] = np.sqrt(sums / lengths).tolist()
    return roots


def describe_segments(arrays: Sequence[Floats]) -> list[tuple[float, float, float]]:
    """Return mean, standard deviation and largest absolute value of each array; NaN if a value is.

    >>> describe_segments([np.array([1, 3], np.float32), np.array([-2], np.float32)])
    [(2.0, 1.0, 3.0), (-2.0, 0.0, 2.0)]
    """
    if not arrays:
        return []
    lengths = np.array([len(array) for array in arrays])
    starts = np.cumsum(lengths) - lengths
    values = np.concatenate(arrays, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        mean = np.add.reduceat(values, starts) / lengths
        centered = values - mean.repeat(lengths)
        std = np.sqrt(np.add.reduceat(centered * centered, starts) / lengths)
    highest = np.maximum.reduceat(np.abs(values), starts)
    return list(zip(mean.tolist(), std.tolist(), highest.tolist(), strict=True))


def describe_columns(table: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return standard deviation and mean of each column of a table ``(B, D)``."""
    values = table.astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = np.add.reduce(values, 0) / len(values)
        centered = values - mean
        std = np.sqrt(np.add.reduce(centered * centered, 0) / len(values))
    return torch.from_numpy(std.astype(np.float32)), torch.from_numpy(mean.astype(np.float32))
