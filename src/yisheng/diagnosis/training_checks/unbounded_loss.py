"""A loss that has no lower bound."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES, QUARTERS = 80, 4
"""Losses, and the parts of them whose medians are compared."""
MIN_SIZE = 10.0
"""Size of the negative loss at the end relative to the first one."""
MIN_PACE = 1.0
"""Fall in the last quarter relative to that in the third one: a loss with a bound, and the likelihood of a density,
fall ever more slowly."""
MIN_GROWTH = 5.0
"""Growth of the largest output: it is what the loss rewards."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "exploding-gradients",
        "high-learning-rate",
        "opposed-score",
        "target-scale",
        "underfitting",
        "memorization",
    ),
)
def unbounded_loss(case: Case) -> Iterator[Finding]:
    """Find a loss that falls below zero, faster and faster, while the outputs grow: nothing stops it.

    Args:
        case: its losses, and the outputs of its last layer.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.1.1 (a cost without a lower bound).
    """
    size = len(case.losses) // QUARTERS
    second, third, last = (statistics.median(case.losses[-(k + 1) * size : -k * size or None]) for k in (2, 1, 0))
    first = statistics.median(abs(loss) for loss in case.losses[:3])
    if not last < -MIN_SIZE * max(first, 1e-6) or third - last < MIN_PACE * (second - third) or not third < second:
        return
    sizes = [record.layers[-1].max_abs for record in case.records if record.layers]
    if len(sizes) < 2 or not sizes[-1] > MIN_GROWTH * sizes[0]:
        return
    yield Finding(
        "unbounded-loss",
        "error",
        {"first": first, "at the end": last, "largest output at first": sizes[0], "at the end of training": sizes[-1]},
        Message(
            "the loss falls below zero ever faster ({second}, {third}, {last} in the last three quarters), and the "
            "outputs grow from {low} to {high}: it has no lower bound, and larger outputs make it smaller",
            second=f"{second:.3g}",
            third=f"{third:.3g}",
            last=f"{last:.3g}",
            low=f"{sizes[0]:.3g}",
            high=f"{sizes[-1]:.3g}",
        ),
        Message(
            "look for a wrong sign, raw scores where probabilities belong (a sigmoid or softmax is missing), or a "
            "product that nothing bounds"
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
