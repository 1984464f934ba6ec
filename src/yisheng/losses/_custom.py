"""A user's own loss: an ``nn.Module``, its class, or a function of outputs and targets."""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from yisheng.core.custom_entry import CustomEntry, read_parameters
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.losses.shapes import Loss

PROBABILITY_LOSSES: Final = (nn.BCELoss,)
"""Losses of torch whose input is a probability rather than a logit."""
CLASS_LOSSES: Final = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
"""Losses of torch whose target is a class number; the target of the others has the shape of the output."""
CLASS_FUNCTIONS: Final = (nn.functional.cross_entropy, nn.functional.nll_loss, nn.functional.multi_margin_loss)

MAX_LISTED_LABELS = 5


def make_entry(component: Any, name: str) -> CustomEntry:
    """Return the entry of a user's own loss ``loss(output, target)``.

    Its target is the class numbers ``(B,)``, or has the shape of the output: for losses of torch other than
    cross-entropy and its like, and where the output is a single unit for two classes. A loss of torch is computed
    without reduction, and so is a function with a parameter ``reduction``. A loss that returns a single number is used
    as it is: then samples cannot have weights, and no loss of a single row is known.

    Args:
        component: the module, its class, or the function.
        name: its reference.

    >>> spec = Spec("classification", (1,), classes=("a", "b", "c"))
    >>> loss = make_entry(nn.CrossEntropyLoss(), "torch.nn:CrossEntropyLoss").build(spec, np.array([0]))
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2]))
    tensor([1.0986, 1.0986])
    """
    meta = {"custom": True}
    if inspect.isclass(component):
        parameters, open_ended = read_parameters(component, {"reduction": None, "size_average": None, "reduce": None})

        def build(spec: Spec, y: np.ndarray, **options: Any) -> Loss:  # noqa: ARG001  # called like every loss
            return _adapt(_construct(component, name, options), spec)

        return CustomEntry("losses", name, build, meta, parameters=parameters, open_ended=open_ended)
    return CustomEntry("losses", name, lambda spec, y: _adapt(component, spec), meta)  # noqa: ARG005  # as above


def expects_probabilities(component: Any) -> bool:
    """Return whether a loss of torch takes probabilities rather than logits.

    >>> expects_probabilities(nn.BCELoss()), expects_probabilities(nn.BCEWithLogitsLoss)
    (True, False)
    """
    if inspect.isclass(component):
        return issubclass(component, PROBABILITY_LOSSES)
    return isinstance(component, PROBABILITY_LOSSES) or component is nn.functional.binary_cross_entropy


def expects_logits(component: Any) -> bool:
    """Return whether a loss of torch takes numbers of any size rather than probabilities.

    >>> expects_logits(nn.CrossEntropyLoss()), expects_logits(nn.BCELoss()), expects_logits(lambda output, y: output)
    (True, False, False)
    """
    module = getattr(component, "__module__", None) or type(component).__module__
    return module.startswith("torch.nn") and not expects_probabilities(component)


def _construct(component: Callable[..., Any], name: str, options: dict[str, Any]) -> Any:
    try:
        return component(**options)
    except Exception as error:
        raise UsageError(
            Message(
                "loss={name} cannot be built: {type_name}: {error}",
                name=name,
                type_name=type(error).__name__,
                error=error,
            ),
            Message("give its options, or the object itself"),
        ) from error


def _adapt(component: Callable[..., Any], spec: Spec) -> Loss:
    """Return ``loss(output (B, O), y) -> (B,)``, or a scalar where the component reduces its losses itself."""
    if spec.task == "regression" and spec.outputs == 1 and isinstance(component, nn.CrossEntropyLoss):
        raise UsageError(
            Message("CrossEntropyLoss is for classes, and is 0 for any single number"),
            Message("use nn.MSELoss(); or give whole numbers or task=classification for classes"),
        )
    unreduced = _remove_reduction(component)
    takes_classes = _takes_class_numbers(component, spec)

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        target = y if takes_classes else _match_output(output, y, spec)
        try:
            value = unreduced(output, target)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise UsageError(
                Message(
                    "the loss cannot take outputs {output} and targets {target}: {reason}",
                    output=_describe(output),
                    target=_describe(target),
                    reason=" ".join(str(error).split())[:300],
                ),
                _suggest_targets(spec),
            ) from error
        if not isinstance(value, torch.Tensor):
            raise UsageError(
                Message("the loss must return a tensor, got {type_name}", type_name=type(value).__name__),
                Message(
                    "return the tensor of the loss: not a float, a NumPy number or a dict; do not call .item() in it"
                ),
            )
        return value.flatten(1).mean(1) if value.ndim > 1 else value

    return loss


def _suggest_targets(spec: Spec) -> Message:
    """Return the remedy for a loss that cannot take its targets."""
    if spec.task != "classification":
        return Message("fit the network's last layer or the loss to these shapes")
    return Message(
        "fit the network's last layer or the loss to these shapes; the targets are the class numbers 0 to {last}, "
        "whatever the labels are: nn.functional.one_hot(target, {count}) makes rows of zeros and ones",
        last=len(spec.classes) - 1,
        count=len(spec.classes),
    )


def explain_targets(component: Any, spec: Spec) -> tuple[str, ...]:
    """Return notes on a user's own loss: targets that differ from the labels, and weights that are not trained.

    Args:
        component: the loss.
        spec: the contract of the data.

    >>> explain_targets(lambda output, target: output, Spec("classification", (1,), classes=("1", "2")))
    ('the loss gets the class numbers 0 to 1 for the labels 1, 2',)
    """
    notes: list[str] = []
    is_custom = not (getattr(component, "__module__", None) or type(component).__module__).startswith("torch.nn")
    if spec.task == "classification" and is_custom and _are_other_numbers(spec.classes):
        labels = ", ".join([*spec.classes[:MAX_LISTED_LABELS], *["..."] * (len(spec.classes) > MAX_LISTED_LABELS)])
        notes.append(
            Message(
                "the loss gets the class numbers 0 to {last} for the labels {labels}",
                last=len(spec.classes) - 1,
                labels=labels,
            )
        )
    if isinstance(component, nn.Module) and any(p.requires_grad for p in component.parameters()):
        notes.append(
            Message(
                "the loss has weights, which are not trained: only those of the network are; make them part of the "
                "network, and return what the loss needs"
            )
        )
    return tuple(notes)


def _are_other_numbers(classes: Sequence[str]) -> bool:
    """Return whether labels are whole numbers other than 0, 1, 2, ..."""
    is_number = all(re.fullmatch(r"-?\d+", label, re.ASCII) for label in classes)
    return is_number and list(classes) != [str(i) for i in range(len(classes))]


def _remove_reduction(component: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss without reduction, where it can be computed so."""
    if isinstance(component, nn.Module):
        if getattr(component, "reduction", None) == "mean":
            unreduced = copy.deepcopy(component)
            setattr(unreduced, "reduction", "none")  # noqa: B010  # modules accept text as well as tensors
            return (
                _divide_by_weights(unreduced) if isinstance(unreduced, nn.CrossEntropyLoss | nn.NLLLoss) else unreduced
            )
        return component
    try:
        parameters = inspect.signature(component).parameters
    except (ValueError, TypeError):
        return component
    if isinstance(component, functools.partial) and {"weight", "ignore_index"} & {*component.keywords}:
        return component  # its mean is that of some rows, or weighted
    if "reduction" in parameters and parameters["reduction"].default == "mean":
        return lambda output, target: component(output, target, reduction="none")
    return component


def _divide_by_weights(unreduced: nn.CrossEntropyLoss | nn.NLLLoss) -> Callable[..., Any]:
    """Return losses of rows whose mean is that of torch, which divides by the sum of the rows' class weights."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = unreduced(output, target)
        if target.is_floating_point():  # probabilities of classes: torch divides by the number of rows
            return values
        counts = (target != unreduced.ignore_index).to(values.dtype)
        if unreduced.weight is not None:
            counts = counts * unreduced.weight.to(values)[target.clamp(min=0)]
        total = counts.sum()
        return torch.where(total > 0, values * (len(values) / total), values)

    return loss


def _takes_class_numbers(component: Any, spec: Spec) -> bool:
    """Return whether the target is the class numbers ``(B,)``."""
    if spec.task != "classification":
        return True  # the target has the shape of the output already
    if isinstance(component, CLASS_LOSSES) or component in CLASS_FUNCTIONS:
        return True
    if isinstance(component, nn.Module) and type(component).__module__.startswith("torch.nn"):
        return False
    return spec.outputs > 1 and not getattr(component, "__module__", "").startswith("torch.nn")


def _match_output(output: torch.Tensor, y: torch.Tensor, spec: Spec) -> torch.Tensor:
    """Return class numbers ``(B,)`` as real targets ``(B, O)`` of 0 and 1, with a column for each class."""
    if y.shape == output.shape:
        return y
    if y.ndim == 1 and output.shape[1] == 1:
        return y.unsqueeze(1).to(output.dtype)
    return nn.functional.one_hot(y, len(spec.classes)).to(output.dtype)


def _describe(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} ({str(tensor.dtype).removeprefix('torch.')})"
