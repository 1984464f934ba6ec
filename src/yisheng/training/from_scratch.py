"""The hand-written forms in the places of the library's: network, loss and optimiser of a config."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from yisheng.core import registry
from yisheng.core.config import Choice, Config
from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.training._scratch_layers import Forward, forward_of
from yisheng.training._scratch_losses import LOSSES
from yisheng.training.loop import Loss

MODELS = ("linear", "mlp", "lenet")
"""The networks all of whose layers are written by hand."""
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
"""The registered optimisers whose update is a concept of the same name and options."""


class _Layer(nn.Module):
    """A hand-written forward on the parameters and buffers of a layer, under the same names."""

    def __init__(self, layer: nn.Module, compute: Forward) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in layer.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self._compute = compute

    def forward(self, x: Tensor) -> Tensor:
        tensors: dict[str, Tensor] = {**self._parameters, **self._buffers}  # type: ignore[dict-item]  # none is None
        return self._compute(x, tensors, self.training)


def build_network(config: Config, model: nn.Module) -> nn.Module:
    """The same network with hand-written layers, on the same parameters under the same names.

    Its weights are therefore the library form's: a run that was trained by hand is read without any of this.

    Args:
        config: settled; its ``model`` is what was built.
        model: built and initialised, on its device.

    Raises:
        UsageError: the network is not written by hand, or the config asks for what is not.

    >>> from yisheng.core.types import Spec
    >>> from yisheng.models.linear import linear
    >>> usual = linear(Spec("regression", (3,)))
    >>> by_hand = network(Config(model=Choice(name="linear")), usual)
    >>> x = torch.ones(2, 3)
    >>> torch.equal(by_hand(x), usual(x)), list(by_hand.state_dict()) == list(usual.state_dict())
    (True, True)
    """
    _require("model", config.model.name, MODELS)
    if config.precision == "bf16":
        raise UsageError(
            "scratch=true and precision=bf16: the hand-written layers compute in the precision of the weights",
            "leave precision out, or say precision=fp64",
        )
    if config.memory_format == "channels-last":
        raise UsageError(
            "scratch=true and memory_format=channels-last: the hand-written layers know one order of numbers",
            "leave memory_format out",
        )
    if config.weights is not None:
        raise UsageError(
            f"scratch=true and weights={config.weights}: what is written by hand begins from the beginning",
            "leave weights or scratch out",
        )
    if any(isinstance(layer, nn.Dropout) for layer in model.modules()) and not _on_cpu(model):
        raise UsageError(
            "scratch=true and dropout need a processor: on a GPU torch draws its masks in another order",
            "say device=cpu, or dropout=0",
        )
    return nn.Sequential(
        OrderedDict((name, _Layer(layer, forward_of(layer))) for name, layer in model.named_children())
    )


def build_loss(choice: Choice, spec: Spec, y: np.ndarray) -> Loss:
    """The hand-written form of a registered loss, one value per sample.

    Args:
        choice: the loss and its options.
        spec: the contract.
        y: the training targets, for what is counted from them.

    Raises:
        UsageError: the loss is not written by hand.

    >>> from yisheng.core.types import Spec
    >>> mse = loss(Choice(name="mse"), Spec("regression", (1,)), np.zeros((2, 1), np.float32))
    >>> mse(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [1.0]]))
    tensor([4., 0.])
    """
    _require("loss", choice.name, tuple(LOSSES))
    return LOSSES[choice.name](spec, y, **choice.options)


class _ByHand(torch.optim.Optimizer):
    """A pure update behind torch's interface: what it remembers of a weight lies where torch's optimisers keep it.

    So checkpoints hold it, and schedules and parameter groups reach it as they reach the others.
    """

    def __init__(
        self, groups: list[dict[str, Any]], update: Callable[..., Any], memories: int, options: Mapping[str, Any]
    ) -> None:
        super().__init__(groups, dict(options))
        self._update, self._memories = update, memories
        # torch adds to its defaults when a state is loaded, so the names are kept; groups may have their own decay
        self._names = [name for name in options if name != "weight_decay"]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure: the loss is known already
        """Update every weight that has a gradient."""
        del closure
        for group in self.param_groups:
            given = {name: group[name] for name in self._names}
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                t = state.get("t", 0) + 1
                memory = tuple(state.get(f"memory{i}", torch.zeros_like(weight)) for i in range(self._memories))
                new, memory = self._update(weight, weight.grad, memory, t, **given, weight_decay=group["weight_decay"])
                weight.copy_(new)
                state.update({"t": t, **{f"memory{i}": value for i, value in enumerate(memory)}})


def build_optimizer(choice: Choice, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The hand-written update of an optimiser, behind torch's interface, so that its memory is saved with a run.

    Args:
        choice: a registered optimiser and its options.
        groups: torch's parameter groups; a group may have its own ``weight_decay``.

    Raises:
        UsageError: the optimiser is not written by hand.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> w.grad = torch.ones(1)
    >>> optimizer(Choice(name="sgd", options={"lr": 0.5}), [{"params": [w]}]).step()
    >>> w
    tensor([1.5000], requires_grad=True)
    """
    _require("optimizer", choice.name, OPTIMIZERS)
    update = registry.find("scratch", choice.name)
    usual = {option.name: option.default for option in registry.find("optim", choice.name).options.values()}
    return _ByHand(groups, update.build, update.meta["memories"], {**usual, **choice.options})


def _on_cpu(model: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in model.parameters())


def _require(key: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UsageError(
            f"scratch=true: {key}={name} is not written by hand", f"say {key}={', '.join(known)}, or leave scratch out"
        )
