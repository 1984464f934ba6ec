"""A module that was to be frozen by an attribute which nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage, join_names

MIN_UPDATES = 1
"""Updates that change the parameters which were to stay as they are."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("high-learning-rate", "overfitting", "memorization", "oscillation"),
)
def ineffective_freezing(case: Case) -> Iterator[Finding]:
    """Find a module with the attribute ``requires_grad = False`` whose parameters are trained all the same.

    A module has a method `requires_grad_`, but no such attribute: Python creates it, and nothing reads it.

    Args:
        case: its network.

    Source: PyTorch documentation, torch.nn.Module.requires_grad_.
    """
    names = [
        name
        for name, module in case.model.named_modules()
        if vars(module).get("requires_grad", True) is False and _is_trained(case, module)
    ]
    if not names:
        return
    module = f"model.{names[0]}" if names[0] else "model"
    yield Finding(
        "ineffective-freezing",
        "error",
        {"modules": names},
        Message(
            "{names} has the attribute requires_grad = False, which nothing reads, and its parameters are trained",
            names=join_names([name or "model" for name in names]),
        ),
        Message("call {module}.requires_grad_(False) before the optimizer is created", module=module),
    )


def _is_trained(case: Case, module: nn.Module) -> bool:
    return any(p.requires_grad and id(p) in case.optimizer_ids for p in module.parameters())
