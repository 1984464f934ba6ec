"""Gradients that are clipped while they carry the factor of a loss scaler."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_DOUBLINGS, MAX_DOUBLINGS = 8, 24
"""Factors of a loss scaler are powers of two: it begins with 2^16, and moves by factors of two."""
DIGITS = (1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0)
"""First digits of norms that people clip to."""
MAX_ERROR = 2e-3
"""Difference of a norm from such a number, relative to it; the norms are computed from rounded root mean squares."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if case.clipped_norm else Message("the gradients are not clipped to one norm")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("low-learning-rate", "vanishing-gradients", "plateau", "too-few-epochs", "underfitting"),
)
def clipped_scaled_gradients(case: Case) -> Iterator[Finding]:
    """Find gradients of one tiny norm in all updates, which times a power of two is a number that people clip to.

    Args:
        case: the gradients of its recorded updates.

    Source: PyTorch documentation, "Automatic Mixed Precision examples", section "Gradient clipping" (unscale first).
    """
    norm = case.clipped_norm
    doublings = next((k for k in range(MIN_DOUBLINGS, MAX_DOUBLINGS + 1) if _is_round(norm * 2**k)), None)
    if doublings is None or norm > 2.0**-MIN_DOUBLINGS:
        return
    yield Finding(
        "clipped-scaled-gradients",
        "error",
        {"norm": norm, "factor": 2**doublings, "clipped to": norm * 2**doublings},
        Message(
            "the gradients have a norm of {norm} in every update, that is {limit} divided by {factor}: they are "
            "clipped while they carry the factor of the loss scaler",
            norm=f"{norm:.3g}",
            limit=f"{norm * 2**doublings:.3g}",
            factor=f"{2**doublings:,}",
        ),
        Message("call scaler.unscale_(optimizer) before clip_grad_norm_"),
        source=case.sources.get("step", ""),
    )


def _is_round(value: float) -> bool:
    """Return whether a number has one of `DIGITS` and then zeros, up to `MAX_ERROR`.

    >>> _is_round(0.5), _is_round(1.0001), _is_round(1.3)
    (True, True, False)
    """
    digit = value / 10 ** math.floor(math.log10(value) + MAX_ERROR)
    return any(abs(digit / candidate - 1) < MAX_ERROR for candidate in DIGITS)
