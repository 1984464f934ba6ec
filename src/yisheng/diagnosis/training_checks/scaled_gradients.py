"""Updates with gradients that still have the factor of a loss scaler."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_UPDATES = 2
"""Recorded updates; a single one may be an exception."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = 0 if case.habits is None else case.habits.scaled_updates
    return "" if count >= MIN_UPDATES else Message("no loss was multiplied by a large power of two")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "high-learning-rate",
        "exploding-gradients",
        "non-finite-loss",
        "oscillation",
        "half-precision",
        "plateau",
    ),
)
def scaled_gradients(case: Case) -> Iterator[Finding]:
    """Find a loss that is multiplied by a power of two, 256 or more, and updates that use its gradients as they are.

    Args:
        case: the gradients of its recorded updates, which nothing changed after the backward pass.

    Source: PyTorch documentation, "Automatic Mixed Precision examples" (scaler.step takes the factor out first).
    """
    assert case.habits is not None  # ensured by needs
    yield Finding(
        "scaled-gradients",
        "error",
        {"factor": case.habits.scaled_factor, "updates": case.habits.scaled_updates},
        Message(
            "the loss is multiplied by {factor}, and the optimizer uses the gradients without dividing by it: the "
            "learning rate is that many times as large",
            factor=f"{case.habits.scaled_factor:,.0f}",
        ),
        Message("call scaler.step(optimizer) and scaler.update() instead of optimizer.step()"),
        source=case.sources.get("step", ""),
    )
