"""Fine-tuning: which layers of a pretrained network are trained, and in which epochs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.models.head import find_head
from yisheng.training.loop import Loss, Step
from yisheng.training.state import State
from yisheng.transforms.imagenet import MEAN, STD

FinetuneMode = Literal["all", "head", "gradual"]
MAX_PIXEL_DIFFERENCE = 0.05
"""Difference of a scaled pixel up to which two scalings count as equal; the standard deviation of scaled pixels is
about 1."""


@dataclass(frozen=True)
class LayerGroup:
    """Layers that are unfrozen together.

    Args:
        names: names of the layers.
        modules: the layers.
        parameters: their parameters.
    """

    names: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    parameters: tuple[nn.Parameter, ...]


@dataclass(frozen=True)
class FinetunePlan:
    """The groups of layers that are trained in each epoch: a function of the epoch alone, so a run resumes exactly.

    Args:
        mode: ``all``, ``head`` or ``gradual``.
        epochs: number of epochs of the run.
        groups: groups from the input to the head; the head is in the last.
    """

    mode: FinetuneMode
    epochs: int
    groups: tuple[LayerGroup, ...]

    def count_trained_groups(self, epoch: int) -> int:
        """Return the number of groups that are trained in an epoch (from 0), counted from the head.

        ``gradual`` adds groups evenly, so that all are trained from the middle of the run on.
        """
        body = len(self.groups) - 1
        if self.mode == "gradual":
            return 1 + min(body, math.ceil(body * epoch / (self.epochs // 2)))
        return 1 if self.mode == "head" else 1 + body

    def freeze(self, epoch: int) -> None:
        """Freeze the groups that are not trained in this epoch, and unfreeze the others.

        Frozen layers are in evaluation mode: their batch norms keep the statistics of the pretraining, and their
        dropout is off. Their parameters get no gradients, and an optimizer skips parameters without gradients.
        """
        frozen = len(self.groups) - self.count_trained_groups(epoch)
        for number, group in enumerate(self.groups):
            for parameter in group.parameters:
                parameter.requires_grad_(number >= frozen)
            if number < frozen:
                for module in group.modules:
                    if module.training:  # once per epoch, after the loop has set training mode
                        module.eval()


def plan_finetuning(model: nn.Module, mode: FinetuneMode, epochs: int) -> FinetunePlan:
    """Return the plan of fine-tuning a network.

    A group is a layer or block of the network with the layers that belong to it: a batch norm belongs to the layer
    before it, a dropout to the layer whose inputs it drops.

    Args:
        model: the network; its layers are grouped in the order in which they were created.
        mode: ``all``: all layers are trained from the start. ``head``: only the head is trained, on the features of a
            frozen body. ``gradual``: the head is trained first, then one group after the other is added.
        epochs: number of epochs of the run.

    Raises:
        UsageError: the network has no head, or the run has one epoch, which is too short for gradual unfreezing.

    Source: Howard and Ruder, "Universal language model fine-tuning for text classification", 2018, section 3.3
    (gradual unfreezing).

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Dropout(), nn.Linear(3, 2))
    >>> gradual = plan_finetuning(model, "gradual", epochs=8)
    >>> [group.names for group in gradual.groups]
    [('0', '1'), ('2',), ('3', '4')]
    >>> [gradual.count_trained_groups(epoch) for epoch in range(8)]
    [1, 2, 2, 3, 3, 3, 3, 3]
    """
    if mode == "gradual" and epochs < 2:
        raise UsageError(
            Message("finetune=gradual needs 2 epochs or more, got epochs={epochs}", epochs=epochs),
            Message("use epochs=2 or more, or finetune=all"),
        )
    _, layer = find_head(model)
    groups: list[LayerGroup] = []
    pending: list[_Piece] = []  # pieces without parameters belong to the next group
    for piece in _split_model(model, layer):
        pending.append(piece)
        if piece.parameters or _has_statistics(piece.module):
            joins_previous = groups and (_is_norm(piece.module) or layer in groups[-1].modules)
            group = groups.pop() if joins_previous else LayerGroup((), (), ())
            groups.append(_extend_group(group, pending))
            pending = []
    if pending:
        groups.append(_extend_group(groups.pop(), pending))
    return FinetunePlan(mode, epochs, tuple(groups))


@contextlib.contextmanager
def frozen_for_good(model: nn.Module, mode: FinetuneMode | None) -> Iterator[None]:
    """Freeze the parameters that a training never changes during the block, so that its passes are those of training.

    Args:
        model: the network; afterwards its parameters require gradients as before.
        mode: of the fine-tuning, or None.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> with frozen_for_good(model, "head"):
    ...     [parameter.requires_grad for parameter in model.parameters()]
    [False, False, True, True]
    """
    required = {parameter: parameter.requires_grad for parameter in model.parameters()}
    head = set(find_head(model)[1].parameters()) if mode == "head" else set(required)
    try:
        for parameter, value in required.items():
            parameter.requires_grad_(value and parameter in head)
        yield
    finally:
        for parameter, value in required.items():
            parameter.requires_grad_(value)


def freeze_before_step(step: Step, plan: FinetunePlan) -> Step:
    """Return an update that first freezes the layers that the plan does not train.

    The loop sets training mode for the whole model at the beginning of an epoch; the plan sets the frozen layers back
    to evaluation mode.

    Args:
        step: the update.
        plan: the plan for the model.
    """

    def planned_step(state: State, batch: Batch, loss: Loss) -> torch.Tensor:
        plan.freeze(state.epoch)
        if plan.mode == "gradual" and isinstance(state.optimizer, torch.optim.SGD):
            _init_momentum(state.optimizer)
        return step(state, batch, loss)

    return planned_step


def _init_momentum(optimizer: torch.optim.SGD) -> None:
    """Set the momentum of newly unfrozen parameters to zero, which is the value that SGD assumes for them.

    torch's fused update requires the momentum of all parameters of a group, or of none.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            if parameter.requires_grad and optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


class Transform(Protocol):
    """A fitted input transform."""

    def apply(self, x: torch.Tensor) -> torch.Tensor: ...


def compute_pixel_scale(transform: Transform, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation, in units of pixel / 255, by which a transform scales images.

    Args:
        transform: a transform that is the same linear function for all pixels of a channel.
        channels: number of channels of the images.

    >>> from yisheng.transforms.unit import unit
    >>> compute_pixel_scale(unit((0.0,), (255.0,)), channels=1)
    ((0.0,), (1.0,))
    """
    black, white = (
        transform.apply(torch.full((1, channels, 1, 1), value, dtype=torch.float64)).flatten().tolist()
        for value in (0.0, 255.0)
    )
    std = tuple(1 / (high - low) for low, high in zip(black, white, strict=True))
    return tuple(0.0 - low * s for low, s in zip(black, std, strict=True)), std


def explain_scale_mismatch(transform: Transform, mean: Sequence[float], std: Sequence[float]) -> str | None:
    """Return a note if images are scaled differently than in the training of the weights, or None.

    Both scalings are linear functions, which differ most at black or white, so they are compared there. For gray
    images the weights require the average over the channels.

    Args:
        transform: the fitted input transform.
        mean: mean in the training of the weights, in units of pixel / 255, by channel.
        std: standard deviation likewise.

    >>> from yisheng.transforms.unit import unit
    >>> print(explain_scale_mismatch(unit((0.0,), (255.0,)), (0.5,), (0.25,)))
    the weights were trained on pixels scaled by mean 0.5 and std 0.25 (of pixel / 255), here by mean 0 and std 1: \
a white pixel becomes 1 instead of 2, a black one 0 instead of -2; use scale=imagenet scale.mean=0.5 scale.std=0.25
    """
    statistics = [value for value in vars(transform).values() if isinstance(value, tuple)]  # one value per channel
    channels = len(statistics[0]) if statistics else len(mean)
    is_default = tuple(mean) == MEAN and tuple(std) == STD
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    actual_mean, actual_std = compute_pixel_scale(transform, channels)
    actual_black, actual_white = _scale_black_and_white(actual_mean, actual_std)
    black, white = _scale_black_and_white(mean, std)
    pairs = zip([*actual_black, *actual_white], [*black, *white], strict=True)
    if max(abs(actual - expected) for actual, expected in pairs) <= MAX_PIXEL_DIFFERENCE:
        return None
    options = "" if is_default else f" scale.mean={_format(mean)} scale.std={_format(std)}"
    return Message(
        "the weights were trained on pixels scaled by mean {mean} and std {std} (of pixel / 255), here by mean "
        "{actual_mean} and std {actual_std}: a white pixel becomes {actual_white} instead of {white}, a black one "
        "{actual_black} instead of {black}; use {options}",
        mean=_format(mean),
        std=_format(std),
        actual_mean=_format(actual_mean),
        actual_std=_format(actual_std),
        actual_white=_format(actual_white),
        white=_format(white),
        actual_black=_format(actual_black),
        black=_format(black),
        options=f"scale=imagenet{options}",
    )


def _scale_black_and_white(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the scaled values of a black and of a white pixel, by channel."""
    black, white = ([(pixel - m) / s for m, s in zip(mean, std, strict=True)] for pixel in (0.0, 1.0))
    return black, white


def _format(values: Sequence[float]) -> str:
    """Format one value per channel; a single value if all are equal."""
    texts = [f"{value + 0.0:.3g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ",".join(texts)


@dataclass(frozen=True)
class _Piece:
    """A part of the network that is frozen or trained as one.

    Args:
        name: its name in the network.
        module: the layer or block.
        is_leaf: whether the piece includes the layers below the module, or only the module's direct parameters.
    """

    name: str
    module: nn.Module
    is_leaf: bool

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the piece."""
        return list(self.module.parameters(recurse=self.is_leaf))


def _split_model(module: nn.Module, layer: nn.Module, path: str = "") -> Iterator[_Piece]:
    """Yield layers and blocks in order; sequences, and modules that contain the head, are split further."""
    if module is layer or not (isinstance(module, nn.Sequential) or layer in module.modules()):
        yield _Piece(path, module, is_leaf=True)
        return
    if list(module.parameters(recurse=False)):
        yield _Piece(path, module, is_leaf=False)
    for name, child in module.named_children():
        yield from _split_model(child, layer, f"{path}.{name}" if path else name)


def _extend_group(group: LayerGroup, pieces: Sequence[_Piece]) -> LayerGroup:
    """Return the group with further pieces."""
    modules = [piece.module for piece in pieces if piece.is_leaf]  # a module around the head stays in training mode
    return LayerGroup(
        (*group.names, *(piece.name for piece in pieces)),
        (*group.modules, *modules),
        (*group.parameters, *(parameter for piece in pieces for parameter in piece.parameters)),
    )


def _has_statistics(module: nn.Module) -> bool:
    return getattr(module, "running_mean", None) is not None


def _is_norm(module: nn.Module) -> bool:
    """Return whether a module is a norm layer: its only parameters are a scale and a shift."""
    return _has_statistics(module) or isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.RMSNorm)
