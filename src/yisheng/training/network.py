"""The network of a training: built, initialized, and fitted to the data's target if it is a user's own."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.core import nested, registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import build_component, find_component, is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.entry import REQUIRED
from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.seeds import derive, isolated_generators, seed_everything
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches
from yisheng.init.initialize import initialize
from yisheng.losses._custom import expects_logits, expects_probabilities
from yisheng.models.custom_output import fit_output
from yisheng.training.loop import Loss
from yisheng.training.update import mean_loss

MAX_LOSS_ROWS = 8
"""Rows that a user's own loss is tried on before the training."""
MIN_PROBE_ROWS = 3
"""Rows that a user's own network is tried on before the training; see `read_probe`."""

MIN_CLASSES = 2
"""Outputs of a network from which a softmax is recognized."""
MAX_SUM_ERROR = 1e-4
"""Rounding error of the sum of a row's probabilities."""


@dataclass(frozen=True)
class Network:
    """A network with its initial weights, and what follows from it.

    Args:
        model: on the CPU.
        config: the resolved config; with a user's own network ``loss=auto`` depends on the number of its outputs.
        spec: the contract of the data, with the network's number of outputs.
    """

    model: nn.Module
    config: ResolvedConfig
    spec: Spec


def build_network(config: Config, resolved: ResolvedConfig, data: Spec, inputs: Spec, x: Callable[[], Any]) -> Network:
    """Build the network of a config with its initial weights, the same for the same seed.

    Args:
        config: the config as the user made it.
        resolved: the same, resolved for the data.
        data: the contract of the data.
        inputs: the contract of the scaled inputs.
        x: returns a few scaled inputs, as `read_probe` does.

    Raises:
        UsageError: a user's own network cannot be built, cannot take the inputs, or its output does not fit the target.
    """
    seed_everything(derive(resolved.seed, "init"))
    if not is_custom(resolved.model):
        spec = _add_loss_outputs(resolved, data)
        model: nn.Module = build_component("models", resolved.model, inputs.with_outputs(spec.outputs))
    else:
        is_auto = config.loss.name == AUTO
        expected = data if is_auto else _add_loss_outputs(resolved, data)
        model = build_component("models", resolved.model, inputs.with_outputs(expected.outputs))
        spec, _ = fit_output(model, x(), expected, output=resolved.output)
        if is_auto:
            resolved = resolved.model_copy(update={"loss": _choose_loss(resolved.loss, spec)})
        else:
            _require_loss_outputs(resolved, expected, spec)
    _initialize(resolved, model)
    if is_custom(resolved.model) and resolved.epochs:
        _require_trainable(model)
    may_take_probabilities = is_custom(resolved.loss) and not expects_logits(resolved.loss.component)
    if expects_probabilities(resolved.loss.component) or (
        may_take_probabilities and is_custom(resolved.model) and _returns_probabilities(model, x(), spec)
    ):
        spec = replace(spec, link="probabilities")
    return Network(model, resolved, spec)


def require_channels_last(model: nn.Module, x: Any) -> None:
    """Refuse a user's own network whose code relies on contiguous memory.

    Args:
        model: the network, in the memory format channels-last.
        x: a few scaled inputs.

    Raises:
        UsageError: its forward pass fails.
    """
    device = next(model.parameters()).device
    try:
        with evaluation_mode(model), torch.no_grad(), isolated_generators():
            nested.call(model, nested.map_tensors(lambda tensor: tensor.to(device), x))
    except RuntimeError as error:
        raise UsageError(
            Message(
                "the network does not support memory_format=channels-last: {reason}",
                reason=" ".join(str(error).split())[:200],
            ),
            Message("leave memory_format out, or use x.flatten(1) in place of x.view(...)"),
        ) from error


def read_probe(dataset: Dataset, split: Split, scale: Any) -> Any:
    """Return a few scaled inputs of the training part, as the network gets them.

    Their number differs from the other sizes, so that an output without a batch axis is noticed.
    """
    sizes = {len(dataset.spec.classes), dataset.spec.outputs, *dataset.spec.shape}
    count = next(count for count in itertools.count(MIN_PROBE_ROWS) if count not in sizes)
    rows = split.train[:count]
    return nested.to_contiguous(nested.to_single(scale.apply(nested.from_numpy(np.array(dataset.x[rows])))))


def check_loss(loss: Loss, model: nn.Module, train: Batches) -> tuple[str, ...]:
    """Compute a user's own loss on a few rows, so that it fails before the training; return notes on what it lacks.

    Args:
        loss: the loss.
        model: the network, which is copied.
        train: batches of the training part.

    Raises:
        UsageError: the loss cannot take the outputs and targets, or returns something other than losses.
    """
    batch = next(iter(replace(train, size=min(train.size, MAX_LOSS_ROWS), augment=())))
    device = next((p.device for p in model.parameters()), train.device)
    if device != batch.index.device:
        weight = None if batch.weight is None else batch.weight.to(device)
        x = nested.map_tensors(lambda tensor: tensor.to(device), batch.x)
        batch = Batch(x, batch.y.to(device), batch.index.to(device), weight)
    dimensions: list[int] = []

    def recorded(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        losses = loss(output, y)
        dimensions.append(losses.ndim)
        return losses

    with isolated_generators(), torch.no_grad():
        mean_loss(copy.deepcopy(model).eval(), batch, recorded)
    if dimensions == [0]:
        return (
            Message("the loss returns one number for a batch: rows cannot have weights, and no loss of a row is known"),
        )
    return ()


def _add_loss_outputs(config: ResolvedConfig, spec: Spec) -> Spec:
    """Return the contract with the number of output units that the loss requires."""
    meta = find_component("losses", config.loss).meta
    return spec.with_outputs(meta["outputs"](spec)) if "outputs" in meta else spec


def _choose_loss(loss: Choice, spec: Spec) -> Choice:
    """Return the loss for a network's number of outputs: with two classes, one logit or two."""
    if spec.task != "classification":
        return loss
    name = "cross-entropy" if spec.outputs > 1 else "binary-cross-entropy"
    if loss.name == name:
        return loss
    options = registry.find("losses", name).options
    defaults = {key: option.default for key, option in options.items() if option.default is not REQUIRED}
    chosen = registry.find("losses", loss.name).options
    dropped = [key for key, value in loss.options.items() if key not in options and value != chosen[key].default]
    if dropped:
        raise UsageError(
            Message(
                "{option} is an option of loss={name}, the network has {outputs} outputs for two classes",
                option=dropped[0],
                name=loss.name,
                outputs=spec.outputs,
            ),
            Message("use pos_weight= with one output, class_weight= with two: the second weight over the first"),
        )
    return Choice(name=name, options=defaults | {key: loss.options[key] for key in loss.options if key in options})


def _require_loss_outputs(config: ResolvedConfig, expected: Spec, fitted: Spec) -> None:
    """Refuse a network whose number of outputs is not the one that a registered loss requires."""
    if is_custom(config.loss) or expected.outputs == fitted.outputs:
        return
    raise UsageError(
        Message(
            "loss={name} needs {outputs} outputs, the network has {network_outputs}",
            name=config.loss.name,
            outputs=expected.outputs,
            network_outputs=fitted.outputs,
        ),
        Message("leave loss out to have it chosen, or change the network's last layer"),
    )


def _require_trainable(model: nn.Module) -> None:
    """Refuse a user's own network without a weight that can be trained."""
    if any(parameter.requires_grad for parameter in model.parameters()):
        return
    frozen = sum(1 for _ in model.parameters())
    if frozen:
        raise UsageError(
            Message("all {frozen} weights of the network are frozen (requires_grad=False)", frozen=frozen),
            Message("unfreeze some: net.requires_grad_(True); or use epochs=0 to score it without training"),
        )
    raise UsageError(
        Message("the network has no weights: there is nothing to train"),
        Message("add layers in __init__, as attributes of the module; use epochs=0 to score it without training"),
    )


def _returns_probabilities(model: nn.Module, x: Any, spec: Spec) -> bool:
    """Return whether a network of several classes ends in a softmax: its outputs are positive, and a row's sum is 1."""
    if spec.task != "classification" or spec.outputs < MIN_CLASSES:
        return False
    with evaluation_mode(model), torch.no_grad(), isolated_generators():
        output = nested.call(model, x)
    return bool((output >= 0).all()) and bool((output.sum(1) - 1).abs().max() <= MAX_SUM_ERROR)


def _initialize(config: ResolvedConfig, model: nn.Module) -> None:
    if is_custom(config.init) and find_component("init", config.init).meta["applies"]:
        model.apply(find_component("init", config.init).build)
        initialize(model, None, linear=_make_fill(config.init_linear), conv=_make_fill(config.init_conv))
        return
    initialize(model, _make_fill(config.init), linear=_make_fill(config.init_linear), conv=_make_fill(config.init_conv))


def _make_fill(choice: Choice | None) -> Callable[[torch.Tensor], Any] | None:
    return None if choice is None else lambda weight: build_component("init", choice, weight)
