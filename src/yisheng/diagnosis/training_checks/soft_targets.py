"""Targets of a cross-entropy that are no probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.loss_calls import LossCall

TOLERANCE = 0.01
"""Distance of a row's sum from 1 that counts as rounding."""
MIN_WRONG_FRACTION, MIN_ROWS = 0.02, 8
"""Fraction of the rows that is reported, and rows that are required."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if _soft_calls(case) else Message("no call of a loss with the targets of several classes was seen")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("high-learning-rate", "plateau", "oscillation", "initial-loss", "target-scale", "exploding-gradients"),
)
def soft_targets(case: Case) -> Iterator[Finding]:
    """Find targets of a cross-entropy whose rows do not sum to 1, and one-hot targets of another scale than 1.

    With t the targets of a row, the gradient of the cross-entropy is sum(t) softmax(z) - t: only for sum(t) = 1 is
    it zero where the probabilities equal the targets.

    Args:
        case: the targets of its first calls of a loss function.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss ("Probabilities for each class").
    """
    for call in _soft_calls(case):
        finding = _examine(call)
        if finding is not None:
            yield finding
            return


def _soft_calls(case: Case) -> list[LossCall]:
    return [
        call
        for call in case.loss_calls
        if not call.error
        and call.target is not None
        and call.target.is_floating_point()
        and call.target_shape == call.output_shape
        and len(call.target_shape) > 1
        and call.target_shape[1] > 1
        and call.target_shape[0] >= MIN_ROWS
        and call.function in ("cross_entropy", "kl_div", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
    ]


@torch.no_grad()
def _examine(call: LossCall) -> Finding | None:
    """Return what is wrong with the targets of a call, or None."""
    assert call.target is not None  # ensured by the caller
    target = call.target.double().movedim(1, -1).flatten(0, -2)
    if not bool(torch.isfinite(target).all()) or float(target.min()) < 0:
        return None  # logarithms of probabilities, or no classes
    sums, nonzero = target.sum(1), (target != 0).sum(1)
    scale = float(target.max())
    evidence = {"least sum of a row": float(sums.min()), "largest sum": float(sums.max()), "rows": len(target)}
    is_one_hot = bool((nonzero == 1).all()) and bool((sums == scale).all())
    if is_one_hot and abs(scale - 1) > TOLERANCE:
        return Finding(
            "soft-targets",
            "error",
            evidence,
            Message(
                "the one-hot targets of {function} hold {scale} instead of 1",
                function=call.function,
                scale=f"{scale:g}",
            ),
            Message("divide them by {scale}, or give class numbers (y.argmax(1)) to cross_entropy", scale=f"{scale:g}"),
            source=call.source,
        )
    wrong = float(((sums - 1).abs() > TOLERANCE).double().mean())
    if call.function not in ("cross_entropy", "kl_div") or wrong < MIN_WRONG_FRACTION:
        return None
    if bool(((target == 0) | (target == 1)).all()):
        return Finding(
            "soft-targets",
            "error",
            evidence,
            Message(
                "{wrong} of the rows of the targets have no label or several, and {function} expects exactly "
                "one class: its targets must sum to 1",
                wrong=f"{wrong:.0%}",
                function=call.function,
            ),
            Message("use binary_cross_entropy_with_logits: each label then has a probability of its own"),
            source=call.source,
        )
    return Finding(
        "soft-targets",
        "error" if wrong > 1 / 2 else "warning",
        evidence,
        Message(
            "the targets of {function} are no probabilities: the rows sum to {evidence} to {evidence_2}, not to 1",
            function=call.function,
            evidence=f"{evidence['least sum of a row']:.3g}",
            evidence_2=f"{evidence['largest sum']:.3g}",
        ),
        Message("divide each row by its sum: y / y.sum(1, keepdim=True)"),
        source=call.source,
    )
