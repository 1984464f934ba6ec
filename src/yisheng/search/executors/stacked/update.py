"""One update of K models, each by its own optimiser's options.

Two ways. *Lifted*: the hand-written optimiser of `yisheng.scratch` on whole blocks ``(K, n)``, its options being
columns ``(K, 1)``: few operations for many small models. *Grouped*: torch's own optimiser, whose groups are the models
of equal options: one pass over the memory for large ones, and the arithmetic of a training alone to the bit. *Fused*:
the same for Adam and AdamW, by the very kernel that torch's optimiser calls, without what it does around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from yisheng.core import registry
from yisheng.optim import light

LIFTED_UP_TO = {"kernel": 500, "fused": 6000, "plain": 18000}
"""Weights of a model up to which lifting is faster than calling torch's kernel, than its optimisers that have one, and
than those that have none; measured, see docs/stacked.md."""
Options = Mapping[str, Any]
KERNELS: Mapping[type, Callable[..., Any]] = {
    torch.optim.Adam: torch._fused_adam_,
    torch.optim.AdamW: torch._fused_adamw_,
}


class Update(Protocol):
    """An update of blocks ``(K, n)``, in place."""

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """One update; ``factor`` is what the learning rates are multiplied by."""

    def select(self, slots: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Go on with some of the models, whose blocks these are now."""


def update(
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
    kernel = _is_fused_adam(first)
    way = "kernel" if kernel else "fused" if first.param_groups[0].get("fused") else "plain"
    if name in registry.names("scratch") and sum(block.shape[1] for block in blocks) <= LIFTED_UP_TO[way]:
        return Lifted(name, blocks, groups, optimizers, options)
    return (Fused if kernel else Grouped)(blocks, groups, optimizers)


def _is_fused_adam(optimizer: torch.optim.Optimizer) -> bool:
    first = optimizer.param_groups[0]
    return type(optimizer) in KERNELS and first["fused"] and not (first["amsgrad"] or first["maximize"])


def liftable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether many models can be updated as one training alone is: by torch's own optimisers."""
    return type(optimizer).__module__.startswith("torch.optim.")


class Lifted:
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


class Grouped:
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
        light.step(self._optimizer)

    def select(self, slots: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Go on with some of the models, whose blocks these are now."""
        kept, before, state = slots.tolist(), self._rows, self._optimizer.state
        self._options = [[each[k] for k in kept] for each in self._options]
        self._begin(blocks)
        for old, new in zip(before, self._rows, strict=True):
            for k, row in zip(kept, new, strict=True):
                self._optimizer.state[row] = state[old[k]]


class Fused:
    """Adam and AdamW by torch's fused kernel; models of equal options are updated by one call."""

    def __init__(
        self, blocks: Sequence[torch.Tensor], groups: Sequence[int], optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self._kernel = KERNELS[type(optimizers[0])]
        self._options = [[_of_kernel(o.param_groups[group]) for o in optimizers] for group in groups]
        self._memory = tuple([torch.zeros_like(block) for block in blocks] for _ in range(2))
        self._t = torch.zeros((), device=blocks[0].device)
        self._begin(blocks)

    def _begin(self, blocks: Sequence[torch.Tensor]) -> None:
        found: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for i, each in enumerate(self._options):
            for k, options in enumerate(each):
                found.setdefault(tuple(options.values()), []).append((i, k))
        rows = [[block.unbind(0) for block in some] for some in (blocks, *self._memory)]
        self._calls = [
            (
                [[some[i][k] for i, k in places] for some in rows],
                self._options[places[0][0]][places[0][1]],
                places,
            )
            for places in found.values()
        ]

    def step(self, gradients: Sequence[torch.Tensor], factor: float) -> None:
        """One update; ``factor`` is what the learning rates are multiplied by."""
        self._t += 1
        rows = [gradient.unbind(0) for gradient in gradients]
        for (w, m, v), options, places in self._calls:
            own = {**options, "lr": options["lr"] * factor}
            g = [rows[i][k] for i, k in places]
            self._kernel(w, g, m, v, [], [self._t] * len(w), amsgrad=False, maximize=False, **own)

    def select(self, slots: torch.Tensor, blocks: Sequence[torch.Tensor]) -> None:
        """Go on with some of the models, whose blocks these are now."""
        kept = slots.tolist()
        self._options = [[each[k] for k in kept] for each in self._options]
        self._memory = tuple([block.index_select(0, slots) for block in some] for some in self._memory)
        self._begin(blocks)


def _of_kernel(group: Options) -> Options:
    """What torch's optimiser tells its kernel of a group."""
    beta1, beta2 = group["betas"]
    return {
        "lr": group["initial_lr"],
        "beta1": beta1,
        "beta2": beta2,
        "weight_decay": group["weight_decay"],
        "eps": group["eps"],
    }
