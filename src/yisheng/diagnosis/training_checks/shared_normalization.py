"""One batch norm at two places of a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.probe import REFUSALS, copied_network

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MIN_DIFFERENCE = 0.5
"""Difference between the means of a channel at two places in standard deviations, or of the logarithms of these, in the
median of the channels: the running statistics are off by half of it."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.example is None:
        return Message("the training is not over, or its inputs are not tensors")
    counts = [
        len([layer for layer in record.layers if layer.name == name])
        for record in case.records[:1]
        for name, module in case.model.named_modules()
        if isinstance(module, BATCH_NORM)
    ]
    return "" if max(counts, default=0) > 1 else Message("no batch norm is called several times in a forward pass")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "overfitting", "memorization", "missed-classes", "plateau", "mode"),
)
def shared_normalization(case: Case) -> Iterator[Finding]:
    """Find a batch norm that is called at several places of different statistics: its running ones fit none of them.

    Args:
        case: its network, a copy of which reads some rows again.

    Source: Ioffe and Szegedy, "Batch normalization", 2015, algorithm 2 (one set of statistics for each activation).
    """
    assert case.example is not None  # ensured by needs
    for name, inputs in _read_inputs(case.model, case.example).items():
        first, *places = [_describe(x) for x in inputs]
        differences = [_compare(first, place) for place in places]
        if not differences or max(differences) < MIN_DIFFERENCE:
            continue
        yield Finding(
            "shared-normalization",
            "warning",
            {"layer": name, "calls": len(inputs), "difference": max(differences)},
            Message(
                "{name} normalizes the activations of {count} places, whose means or standard deviations differ: in "
                "evaluation mode its one set of running statistics fits none of them",
                name=name,
                count=len(inputs),
            ),
            Message("give each place a batch norm of its own"),
            source=case.sources.get("forward", ""),
        )
        return


def _read_inputs(model: nn.Module, example: tuple[torch.Tensor, ...]) -> dict[str, list[torch.Tensor]]:
    """Return what each batch norm of a copy of a network normalizes, call by call; only those with several calls."""
    inputs: dict[str, list[torch.Tensor]] = {}
    try:
        with copied_network(model, example) as network:
            for name, module in network.named_modules():
                if isinstance(module, BATCH_NORM):

                    def note(_module: nn.Module, arguments: tuple[Any, ...], name: str = name) -> None:
                        inputs.setdefault(name, []).append(arguments[0])

                    module.register_forward_pre_hook(note)
            network(*example)
    except REFUSALS:
        return {}
    return {name: calls for name, calls in inputs.items() if len(calls) > 1}


def _describe(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each channel ``(C,)``."""
    channels = x.float().transpose(0, 1).flatten(1)
    return channels.mean(1), channels.std(1)


def _compare(first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Return how much statistics differ, in the median of the channels."""
    std = torch.maximum(first[1], second[1]).clamp(min=1e-12)
    ratio = ((first[1] + 1e-6) / (second[1] + 1e-6)).log().abs()
    return float(torch.maximum((first[0] - second[0]).abs() / std, ratio).median())
