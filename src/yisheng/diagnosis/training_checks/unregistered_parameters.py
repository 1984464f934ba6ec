"""Layers that the network does not register."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.initialization import are_untrained
from yisheng.diagnosis.loss_graph import graph_nodes, leaf_tensors
from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE
from yisheng.diagnosis.wording import describe_shortage, join_names

MAX_NODES = 10
"""Operations between a parameter and the attribute that holds what was made of it: a transpose, a view, a factor."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("low-learning-rate", "vanishing-gradients", "plateau"),
)
def unregistered_parameters(case: Case) -> Iterator[Finding]:
    """Find untrained weights that the loss depends on, in neither ``model.parameters()`` nor the optimizer.

    Layers in a plain Python list are not registered: they are not trained, saved or moved to a device. Nor is what
    `.t()`, `.view()`, `.to(device)` or a factor makes of a parameter. A trained network whose features a loss compares
    is not reported.

    Args:
        case: parameters in the graph of its loss that nothing has changed.

    Source: PyTorch documentation, torch.nn.ModuleList.
    """
    attributes = _find_attributes(case.model, case.unknown_parameters)
    if attributes:
        yield Finding(
            "unregistered-parameters",
            "error",
            {"attributes": attributes},
            Message(
                "not a parameter of the network, but a plain tensor that nothing trains: {names}",
                names=join_names([f"model.{name}" for name in attributes]),
            ),
            Message(
                "make nn.Parameter the last call: self.w = nn.Parameter(w.t() * 0.1); nn.Parameter(w).t(), .view(), "
                ".to(device) and a factor return plain tensors"
            ),
        )
        return
    weights = [p for p in case.unknown_parameters if p.ndim > 1]
    if not are_untrained(weights):
        return
    shapes = [list(p.shape) for p in weights]
    yield Finding(
        "unregistered-parameters",
        "error",
        {"shapes": shapes},
        Message(
            "the loss depends on weights of shape {str} that are not in model.parameters(): nothing trains them",
            str=", ".join(map(str, shapes[:4])),
        ),
        Message(
            "assign the layers to attributes or nn.ModuleList instead of a plain list or dict, then "
            "create the optimizer",
        ),
    )


def _find_attributes(model: nn.Module, unknown: Sequence[torch.Tensor]) -> list[str]:
    """Return the names of attributes of modules that are tensors made of these parameters."""
    ids = {id(p) for p in unknown}
    names = []
    for name, module in model.named_modules() if ids else ():
        for key, value in vars(module).items():
            if isinstance(value, torch.Tensor) and value.requires_grad:
                nodes = [] if value.is_leaf else list(graph_nodes(value))
                leaves = [value] if value.is_leaf else leaf_tensors(nodes) if len(nodes) <= MAX_NODES else []
                if leaves and all(id(leaf) in ids for leaf in leaves):
                    names.append(f"{name}.{key}" if name else key)
    return names
