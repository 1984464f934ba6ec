"""Updates that are too small."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

SMALL_UPDATE, MAX_TOTAL_UPDATE = 1e-3, 0.2
"""Update relative to the weight, and the sum of all updates if they had one direction."""
MIN_LOSSES = 50
"""A training of fewer steps has learned little at any rate."""
MAX_LEARNED_FRACTION = 0.2
"""A training that has learned more than this is not reported."""
MAX_LEARNED_WITHOUT_RATE = 0.9
"""The same for a rate that vanished before half of the updates: what they could have learned is missing."""
MIN_EPS_RATIO = 10.0
"""The eps of an adaptive optimizer over the size of the gradients, above which it sets the size of the updates: torch's
1e-8 is a millionth of it."""
VANISHED_LR = 1e-3
"""Learning rate relative to its maximum that counts as none."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.has_line_search:
        return Message("the optimizer finds the size of its steps by a line search")
    return describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))


@register(needs=explain_skip, when="during", cause="rate", explains=("plateau",))
def low_learning_rate(case: Case) -> Iterator[Finding]:
    """Find updates that hardly change the weights, or a learning rate that decayed too early, while little is learned.

    Args:
        case: the sizes of updates and weights in the recorded steps.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.4.1.
    """
    finding = _examine_schedule(case)
    if finding is not None:
        yield finding
        return
    reduction = case.loss_reduction
    if math.isnan(reduction) or reduction > MAX_LEARNED_FRACTION or case.learned_fraction > MAX_LEARNED_FRACTION:
        return
    if _rises_at_the_end(case):
        return
    ratios: dict[str, list[float]] = {}
    for _, p in case.weight_records():
        if p.weight > 0 and p.gradient:
            ratios.setdefault(p.name, []).append(p.update / p.weight)
    fastest = max((statistics.median(updates) for updates in ratios.values()), default=math.nan)
    eps = _find_large_eps(case) if fastest < SMALL_UPDATE else 0.0
    if eps:
        yield _build_finding(
            case,
            {"relative update": fastest, "eps": eps},
            Message(
                "the eps={eps} of the optimizer is far above the gradients, and an update changes a weight by at most "
                "{factor} times its size",
                eps=f"{eps:g}",
                factor=f"{fastest:.2g}",
            ),
            Message("use the optimizer's default eps=1e-8"),
            case.config_change(eps=1e-8),
        )
    elif fastest < SMALL_UPDATE and fastest * case.steps < MAX_TOTAL_UPDATE and case.clipped_norm:
        norm = case.clipped_norm
        yield _build_finding(
            case,
            {"relative update": fastest, "norm of the gradients": norm},
            Message(
                "the gradients have a norm of {norm} in every recorded step, since they are clipped to it, and an "
                "update changes a weight by at most {fastest} times its size",
                norm=f"{norm:.3g}",
                fastest=f"{fastest:.2g}",
            ),
            Message("raise the limit of the clipping 10 to 100 times, or leave it out: it should cut rare steps only"),
            {},
        )
    elif fastest < SMALL_UPDATE and fastest * case.steps < MAX_TOTAL_UPDATE:
        yield _build_finding(
            case,
            {"relative update": fastest},
            Message("an update changes a weight by at most {factor} times its size", factor=f"{fastest:.2g}"),
            case.choose_remedy(Message("multiply lr by 10 to 100"), Message("multiply the learning rate by 10 to 100")),
            case.config_change(lr="x 10"),
        )


def _find_large_eps(case: Case) -> float:
    """Return the eps of an adaptive optimizer that is far above the gradients; 0 if there is none."""
    gradients = [p.gradient for _, p in case.weight_records() if p.gradient]
    epsilons = [float(group.get("eps", 0.0)) for group in case.optimizer.param_groups if "betas" in group]
    largest = max(epsilons, default=0.0)
    return largest if gradients and largest > MIN_EPS_RATIO * statistics.median(gradients) else 0.0


def _examine_schedule(case: Case) -> Finding | None:
    """Return that the rate is close to zero for half of the training, or still rises at its end; None if it is not."""
    rates = [(record.step, record.lr) for record in case.records if record.lr > 0]
    highest = max((rate for _, rate in rates), default=0.0)
    learned = case.learned_fraction
    limit = VANISHED_LR * highest * (1 + 1e-6)
    recorded = next((step for step, rate in rates if rate <= limit and rates[0][1] > rate), None)
    vanished_at = recorded if case.rate_vanished_at is None else case.rate_vanished_at
    if vanished_at is not None and vanished_at < case.steps / 2 and learned < MAX_LEARNED_WITHOUT_RATE:
        return _build_finding(
            case,
            {"step": vanished_at, "from": highest},
            Message("the learning rate is close to zero from step {step} on", step=vanished_at),
            case.choose_remedy(
                Message("use schedule=cosine, which falls more slowly"),
                Message(
                    "step the schedule once per epoch, not per batch, or decay less; ReduceLROnPlateau needs "
                    "mode='min' for a loss"
                ),
            ),
            case.config_change(schedule="cosine"),
        )
    is_over = case.is_finished and case.steps >= MIN_LOSSES
    if is_over and _rises_at_the_end(case) and learned < MAX_LEARNED_FRACTION and rates[-1][1] == highest:
        return _build_finding(
            case,
            {"rate at the end": highest, "updates": case.steps},
            Message(
                "the learning rate was still rising when training ended after {updates} updates, at {rate}",
                updates=f"{case.steps:,}",
                rate=f"{highest:.2g}",
            ),
            Message("make the warm-up a few percent of all updates"),
            {},
        )
    return None


def _rises_at_the_end(case: Case) -> bool:
    """Return whether a warm-up is not over."""
    rates = [record.lr for record in case.records if record.lr > 0]
    return len(rates) > 1 and rates[-1] > rates[-2]


def _build_finding(
    case: Case, evidence: dict[str, float], symptom: str, remedy: str, change: dict[str, object]
) -> Finding:
    return Finding(
        "low-learning-rate",
        "warning",
        {**evidence, "fraction of the loss gone": case.loss_reduction},
        Message(
            "{symptom}, and the loss fell by {fall} in {steps} steps: the updates are too small",
            symptom=symptom,
            fall=f"{case.loss_reduction:.1%}",
            steps=len(case.losses),
        ),
        remedy,
        change=change,
    )
