"""From-scratch training: the network, loss and optimizer of a config built from the functions of `yisheng.scratch`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from yisheng.core import registry
from yisheng.core.choice import Choice
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.optim._eager import EagerOptimizer
from yisheng.scratch.l1_penalty import l1_penalty
from yisheng.training._scratch_layers import Forward, scratch_forward
from yisheng.training._scratch_losses import LOSSES
from yisheng.training.loop import Loss
from yisheng.training.update import Penalty

MODELS = ("linear", "mlp", "lenet")
"""The networks all of whose layers have a from-scratch form."""
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
"""The registered optimizers with a from-scratch form of the same name and options."""


class _ScratchLayer(nn.Module):
    """A from-scratch forward on the parameters and buffers of a library layer, under the same names.

    Args:
        layer: the library layer.
        compute: the forward.
    """

    def __init__(self, layer: nn.Module, compute: Forward) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in layer.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self._compute = compute

    def forward(self, x: Tensor) -> Tensor:
        tensors = dict([*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)])
        return self._compute(x, tensors, self.training)


def build_network(config: Config, model: nn.Module) -> nn.Module:
    """Build the same network from from-scratch layers, on the same parameters under the same names.

    The weights are therefore the library form's: a run that was trained from scratch is loaded like any other.

    Args:
        config: the resolved config of the model.
        model: the library form, built and initialized, on its device.

    Raises:
        UsageError: the network, or something else in the config, has no from-scratch form.

    >>> from yisheng.core.spec import Spec
    >>> from yisheng.models.linear import linear
    >>> library = linear(Spec("regression", (3,)))
    >>> scratch = build_network(Config(model=Choice(name="linear")), library)
    >>> x = torch.ones(2, 3)
    >>> torch.equal(scratch(x), library(x)), list(scratch.state_dict()) == list(library.state_dict())
    (True, True)
    """
    _require_scratch_form("model", config.model.name, MODELS)
    _require_scratch_settings(config)
    if any(isinstance(layer, nn.Dropout) for layer in model.modules()) and not _is_on_cpu(model):
        raise UsageError(
            Message("scratch=true and dropout need a CPU: on a GPU torch draws its masks in another order"),
            Message("use device=cpu or dropout=0"),
        )
    return nn.Sequential(
        OrderedDict((name, _ScratchLayer(layer, scratch_forward(layer))) for name, layer in model.named_children())
    )


def build_loss(choice: Choice, spec: Spec, y: np.ndarray) -> Loss:
    """Build the from-scratch form of a registered loss, with one value per sample.

    Args:
        choice: the loss and its options.
        spec: the contract.
        y: the training targets, for class weights.

    Raises:
        UsageError: the loss has no from-scratch form.

    >>> from yisheng.core.spec import Spec
    >>> mse = build_loss(Choice(name="mse"), Spec("regression", (1,)), np.zeros((2, 1), np.float32))
    >>> mse(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [1.0]]))
    tensor([4., 0.])
    """
    _require_scratch_form("loss", choice.name, tuple(LOSSES))
    return LOSSES[choice.name](spec, y, **choice.options)


def make_l1_penalty(weights: Iterable[Tensor], l1: float) -> Penalty:
    """Make the from-scratch form of `yisheng.training.update.make_l1_penalty`.

    >>> make_l1_penalty([torch.tensor([3.0, -4.0], requires_grad=True)], 0.5)()
    tensor(3.5000, grad_fn=<AddBackward0>)
    """
    weights = list(weights)
    return lambda: sum((l1_penalty(w, weight_decay=l1) for w in weights if w.requires_grad), torch.zeros(()))


class _ScratchOptimizer(EagerOptimizer):
    """A pure update function behind torch's interface: checkpoints, schedules and parameter groups work as usual.

    Args:
        groups: torch's parameter groups.
        update: ``(weight, gradient, state, t, **options) -> (weight, state)``.
        state_tensors: number of state tensors of each weight.
        options: options of the update.
    """

    def __init__(
        self, groups: list[dict[str, Any]], update: Callable[..., Any], state_tensors: int, options: Mapping[str, Any]
    ) -> None:
        super().__init__(groups, dict(options))
        self._update, self._state_tensors = update, state_tensors
        self._option_names = list(options)  # torch adds keys to self.defaults when a state is loaded

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # there is no closure: the loss is computed
        """Update every weight that has a gradient."""
        del closure
        for group in self.param_groups:
            options = {name: group[name] for name in self._option_names}
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                t = state.get("t", 0) + 1
                names = [f"state{i}" for i in range(self._state_tensors)]
                tensors = tuple(state.get(name, torch.zeros_like(weight)) for name in names)
                updated, tensors = self._update(weight, weight.grad, tensors, t, **options)
                weight.copy_(updated)
                state.update({"t": t, **dict(zip(names, tensors, strict=True))})


def build_optimizer(choice: Choice, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build the from-scratch form of an optimizer behind torch's interface, so that its state is saved with a run.

    Args:
        choice: a registered optimizer and its options.
        groups: torch's parameter groups.

    Raises:
        UsageError: the optimizer has no from-scratch form.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> w.grad = torch.ones(1)
    >>> build_optimizer(Choice(name="sgd", options={"lr": 0.5}), [{"params": [w]}]).step()
    >>> w
    tensor([1.5000], requires_grad=True)
    """
    _require_scratch_form("optimizer", choice.name, OPTIMIZERS)
    entry = registry.find("scratch", choice.name)
    defaults = {option.name: option.default for option in registry.find("optim", choice.name).options.values()}
    return _ScratchOptimizer(groups, entry.build, entry.meta["state_tensors"], {**defaults, **choice.options})


def _is_on_cpu(model: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in model.parameters())


def _require_scratch_form(key: str, name: str, supported: tuple[str, ...]) -> None:
    if name not in supported:
        raise UsageError(
            Message("scratch=true: {key}={name} has no from-scratch form", key=key, name=name),
            Message("use {key}= with one of {supported}, or remove scratch", key=key, supported=", ".join(supported)),
        )


def _require_scratch_settings(config: Config) -> None:
    """Check the settings that the from-scratch layers do not support."""
    if config.precision == "bf16":
        raise UsageError(
            Message("scratch=true and precision=bf16: from-scratch layers compute in the precision of the weights"),
            Message("remove precision, or use precision=fp64"),
        )
    if config.memory_format == "channels-last":
        raise UsageError(
            Message(
                "scratch=true and memory_format=channels-last: from-scratch layers support contiguous memory only",
            ),
            Message("remove memory_format"),
        )
    if config.compile is True:
        raise UsageError(
            Message("scratch=true and compile=true: from-scratch layers are compared with the library's as they are"),
            Message("remove compile"),
        )
    if config.weights is not None:
        raise UsageError(
            Message(
                "scratch=true and weights={weights}: from-scratch training starts from random weights",
                weights=config.weights,
            ),
            Message("remove weights or scratch"),
        )
