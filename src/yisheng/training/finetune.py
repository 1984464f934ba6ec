"""Fine-tuning: which layers of a trained network learn on, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.types import Batch
from yisheng.models.head import head
from yisheng.training.loop import Loss, Step
from yisheng.training.state import State
from yisheng.transforms.imagenet import MEAN, STD

How = Literal["all", "head", "gradual"]
TOLERANCE = 0.05
"""Difference of a scaled pixel that is worth a remark; scaled pixels have a spread of about 1."""


@dataclass(frozen=True)
class Group:
    """Layers that begin to learn together.

    Args:
        names: the layers' names.
        modules: the layers.
        parameters: all that they learn.
    """

    names: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    parameters: tuple[nn.Parameter, ...]


@dataclass(frozen=True)
class Plan:
    """Which groups of layers learn in which epoch: a function of the epoch alone, so a run resumes exactly.

    Args:
        how: ``all``, ``head`` or ``gradual``.
        epochs: of the whole run.
        groups: from the input to the head; the head is the last.
    """

    how: How
    epochs: int
    groups: tuple[Group, ...]

    def learning(self, epoch: int) -> int:
        """How many groups learn in an epoch (from 0), counted from the head.

        ``gradual`` adds groups evenly, so that all learn from the middle of the run on.
        """
        body = len(self.groups) - 1
        if self.how == "gradual":
            return 1 + min(body, math.ceil(body * epoch / (self.epochs // 2)))
        return 1 if self.how == "head" else 1 + body

    def apply(self, epoch: int) -> None:
        """Freeze the groups that do not learn in this epoch, and free the others.

        What is frozen is in eval mode: its batch norms keep the statistics that they were trained with, and its
        dropout does nothing. Its parameters get no gradients, and an optimiser passes over what has none.
        """
        frozen = len(self.groups) - self.learning(epoch)
        for number, group in enumerate(self.groups):
            for parameter in group.parameters:
                parameter.requires_grad_(number >= frozen)
            if number < frozen:
                for module in group.modules:
                    if module.training:  # once an epoch, after the loop has put all into training mode
                        module.eval()


def plan(model: nn.Module, how: How, epochs: int) -> Plan:
    """The plan of fine-tuning a network.

    A group is a layer or block of the network with what goes with it: a batch norm belongs to the layer before it,
    a dropout to the layer whose inputs it drops.

    Args:
        model: the network; its layers are taken in the order in which they were made.
        how: ``all``: everything learns from the start. ``head``: only the head does, on the features of a frozen
            body. ``gradual``: the head does at first, then one group after the other from the top.
        epochs: of the whole run.

    Raises:
        UsageError: the network has no head, or a run of one epoch has no kind for a gradual beginning.

    Source: Howard and Ruder, "Universal language model fine-tuning for text classification", 2018, section 3.3
    (gradual unfreezing).

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Dropout(), nn.Linear(3, 2))
    >>> gradual = plan(model, "gradual", epochs=8)
    >>> [group.names for group in gradual.groups]
    [('0', '1'), ('2',), ('3', '4')]
    >>> [gradual.learning(epoch) for epoch in range(8)]
    [1, 2, 2, 3, 3, 3, 3, 3]
    """
    if how == "gradual" and epochs < 2:
        raise UsageError(
            f"finetune=gradual needs 2 epochs or more, got epochs={epochs}", "give more epochs, or say finetune=all"
        )
    _, layer = head(model)
    groups: list[Group] = []
    waiting: list[tuple[str, nn.Module, bool]] = []  # pieces without parameters belong to the group after them
    for name, module, whole in _pieces(model, layer):
        waiting.append((name, module, whole))
        if _parameters(module, whole) or _keeps_statistics(module):
            joins = groups and (_is_norm(module) or layer in groups[-1].modules)
            begun = groups.pop() if joins else Group((), (), ())
            groups.append(_joined(begun, waiting))
            waiting = []
    if waiting:
        groups.append(_joined(groups.pop(), waiting))
    return Plan(how, epochs, tuple(groups))


def wrap(step: Step, plan: Plan) -> Step:
    """An update that first freezes what the plan wants frozen.

    The loop puts the whole model into training mode at the beginning of an epoch; the plan puts the frozen part back.

    Args:
        step: the update.
        plan: of the model that is trained.
    """

    def planned(state: State, batch: Batch, loss: Loss) -> torch.Tensor:
        plan.apply(state.epoch)
        if plan.how == "gradual" and isinstance(state.optimizer, torch.optim.SGD):
            _begin_momentum(state.optimizer)
        return step(state, batch, loss)

    return planned


def _begin_momentum(optimizer: torch.optim.SGD) -> None:
    """Give parameters that learn from now on a momentum of zero, which is what theirs amounts to.

    torch's fused update takes either none or all of a group's.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            if parameter.requires_grad and optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


class Transform(Protocol):
    """A fitted input transform."""

    def apply(self, x: torch.Tensor) -> torch.Tensor: ...


def pixel_scale(transform: Transform, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in units of pixel / 255, by which a transform scales images.

    Args:
        transform: any that is the same line at every pixel of a channel.
        channels: of the images.

    >>> from yisheng.transforms.unit import unit
    >>> pixel_scale(unit((0.0,), (255.0,)), channels=1)
    ((0.0,), (1.0,))
    """
    black, white = (
        transform.apply(torch.full((1, channels, 1, 1), value, dtype=torch.float64)).flatten().tolist()
        for value in (0.0, 255.0)
    )
    std = tuple(1 / (high - low) for low, high in zip(black, white, strict=True))
    return tuple(0.0 - low * s for low, s in zip(black, std, strict=True)), std


def preprocessing_remark(transform: Transform, mean: Sequence[float], std: Sequence[float]) -> str | None:
    """What to tell where images are scaled otherwise than when the weights were trained; None where they are not.

    Both scalings are lines; they are compared where they differ most, at black or white. For grey images the
    average over the channels is what the weights want.

    Args:
        transform: the fitted input transform.
        mean: what the weights were trained with, in units of pixel / 255, by channel.
        std: likewise.

    >>> from yisheng.transforms.unit import unit
    >>> print(preprocessing_remark(unit((0.0,), (255.0,)), (0.5,), (0.25,)))
    the weights were trained on pixels scaled by mean 0.5 and std 0.25 (of pixel / 255), here by mean 0 and std 1: \
a white pixel becomes 1 instead of 2, a black one 0 instead of -2; say scale=imagenet scale.mean=0.5 scale.std=0.25
    """
    fitted = [value for value in vars(transform).values() if isinstance(value, tuple)]  # one value per channel each
    channels = len(fitted[0]) if fitted else len(mean)
    usual = tuple(mean) == MEAN and tuple(std) == STD
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    here = pixel_scale(transform, channels)
    ours, theirs = _ends(*here), _ends(mean, std)
    if max(abs(a - b) for end in (0, 1) for a, b in zip(ours[end], theirs[end], strict=True)) <= TOLERANCE:
        return None
    options = "" if usual else f" scale.mean={_said(mean)} scale.std={_said(std)}"
    return (
        f"the weights were trained on pixels scaled by mean {_said(mean)} and std {_said(std)} (of pixel / 255), "
        f"here by mean {_said(here[0])} and std {_said(here[1])}: a white pixel becomes {_said(ours[1])} instead of "
        f"{_said(theirs[1])}, a black one {_said(ours[0])} instead of {_said(theirs[0])}; say scale=imagenet{options}"
    )


def _ends(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """What black and white become, by channel."""
    black, white = ([(pixel - m) / s for m, s in zip(mean, std, strict=True)] for pixel in (0.0, 1.0))
    return black, white


def _pieces(module: nn.Module, layer: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module, bool]]:
    """Layers and blocks in order: sequences, and what holds the head, are taken apart.

    Gives name, module, and whether all below it belongs to it or only what it holds itself.
    """
    if module is layer or not (isinstance(module, nn.Sequential) or layer in module.modules()):
        yield path, module, True
        return
    if list(module.parameters(recurse=False)):
        yield path, module, False
    for name, child in module.named_children():
        yield from _pieces(child, layer, f"{path}.{name}" if path else name)


def _joined(group: Group, pieces: Sequence[tuple[str, nn.Module, bool]]) -> Group:
    whole = [module for _, module, whole in pieces if whole]  # a part of the head's own way is not put into eval mode
    return Group(
        (*group.names, *(name for name, _, _ in pieces)),
        (*group.modules, *whole),
        (*group.parameters, *(p for _, module, whole in pieces for p in _parameters(module, whole))),
    )


def _parameters(module: nn.Module, whole: bool) -> list[nn.Parameter]:
    return list(module.parameters(recurse=whole))


def _keeps_statistics(module: nn.Module) -> bool:
    return getattr(module, "running_mean", None) is not None


def _is_norm(module: nn.Module) -> bool:
    """A norm layer: all that it learns is one scale and one shift."""
    return _keeps_statistics(module) or isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.RMSNorm)


def _said(values: Sequence[float]) -> str:
    """Numbers for people; one where they are all the same."""
    said = [f"{value + 0.0:.3g}" for value in values]
    return said[0] if len(set(said)) == 1 else ",".join(said)
