"""Comparison of shapes, since broadcasting (B,) with (B, 1) would silently give (B, B)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from yisheng.core.errors import DataError
from yisheng.core.messages import Message

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``loss(output (B, O), y) -> (B,)``"""


def require_same_shape(output: torch.Tensor, y: torch.Tensor) -> None:
    """Raise an error if outputs ``(B, O)`` and targets have different shapes; it costs one comparison of tuples.

    Raises:
        DataError: they differ.

    >>> require_same_shape(torch.zeros(3, 1), torch.zeros(3))
    Traceback (most recent call last):
    yisheng.core.errors.DataError: the loss needs outputs and targets of one shape (B, O), got (3, 1) and (3,)
      give one column per target or label, even if there is only one: y.reshape(-1, 1)
    """
    if output.shape != y.shape or output.ndim != 2:
        raise DataError(
            Message(
                "the loss needs outputs and targets of one shape (B, O), got {output_shape} and {target_shape}",
                output_shape=tuple(output.shape),
                target_shape=tuple(y.shape),
            ),
            Message("give one column per target or label, even if there is only one: y.reshape(-1, 1)"),
        )
