"""Parameters that no gradient reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.initialization import is_freshly_initialized
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.wording import describe_shortage, join_names

MIN_UPDATES = 5
"""A part that is used in every other step, as in adversarial training, has had a gradient by then."""
MAX_LEARNED_FRACTION = 0.3
"""In a training that has learned more than this, layers that are never called are not reported."""
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
"""Layers of which a batch uses a few rows only."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES, case.recorded_updates, Message("recorded updates"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "vanishing-gradients",
        "low-learning-rate",
        "dead-relu",
        "plateau",
        "discarded-batches",
        "missed-classes",
        "label-noise",
    ),
)
def no_gradient(case: Case) -> Iterator[Finding]:
    """Find parameters of the optimizer that require a gradient and never get one.

    The graph is cut before them, or the gradients are cleared between backward pass and update. Layers that are not
    called, such as a second head that is not in use yet, are reported only if nothing is learned. Weights whose
    gradient is exactly zero in every update, although no relu is dead, lead to outputs that the loss does not use, or
    are rounded before they are used.

    Args:
        case: the gradients of the recorded steps.

    Source: PyTorch documentation, "Autograd mechanics" (detach, .data, no_grad); Bengio, Léonard and Courville,
    "Estimating or propagating gradients through stochastic neurons", 2013 (the straight-through estimator).
    """
    updates = [record for record in case.records if record.parameters]
    missing = _names_in_all(updates, lambda gradient: gradient is None)
    zero = _names_in_all(updates, lambda gradient: gradient == 0)
    has_gradient = any(p.gradient for record in updates for p in record.parameters)
    held = [name for name, p in case.model.named_parameters() if id(p) in case.optimizer_ids and p.requires_grad]
    names = [name for name in held if name in missing]
    reached = {name for record in updates for name in record.reached}
    if reached and not has_gradient and reached <= missing | zero and _are_cleared(case, updates):
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": sorted(reached), "steps": len(updates)},
            Message(
                "no update finds a gradient, though the loss depends on the parameters: the gradients are "
                "cleared between the backward pass and the update",
            ),
            Message("call optimizer.zero_grad() before loss.backward(), not between it and optimizer.step()"),
        )
    elif not case.losses and not has_gradient and held:
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": held, "updates": case.steps},
            Message(
                "{count} updates, and no loss was propagated back into the network: no parameter ever had a gradient",
                count=case.steps,
            ),
            Message(
                "call loss.backward(), with its parentheses, before optimizer.step(); a loss of argmax, accuracy, "
                ".item() or numpy() has no graph, and requires_grad_() only silences the error"
            ),
        )
    elif names and (
        not _are_unused(case, names) or _are_cut_off(case, names) or case.learned_less_than(MAX_LEARNED_FRACTION)
    ):
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": names, "steps": len(updates)},
            *_explain_missing(case, names),
        )
    elif not has_gradient and zero and not names:
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": sorted(zero), "steps": len(updates)},
            Message("the gradient of every parameter is exactly zero: the loss does not depend on them"),
            Message(
                "look between the last layer and the loss for a softmax over one unit, a rounded or "
                "thresholded output, or a dead layer",
            ),
        )

    blocked = [] if not has_gradient else _find_blocked(case, zero)
    if blocked:
        kinds = sorted({record.blocked[name] for record in updates for name in blocked if name in record.blocked})
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": blocked, "functions": kinds, "steps": len(updates)},
            Message(
                "the gradient of {names} is exactly zero: the loss depends on them only through {functions}, which is "
                "constant between its jumps",
                names=join_names(blocked),
                functions=join_names([f"{kind}()" for kind in kinds]),
            ),
            Message(
                "pass the gradient straight through: w + (w.round() - w).detach(); or use a smooth function in training"
            ),
            source=case.sources.get("cut", ""),
        )
        return
    unused = [] if names or not has_gradient else _find_unused_outputs(case, updates, zero)
    if unused:
        yield Finding(
            "no-gradient",
            "error",
            {"parameters": unused, "steps": len(updates)},
            Message(
                "the gradient of {names} is exactly zero in every recorded update: the layers are called, and the loss "
                "does not use their outputs",
                names=join_names(unused),
            ),
            Message(
                "look at how the loss is put together: a sum over tasks or outputs that keeps the last one only "
                "(loss = ... instead of loss += ...), an index, a mask or a factor of 0"
            ),
            source=case.sources.get("loss", ""),
        )


def _explain_missing(case: Case, names: Sequence[str]) -> tuple[str, str]:
    """Return why no gradient reaches some parameters, and what to do."""
    untracked = frozenset[str]() if case.forward_pass is None else case.forward_pass.untracked
    if untracked.issuperset(names):
        return (
            Message(
                "no gradient reaches {names}: the part of the forward pass that uses them runs without gradients",
                names=join_names(names),
            ),
            Message(
                "take them out of torch.no_grad() (or set_grad_enabled(False)); layers around them that are not to be "
                "trained are frozen by requires_grad_(False) instead"
            ),
        )
    return (
        Message(
            "no gradient reaches {names}: the graph is cut before them, or they are not used", names=join_names(names)
        ),
        Message("look for detach(), .data, .item(), numpy() or no_grad() on the way from them to the loss"),
    )


def _find_blocked(case: Case, zero: set[str]) -> list[str]:
    """Return parameters of the optimizer without a gradient that every loss reaches only through functions of steps."""
    losses = [record for record in case.records if record.pairing is not None]
    blocked = set.intersection(*(set(record.blocked) for record in losses)) if losses else set()
    parameters = dict(case.model.named_parameters())
    return [name for name in parameters if name in blocked & zero and id(parameters[name]) in case.optimizer_ids]


def _find_unused_outputs(case: Case, updates: Sequence[StepRecord], zero: set[str]) -> list[str]:
    """Return weights whose outputs no loss depends on: their gradient is zero, and not because of a dead relu.

    Of a layer whose inputs are zero the bias has a gradient, and the inputs of the network show it, too.
    """
    if case.example is not None and isinstance(case.example[0], torch.Tensor) and not bool(case.example[0].any()):
        return []
    activations = [unit for record in updates for unit in record.activations if unit.zero_fraction is not None]
    if any(bool((unit.zero_fraction == 1).all()) for unit in activations if unit.zero_fraction is not None):
        return []
    called = {layer.name for record in updates for layer in record.layers}
    modules = dict(case.model.named_modules())
    parameters = dict(case.model.named_parameters())
    return [
        name
        for name in sorted(zero)
        if name in parameters
        and parameters[name].ndim > 1
        and id(parameters[name]) in case.optimizer_ids
        and (owner := name.rpartition(".")[0]) in called
        and not any(sibling.rpartition(".")[0] == owner and sibling not in zero for sibling in parameters)
        and not isinstance(modules.get(owner), EMBEDDINGS)
        and bool((parameters[name] != 0).any())
    ]


def _names_in_all(updates: Sequence[StepRecord], matches: Callable[[float | None], bool]) -> set[str]:
    """Return the parameters whose gradient matches in every update."""
    return set.intersection(*({p.name for p in record.parameters if matches(p.gradient)} for record in updates))


def _are_cleared(case: Case, updates: Sequence[StepRecord]) -> bool:
    """Return whether gradients are cleared before the update: they are None, or zero in a loss that can change."""
    if all(p.gradient is None for record in updates for p in record.parameters):
        return True
    pairing = case.pairing
    is_constant = pairing is not None and pairing.softmax_axis is not None and 1 in pairing.shape
    relus = (unit.zero_fraction for record in updates for unit in record.activations)
    has_dead_layer = any(fraction is not None and bool((fraction == 1).all()) for fraction in relus)
    return not is_constant and not has_dead_layer


def _are_cut_off(case: Case, names: Sequence[str]) -> bool:
    """Return whether the graph is cut before parameters that still have their random initial values."""
    parameters = dict(case.model.named_parameters())
    return bool(case.sources.get("cut")) and any(is_freshly_initialized(parameters[name]) for name in names)


def _are_unused(case: Case, names: Sequence[str]) -> bool:
    """Return whether all of these parameters belong to layers that were never called."""
    called = {layer.name for record in case.records for layer in record.layers}
    layers = {name for name, module in case.model.named_modules() if next(module.children(), None) is None}
    owners = {name.rpartition(".")[0] for name in names}
    return all(owner in layers and owner and owner not in called for owner in owners)
