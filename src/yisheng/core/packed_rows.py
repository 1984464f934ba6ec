"""Several inputs in rows of bytes: the tensors that are in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from yisheng.core.input_spec import Inputs, InputSpec


def unpack(block: torch.Tensor, inputs: Sequence[InputSpec]) -> Inputs:
    """Return the tensors of rows of bytes ``(B, nbytes)`` by `yisheng.core.nested.pack`: a dict or a tuple.

    >>> import numpy as np
    >>> from yisheng.core.nested import pack
    >>> block, inputs = pack([np.array([[1.5]], np.float32), np.array([[7, 8]])])
    >>> unpack(torch.from_numpy(block), inputs)
    (tensor([[1.5000]]), tensor([[7, 8]]))
    """
    values, start = [], 0
    for item in inputs:
        part = block[:, start : start + item.nbytes].clone(memory_format=torch.contiguous_format)
        values.append(part.view(-1).view(getattr(torch, item.dtype)).view(-1, *item.shape))  # a copy is aligned
        start += item.nbytes
    if inputs[0].name:
        return {item.name: value for item, value in zip(inputs, values, strict=True)}
    return tuple(values)
