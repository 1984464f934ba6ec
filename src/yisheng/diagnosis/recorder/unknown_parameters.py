"""Parameters that the loss depends on and that neither the network nor its optimizer holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE


class UnknownParameters:
    """Such parameters of a training; another optimizer may update them.

    Autograd counts the in-place changes of a tensor; comparing counts is far cheaper than comparing values.

    Attributes:
        first_seen: each of them by its ``id``, with its version and the number of updates when first seen.
        restored: copies of those that had not changed before the training was stopped and continued.
    """

    def __init__(self) -> None:
        self.first_seen: dict[int, tuple[torch.Tensor, int, int]] = {}
        self.restored: list[torch.Tensor] = []
        self._leaves: dict[int, torch.Tensor] = {}

    def add_leaves(self, leaves: Sequence[torch.Tensor], steps: int) -> None:
        """Add leaves of a loss's graph that nobody holds.

        A leaf that is not a parameter may be an input of one step that a derivative is taken for; it counts from the
        second time on.

        Args:
            leaves: tensors whose gradients the backward pass fills.
            steps: updates made before.
        """
        for leaf in leaves:
            if id(leaf) in self.first_seen:
                continue
            if isinstance(leaf, nn.Parameter) or id(leaf) in self._leaves:
                self._add(leaf, steps)
            self._leaves[id(leaf)] = leaf

    def select_unchanged(self, steps: int) -> list[torch.Tensor]:
        """Return those that nothing has changed, after enough updates to judge."""
        unchanged = [
            p
            for p, version, step in self.first_seen.values()
            if p._version == version and steps - step >= MIN_UPDATES_TO_JUDGE
        ]
        return [*self.restored, *unchanged]

    def _add(self, p: torch.Tensor, steps: int) -> None:
        """Add a parameter; it may be one that was known before the training was stopped."""
        similar = [q for q in self.restored if (q.shape, q.dtype) == (p.shape, p.dtype)]
        restored = next((q for q in similar if torch.equal(q, p.detach().cpu())), None)
        first_step = steps - (0 if restored is None else MIN_UPDATES_TO_JUDGE)
        self.first_seen[id(p)] = (p, p._version, first_step)
        replaced = restored if restored is not None else next(iter(similar), None)
        self.restored = [q for q in self.restored if q is not replaced]
