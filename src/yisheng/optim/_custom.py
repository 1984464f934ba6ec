"""A user's own optimizer: a class, a function of parameters, or an instance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import nn

from yisheng.core.callables import list_required
from yisheng.core.custom_entry import CustomEntry, read_parameters
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

Groups = Sequence[Mapping[str, Any]]
NETWORK_NAMES: Final = ("model", "net", "network", "module")
"""Names of the parameter of a function that makes the optimizer of the network itself."""


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


def takes_network(component: Any) -> bool:
    """Return whether a function of the user's makes an optimizer of the network rather than of its parameters.

    >>> takes_network(lambda model: torch.optim.SGD(model.parameters(), lr=0.1)), takes_network(torch.optim.SGD)
    (True, False)
    """
    return callable(component) and list_required(component)[:1] in [[name] for name in NETWORK_NAMES]


def build_for_network(component: Callable[..., Any], name: str, network: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer that a function of the user's makes of a network.

    Raises:
        UsageError: the function fails, or returns something else.
    """
    return _require_optimizer(_call(lambda: component(network), name), name)


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
    def build() -> Any:
        try:
            return component(groups, **options)
        except ValueError as error:
            if "parameter groups" not in str(error):  # LBFGS takes one list of parameters
                raise
        return component([parameter for group in groups for parameter in group["params"]], **options)

    return _require_optimizer(_call(build, name), name)


def _call(build: Callable[[], Any], name: str) -> Any:
    try:
        return build()
    except ValueError as error:
        raise UsageError(
            Message("optimizer={name} cannot be built: {error}", name=name, error=error), Message("change its options")
        ) from error
    except Exception as error:  # the function is the user's
        raise UsageError(
            Message("optimizer={name} cannot be built: {error}", name=name, error=error),
            Message(
                "it is called with parameter groups and its options, as lr=; a function whose parameter is called "
                "model gets the network"
            ),
        ) from error


def _require_optimizer(optimizer: Any, name: str) -> torch.optim.Optimizer:
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
