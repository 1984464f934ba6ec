"""Noise that a network adds to a mean, times a learned standard deviation, and that is not normal."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from yisheng.diagnosis.nested_tensors import list_tensors
from yisheng.diagnosis.probe import MAX_WEIGHTS, REFUSALS, is_compiled
from yisheng.diagnosis.recorder.source_lines import find_direct_source

UNIFORM = frozenset({"rand", "rand_like"})
POSITIVE = frozenset({"exp", "softplus", "sqrt"})
"""Names of functions whose result is a standard deviation."""
PRODUCTS = frozenset({"mul", "__mul__", "__rmul__"})
SUMS = frozenset({"add", "__add__", "__radd__"})


@dataclass(frozen=True)
class AddedNoise:
    """Noise that was added to a mean.

    Args:
        mean: the tensor that it was added to.
        noise: its values before the product with a standard deviation.
        source: file and line.
    """

    mean: torch.Tensor
    noise: torch.Tensor
    source: str


def find_uniform_noise(model: nn.Module, example: tuple[torch.Tensor, ...] | None) -> AddedNoise | None:
    """Return where the network adds uniform noise, times a standard deviation, to a mean that the network returns.

    A network that returns the mean, and another tensor of its shape, gives them to a divergence from a normal
    distribution; None if there is no such noise. The network and the random generators stay as they are.

    Args:
        model: the trained network.
        example: its arguments ``(B, ...)``.

    >>> class Encoder(nn.Module):
    ...     def __init__(self, draw):
    ...         super().__init__()
    ...         self.layer, self.draw = nn.Linear(2, 4), draw
    ...     def forward(self, x):
    ...         mean, log_std = self.layer(x).chunk(2, 1)
    ...         return mean + log_std.exp() * self.draw(mean), mean, log_std
    >>> rows = (torch.ones(3, 2),)
    >>> [find_uniform_noise(Encoder(f), rows) is None for f in (torch.rand_like, torch.randn_like)]
    [False, True]
    """
    if example is None or is_compiled(model) or sum(p.numel() for p in model.parameters()) > MAX_WEIGHTS:
        return None
    devices = [example[0].device] if example[0].device.type == "cuda" else []
    mode = _NoiseMode()
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            network = copy.deepcopy(model).train()
            with mode:
                output = network(*example)
    except REFUSALS:
        return None
    returned = list_tensors(output)
    for added in mode.sums:
        same_shape = [tensor for tensor in returned if tensor.shape == added.mean.shape]
        if _contains(same_shape, added.mean) and len(same_shape) > 1:
            return added
    return None


class _NoiseMode(TorchFunctionMode):
    """Follow uniform numbers through a product with a standard deviation to the sum with a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: list[AddedNoise] = []
        self._uniform: list[torch.Tensor] = []
        self._positive: list[torch.Tensor] = []
        self._products: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if not isinstance(result, torch.Tensor):
            return result
        if name in UNIFORM:
            self._uniform.append(result)
        elif name in POSITIVE and result.requires_grad:
            self._positive.append(result)
        elif name in PRODUCTS or name in SUMS:
            first, second = (*args, None)[:2]
            for a, b in ((first, second), (second, first)):
                if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor) or a.shape != b.shape:
                    continue
                if name in PRODUCTS and _contains(self._uniform, a) and _contains(self._positive, b):
                    self._products.append((result, a))
                elif name in SUMS and b.requires_grad:
                    noise = next((part for product, part in self._products if product is a), None)
                    if noise is not None:
                        self.sums.append(AddedNoise(b, noise, find_direct_source()))
        return result


def _contains(tensors: list[torch.Tensor], tensor: torch.Tensor) -> bool:
    return any(item is tensor for item in tensors)
