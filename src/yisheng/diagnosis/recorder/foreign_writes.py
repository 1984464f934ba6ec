"""Changes of the weights between updates, by something else than the optimizer."""

from __future__ import annotations

from torch import nn

MAX_WRITES = 64
"""Changes that are kept."""


class ForeignWrites:
    """Watch one weight for changes between an update and the next.

    Autograd counts the in-place changes of a tensor, so that a look costs no more than reading a number.

    Args:
        model: the network; its first weight of two or more axes that requires a gradient is watched.

    Attributes:
        at: numbers of losses that were recorded before the update that first saw a change.

    >>> net = nn.Linear(2, 2)
    >>> writes = ForeignWrites(net)
    >>> writes.note_update()
    >>> _ = nn.init.zeros_(net.weight)
    >>> writes.look(7)
    >>> writes.at
    [7]
    """

    def __init__(self, model: nn.Module) -> None:
        self.at: list[int] = []
        self._weight = next((p for p in model.parameters() if p.ndim > 1 and p.requires_grad), None)
        self._version: int | None = None

    def note_update(self) -> None:
        """Note that the optimizer has just changed the weight."""
        self._version = None if self._weight is None else self._weight._version

    def look(self, losses: int) -> None:
        """Look at the weight right before an update.

        Args:
            losses: number of losses so far, that of this update included.
        """
        if self._weight is None or self._version is None or self._weight._version == self._version:
            return
        if len(self.at) < MAX_WRITES:
            self.at.append(losses)
