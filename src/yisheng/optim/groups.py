"""Which parameters decay, and which learn faster."""

from __future__ import annotations

from typing import Any

from torch import nn

from yisheng.core.errors import UsageError

NORMS = (nn.LayerNorm, nn.RMSNorm)
"""Norm layers whose scale may have more than one axis."""


def groups(
    model: nn.Module, *, decay_bias: bool = False, head: nn.Module | None = None, head_lr: float = 10.0
) -> list[dict[str, Any]]:
    """A model's parameters as torch's parameter groups, biases and norm layers apart, and a new head apart.

    Weight decay keeps a layer from leaning on single inputs. A bias leans on none and the scale of a norm layer
    is undone by the layers after it, so both are left alone (parameters with one axis, those named ``bias``,
    and those of norm layers).

    Args:
        model: its parameters are taken once each, in their order, frozen ones too (without a gradient an
            optimiser passes them over).
        decay_bias: let everything decay, as the textbooks write it; there is one group then.
        head: a part of the model that begins anew while the rest was trained before. Its groups come after those
            of the body, and say so in ``multiple``: what their learning rate is in units of the config's.
        head_lr: that multiple; 10 is the textbook's. The body's is 1.

    Raises:
        UsageError: the model has no parameters.

    Source: He et al., "Bag of tricks for image classification with convolutional neural networks", 2019,
    section 3.1 (no bias decay); Zhang et al., "Dive into Deep Learning", section 14.2 (ten times for the head).

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))
    >>> [([tuple(p.shape) for p in g["params"]], g.get("weight_decay")) for g in groups(model)]
    [([(3, 4), (2, 3)], None), ([(3,), (3,), (3,)], 0.0)]
    >>> [([tuple(p.shape) for p in g["params"]], g["multiple"]) for g in groups(model, head=model[2])]
    [([(3, 4)], 1.0), ([(3,), (3,), (3,)], 1.0), ([(2, 3)], 10.0)]
    """
    of_head = set() if head is None else {id(parameter) for parameter in head.parameters()}
    kinds = [(part, lean) for part in ("body", "head") for lean in (True, False)]
    found: dict[tuple[str, bool], list[nn.Parameter]] = {kind: [] for kind in kinds}
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:  # shared between layers
                continue
            seen.add(id(parameter))
            lean = parameter.ndim > 1 and name != "bias" and not isinstance(module, NORMS)
            found["head" if id(parameter) in of_head else "body", lean or decay_bias].append(parameter)
    if not seen:
        raise UsageError(f"{type(model).__name__} has no parameters to train", "give a model that has some")
    multiples = {} if head is None else {"body": 1.0, "head": head_lr}
    return [
        {
            "params": parameters,
            **({} if lean else {"weight_decay": 0.0}),
            **({"multiple": multiples[part]} if multiples else {}),
        }
        for (part, lean), parameters in found.items()
        if parameters
    ]
