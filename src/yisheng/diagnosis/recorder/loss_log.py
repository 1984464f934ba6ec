"""The losses of a training in order, read without waiting for the device more often than necessary."""

from __future__ import annotations

import torch

MAX_UNREAD_LOSSES = 512
"""Losses on another device that are kept before they are read together."""


class LossLog:
    """The loss of every backward pass that reached the network.

    Attributes:
        values: losses that were read.
        other_values: losses before the first of them, which did not reach the network.

    >>> log = LossLog()
    >>> for loss in (0.5, torch.tensor(0.25), 0.125):
    ...     log.add(loss)
    >>> len(log), log.read()
    (3, [0.5, 0.25, 0.125])
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self.other_values: list[float] = []
        self._unread: list[torch.Tensor | float] = []

    def __len__(self) -> int:
        return len(self.values) + len(self._unread)

    def add(self, loss: torch.Tensor | float) -> None:
        """Add a loss that reached the network, as a number or as a tensor ``()`` on another device."""
        if isinstance(loss, float) and not self._unread:
            self.values.append(loss)
            return
        if len(self._unread) >= MAX_UNREAD_LOSSES:
            self.read()
        self._unread.append(loss)

    def add_other(self, loss: torch.Tensor | float) -> None:
        """Add a loss that did not reach the network; it counts only as long as none did."""
        if not len(self):
            self.other_values.append(float(loss))

    def read(self) -> list[float]:
        """Return the losses; reading them waits for the device."""
        on_device = [loss for loss in self._unread if isinstance(loss, torch.Tensor)]
        values = iter(torch.stack([loss.reshape(()).float() for loss in on_device]).tolist() if on_device else [])
        self.values += [next(values) if isinstance(loss, torch.Tensor) else loss for loss in self._unread]
        self._unread.clear()
        return self.values or self.other_values
