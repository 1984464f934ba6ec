"""Weights that became NaN while the loss stayed finite."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, Case
from yisheng.diagnosis.wording import join_names


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.losses:
        return NO_LOSS
    is_finite = case.nonfinite_loss is None and all(map(math.isfinite, case.losses))
    return "" if is_finite else Message("the loss is not finite")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "no-gradient",
        "plateau",
        "underfitting",
        "baseline-not-beaten",
        "constant-outputs",
        "collapsed-outputs",
        "dead-relu",
        "low-learning-rate",
        "high-learning-rate",
        "vanishing-gradients",
        "oscillation",
        "too-few-epochs",
    ),
)
def non_finite_gradients(case: Case) -> Iterator[Finding]:
    """Find weights that are NaN although every loss was finite: their gradient was NaN in one update.

    The loss hides it: what depends on these weights is replaced, as by ``torch.where``. The gradient of a value that
    is left out is 0, and 0 times the infinite derivative of a logarithm or root of 0 is NaN. A loss scaler leaves out
    updates with such gradients; the weights then stay finite.

    Args:
        case: its network, and the gradients of the recorded steps.

    Source: PyTorch documentation, "Frequently asked questions" and "MaskedTensor: distinguishing between 0 and NaN
    gradient".
    """
    parameters = dict(case.model.named_parameters())
    names = [
        name
        for name, p in parameters.items()
        if id(p) in case.optimizer_ids and p.requires_grad and bool(torch.isnan(p.detach()).any())
    ]
    if not names:
        return
    steps = [
        record.step
        for record in case.records
        if any(p.gradient is not None and math.isnan(p.gradient) for p in record.parameters)
    ]
    kinds = list(dict.fromkeys(kind for record in case.records for kind in record.infinite_slopes))
    origin = ""
    if kinds:
        origin = Message(
            "; before values are selected, {functions} has an infinite derivative at some of them",
            functions=join_names([f"{kind}()" for kind in kinds]),
        )
    yield Finding(
        "non-finite-gradients",
        "error",
        {"parameters": names, "first recorded step": steps[0] if steps else None, "functions": kinds},
        Message(
            "{names} became NaN while the loss stayed finite: a gradient was NaN{origin}",
            names=join_names(names),
            origin=origin,
        ),
        Message(
            "replace the values before the function, not after it: torch.where(a > 0, a, 1).log(), clamp(min=1e-6) "
            "before log, sqrt or a division; torch.autograd.set_detect_anomaly(True) names the line"
        ),
        source=case.sources.get("backward", ""),
    )
