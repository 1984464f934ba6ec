"""Which parameters decay."""

from __future__ import annotations

from typing import Any

from torch import nn

from yisheng.core.errors import UsageError

NORMS = (nn.LayerNorm, nn.RMSNorm)
"""Norm layers whose scale may have more than one axis."""


def groups(model: nn.Module, *, decay_bias: bool = False) -> list[dict[str, Any]]:
    """A model's parameters as torch's parameter groups, biases and norm layers apart.

    Weight decay keeps a layer from leaning on single inputs. A bias leans on none and the scale of a norm layer
    is undone by the layers after it, so both are left alone (parameters with one axis, those named ``bias``,
    and those of norm layers).

    Args:
        model: its parameters are taken once each, in their order, frozen ones too (without a gradient an
            optimiser passes them over).
        decay_bias: let everything decay, as the textbooks write it; there is one group then.

    Raises:
        UsageError: the model has no parameters.

    Source: He et al., "Bag of tricks for image classification with convolutional neural networks", 2019,
    section 3.1 (no bias decay).

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))
    >>> [([tuple(p.shape) for p in g["params"]], g.get("weight_decay")) for g in groups(model)]
    [([(3, 4), (2, 3)], None), ([(3,), (3,), (3,)], 0.0)]
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:  # shared between layers
                continue
            seen.add(id(parameter))
            lean = parameter.ndim > 1 and name != "bias" and not isinstance(module, NORMS)
            (decayed if lean or decay_bias else spared).append(parameter)
    found: list[dict[str, Any]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    found = [group for group in found if group["params"]]
    if not found:
        raise UsageError(f"{type(model).__name__} has no parameters to train", "give a model that has some")
    return found
