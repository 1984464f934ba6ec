"""Changes of frozen weights during a training: an adapter that is added to the weight next to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

MAX_WEIGHTS, MAX_VALUES, MAX_MATRICES, MAX_MERGES = 4, 1 << 20, 16, 8
"""Frozen weights that are copied, values of each, matrices near one, and changes that are kept."""
MIN_CHANGE = 1e-4
"""Change relative to the weight that is more than the rounding of an adapter that is added and taken out again."""
MIN_COSINE = 0.9
"""Cosine of a change and the product of an adapter's matrices, above which it is this product; of other changes it is
near 0."""


@dataclass(frozen=True)
class Merge:
    """An adapter that was added to a frozen weight, and is still next to it.

    Args:
        weight: name of the frozen weight.
        adapter: names of the adapter's matrices.
        number: of the first loss after it, from 1.
        cosine: of the change and the adapter's product.
    """

    weight: str
    adapter: tuple[str, str]
    number: int
    cosine: float


class FrozenWeights:
    """Frozen weights of a network that has trainable ones, too.

    Args:
        model: the network; the adapters of a weight are parameters of its layer or of the layer around it.

    Attributes:
        merges: adapters that were added and left.
    """

    def __init__(self, model: nn.Module) -> None:
        self.merges: list[Merge] = []
        parameters = dict(model.named_parameters())
        is_partly_frozen = any(p.requires_grad for p in parameters.values())
        with_adapters = (
            (name, p, find_adapters(name, p, parameters))
            for name, p in parameters.items()
            if is_partly_frozen and not p.requires_grad and p.ndim == 2 and p.numel() <= MAX_VALUES
        )
        self._weights = list(itertools.islice((entry for entry in with_adapters if entry[2]), MAX_WEIGHTS))
        self._copies = {name: (p._version, p.detach().clone()) for name, p, _ in self._weights}

    @torch.no_grad()
    def look(self, number: int) -> None:
        """Note whether an adapter was added to its weight since the last look.

        Args:
            number: of the present loss, from 1.
        """
        for name, weight, adapters in self._weights:
            version, copy = self._copies[name]
            if weight._version == version or len(self.merges) >= MAX_MERGES:
                continue
            change = weight - copy
            if float(change.norm()) > MIN_CHANGE * float(copy.norm()):
                self.merges += find_merges(name, change, adapters, number)
                copy = weight.detach().clone()
            self._copies[name] = (weight._version, copy)


Adapter = tuple[tuple[str, torch.Tensor], tuple[str, torch.Tensor]]


def find_adapters(name: str, weight: torch.Tensor, parameters: dict[str, nn.Parameter]) -> list[Adapter]:
    """Return pairs of trainable matrices near a weight whose product has its shape."""
    layer = name.rpartition(".")[0]
    around = layer.rpartition(".")[0]
    prefix = f"{around}." if around else f"{layer}." if layer else ""
    matrices = [
        (matrix_name, p)
        for matrix_name, p in parameters.items()
        if p.requires_grad and p.ndim == 2 and matrix_name.startswith(prefix) and p.numel() < weight.numel()
    ][:MAX_MATRICES]
    pairs = itertools.permutations(matrices, 2)
    return [(up, down) for up, down in pairs if _fits(up[1], down[1], weight)]


def find_merges(name: str, change: torch.Tensor, adapters: list[Adapter], number: int) -> Iterator[Merge]:
    """Yield the adapter whose product a change of a weight is.

    Args:
        name: of the weight.
        change: of it.
        adapters: pairs of matrices.
        number: of the present loss.
    """
    for (up_name, up), (down_name, down) in adapters:
        product = up @ down
        product = product if product.shape == change.shape else product.T
        size = float(product.norm() * change.norm())
        cosine = float((product * change).sum()) / size if size > 0 else 0.0
        if cosine > MIN_COSINE:
            yield Merge(name, (up_name, down_name), number, cosine)
            return


def _fits(up: torch.Tensor, down: torch.Tensor, weight: torch.Tensor) -> bool:
    """Return whether the product of two matrices has the shape of a weight, perhaps transposed."""
    shape = (up.shape[0], down.shape[1])
    return up.shape[1] == down.shape[0] and shape in (tuple(weight.shape), tuple(weight.shape)[::-1])
