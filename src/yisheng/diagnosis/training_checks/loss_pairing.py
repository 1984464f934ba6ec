"""A loss that does not fit the output of the last layer, such as cross-entropy after a softmax."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, Case
from yisheng.diagnosis.loss_problems import find_form_problems, has_known_form
from yisheng.diagnosis.pairing import Pairing

MAX_LEARNED_FRACTION = 0.3
"""The squared error of a softmax is not reported if training has removed more than this fraction of the loss."""
MIN_SEVERAL_LABELS = 0.05
"""Fraction of the rows that do not have exactly one label."""
USE_LOGITS = Message("pass the raw output (logits) of the last layer to the loss")
NONNEGATIVE_LOSSES = ("mse", "smooth_l1", "huber", "squared", "absolute")
SCORE_RANGES = {
    "softmax": Message("all scores are between 0 and 1"),
    "sigmoid": Message("all scores are between 0 and 1"),
    "relu": Message("no score can be below 0"),
    "tanh": Message("all scores are between -1 and 1"),
}
MIN_LOG_TOTAL = 0.1
"""Distance of the logarithm of a sum of probabilities from 0: that of rounding in float16 is below 0.01."""
Problem = tuple[dict[str, Any], str, str]
"""Evidence, cause and remedy."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run, or an empty string if it can."""
    if case.pairing is None:
        return NO_LOSS
    is_known = case.pairing.loss or any(
        call.function in ("kl_div", "poisson_nll_loss", "ctc_loss") for call in case.loss_calls
    )
    return "" if is_known or has_known_form(case) else Message("the kind of loss is unknown")


@register(
    needs=explain_skip,
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
        "bounded-scores",
        "opposed-score",
        "unbounded-loss",
    ),
)
def loss_pairing(case: Case) -> Iterator[Finding]:
    """Find operations between the last layer and the loss that do not fit the loss.

    Cross-entropy and binary cross-entropy with logits apply softmax and sigmoid themselves. If the network applies
    them too, gradients shrink; if it applies relu, all negative scores are lost. A softmax over one unit is always 1,
    and a softmax over the batch compares samples instead of classes.

    Args:
        case: the training run; its ``pairing`` describes the graph from the last layer to the loss.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss, BCEWithLogitsLoss, NLLLoss; Goodfellow, Bengio and
    Courville, "Deep learning", 2016, section 6.2.2.
    """
    pairing = case.pairing
    if pairing is None:
        return
    # Only the first problem is reported: its fix may also remove the next one.
    for evidence, cause, remedy in _problems(pairing, case):
        context = {"loss": pairing.loss, "between": list(pairing.operations)}
        yield Finding("loss-pairing", "error", {**context, **evidence}, cause, remedy)
        return


def _problems(pairing: Pairing, case: Case) -> Iterator[Problem]:
    yield from _shape_problems(pairing)
    yield from _label_problems(pairing, case)
    yield from _divergence_problems(case)
    yield from _rate_problems(pairing, case)
    yield from _alignment_problems(case)
    yield from find_form_problems(case)
    if pairing.is_only_term and _has_wrong_sign(pairing, case):
        yield (
            {"loss at the end": case.final_loss},
            Message(
                "the loss is negative, but a loss of this kind cannot be: its sign is reversed, so training makes the "
                "predictions worse"
            ),
            Message("remove the minus sign in front of the loss: optimizers minimize it"),
        )
    if pairing.loss and _is_maximized(case):
        yield (
            {"loss at the end": case.final_loss},
            Message(
                "the optimizer has maximize=True, and the loss is one that is to be small: training makes the "
                "predictions worse"
            ),
            Message("remove maximize=True"),
        )
    if pairing.loss in ("nll", "soft_nll"):
        yield from _cross_entropy_problems(pairing, case)
    else:
        yield from _other_problems(pairing, case)


def _shape_problems(pairing: Pairing) -> Iterator[Problem]:
    shape = pairing.shape
    if pairing.expanded_shape is not None and shape:
        yield (
            {"output": list(shape), "compared": list(pairing.expanded_shape)},
            Message(
                "an output of shape {shape} was broadcast to {expanded} to match the targets: every row is compared "
                "with every target",
                shape=shape,
                expanded=pairing.expanded_shape,
            ),
            Message("give output and target the same shape: target.view_as(output)"),
        )
    if pairing.flattened:
        yield (
            {"output": list(pairing.flattened), "compared": list(shape)},
            Message(
                "an output of shape {original} was reshaped to {shape} as it is: the classes are on axis 1, so that "
                "each row holds values of several positions instead of the classes of one",
                original=pairing.flattened,
                shape=shape,
            ),
            Message("give cross_entropy the output (B, C, ...) itself, or movedim(1, -1) before the reshape"),
        )
    if pairing.softmax_axis is not None and shape:
        if shape[pairing.softmax_axis] == 1:
            yield (
                {"output": list(shape)},
                Message("the softmax is over one unit and therefore always 1: the loss cannot change"),
                Message("use one unit per class, or a sigmoid (binary_cross_entropy_with_logits) for one unit"),
            )
        elif len(shape) == 2 and pairing.softmax_axis == 0:
            yield (
                {"output": list(shape), "axis": 0},
                Message("the softmax is over the samples of the batch instead of the classes"),
                Message("use dim=1 in the softmax"),
            )


def _label_problems(pairing: Pairing, case: Case) -> Iterator[Problem]:
    """Yield a softmax, which gives each row a total of 1, that is compared with rows of several labels or none."""
    compares_labels = pairing.loss in NONNEGATIVE_LOSSES or pairing.loss == "binary_cross_entropy"
    if not compares_labels or pairing.operations[:1] != ("softmax",):
        return
    targets = next((record.targets for record in case.records if record.targets is not None), None)
    if targets is None or targets.ndim != 2 or targets.shape[1] < 2 or not _are_labels(targets):
        return
    sums = targets.sum(1)
    several = float((sums != 1).float().mean())
    if several > MIN_SEVERAL_LABELS:
        yield (
            {"rows without exactly one label": several, "labels": targets.shape[1]},
            Message(
                "{fraction} of the rows have several labels or none, and the softmax gives each row a total of 1: the "
                "labels compete",
                fraction=f"{several:.0%}",
            ),
            Message(
                "use binary_cross_entropy_with_logits on the raw output: each label then has a probability of its own"
            ),
        )


def _are_labels(targets: torch.Tensor) -> bool:
    return bool(((targets == 0) | (targets == 1)).all())


def _divergence_problems(case: Case) -> Iterator[Problem]:
    """Yield a Kullback-Leibler divergence of probabilities instead of their logarithms."""
    calls = [call for call in case.loss_calls if call.function == "kl_div" and not call.error]
    if calls and all(call.output_total is not None and abs(call.output_total - 1) < 1e-2 for call in calls):
        yield (
            {"calls": len(calls), "sum of the output of a row": calls[0].output_total},
            Message("kl_div requires log-probabilities, got probabilities: the outputs of a row sum to 1"),
            Message("use F.log_softmax(output, dim=1) instead of the softmax"),
        )


def _rate_problems(pairing: Pairing, case: Case) -> Iterator[Problem]:
    """Yield a Poisson loss that takes rates, which are positive by an operation before it, for their logarithms."""
    calls = [call for call in case.loss_calls if call.function == "poisson_nll_loss" and not call.error]
    before_exponent = pairing.operations[2:] if pairing.operations[:2] == ("sub", "exp") else ()
    positive = [name for name in ("softplus", "relu", "exp") if name in before_exponent]
    if calls and positive and "log" not in before_exponent:
        yield (
            {"calls": len(calls)},
            Message(
                "poisson_nll_loss takes the output for the logarithm of the rate (log_input=True), and {operation} has "
                "made it positive: the rate is the exponential of that",
                operation=positive[0],
            ),
            Message("pass the raw output of the last layer, or log_input=False"),
        )


def _alignment_problems(case: Case) -> Iterator[Problem]:
    """Yield a CTC loss of raw scores or probabilities instead of their logarithms."""
    calls = [call for call in case.loss_calls if call.function == "ctc_loss" and not call.error]
    if calls and min(call.log_total for call in calls) > MIN_LOG_TOTAL:
        yield (
            {"calls": len(calls), "logarithm of the sum of the probabilities": calls[0].log_total},
            Message("ctc_loss requires log-probabilities: the exponentials of the outputs of a time do not sum to 1"),
            Message("use F.log_softmax(output, dim=-1), without a softmax before it"),
        )


def _has_wrong_sign(pairing: Pairing, case: Case) -> bool:
    """Return whether a loss that cannot be negative is negative."""
    operations = pairing.operations
    is_log_softmax = operations[:1] == ("log_softmax",) or operations[:2] == ("log", "softmax")
    is_cross_entropy = pairing.loss == "nll" and is_log_softmax and not pairing.is_weighted
    is_policy = any(feature.is_policy for feature in case.features)
    cannot_be_negative = (pairing.loss in NONNEGATIVE_LOSSES or is_cross_entropy) and not is_policy
    return cannot_be_negative and len(case.losses) >= 3 and max(case.losses) < 0


def _is_maximized(case: Case) -> bool:
    """Return whether the optimizer climbs, and the loss has not been given a minus sign for that."""
    climbs = all(group.get("maximize") for group in case.optimizer.param_groups)
    return climbs and len(case.losses) >= 3 and min(case.losses) >= 0


def _cross_entropy_problems(pairing: Pairing, case: Case) -> Iterator[Problem]:
    operations = pairing.operations
    if operations[:1] == ("log_softmax",):
        before_softmax = operations[1:2]
    elif operations[:2] == ("log", "softmax"):
        before_softmax = operations[2:3]
    else:
        if pairing.loss == "nll" and pairing.output is not None and _are_not_log_probabilities(pairing.output):
            yield (
                {"largest": float(pairing.output.max())},
                Message("nll_loss requires log-probabilities, got probabilities")
                if operations[:1] == ("softmax",)
                else Message("nll_loss requires log-probabilities, got raw outputs"),
                Message("use cross_entropy on the raw outputs"),
            )
        return
    for name in before_softmax:
        if name in SCORE_RANGES:
            yield (
                {"loss at the end": case.final_loss},
                Message(
                    "{name} is applied to the output before cross-entropy, which applies softmax itself: {range}",
                    name=name,
                    range=SCORE_RANGES[name],
                ),
                USE_LOGITS,
            )


def _other_problems(pairing: Pairing, case: Case) -> Iterator[Problem]:
    operations = pairing.operations
    last = operations[0] if operations else ""
    if pairing.loss == "binary_cross_entropy_with_logits" and last in ("sigmoid", "softmax", "relu"):
        yield (
            {},
            Message(
                "{name} is applied to the output before binary cross-entropy with logits, which applies sigmoid itself",
                name=last,
            ),
            USE_LOGITS,
        )
    if pairing.loss == "binary_cross_entropy" and "sigmoid" not in operations and "softmax" not in operations:
        yield (
            {},
            Message(
                "binary_cross_entropy requires probabilities, and neither sigmoid nor softmax is applied to the output"
            ),
            Message("use binary_cross_entropy_with_logits on the raw output"),
        )
    if pairing.loss in ("mse", "squared") and last == "softmax" and case.learned_less_than(MAX_LEARNED_FRACTION):
        yield (
            {"fraction of the baseline loss removed": case.learned_fraction},
            Message("the squared error of a softmax has almost no gradient if the network is confident and wrong"),
            Message("use cross_entropy on the raw outputs"),
        )


def _are_not_log_probabilities(output: torch.Tensor) -> bool:
    """Return whether the output cannot be log-probabilities: above 0, or exp(output) does not sum to 1 in some row."""
    if bool((output > 1e-6).any()):
        return True
    return output.ndim >= 2 and bool((output.double().exp().sum(1) - 1).abs().max() > 1e-2)
