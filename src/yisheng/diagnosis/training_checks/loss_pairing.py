"""A loss and an output that do not belong together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import NO_LOSS, Case
from yisheng.diagnosis.pairing import Pairing

LITTLE = 0.3
HOPEFUL = "leave it out: the loss wants the raw output (logits) of the last layer"


def why_not(case: Case) -> str:
    """What it lacks."""
    if case.pairing is None:
        return NO_LOSS
    return "" if case.pairing.loss else "the loss is none that it knows"


@register(
    needs=why_not,
    when="first",
    cause="structure",
    explains=(
        "no-gradient",
        "vanishing-gradients",
        "low-learning-rate",
        "high-learning-rate",
        "saturated-activation",
        "target-range",
        "target-scale",
        "dead-relu",
        "initial-loss",
        "non-finite-loss",
        "oscillation",
        "plateau",
        "half-precision",
    ),
)
def loss_pairing(case: Case) -> Iterator[Finding]:
    """What lies between the last layer and the loss does not fit the loss.

    Cross-entropy and binary cross-entropy with logits apply softmax and sigmoid themselves. Applied twice, gradients
    shrink; applied to relu, half of the scores are lost; a softmax over one unit is always 1, over the batch it
    compares samples instead of classes.

    Args:
        case: the graph of its loss.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss, BCEWithLogitsLoss, NLLLoss; Goodfellow, Bengio and
    Courville, "Deep learning", 2016, section 6.2.2.
    """
    pairing = case.pairing
    if pairing is None:
        return
    for evidence, cause, remedy in _wrong(pairing, case):
        about = {"loss": pairing.loss, "between": list(pairing.operations), **evidence}
        yield Finding("loss-pairing", "error", about, cause, remedy)
        return  # one thing at a time: the next may vanish with it


def _wrong(pairing: Pairing, case: Case) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Evidence, cause and remedy."""
    between, shape = pairing.operations, pairing.shape
    if pairing.expanded_shape is not None and shape:
        yield (
            {"output": list(shape), "compared": list(pairing.expanded_shape)},
            f"an output of shape {shape} was spread to {pairing.expanded_shape} to meet the targets: every row is compared "
            "with every target",
            "give output and target the same shape: target.view_as(output)",
        )
    if pairing.softmax_axis is not None and shape:
        if shape[pairing.softmax_axis] == 1:
            yield (
                {"output": list(shape)},
                "the softmax is over one unit, which is always 1: the loss cannot change",
                "use one unit per class, or a sigmoid (binary_cross_entropy_with_logits) for one unit",
            )
        elif len(shape) == 2 and pairing.softmax_axis == 0:
            yield (
                {"output": list(shape), "axis": 0},
                "the softmax is over the samples of the batch instead of the classes",
                "say dim=1",
            )
    if pairing.is_only_term and _turned(pairing, case):
        yield (
            {"loss at the end": case.final_loss},
            "the loss is negative, which this one never is: its sign is turned, and training makes it worse",
            "leave the minus sign out: optimisers make the loss small",
        )
    if pairing.loss in ("nll", "soft_nll"):
        yield from _nll(between, pairing, case)
    else:
        yield from _others(between, pairing, case)


def _turned(pairing: Pairing, case: Case) -> bool:
    """Whether a loss that cannot be negative is."""
    never = pairing.loss in ("mse", "smooth_l1", "huber", "squared", "absolute") or (
        pairing.loss == "nll" and pairing.operations[:1] == ("log_softmax",)
    )
    return never and len(case.losses) >= 3 and max(case.losses) < 0


BOUNDED = {
    "softmax": "all scores lie between 0 and 1",
    "sigmoid": "all scores lie between 0 and 1",
    "relu": "no score can be below 0",
    "tanh": "all scores lie between -1 and 1",
}


def _nll(between: tuple[str, ...], pairing: Pairing, case: Case) -> Iterator[tuple[dict[str, Any], str, str]]:
    inner = between[1:] if between[:1] == ("log_softmax",) else None
    if inner is None:
        if between[:2] == ("log", "softmax"):
            inner = between[2:]
        elif (
            pairing.loss == "nll"
            and pairing.output is not None
            and bool((pairing.output > 1e-6).any() or _no_distribution(pairing.output))
        ):
            what = "probabilities" if between[:1] == ("softmax",) else "raw outputs"
            yield (
                {"largest": float(pairing.output.max())},
                f"nll_loss wants log-probabilities, and got {what}",
                "use cross_entropy on the raw outputs",
            )
            return
        else:
            return
    for name in ("softmax", "sigmoid", "relu", "tanh"):
        if inner[:1] == (name,):
            bounded = BOUNDED[name]
            yield (
                {"loss at the end": case.final_loss},
                f"{name} is applied to the output before cross-entropy, which has its own softmax: {bounded}",
                HOPEFUL,
            )


def _others(between: tuple[str, ...], pairing: Pairing, case: Case) -> Iterator[tuple[dict[str, Any], str, str]]:
    first = between[:1]
    if pairing.loss == "binary_cross_entropy_with_logits" and first in (("sigmoid",), ("softmax",), ("relu",)):
        yield (
            {},
            f"{first[0]} is applied to the output before binary cross-entropy with logits, which has its own sigmoid",
            HOPEFUL,
        )
    if pairing.loss == "binary_cross_entropy" and "sigmoid" not in between and "softmax" not in between:
        yield (
            {},
            "binary_cross_entropy wants probabilities, and nothing makes the output one",
            "use binary_cross_entropy_with_logits on the raw output",
        )
    if pairing.loss in ("mse", "squared") and first == ("softmax",) and case.learned_less_than(LITTLE):
        yield (
            {"share of guessing's loss gone": case.learned_fraction},
            "the squared error of a softmax has nearly no gradient where the network is surely wrong",
            "use cross_entropy on the raw outputs",
        )


def _no_distribution(logs: torch.Tensor) -> bool:
    """Whether these are no log-probabilities: their exponentials do not add up to 1."""
    return logs.ndim >= 2 and bool((logs.double().exp().sum(1) - 1).abs().max() > 1e-2)
