"""Parameter groups: which parameters decay, and which have a higher learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

NORMS_WITH_SHAPE = (nn.LayerNorm, nn.RMSNorm)
"""Norm layers whose scale may have more than one axis."""


def make_parameter_groups(
    model: nn.Module, *, decay_bias: bool = False, head: nn.Module | None = None, head_lr: float = 10.0
) -> list[dict[str, Any]]:
    """Return a model's parameters as torch's parameter groups: weights, biases with norm layers, and a new head.

    Weight decay keeps a layer from depending on single inputs. A bias has no input, and the layers after a norm layer
    can undo any change of its scale, so both do not decay (parameters with one axis, those named ``bias``, and those of
    norm layers).

    Args:
        model: the model; every parameter is in one group, in their order, including frozen ones (an optimizer skips
            parameters without a gradient).
        decay_bias: let all parameters decay, as the textbooks write it; there is one group then.
        head: a layer that is initialized at random while the others were trained before. Its groups come after those
            of the body, and each group has an ``lr_scale``: its learning rate in multiples of the config's.
        head_lr: the ``lr_scale`` of the head; 10 is the textbook's. The body's is 1.

    Raises:
        UsageError: the model has no parameters.

    Source: He et al., "Bag of tricks for image classification with convolutional neural networks", 2019,
    section 3.1 (no bias decay); Zhang et al., "Dive into Deep Learning", section 14.2 (ten times for the head).

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))
    >>> [([tuple(p.shape) for p in g["params"]], g.get("weight_decay")) for g in make_parameter_groups(model)]
    [([(3, 4), (2, 3)], None), ([(3,), (3,), (3,)], 0.0)]
    >>> groups = make_parameter_groups(model, head=model[2])
    >>> [([tuple(p.shape) for p in g["params"]], g["lr_scale"]) for g in groups]
    [([(3, 4)], 1.0), ([(3,), (3,), (3,)], 1.0), ([(2, 3)], 10.0)]
    """
    head_parameters = set() if head is None else {id(parameter) for parameter in head.parameters()}
    kinds = [(part, decays) for part in ("body", "head") for decays in (True, False)]
    by_kind: dict[tuple[str, bool], list[nn.Parameter]] = {kind: [] for kind in kinds}
    grouped: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in grouped:  # shared between layers
                continue
            grouped.add(id(parameter))
            decays = decay_bias or _is_weight(module, name, parameter)
            by_kind["head" if id(parameter) in head_parameters else "body", decays].append(parameter)
    if not grouped:
        raise UsageError(
            Message("{type_name} has no parameters to train", type_name=type(model).__name__),
            Message("use a model that has some"),
        )
    lr_scales = {} if head is None else {"body": 1.0, "head": head_lr}
    return [
        {
            "params": parameters,
            **({} if decays else {"weight_decay": 0.0}),
            **({"lr_scale": lr_scales[part]} if lr_scales else {}),
        }
        for (part, decays), parameters in by_kind.items()
        if parameters
    ]


def list_weights(model: nn.Module, *, decay_bias: bool = False) -> dict[str, nn.Parameter]:
    """Return the parameters that decay by name, each once: those that an L1 penalty applies to.

    Args:
        model: the model.
        decay_bias: return all parameters.

    >>> list(list_weights(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))))
    ['0.weight']
    """
    weights: dict[int, tuple[str, nn.Parameter]] = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if decay_bias or _is_weight(module, name, parameter):
                weights.setdefault(id(parameter), (f"{path}.{name}".lstrip("."), parameter))
    return dict(weights.values())


def _is_weight(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a weight rather than a bias or a parameter of a norm layer."""
    return parameter.ndim > 1 and name != "bias" and not isinstance(module, NORMS_WITH_SHAPE)
