"""What a network takes: one input, or several by position or by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from yisheng.core.errors import DataError
from yisheng.core.messages import Message

if TYPE_CHECKING:
    import torch

Inputs: TypeAlias = "torch.Tensor | tuple[torch.Tensor, ...] | dict[str, torch.Tensor]"
"""What a network takes: one tensor, or several by position or by name."""
InputType = Literal["float32", "uint8", "int64"]
"""Type of an input's values: numbers, bytes of images, or ids (of words, of categories)."""
BYTES_PER_VALUE: Mapping[str, int] = {"float32": 4, "uint8": 1, "int64": 8}


@dataclass(frozen=True)
class InputSpec:
    """One of several inputs of a network.

    Args:
        shape: shape of one sample's input.
        dtype: type of the stored values; uint8 and float32 are scaled as the only input of a data set is, int64 is not.
        name: keyword of the network's ``forward``; empty for inputs that are passed by position.

    >>> InputSpec((2, 3)).nbytes
    24
    """

    shape: tuple[int, ...]
    dtype: InputType = "float32"
    name: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in BYTES_PER_VALUE or any(n < 1 for n in self.shape):
            raise DataError(
                Message(
                    "an input cannot have the type {dtype} and the shape {shape}",
                    dtype=f"{self.dtype!r}",
                    shape=self.shape,
                ),
                Message(
                    "the types are {BYTES_PER_VALUE}, sizes are 1 or more", BYTES_PER_VALUE=", ".join(BYTES_PER_VALUE)
                ),
            )

    @property
    def nbytes(self) -> int:
        """Return the bytes of one sample's input."""
        return math.prod(self.shape) * BYTES_PER_VALUE[self.dtype]
