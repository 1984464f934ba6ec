"""Mini-batches: the rows of a data set in random order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register


@register(
    equation="x[order[i : i + size]],  i = 0, size, 2 size, ...,   order a random permutation of 0 … N − 1",
    usual="""
import torch
from torch.utils.data import DataLoader, TensorDataset
batches = DataLoader(TensorDataset(torch.ones(10, 3), torch.ones(10)), batch_size=4, shuffle=True)
""",
    when="""In every training, unless all rows fit into one step: 16 to 128 rows give a sufficient gradient at a
fraction of the cost. For data in memory these lines are many times faster than DataLoader, which collates sample
by sample.""",
)
def mini_batches(
    x: Tensor, y: Tensor, *, size: int = 32, generator: torch.Generator | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all rows of one epoch, shuffled, in batches of the same size; the last may be smaller.

    Args:
        x: inputs (N, ...).
        y: targets (N, ...).
        size: rows of a batch; 32 is small enough for the noise to help and large enough to be fast.
        generator: source of the random order; torch's global generator by default.

    Raises:
        UsageError: the size is below 1, or inputs and targets differ in number.

    Source: Zhang et al., "Dive into Deep Learning", sections 3.3 and 12.5.

    >>> generator = torch.Generator().manual_seed(0)
    >>> [len(x) for x, y in mini_batches(torch.ones(10, 3), torch.ones(10), size=4, generator=generator)]
    [4, 4, 2]
    """
    if size < 1 or len(x) != len(y):
        raise UsageError(
            Message(
                "batches of {size} rows of {inputs} inputs and {targets} targets",
                size=size,
                inputs=len(x),
                targets=len(y),
            ),
            Message("use size=1 or more, and as many targets as inputs"),
        )
    order = torch.randperm(len(x), generator=generator)
    for start in range(0, len(x), size):
        rows = order[start : start + size]
        yield x[rows], y[rows]
