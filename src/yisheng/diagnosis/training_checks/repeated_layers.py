"""A list of layers that holds one and the same layer several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_UPDATES = 1
"""The list is complete when training begins."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("the network of a config is built by the package")
    return "" if len(case.losses) >= MIN_UPDATES else Message("no loss was recorded")


@register(needs=explain_skip, when="first", cause="structure", explains=("underfitting", "plateau"))
def repeated_layers(case: Case) -> Iterator[Finding]:
    """Find a ModuleList or Sequential in which one layer with weights is listed several times, as ``[layer] * 4`` does.

    Layers that share their weights on purpose are called several times, or hold the same parameter.

    Args:
        case: its network.

    Source: Python documentation, "Common sequence operations", note 2 (the items of s * n are not copied).
    """
    for name, module in case.model.named_modules():
        if not isinstance(module, nn.ModuleList | nn.Sequential):
            continue
        parts = [part for part in module if any(True for _ in part.parameters())]
        part, count = next(iter(Counter(parts).most_common(1)), (None, 0))
        if part is None or count < 2:
            continue
        yield Finding(
            "repeated-layers",
            "warning",
            {"list": name, "entries": len(parts), "times": count},
            Message(
                "{count} of the {total} layers of {name} are one and the same {kind} with the same weights",
                count=count,
                total=len(parts),
                name=name or Message("the network"),
                kind=type(part).__name__,
            ),
            Message(
                "make a new layer for each place: [make_layer() for _ in range(n)] instead of [layer] * n; if the "
                "weights are shared on purpose, list the layer once and call it in a loop"
            ),
            source=case.sources.get("forward", ""),
        )
        return
