"""One update of K models, each with the options of its own optimizer.

Small models are updated by the from-scratch optimizer of `yisheng.scratch` on whole blocks ``(K, n)``, with options as
columns ``(K, 1)``: few operations for many models. Large ones are updated by torch's optimizer, with one parameter group
for the models of equal options: one pass over the memory, and the arithmetic of a single training to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from yisheng.core import registry

MAX_FROM_SCRATCH_WEIGHTS = {"fused": 6000, "plain": 18000}
"""Weights of a model up to which the from-scratch optimizer is faster than torch's, with and without a fused kernel;
measured, see docs/stacked.md."""
Options = Mapping[str, Any]


class Update(Protocol):
    """An update of blocks ``(K, n)``, in place."""

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """One update; ``factor`` is what the learning rates are multiplied by."""

    def select(self, slots: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Go on with some of the models, whose blocks these are now."""


def make_stacked_update(
    name: str,
    blocks: Sequence[torch.Tensor],
    groups: Sequence[int],
    optimizers: Sequence[torch.optim.Optimizer],
    options: Sequence[Options],
) -> Update:
    """The faster of the two ways for so many weights.

    Args:
        name: of the registered optimiser.
        blocks: weights ``(K, n)``.
        groups: number of the optimiser's group of each block.
        optimizers: of each model, as a training alone has it.
        options: of each model, as registered.
    """
    first = optimizers[0]
    way = "fused" if first.param_groups[0].get("fused") else "plain"
    if name in registry.names("scratch") and sum(block.shape[1] for block in blocks) <= MAX_FROM_SCRATCH_WEIGHTS[way]:
        return FromScratchUpdate(name, blocks, groups, optimizers, options)
    return GroupedUpdate(blocks, groups, optimizers)


def is_stackable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether many models can be updated as one training alone is: by torch's own optimisers."""
    return type(optimizer).__module__.startswith("torch.optim.")


class FromScratchUpdate:
    """The hand-written optimiser over a leading model axis."""

    def __init__(
        self,
        name: str,
        blocks: Sequence[torch.Tensor],
        groups: Sequence[int],
        optimizers: Sequence[torch.optim.Optimizer],
        options: Sequence[Options],
    ) -> None:
        entry = registry.find("scratch", name)
        self._rule: Callable[..., Any] = entry.build
        self._blocks = list(blocks)
        self._memory = [tuple(torch.zeros_like(b) for _ in range(entry.meta["memories"])) for b in blocks]
        self._options = [
            _stacked(
                [{**own, **_of_group(o.param_groups[group])} for own, o in zip(options, optimizers, strict=True)], b
            )
            for group, b in zip(groups, blocks, strict=True)
        ]
        self._t = 0

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """One update; ``factor`` is what the learning rates are multiplied by."""
        self._t += 1
        with torch.no_grad():
            for i, (w, g) in enumerate(zip(self._blocks, gradients, strict=True)):
                options = {**self._options[i], "lr": self._options[i]["lr"] * factor}
                new, self._memory[i] = self._rule(w, g, self._memory[i], self._t, **options)
                w.copy_(new)

    def select(self, slots: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Go on with some of the models, whose blocks these are now."""
        self._blocks = list(blocks)
        self._memory = [tuple(m.index_select(0, slots) for m in memory) for memory in self._memory]
        self._options = [{key: _some(value, slots) for key, value in own.items()} for own in self._options]


def _of_group(group: Options) -> Options:
    """What torch's group has for itself, by the registered names."""
    return {"lr": group["initial_lr"], "wd": group["weight_decay"]}


def _stacked(options: Sequence[Options], like: torch.Tensor) -> dict[str, Any]:
    """Options of K models: a number where all have the same, else a column ``(K, 1)``."""
    return {key: _column([own[key] for own in options], like) for key in options[0]}


def _column(values: Sequence[Any], like: torch.Tensor) -> Any:
    if isinstance(values[0], tuple | list):
        return tuple(_column(each, like) for each in zip(*values, strict=True))
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=torch.float64).to(like)[:, None]


def _some(value: Any, slots: torch.Tensor) -> Any:
    if isinstance(value, tuple):
        return tuple(_some(each, slots) for each in value)
    return value.index_select(0, slots) if isinstance(value, torch.Tensor) else value


class GroupedUpdate:
    """Torch's optimiser; models of equal options are one of its groups."""

    def __init__(
        self, blocks: Sequence[torch.Tensor], groups: Sequence[int], optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self._options = [
            [{k: v for k, v in o.param_groups[group].items() if k != "params"} for o in optimizers] for group in groups
        ]
        self._class: Any = type(optimizers[0])
        self._begin(blocks)

    def _begin(self, blocks: Sequence[torch.Tensor]) -> None:
        self._rows = [block.unbind(0) for block in blocks]
        found: dict[str, dict[str, Any]] = {}
        for rows, each in zip(self._rows, self._options, strict=True):
            for row, options in zip(rows, each, strict=True):
                found.setdefault(repr(options), {**options, "params": []})["params"].append(row)
        self._optimizer: torch.optim.Optimizer = self._class(list(found.values()))

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """One update; ``factor`` is what the learning rates are multiplied by."""
        for rows, gradient in zip(self._rows, gradients, strict=True):
            for row, own in zip(rows, gradient.unbind(0), strict=True):
                row.grad = own
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self._optimizer.step()

    def select(self, slots: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Go on with some of the models, whose blocks these are now."""
        kept, before, state = slots.tolist(), self._rows, self._optimizer.state
        self._options = [[each[k] for k in kept] for each in self._options]
        self._begin(blocks)
        for old, new in zip(before, self._rows, strict=True):
            for k, row in zip(kept, new, strict=True):
                self._optimizer.state[row] = state[old[k]]
