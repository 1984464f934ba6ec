"""Changes of the weights between an update and the next backward pass, by something else than the optimizer."""

from __future__ import annotations

from torch import nn

MAX_WRITES = 64
"""Changes that are kept."""


class ForeignWrites:
    """Changes of one weight between an update and the next backward pass.

    Autograd counts the in-place changes of a tensor, so that a look costs no more than reading a number.

    Args:
        model: the network; its first weight of two or more axes that requires a gradient is watched.

    Attributes:
        weight: the weight; None if there is none.
        version: of the weight after the last update; None before the first.
        at: the number, from 1, of the first loss after each change.
        at_end: whether the weight has changed after the last update.
        after_evaluation: whether it has changed after the first evaluation since then, which tells weights that are
            loaded in the end from limits of weights that follow each update.

    >>> net = nn.Linear(2, 2)
    >>> writes = ForeignWrites(net)
    >>> writes.version = net.weight._version
    >>> writes.look(6)
    >>> _ = nn.init.zeros_(net.weight)
    >>> writes.look(7)
    >>> writes.at
    [7]
    """

    def __init__(self, model: nn.Module) -> None:
        self.weight = next((p for p in model.parameters() if p.ndim > 1 and p.requires_grad), None)
        self.version: int | None = None
        self.at: list[int] = []
        self.at_end = self.after_evaluation = False
        self._evaluated = (0, 0)

    def note_evaluation(self, step: int) -> None:
        """Note the version of the weight at the first evaluation after an update.

        Args:
            step: updates made before.
        """
        if step != self._evaluated[0] and self.weight is not None:
            self._evaluated = (step, self.weight._version)

    def end(self) -> None:
        """Note whether the weight has changed since the last update, which was the last one."""
        self.at_end = self.weight is not None and self.version not in (None, self.weight._version)
        self.after_evaluation = self.weight is not None and self._evaluated[1] != self.weight._version

    def look(self, number: int) -> None:
        """Note whether the weight has changed since the last update.

        Args:
            number: of the present loss, from 1.
        """
        if self.weight is None or self.version is None or self.weight._version == self.version:
            return
        self.version = self.weight._version
        if len(self.at) < MAX_WRITES:
            self.at.append(number)
