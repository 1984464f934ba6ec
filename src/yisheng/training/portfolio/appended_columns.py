"""Columns that a candidate of an ensemble gets besides those of the table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def append_columns(module: Callable[[torch.Tensor], torch.Tensor], x: np.ndarray) -> np.ndarray:
    """Return rows ``(N, D')`` with the columns that a module appends to rows ``(N, D)``.

    >>> append_columns(lambda rows: torch.cat([rows, 2 * rows], dim=1), np.ones((1, 1), np.float32))
    array([[1., 2.]], dtype=float32)
    """
    appended: np.ndarray = module(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    return appended
