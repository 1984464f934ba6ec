"""Changes of the weights between updates, by something else than the optimizer."""

from __future__ import annotations

from torch import nn

MAX_WRITES = 64
"""Changes that are kept."""


class ForeignWrites:
    """Changes of one weight between an update and the next.

    Autograd counts the in-place changes of a tensor, so that a look costs no more than reading a number.

    Args:
        model: the network; its first weight of two or more axes that requires a gradient is watched.

    Attributes:
        weight: the weight; None if there is none.
        version: of the weight after the last update; None before the first.
        at: numbers of losses that were recorded before the update that first saw a change.
    """

    def __init__(self, model: nn.Module) -> None:
        self.weight = next((p for p in model.parameters() if p.ndim > 1 and p.requires_grad), None)
        self.version: int | None = None
        self.at: list[int] = []

    def add(self, losses: int) -> None:
        """Add a change.

        Args:
            losses: number of losses so far, that of the next update included.
        """
        if len(self.at) < MAX_WRITES:
            self.at.append(losses)
