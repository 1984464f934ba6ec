"""Gradients that the loss of another network leaves in the recorded one, and that its next loss is added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

import torch
from torch import nn

from yisheng.diagnosis.loss_graph import collect_leaves


class ForeignGradients:
    """The gradients of one recorded step.

    An actor or a generator is trained through the recorded network: its loss fills the gradients of both networks, and
    its optimizer makes an update. If the gradients of the recorded network are not cleared before its next loss, it
    also follows the first one.

    >>> actor, critic = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    >>> action, gradients = 2 * actor, ForeignGradients()
    >>> gradients.note_inputs([action])
    >>> (critic * action).sum().backward()
    >>> gradients.after_backward({"critic": critic}, {id(critic), id(actor)})
    >>> gradients.note_update({id(actor)})
    >>> gradients.before_backward({id(critic)})
    >>> critic.sum().backward()
    >>> gradients.list_added({"critic": critic})
    ('critic',)
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all: a step begins."""
        self._upstream: frozenset[int] = frozenset()
        self._trained: frozenset[int] = frozenset()
        self._left: dict[str, tuple[torch.Tensor, int]] = {}
        self._added: tuple[str, ...] = ()
        self._is_updated = False

    def note_inputs(self, arguments: Iterable[object]) -> None:
        """Note of which parameters the inputs of the recorded network are computed."""
        nodes = [x.grad_fn for x in arguments if isinstance(x, torch.Tensor) and x.grad_fn is not None]
        self._upstream = self._upstream.union(*(collect_leaves(node) for node in nodes))

    def before_backward(self, leaves: Set[int]) -> None:
        """Note whether the next loss is added to gradients of a loss that was not for the recorded network.

        Args:
            leaves: ``id`` of each parameter that it depends on.
        """
        if self._is_updated and not self._trained & leaves:
            self._added = tuple(name for name, (grad, version) in self._left.items() if grad._version == version)

    def after_backward(self, held: Mapping[str, nn.Parameter], leaves: Set[int]) -> None:
        """Note the gradients that a loss has left, if it trains what the inputs are computed with.

        Args:
            held: parameters of the recorded network that its optimizer holds, by name.
            leaves: ``id`` of each parameter that the loss depends on.
        """
        trained = (self._upstream & leaves) - {id(p) for p in held.values()}
        if trained and not self._added:
            self._trained, self._is_updated = trained, False
            gradients = {name: p.grad for name, p in held.items() if id(p) in leaves}
            self._left = {name: (grad, grad._version) for name, grad in gradients.items() if grad is not None}

    def note_update(self, parameters: Iterable[int]) -> None:
        """Note an update of another optimizer, by the ``id`` of each of its parameters."""
        if self._trained and not self._trained.isdisjoint(parameters):
            self._is_updated = True

    def list_added(self, parameters: Mapping[str, nn.Parameter]) -> tuple[str, ...]:
        """Return the names of the parameters whose gradients still hold those of the other loss before the update."""
        return tuple(
            name
            for name in self._added
            if parameters[name].grad is self._left[name][0] and bool(self._left[name][0].any())
        )
