"""One update of K models, each with the options of its own optimizer.

Small models are updated by the from-scratch optimizer of `yisheng.scratch` on whole blocks ``(K, n)``, with options as
columns ``(K, 1)``: few operations for many models. Large ones are updated by torch's optimizer, with one parameter
group for the models of equal options: one pass over the memory, and the arithmetic of a serial training to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from yisheng.core import registry
from yisheng.optim._eager import EagerOptimizer

MAX_FROM_SCRATCH_WEIGHTS = {"fused": 6000, "plain": 18000}
"""Weights of a model up to which the from-scratch optimizer is faster than torch's, with and without a fused kernel;
measured, see docs/stacked.md."""
Options = Mapping[str, Any]


class Update(Protocol):
    """An update of blocks ``(K, n)``, in place."""

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """Make one update, with the learning rates multiplied by ``factor``."""

    def select(self, indices: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Keep only the models at some indices, whose blocks are now these."""


def make_stacked_update(
    name: str,
    blocks: Sequence[torch.Tensor],
    groups: Sequence[int],
    optimizers: Sequence[torch.optim.Optimizer],
    options: Sequence[Options],
) -> Update:
    """Make the update that is faster for this number of weights.

    Args:
        name: name of the registered optimizer.
        blocks: weights ``(K, n)``.
        groups: number of the optimizer's parameter group of each block.
        optimizers: the optimizer of each model's serial training.
        options: options of each model's optimizer, as registered.
    """
    implementation = "fused" if optimizers[0].param_groups[0].get("fused") else "plain"
    weights = sum(block.shape[1] for block in blocks)
    if name in registry.names("scratch") and weights <= MAX_FROM_SCRATCH_WEIGHTS[implementation]:
        return FromScratchUpdate(name, blocks, groups, optimizers, options)
    return GroupedUpdate(blocks, groups, optimizers)


def is_stackable(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether models with this optimizer can be stacked: torch's optimizers can."""
    return type(optimizer).__module__.startswith(("torch.optim.", EagerOptimizer.__module__))


class FromScratchUpdate:
    """The from-scratch optimizer over a leading model axis; for the arguments see `make_stacked_update`."""

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
        self._state = [tuple(torch.zeros_like(b) for _ in range(entry.meta["state_tensors"])) for b in blocks]
        self._options = [
            _stack_options(
                [
                    {**model_options, **_group_options(optimizer.param_groups[group])}
                    for model_options, optimizer in zip(options, optimizers, strict=True)
                ],
                block,
            )
            for group, block in zip(groups, blocks, strict=True)
        ]
        self._t = 0

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """Make one update, with the learning rates multiplied by ``factor``."""
        self._t += 1
        with torch.no_grad():
            for i, (w, g) in enumerate(zip(self._blocks, gradients, strict=True)):
                options = {**self._options[i], "lr": self._options[i]["lr"] * factor}
                updated, self._state[i] = self._rule(w, g, self._state[i], self._t, **options)
                w.copy_(updated)

    def select(self, indices: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Keep only the models at some indices, whose blocks are now these."""
        self._blocks = list(blocks)
        self._state = [tuple(tensor.index_select(0, indices) for tensor in tensors) for tensors in self._state]
        self._options = [
            {key: _select_option(value, indices) for key, value in options.items()} for options in self._options
        ]


def _group_options(group: Options) -> Options:
    """Return the options that differ between torch's parameter groups, by their registered names."""
    return {"lr": group["initial_lr"], "weight_decay": group["weight_decay"]}


def _stack_options(options: Sequence[Options], template: torch.Tensor) -> dict[str, Any]:
    """Return the options of K models: a number if all models have the same, else a column ``(K, 1)``."""
    return {key: _to_column([model_options[key] for model_options in options], template) for key in options[0]}


def _to_column(values: Sequence[Any], template: torch.Tensor) -> Any:
    if isinstance(values[0], tuple | list):
        return tuple(_to_column(items, template) for items in zip(*values, strict=True))
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=torch.float64).to(template)[:, None]


def _select_option(value: Any, indices: torch.Tensor) -> Any:
    if isinstance(value, tuple):
        return tuple(_select_option(item, indices) for item in value)
    return value.index_select(0, indices) if isinstance(value, torch.Tensor) else value


class GroupedUpdate:
    """torch's optimizer, with a parameter group for models of equal options; see `make_stacked_update`."""

    def __init__(
        self, blocks: Sequence[torch.Tensor], groups: Sequence[int], optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self._options = [
            [{k: v for k, v in o.param_groups[group].items() if k != "params"} for o in optimizers] for group in groups
        ]
        self._class: Any = type(optimizers[0])
        self._build_optimizer(blocks)

    def _build_optimizer(self, blocks: Sequence[torch.Tensor]) -> None:
        self._rows = [block.unbind(0) for block in blocks]
        groups: dict[str, dict[str, Any]] = {}
        for rows, block_options in zip(self._rows, self._options, strict=True):
            for row, options in zip(rows, block_options, strict=True):
                groups.setdefault(repr(options), {**options, "params": []})["params"].append(row)
        self._optimizer: torch.optim.Optimizer = self._class(list(groups.values()))

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """Make one update, with the learning rates multiplied by ``factor``."""
        for rows, gradient in zip(self._rows, gradients, strict=True):
            for row, row_gradient in zip(rows, gradient.unbind(0), strict=True):
                row.grad = row_gradient
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self._optimizer.step()

    def select(self, indices: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Keep only the models at some indices, whose blocks are now these."""
        models, previous_rows, state = indices.tolist(), self._rows, self._optimizer.state
        self._options = [[block_options[k] for k in models] for block_options in self._options]
        self._build_optimizer(blocks)
        for previous, rows in zip(previous_rows, self._rows, strict=True):
            for k, row in zip(models, rows, strict=True):
                self._optimizer.state[row] = state[previous[k]]
