"""Parameters that the optimiser does not know."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, are_untrained, describe_shortage, join_names
from yisheng.diagnosis.recorder.recorder import MIN_UPDATES_TO_JUDGE

WELL = 0.3
"""Where more of guessing's loss is gone, a trained part that is left out is meant to stay as it is."""


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, "updates") if case.losses else ""


@register(
    needs=why_not,
    when="before",
    cause="structure",
    explains=(
        "no-gradient",
        "vanishing-gradients",
        "low-learning-rate",
        "missing-update",
        "frozen-parameters",
        "plateau",
    ),
)
def uncovered_parameters(case: Case) -> Iterator[Finding]:
    """The optimiser does not hold all parameters that want a gradient, and nothing else changes them.

    Happens when layers are added after the optimiser was made, when the network was made anew, or when only
    ``model.head.parameters()`` was given and the rest was not frozen. Parts that another optimiser updates, and trained
    parts under a head that learns, are not meant.

    Args:
        case: its network and optimiser.

    Source: PyTorch documentation, torch.optim, "Constructing it".
    """
    trainable = [(name, p) for name, p in case.model.named_parameters() if p.requires_grad]
    missing = [(name, p) for name, p in trainable if id(p) not in case.optimizer_ids and name in case.unchanged]
    if not missing:
        return
    whole = len(missing) == len(trainable)
    order = [name for name, _ in trainable]
    body = order[: len(missing)] == [name for name, _ in missing]  # and what is held is a head
    if body and not whole and not are_untrained(p for _, p in missing) and not case.learned_less_than(WELL):
        return
    share = sum(p.numel() for _, p in missing) / max(1, sum(p.numel() for _, p in trainable))
    names = [name for name, _ in missing]
    cause = (
        "the optimiser holds the parameters of another network: none of this one's will change"
        if whole
        else f"the optimiser does not hold {join_names(names)}: they want a gradient but will never change"
    )
    yield Finding(
        "uncovered-parameters",
        "error",
        {"parameters": names, "share": share},
        cause,
        "make the optimiser from model.parameters(), after the network is complete; or freeze what is to stay as it is "
        "with requires_grad_(False)",
    )
