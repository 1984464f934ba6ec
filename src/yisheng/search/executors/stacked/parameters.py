"""The parameters of K models in a few blocks of memory ``(K, n)``, one row per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

MIN_OWN_BLOCK_VALUES = 4096
"""Values of a parameter from which on it has a block for itself, so that its gradients are never copied together."""


@dataclass(frozen=True)
class BlockSlice:
    """The place of a parameter in the blocks.

    Args:
        block: number of its block.
        start: its first column in the block.
        shape: its shape in one model.
    """

    block: int
    start: int
    shape: torch.Size


class StackedParameters:
    """Parameters of K models.

    Args:
        models: the parameters of each model by name; ``padded`` may have fewer columns in some, which are padded with
            zeros.
        group: number of the optimizer's group of each parameter; a block has parameters of one group.
        padded: name of the parameter with padded columns, which has a block for itself; or empty.
    """

    def __init__(
        self, models: Sequence[Mapping[str, torch.Tensor]], group: Mapping[str, int], padded: str = ""
    ) -> None:
        self.slices: dict[str, BlockSlice] = {}
        self.groups: list[int] = []
        sizes: list[int] = []
        shared_block: dict[int, int] = {}  # by group
        for name, value in models[0].items():
            if name == padded:
                columns = max(model[name].shape[1] for model in models)
                shape = torch.Size((value.shape[0], columns, *value.shape[2:]))
            else:
                shape = value.shape
            has_own_block = name == padded or shape.numel() >= MIN_OWN_BLOCK_VALUES
            block = -1 if has_own_block else shared_block.get(group[name], -1)
            if block < 0:
                block = len(sizes)
                sizes.append(0)
                self.groups.append(group[name])
                if not has_own_block:
                    shared_block[group[name]] = block
            self.slices[name] = BlockSlice(block, sizes[block], shape)
            sizes[block] += shape.numel()
        template = next(iter(models[0].values()))
        self.blocks = [template.new_zeros(len(models), size) for size in sizes]
        self._make_views()
        with torch.no_grad():
            for k, model in enumerate(models):
                for name, value in model.items():
                    self.by_name[name][k].copy_(pad_to_shape(value, self.slices[name].shape))

    def _make_views(self) -> None:
        self.by_name = {
            name: self.blocks[place.block]
            .detach()[:, place.start : place.start + place.shape.numel()]
            .unflatten(1, place.shape or (1,))
            .view(-1, *place.shape)
            .requires_grad_()
            for name, place in self.slices.items()
        }

    def gather(self, gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the gradients of the parameters, in their order, as blocks ``(K, n)``."""
        by_block: list[list[torch.Tensor]] = [[] for _ in self.blocks]
        for place, gradient in zip(self.slices.values(), gradients, strict=True):
            by_block[place.block].append(gradient.reshape(len(gradient), -1))
        return [torch.cat(parts, 1) if len(parts) > 1 else parts[0] for parts in by_block]

    def select(self, indices: torch.Tensor) -> None:
        """Keep only the models at some indices."""
        self.blocks = [block.index_select(0, indices) for block in self.blocks]
        self._make_views()


def pad_to_shape(value: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return the tensor with columns of zeros up to a shape.

    >>> pad_to_shape(torch.ones(1, 2), torch.Size((1, 3)))
    tensor([[1., 1., 0.]])
    """
    return value if value.shape == shape else F.pad(value, (0, shape[1] - value.shape[1]))
