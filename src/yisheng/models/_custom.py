"""A user's own network as a model: an ``nn.Module``, a class, or a function that builds one."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn

from yisheng.core.custom_entry import CustomEntry, read_parameters
from yisheng.core.errors import UsageError, YishengError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

FACTS: Final[dict[str, Callable[[Spec], Any]]] = {
    "spec": lambda spec: spec,
    "input_shape": lambda spec: spec.shape,
    "in_shape": lambda spec: spec.shape,
    "in_features": lambda spec: math.prod(spec.shape),
    "input_dim": lambda spec: math.prod(spec.shape),
    "n_features": lambda spec: math.prod(spec.shape),
    "in_channels": lambda spec: spec.shape[0],
    "out_features": lambda spec: spec.outputs,
    "output_dim": lambda spec: spec.outputs,
    "num_outputs": lambda spec: spec.outputs,
    "num_classes": lambda spec: spec.outputs,
    "n_classes": lambda spec: spec.outputs,
}
"""Parameters of a network's constructor that are filled in from the data."""


def make_entry(component: Any, name: str) -> CustomEntry:
    """Return the entry of a user's own network.

    A module is copied with the weights that it has. A class or function is called: what it has parameters for in
    `FACTS` is given by name, its other parameters are options of the model.

    Args:
        component: the module, class or function.
        name: its reference.

    >>> def net(in_features, num_classes, width=8):
    ...     return nn.Sequential(nn.Linear(in_features, width), nn.Linear(width, num_classes))
    >>> entry = make_entry(net, "net.py:net")
    >>> entry.build(Spec("classification", (4,), classes=("a", "b", "c")), width=5)[1]
    Linear(in_features=5, out_features=3, bias=True)
    """
    meta = {"stackable": False, "custom": True}
    if isinstance(component, nn.Module):
        return CustomEntry("models", name, lambda spec: _copy(component), meta)  # noqa: ARG005  # called like every model
    parameters, open_ended = read_parameters(component, FACTS)

    def build(spec: Spec, **options: Any) -> nn.Module:
        return _build(component, name, spec, options)

    return CustomEntry("models", name, build, meta, parameters=parameters, open_ended=open_ended)


def _copy(network: nn.Module) -> nn.Module:
    """Return a copy of a network, so that the training does not change the original while it runs."""
    if isinstance(network, torch.jit.ScriptModule):
        raise UsageError(
            Message("the network is compiled by torch.jit, and its weights cannot be trained in a copy"),
            Message("give the module that it was made of; export it after the training: format=torchscript"),
        )
    try:
        duplicate = copy.deepcopy(network)
    except Exception as error:
        raise UsageError(
            Message("the network cannot be copied: {type_name}: {error}", type_name=type(error).__name__, error=error),
            Message("give its class, or a function that builds it: model=Net"),
        ) from error
    return duplicate.cpu()


def _build(component: Callable[..., Any], name: str, spec: Spec, options: dict[str, Any]) -> nn.Module:
    try:
        signature = inspect.signature(component)
    except (ValueError, TypeError):
        facts: dict[str, Any] = {}
    else:
        facts = {key: FACTS[key](spec) for key in signature.parameters if key in FACTS}
        missing = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.default is inspect.Parameter.empty
            and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            and parameter.name not in facts
            and parameter.name not in options
        ]
        if missing:
            raise UsageError(
                Message("model={name} needs {missing}", name=name, missing=", ".join(missing)),
                Message(
                    "give {missing}= as an option; the data gives {FACTS} by name",
                    missing=missing[0],
                    FACTS=", ".join(FACTS),
                ),
            )
    try:
        network = component(**facts, **options)
    except YishengError:
        raise
    except Exception as error:
        raise UsageError(
            Message(
                "model={name} cannot be built: {type_name}: {reason}",
                name=name,
                type_name=type(error).__name__,
                reason=" ".join(str(error).split()),
            ),
            Message("build it yourself to see where, or give the module: model=Net(...)"),
        ) from error
    if not isinstance(network, nn.Module):
        raise UsageError(
            Message(
                "model={name} must give a torch.nn.Module, got {type_name}", name=name, type_name=type(network).__name__
            ),
            Message("return the network from it"),
        )
    return network


def has_lazy_parameters(network: nn.Module) -> bool:
    """Return whether parameters or buffers get their shape in the first forward pass (``nn.LazyLinear``)."""
    return any(nn.parameter.is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers()))


def describe_parameters(network: nn.Module) -> list[tuple[str, torch.Size]]:
    """Return names and shapes of the parameters; lazy ones have no shape yet."""
    return [
        (name, torch.Size() if nn.parameter.is_lazy(parameter) else parameter.shape)
        for name, parameter in network.named_parameters()
    ]
