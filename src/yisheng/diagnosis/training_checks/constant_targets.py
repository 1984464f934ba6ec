"""Targets that are all equal."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_BATCHES, MIN_ROWS = 3, 32
"""Batches and rows that are required: 32 rows of a class of nine in ten rows are all equal in 3% of the cases only."""
HEADS = ("Linear", "Conv1d", "Conv2d", "Conv3d")
DIRECT_OPERATIONS = ("log_softmax", "sigmoid", "log", "softmax")
"""Operations between a last layer and a loss that classify."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("target-kind looks at all targets")
    count = sum(record.targets is not None for record in case.records)
    return (
        describe_shortage(MIN_BATCHES, count, Message("batches with targets"))
        if count
        else Message("the loss keeps no targets")
    )


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=(
        "dead-relu",
        "low-learning-rate",
        "instant-fit",
        "inputs",
        "plateau",
        "saturated-activation",
        "sorted-batches",
        "vanishing-gradients",
    ),
)
def constant_targets(case: Case) -> Iterator[Finding]:
    """Find targets that are the same in every recorded row, behind a layer that classifies or predicts a number.

    Losses whose targets are constant on purpose are not reported: those of contrastive learning and of an adversary
    compare something else than the output of the network's last layer.

    Args:
        case: the targets of the recorded steps, and the output of the last layer.

    Source: Karpathy, https://karpathy.github.io/2019/04/25/recipe (become one with the data).
    """
    targets = case.collect_targets()
    if targets is None or len(targets) < MIN_ROWS or not _is_last_layer_compared(case):
        return
    first = targets[0]
    if not bool(torch.isfinite(first)) or bool((targets != first).any()):
        return
    is_class = not targets.is_floating_point()
    yield Finding(
        "constant-targets",
        "error",
        {"rows": len(targets), "value": float(first)},
        Message(
            "all {count} recorded targets are {first}: there is nothing to learn",
            count=f"{len(targets):,}",
            first=f"{float(first):g}",
        ),
        Message("look at how the targets are made, such as (y / 255).long(), which is 0 for every y below 255")
        if is_class
        else Message("look at how the targets are made: a wrong column, or a division of whole numbers"),
        source=case.sources.get("loss", ""),
    )


def _is_last_layer_compared(case: Case) -> bool:
    """Return whether the loss is one term, of the output of the network's own last layer."""
    pairing = case.pairing
    if pairing is None or not pairing.is_only_term or any(record.depends_on_others for record in case.records):
        return False
    if len(case.losses) > case.steps + 1:
        return False
    layers = next((record.layers for record in case.records if record.layers), [])
    if layers and all("Embedding" in layer.kind for layer in layers):  # products of vectors, as of users and films
        return True
    if not set(pairing.operations) <= set(DIRECT_OPERATIONS):
        return False
    head = next((layer for layer in reversed(layers) if layer.kind in HEADS), None)
    shape = tuple(size for size in pairing.shape if size != 1)
    return head is not None and tuple(size for size in head.shape if size != 1) == shape
