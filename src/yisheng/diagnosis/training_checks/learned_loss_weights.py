"""Weights of several losses that are learned without anything that keeps them from falling."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_RECORDS = 5
"""Recorded losses in which the weights are read."""
MAX_REMAINING = 0.5
"""Sum of the weights at the end relative to that at the beginning: weights that are normalized keep theirs."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = len(_read_weights(case))
    if not count:
        return Message("the loss has no weights that are learned without a penalty")
    return describe_shortage(MIN_RECORDS, count, Message("losses with learned weights"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "unbounded-loss",
        "exploding-gradients",
        "high-learning-rate",
        "oscillation",
        "overfitting",
        "underfitting",
        "memorization",
        "plateau",
        "opposed-score",
        "outweighed-loss",
        "target-scale",
    ),
)
def learned_loss_weights(case: Case) -> Iterator[Finding]:
    """Find weights of losses that are parameters, have no penalty, and fall.

    The derivative of sum_k w_k loss_k with respect to w_k is loss_k, which is never negative: every update makes the
    weights smaller, until they are negative and the losses are to grow.

    Args:
        case: its recorded losses.

    Source: Kendall, Gal and Cipolla, "Multi-task learning using uncertainty to weigh losses", 2018, section 3.2.
    """
    weights = _read_weights(case)
    first, last = weights[0], weights[-1]
    if len(first) != len(last) or not sum(first) > 0:
        return
    if not (min(last) <= 0 < min(first)) and sum(last) > MAX_REMAINING * sum(first):
        return
    yield Finding(
        "learned-loss-weights",
        "error",
        {"sum of the weights at first": sum(first), "at the end": sum(last), "smallest at the end": min(last)},
        Message(
            "the weights of the losses are learned, and nothing keeps them up: they went from {first} to {last}, since "
            "a smaller weight always makes the sum smaller",
            first=_list_values(first),
            last=_list_values(last),
        ),
        Message(
            "use fixed weights, or add a penalty: (torch.exp(-s) * losses + s).sum() with parameters s that begin at 0"
        ),
        source=case.sources.get("backward", ""),
    )


def _read_weights(case: Case) -> list[tuple[float, ...]]:
    return [f.form.loss_weights for f in case.features if f.form is not None and f.form.loss_weights]


def _list_values(weights: tuple[float, ...]) -> str:
    return ", ".join(f"{weight:.3g}" for weight in weights)
