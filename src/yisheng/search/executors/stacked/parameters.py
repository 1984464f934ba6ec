"""The weights of K models in few blocks of memory ``(K, n)``, each model's in one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

LARGE = 4096
"""Parameters of so many values and more lie in a block of their own: they are never copied together."""


@dataclass(frozen=True)
class Place:
    """Where a parameter lies.

    Args:
        block: number of its block.
        at: its first column there.
        shape: of one model's.
    """

    block: int
    at: int
    shape: torch.Size


class Bundles:
    """Parameters of K models.

    Args:
        models: the parameters of each by name; ``wide`` may have fewer columns in some, and gets zeros there.
        group: number of the optimiser's group of each parameter; a block's are all of one group.
        wide: name of the parameter that has a block of its own, or empty.
    """

    def __init__(self, models: Sequence[Mapping[str, torch.Tensor]], group: Mapping[str, int], wide: str = "") -> None:
        self.places: dict[str, Place] = {}
        self.groups: list[int] = []
        sizes: list[int] = []
        open_: dict[int, int] = {}
        for name, value in models[0].items():
            if name == wide:
                columns = max(model[name].shape[1] for model in models)
                shape = torch.Size((value.shape[0], columns, *value.shape[2:]))
            else:
                shape = value.shape
            own = name == wide or shape.numel() >= LARGE
            block = -1 if own else open_.get(group[name], -1)
            if block < 0:
                block = len(sizes)
                sizes.append(0)
                self.groups.append(group[name])
                if not own:
                    open_[group[name]] = block
            self.places[name] = Place(block, sizes[block], shape)
            sizes[block] += shape.numel()
        like = next(iter(models[0].values()))
        self.blocks = [like.new_zeros(len(models), size) for size in sizes]
        self._view()
        with torch.no_grad():
            for k, model in enumerate(models):
                for name, value in model.items():
                    self.parameters[name][k].copy_(widened(value, self.places[name].shape))

    def _view(self) -> None:
        self.parameters = {
            name: self.blocks[place.block]
            .detach()[:, place.at : place.at + place.shape.numel()]
            .unflatten(1, place.shape or (1,))
            .view(-1, *place.shape)
            .requires_grad_()
            for name, place in self.places.items()
        }

    def gather(self, gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Gradients of the parameters, in their order, as blocks ``(K, n)``."""
        found: list[list[torch.Tensor]] = [[] for _ in self.blocks]
        for place, gradient in zip(self.places.values(), gradients, strict=True):
            found[place.block].append(gradient.reshape(len(gradient), -1))
        return [torch.cat(pieces, 1) if len(pieces) > 1 else pieces[0] for pieces in found]

    def select(self, slots: torch.Tensor) -> None:
        """Go on with some of the models."""
        self.blocks = [block.index_select(0, slots) for block in self.blocks]
        self._view()


def widened(value: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The tensor with columns of zeros up to a shape.

    >>> widened(torch.ones(1, 2), torch.Size((1, 3)))
    tensor([[1., 1., 0.]])
    """
    return value if value.shape == shape else F.pad(value, (0, shape[1] - value.shape[1]))
