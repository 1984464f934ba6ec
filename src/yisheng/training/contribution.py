"""What the shards of one process contribute to an update, and the message that carries it to another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from yisheng.training.pieces import Tensors

ALIGNMENT = 16
"""Bytes at whose multiples every tensor of a message begins; no dtype requires more."""


@dataclass(frozen=True)
class Contribution:
    """What some shards contribute to an update.

    Args:
        sums: values that are added up over the shards.
        firsts: values that count of the first shard only; None if these shards are empty.
        failed: the first shard that failed, or None.
    """

    sums: Tensors
    firsts: list[torch.Tensor] | None
    failed: int | None = None


class ContributionMessage:
    """The bytes of a contribution: whole numbers about it, then every tensor in a place of its own.

    Args:
        sums_like: tensors with the shapes, dtypes and device of the sums.
        firsts_like: likewise of the firsts.
        separate_numbers: keep the numbers apart from the tensors, on the CPU.

    Attributes:
        parts: what is sent, in this order.
    """

    def __init__(
        self,
        sums_like: Sequence[torch.Tensor],
        firsts_like: Sequence[torch.Tensor],
        *,
        separate_numbers: bool = False,
    ) -> None:
        self._layout = self._describe(sums_like, firsts_like)
        numbers = torch.zeros(3 + len(sums_like), dtype=torch.int64)  # failed + 1, signal, has firsts, which sums
        tensors = [*([] if separate_numbers else [numbers]), *sums_like, *firsts_like]
        offsets = [0]
        for tensor in tensors:
            offsets.append(offsets[-1] + -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT)
        content = torch.zeros(offsets[-1], dtype=torch.uint8, device=sums_like[0].device)
        places = [
            content[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            for start, tensor in zip(offsets, tensors, strict=False)
        ]
        self._numbers = numbers if separate_numbers else places.pop(0)
        self._sums, self._firsts = places[: len(sums_like)], places[len(sums_like) :]
        self.parts = (numbers, content) if separate_numbers else (content,)

    def fits(self, sums_like: Sequence[torch.Tensor], firsts_like: Sequence[torch.Tensor]) -> bool:
        """Return whether tensors have the shapes and dtypes of this message."""
        return self._layout == self._describe(sums_like, firsts_like)

    @staticmethod
    def _describe(*groups: Sequence[torch.Tensor]) -> list[list[tuple[torch.Size, torch.dtype]]]:
        return [[(tensor.shape, tensor.dtype) for tensor in group] for group in groups]

    @torch.no_grad()
    def write(self, contribution: Contribution, signal: int) -> None:
        """Write a contribution into the message."""
        failed = 0 if contribution.failed is None else contribution.failed + 1
        has_values = [value is not None for value in contribution.sums]
        self._numbers.copy_(torch.tensor([failed, signal, contribution.firsts is not None, *has_values]))
        for place, value in zip(self._sums, contribution.sums, strict=True):
            if value is not None:
                place.copy_(value)
        for place, value in zip(self._firsts, contribution.firsts or (), strict=False):
            place.copy_(value)

    def read(self) -> tuple[Contribution, int]:
        """Return the contribution in the message, in the message's memory, and the signal."""
        failed, signal, has_firsts, *has_values = self._numbers.tolist()
        sums = [place if has else None for place, has in zip(self._sums, has_values, strict=True)]
        return Contribution(sums, self._firsts if has_firsts else None, failed - 1 if failed else None), signal
