"""A loss that falls to nothing within a few steps."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MAX_STEPS, MIN_LOSSES = 12, 20
"""Steps within which nothing but a copied target is learned to 1%, and losses that show that it stays so."""
MAX_LOSS = 0.01
"""Loss relative to that of guessing."""
MIN_FIRST_LOSS = 0.3
"""First loss relative to that of guessing: a smaller one is that of weights that were trained before."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    pairing = case.pairing
    if pairing is None or not (pairing.loss == "nll" or pairing.loss.startswith("binary_cross_entropy")):
        return Message("the loss does not compare classes")
    if case.has_line_search or case.batch_order.period == 1:
        return Message("each step fits all rows, which may be few")
    return describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))


@register(needs=explain_skip, when="first", cause="data")
def instant_fit(case: Case) -> Iterator[Finding]:
    """Find a classifier whose loss falls below 1% of guessing's in a dozen steps: the target is among the inputs.

    Args:
        case: its losses.

    Source: Kapoor and Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", 2023.
    """
    guess = case.baseline_loss
    pairing = case.pairing
    if pairing is None or not pairing.is_only_term:
        return
    if not guess > 0 and pairing.loss == "nll" and len(pairing.shape) > 1:
        guess = math.log(pairing.shape[1])
    if not guess > 0 or not case.first_loss > MIN_FIRST_LOSS * guess:
        return
    next_losses, remaining = case.losses[MAX_STEPS : MAX_STEPS + 3], case.losses[MAX_STEPS:]
    if not all(map(math.isfinite, case.losses)):
        return
    if max(next_losses) >= MAX_LOSS * guess or sorted(remaining)[len(remaining) // 2] >= MAX_LOSS * guess:
        return
    yield Finding(
        "instant-fit",
        "warning",
        {"first loss": case.first_loss, "after": MAX_STEPS, "loss": next_losses[-1], "guessing": guess},
        Message(
            "the loss falls from {first} to {loss} in {steps} steps: the target seems to be among the inputs, or all "
            "targets are equal",
            first=f"{case.first_loss:.3g}",
            loss=f"{max(next_losses):.2g}",
            steps=MAX_STEPS,
        ),
        Message(
            "predict rows that were collected later; then look for a column, a file name or an order that gives the "
            "target away"
        ),
        source=case.sources.get("loss", ""),
    )
