"""Replicas of a network in the user's program that take over its gradients and have other weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.recorder.source_lines import list_nearby_variables

MAX_MODULES, MAX_ITEMS = 64, 64
"""Networks among the variables of the program, and entries of a list."""
MIN_VALUES = 16
"""Values of a weight that is compared."""
MIN_MATRICES = 2
"""Weights of a network: the gradient of a single one may not depend on its values, as that of a linear critic."""
MAX_CORRELATION = 0.5
"""Cosine between the weights of two replicas from which on they began equal: two that were drawn separately have
0 ± 1 / √n, and one that has been updated and one that has not yet been have nearly 1."""


@dataclass(frozen=True)
class Replicas:
    """Networks whose weights differ and whose gradients are the same.

    Args:
        count: of them, the trained network included.
        parameter: name of a weight that differs.
        cosine: between two of its values.
    """

    count: int
    parameter: str
    cosine: float


@torch.no_grad()
def find_replicas(model: nn.Module) -> Replicas | None:
    """Return the replicas of a network that are about to be updated with its gradients; None without any.

    Args:
        model: the network, between its backward pass and its update.
    """
    parameters = dict(model.named_parameters())
    shapes = {name: p.shape for name, p in parameters.items()}
    matrices = [(n, p) for n, p in parameters.items() if p.ndim > 1 and p.numel() >= MIN_VALUES]
    name = next((n for n, p in matrices if _has_gradient(p)), None)
    if name is None or len(matrices) < MIN_MATRICES:
        return None
    weight, cosines = parameters[name], []
    try:
        for module in itertools.islice(_list_modules(), MAX_MODULES):
            candidate = dict(module.named_parameters())
            if module is model or {n: p.shape for n, p in candidate.items()} != shapes:
                continue
            counterpart = candidate[name]
            if (
                counterpart is weight
                or counterpart.grad is None
                or counterpart.grad is weight.grad
                or counterpart.device != weight.device
            ):
                continue
            if torch.equal(counterpart.grad, weight.grad):  # type: ignore[arg-type]  # it has a gradient
                cosines.append(float(torch.cosine_similarity(counterpart.flatten(), weight.flatten(), dim=0)))
    except Exception:  # the objects of the program may do anything when they are looked at
        return None
    different = [cosine for cosine in cosines if abs(cosine) < MAX_CORRELATION]
    return Replicas(len(different) + 1, name, max(different, key=abs)) if different else None


def _has_gradient(p: torch.Tensor) -> bool:
    return p.grad is not None and not p.grad.is_sparse and bool((p.grad != 0).any())


def _list_modules() -> Iterator[nn.Module]:
    """Yield the networks in variables of the nearest callers, and those in their lists, tuples and dictionaries."""
    ids: set[int] = set()
    for _, variables in list_nearby_variables():
        for value in variables.values():
            for item in _list_items(value):
                if isinstance(item, nn.Module) and id(item) not in ids:
                    ids.add(id(item))
                    yield item


def _list_items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(itertools.islice(value.values(), MAX_ITEMS))
    if isinstance(value, nn.ModuleList):
        return list(itertools.islice(value, MAX_ITEMS))
    if isinstance(value, list | tuple):
        return list(itertools.islice(value, MAX_ITEMS))
    return [value]
