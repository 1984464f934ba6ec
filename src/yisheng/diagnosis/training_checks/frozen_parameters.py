"""Layers that were frozen before they learned anything."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, is_freshly_initialized, join_names

LEAST, MUCH = 0.1, 0.5


def why_not(case: Case) -> str:
    """What it lacks."""
    return "" if any(True for _ in case.model.parameters()) else "the network has no parameters"


@register(
    needs=why_not, when="before", cause="structure", explains=("low-learning-rate", "vanishing-gradients", "plateau")
)
def frozen_parameters(case: Case) -> Iterator[Finding]:
    """Weights with ``requires_grad=False`` that still are as they were drawn: chance stays in the network.

    Frozen weights that were trained before are meant to be frozen; so is, when the rest learns, a part that is in
    evaluation mode or that the optimiser was not given.

    Args:
        case: its network.

    Source: PyTorch documentation, "Autograd mechanics", requires_grad.
    """
    frozen = []
    for module in case.model.modules():
        for name, p in module.named_parameters(recurse=False):
            meant = (not module.training and case.model.training) or id(p) not in case.optimizer_ids
            if (
                not p.requires_grad
                and p.ndim > 1
                and not isinstance(module, nn.Embedding)
                and is_freshly_initialized(p)
                and (not meant or case.learned_less_than(MUCH))
            ):
                frozen.append((name, p))
    held = {id(p) for _, p in frozen}
    share = sum(p.numel() for _, p in frozen) / max(1, sum(p.numel() for p in case.model.parameters()))
    names = [name for name, p in case.model.named_parameters() if id(p) in held]
    if share > LEAST:
        yield Finding(
            "frozen-parameters",
            "error",
            {"parameters": names, "share": share},
            f"{join_names(names)} cannot learn (requires_grad is False) and still are as they were drawn by chance",
            case.choose_remedy(
                "say finetune=all, or begin with trained weights=",
                "set requires_grad_(True), or load trained weights first",
            ),
            change=case.config_change(finetune="all"),
        )
