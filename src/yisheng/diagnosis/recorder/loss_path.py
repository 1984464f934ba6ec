"""How the losses of a training reach the network, and whether a hook on one parameter is enough to see them all."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from yisheng.diagnosis.loss_graph import Loss


class LossPath:
    """What the recorded backward passes had in common.

    Following a loss from the network's output costs up to half of an update of a small network. It is not necessary if
    every loss is one tensor on the processor without a factor, and depends on the same parameter: a hook on that
    parameter's gradient sees the same values.

    >>> w, b = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    >>> path = LossPath()
    >>> path.add(w.sum(), [b, w], has_factor=False)
    >>> path.add(w.sum(), [w], has_factor=False)
    >>> path.parameter is w
    True
    >>> path.add(w.sum() / 4, [w], has_factor=True)
    >>> path.parameter
    """

    def __init__(self) -> None:
        self._is_simple = True
        self._common: list[torch.Tensor] = []
        self._passes = 0

    def add(self, loss: Loss, reached: Sequence[torch.Tensor], *, has_factor: bool) -> None:
        """Add a recorded backward pass.

        Args:
            loss: what is propagated.
            reached: parameters of the optimizer that it depends on, those nearest to the loss first.
            has_factor: whether it was multiplied by a factor, as for accumulation, which only its graph shows.
        """
        is_simple = isinstance(loss, torch.Tensor) and loss.is_cpu and not has_factor and bool(reached)
        self._is_simple = self._is_simple and is_simple
        ids = {id(p) for p in reached}
        self._common = [p for p in (self._common if self._passes else reached) if id(p) in ids and p.is_cpu]
        self._passes += 1

    def exclude(self) -> None:
        """Note that the hook missed a loss."""
        self._is_simple = False

    @property
    def parameter(self) -> torch.Tensor | None:
        """Return the parameter whose hook sees every loss; None if there is none or nothing is known yet."""
        return self._common[0] if self._is_simple and self._common else None
