"""Targets that the output cannot reach."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, REGRESSION_LOSSES, Case
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.target_forms import find_form_of_targets

MARGIN_LOSSES = ("soft_margin_loss", "hinge_embedding_loss", "cosine_embedding_loss")
"""Functions of torch whose targets are -1 and 1."""
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, float("inf")), "softmax": (0.0, 1.0)}
MIN_OUTSIDE_FRACTION, TOLERANCE = 0.02, 1e-4
"""Fraction of the targets outside the range that is reported, and the distance that counts as rounding."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None:
        return NO_LOSS
    if find_form_of_targets(case.loss_calls) is not None:
        return ""
    if _find_margin_targets(case) is not None:
        return ""
    if not _bounding_activation(case.pairing) and not case.pairing.loss.startswith("binary_cross_entropy"):
        return Message("neither the loss nor a last activation bounds the targets")
    return "" if case.collect_targets() is not None else Message("the loss keeps no targets")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "saturated-activation",
        "vanishing-gradients",
        "high-learning-rate",
        "low-learning-rate",
        "dead-relu",
        "target-scale",
        "no-gradient",
        "oscillation",
        "plateau",
    ),
)
def target_range(case: Case) -> Iterator[Finding]:
    """Find targets outside the range of the last activation, or outside 0 to 1 for binary cross-entropy.

    Margin losses, such as the hinge loss max(0, 1 - y f(x)), multiply the score with a target of -1 or 1; rows with a
    target of 0 have a slope of zero. Other functions take what they are given for something else: rows of zeros and
    ones for lists of class numbers, probabilities for logarithms.

    Args:
        case: the graph of its loss, and the targets.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.2.1; PyTorch documentation,
    torch.nn.SoftMarginLoss, torch.nn.HingeEmbeddingLoss, torch.nn.CosineEmbeddingLoss,
    torch.nn.MultiLabelMarginLoss, torch.nn.PoissonNLLLoss, torch.nn.KLDivLoss.
    """
    problem = find_form_of_targets(case.loss_calls)
    if problem is not None:
        yield Finding("target-range", "error", *problem, source=case.sources.get("loss", ""))
        return
    labels = _find_margin_targets(case)
    if labels is not None:
        yield _explain_margin(labels)
        return
    pairing, targets = case.pairing, case.collect_targets()
    if pairing is None or targets is None or not targets.numel() or not bool(torch.isfinite(targets).all()):
        return
    activation = _bounding_activation(pairing)
    if pairing.loss.startswith("binary_cross_entropy"):
        rule, (low, high) = Message("binary cross-entropy requires targets from 0 to 1"), (0.0, 1.0)
        remedy = Message("give the targets as 0 and 1")
    elif activation:
        low, high = pairing.clamp if activation == "clamp" and pairing.clamp else RANGES[activation]
        values = {"activation": activation, "low": f"{low:g}", "high": f"{high:g}"}
        rule = Message("the output of {activation} is between {low} and {high}", **values)
        remedy = Message(
            "remove {activation} from the last layer, or scale the targets into its range", activation=activation
        )
    else:
        return
    outside = float(((targets < low - TOLERANCE) | (targets > high + TOLERANCE)).float().mean())
    if outside > MIN_OUTSIDE_FRACTION:
        smallest, largest = float(targets.min()), float(targets.max())
        yield Finding(
            "target-range",
            "error",
            {"fraction outside": outside, "least": smallest, "most": largest},
            Message(
                "{rule}, but {fraction} of the targets are outside ({low} to {high})",
                rule=rule,
                fraction=f"{outside:.0%}",
                low=f"{smallest:.4g}",
                high=f"{largest:.4g}",
            ),
            remedy,
        )


def _find_margin_targets(case: Case) -> torch.Tensor | None:
    """Return the targets of a margin loss if they are 0 and 1; None for other losses and targets."""
    if case.pairing is not None and case.pairing.loss == "margin":
        return case.collect_targets()
    margins = [call.counted_targets for call in case.loss_calls if call.function in MARGIN_LOSSES]
    calls = [target for target in margins if target is not None]
    if not calls:
        return None
    labels = torch.cat([target.flatten() for target in calls])
    is_binary = bool(((labels == 0) | (labels == 1)).all())
    return labels if is_binary and 0 < float(labels.double().mean()) < 1 else None


def _explain_margin(labels: torch.Tensor) -> Finding:
    zeros = float((labels == 0).float().mean())
    return Finding(
        "target-range",
        "error",
        {"fraction outside": zeros, "least": 0.0, "most": 1.0},
        Message(
            "a margin loss multiplies scores with targets of -1 and 1, but {zeros} of the targets are 0: these rows "
            "have no part in the gradient",
            zeros=f"{zeros:.0%}",
        ),
        Message("give the targets as -1 and 1: 2 * y - 1"),
    )


def _bounding_activation(pairing: Pairing) -> str:
    """Return the bounded activation between a regression loss and the last layer; empty if there is none."""
    last = pairing.operations[0] if pairing.operations else ""
    is_bounded = last in RANGES or (last == "clamp" and pairing.clamp is not None)
    return last if pairing.loss in REGRESSION_LOSSES and is_bounded else ""
