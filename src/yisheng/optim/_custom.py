"""A user's own optimizer: a class, a function of parameters, or an instance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.core.components import CustomEntry, read_parameters
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

Groups = Sequence[Mapping[str, Any]]


def make_entry(component: Any, name: str) -> CustomEntry:
    """Return the entry of a user's own optimizer; it is called with torch's parameter groups.

    Args:
        component: a class of optimizers, or a function that returns one for parameters or groups. An instance is
            rebuilt for the parameters of the trained copy: see `rebuild`.
        name: its reference.

    >>> entry = make_entry(torch.optim.Adagrad, "torch.optim:Adagrad")
    >>> entry.build([{"params": [torch.zeros(1, requires_grad=True)]}], lr=0.5).param_groups[0]["lr"]
    0.5
    """
    meta = {"custom": True, "instance": isinstance(component, torch.optim.Optimizer)}
    if isinstance(component, torch.optim.Optimizer):
        return CustomEntry("optim", name, lambda groups: _reject_instance(name), meta)  # noqa: ARG005  # see `rebuild`
    parameters, open_ended = read_parameters(component, skip=1)

    def build(groups: Groups, **options: Any) -> torch.optim.Optimizer:
        return _build(component, name, [dict(group) for group in groups], options)

    return CustomEntry("optim", name, build, meta, parameters=parameters, open_ended=open_ended)


def rebuild(optimizer: torch.optim.Optimizer, network: nn.Module, copy: nn.Module) -> torch.optim.Optimizer:
    """Return an optimizer like the given one, with the same groups, options and state, for a copy of its network.

    Args:
        optimizer: of the parameters of ``network``.
        network: the user's network.
        copy: the copy that is trained.

    Raises:
        UsageError: the optimizer has parameters that are not the network's, or its class cannot be built again.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    copies = dict(copy.named_parameters())
    groups = []
    for group in optimizer.param_groups:
        unknown = sum(id(parameter) not in names for parameter in group["params"])
        if unknown:
            raise UsageError(
                Message("the optimizer updates {unknown} parameters that are not the network's", unknown=unknown),
                Message("make it of the network that is trained: optimizer=torch.optim.SGD(net.parameters(), lr=0.1)"),
            )
        groups.append({**group, "params": [copies[names[id(parameter)]] for parameter in group["params"]]})
    accepted = inspect.signature(type(optimizer)).parameters
    options = {key: value for key, value in optimizer.defaults.items() if key in accepted}
    rebuilt = _build(type(optimizer), type(optimizer).__name__, groups, options)
    if optimizer.state:
        rebuilt.load_state_dict(optimizer.state_dict())
    return rebuilt


def _reject_instance(name: str) -> torch.optim.Optimizer:
    raise UsageError(
        Message("optimizer={name} is an instance, which belongs to the parameters of one network", name=name),
        Message(
            "give the network itself too (model=net), or the optimizer's class: optimizer=torch.optim.SGD, lr=0.1",
        ),
    )


def _build(
    component: Callable[..., Any], name: str, groups: list[dict[str, Any]], options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    try:
        optimizer = component(groups, **options)
    except TypeError as error:
        raise UsageError(
            Message("optimizer={name} cannot be built: {error}", name=name, error=error),
            Message("it is called with parameter groups and its options, as lr="),
        ) from error
    except ValueError as error:
        raise UsageError(
            Message("optimizer={name} cannot be built: {error}", name=name, error=error), Message("change its options")
        ) from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UsageError(
            Message(
                "optimizer={name} must give a torch.optim.Optimizer, got {type_name}",
                name=name,
                type_name=type(optimizer).__name__,
            ),
            Message("return the optimizer: lambda groups: torch.optim.SGD(groups, lr=0.1)"),
        )
    return optimizer
