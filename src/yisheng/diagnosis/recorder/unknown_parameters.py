"""Parameters that the loss depends on and that neither the network nor its optimizer holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE

MAX_INPUT_NODES = 32
"""Nodes between the inputs of a network and the tensors that they are put together of."""


def find_input_leaves(arguments: Sequence[object]) -> Iterator[torch.Tensor]:
    """Yield the tensors whose rows are the rows of a network's inputs, and that derivatives are taken for.

    Weights that the inputs were computed from have other rows, as those of a table of vectors.

    Args:
        arguments: of the network.

    >>> x, t = torch.zeros(5, 1, requires_grad=True), torch.zeros(5, 1, requires_grad=True)
    >>> table = torch.zeros(9, 3, requires_grad=True)
    >>> [leaf is x for leaf in find_input_leaves((torch.cat([x, t], 1), table[:5]))]
    [True, False]
    """
    for argument in arguments:
        if not isinstance(argument, torch.Tensor) or not argument.requires_grad or not argument.ndim:
            continue
        if argument.is_leaf:
            if not isinstance(argument, nn.Parameter):
                yield argument
            continue
        queue, count = deque([argument.grad_fn]), 0
        while queue and count < MAX_INPUT_NODES:
            node, count = queue.popleft(), count + 1
            leaf: Any = getattr(node, "variable", None)
            if leaf is not None and not isinstance(leaf, nn.Parameter) and leaf.shape[:1] == argument.shape[:1]:
                yield leaf
            queue.extend(child for child, _ in getattr(node, "next_functions", ()) if child is not None)


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
