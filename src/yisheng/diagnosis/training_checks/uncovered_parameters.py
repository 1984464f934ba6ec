"""Parameters that the optimizer does not hold."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.initialization import are_random, are_untrained
from yisheng.diagnosis.recorder.schedule import MIN_UPDATES_TO_JUDGE
from yisheng.diagnosis.wording import describe_shortage, join_names

MAX_LEARNED_FRACTION = 0.3
"""In a training that has learned more than this, a trained body is left out of the optimizer on purpose."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES_TO_JUDGE, case.steps, Message("updates")) if case.losses else ""


@register(
    needs=explain_skip,
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
    """Find parameters that require a gradient, that the optimizer does not hold and that nothing else changes.

    This happens if layers are added after the optimizer was created, if the network was created a second time, or if
    only ``model.head.parameters()`` was given and the body was not frozen. Parts that another optimizer updates, and
    a trained body under a head that learns, are not reported.

    Args:
        case: its network and optimizer.

    Source: PyTorch documentation, torch.optim, "Constructing it".
    """
    trainable = [(name, p) for name, p in case.model.named_parameters() if p.requires_grad]
    missing = [(name, p) for name, p in trainable if id(p) not in case.optimizer_ids and name in case.unchanged]
    if not missing:
        return
    all_missing = len(missing) == len(trainable)
    names, weights = [name for name, _ in missing], [p for _, p in missing]
    is_body = names == [name for name, _ in trainable][: len(missing)]  # and the optimizer holds the head
    is_untrained = are_untrained(weights) or are_random(weights)
    if is_body and not all_missing and not is_untrained and not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    fraction = sum(p.numel() for p in weights) / max(1, sum(p.numel() for _, p in trainable))
    cause = (
        Message("the optimizer holds the parameters of another network: no parameter of this one will change")
        if all_missing
        else Message(
            "the optimizer does not hold {names}: they require a gradient but will never change",
            names=join_names(names),
        )
    )
    yield Finding(
        "uncovered-parameters",
        "error",
        {"parameters": names, "fraction": fraction},
        cause,
        Message(
            "create the optimizer from model.parameters() after the network is complete, or freeze what "
            "must not change with requires_grad_(False)",
        ),
    )
