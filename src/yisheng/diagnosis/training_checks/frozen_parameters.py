"""Layers that were frozen before they were trained."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.initialization import is_freshly_initialized
from yisheng.diagnosis.wording import join_names

MIN_FROZEN_FRACTION = 0.1
"""Fraction of the network's weights that are frozen: fewer, such as a scale, hardly matter."""
MAX_LEARNED_FRACTION = 0.5
"""In a training that has learned more than this, parts that look frozen on purpose are not reported."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if any(True for _ in case.model.parameters()) else Message("the network has no parameters")


@register(
    needs=explain_skip,
    when="before",
    cause="structure",
    explains=("low-learning-rate", "vanishing-gradients", "plateau"),
)
def frozen_parameters(case: Case) -> Iterator[Finding]:
    """Find weights with ``requires_grad=False`` that still have their random initial values.

    Frozen weights that were trained before are frozen on purpose. So is a part in evaluation mode, or one that the
    optimizer does not hold, if the other parts learn.

    Args:
        case: its network.

    Source: PyTorch documentation, "Autograd mechanics", requires_grad.
    """
    frozen = [
        p
        for module in case.model.modules()
        for p in module.parameters(recurse=False)
        if _is_frozen_by_mistake(case, module, p)
    ]
    frozen_ids = {id(p) for p in frozen}
    fraction = sum(p.numel() for p in frozen) / max(1, sum(p.numel() for p in case.model.parameters()))
    names = [name for name, p in case.model.named_parameters() if id(p) in frozen_ids]
    if fraction > MIN_FROZEN_FRACTION:
        yield Finding(
            "frozen-parameters",
            "error",
            {"parameters": names, "fraction": fraction},
            Message(
                "{names} cannot learn (requires_grad is False) and still have their random initial values",
                names=join_names(names),
            ),
            case.choose_remedy(
                Message("use finetune=all, or start from trained weights with weights="),
                Message("call requires_grad_(True), or load trained weights first"),
            ),
            change=case.config_change(finetune="all"),
        )


def _is_frozen_by_mistake(case: Case, module: nn.Module, p: torch.Tensor) -> bool:
    """Return whether a parameter of a module is frozen, untrained, and probably not on purpose."""
    if p.requires_grad or p.ndim < 2 or isinstance(module, nn.Embedding) or not is_freshly_initialized(p):
        return False
    on_purpose = (not module.training and case.model.training) or id(p) not in case.optimizer_ids
    return not on_purpose or case.learned_less_than(MAX_LEARNED_FRACTION)
