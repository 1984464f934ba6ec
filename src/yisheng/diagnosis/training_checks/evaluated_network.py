"""Validation of another network than the one that is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.course import REPORTED, Evaluation

MIN_EVALUATIONS = 3
"""The first one may come before anything is learned, and the second one may be worse by noise."""
MIN_TRAINING_GAIN, MAX_GAIN = 0.3, 0.1
"""Fraction of the training loss that is gone, and gain of the evaluations relative to it, that show that one network
learns and the other one hardly does. An average of the weights that has moved a tenth of the way has gained less."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a run evaluates its own weights")
    if case.evaluated.passes:
        return Message("the trained network itself is evaluated")
    if any(record.depends_on_others for record in case.records):
        return Message("the losses also train another network, which may be the one to evaluate")
    count = len(case.course.series.get(REPORTED, []))
    return (
        ""
        if count >= MIN_EVALUATIONS
        else Message(
            "it needs at least {MIN_EVALUATIONS} reported evaluations, got {count}",
            MIN_EVALUATIONS=MIN_EVALUATIONS,
            count=count,
        )
    )


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("memorization", "overfitting", "underfitting", "permuted-classes"),
)
def evaluated_network(case: Case) -> Iterator[Finding]:
    """Find reported evaluations that hardly improve and never call the network, while the network learns.

    Another network is evaluated: an average of the weights that hardly moves, a copy, or one that was loaded. An
    average with decay d still holds d^n of the initial weights after n updates.

    Args:
        case: its losses, and what was reported.

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018; PyTorch
    documentation, torch.optim.swa_utils.get_ema_multi_avg_fn.
    """
    series = case.course.series.get(REPORTED, [])
    if not case.loss_reduction > MIN_TRAINING_GAIN or not _hardly_improves(case, series):
        return
    decay = math.exp(-3 / case.steps) if case.steps else 0.0
    yield Finding(
        "evaluated-network",
        "error",
        {"evaluations": len(series), "updates": case.steps, "fraction of the training loss gone": case.loss_reduction},
        Message(
            "the training loss fell by {loss_reduction}, but the {count} reported evaluations hardly "
            "improved, and none of them called the trained network: another one is evaluated",
            loss_reduction=f"{case.loss_reduction:.0%}",
            count=len(series),
        ),
        Message(
            "evaluate the trained network; if it is an average of the weights, lower its decay: after "
            "{steps} updates a decay of {decay} still holds 5% of the initial weights",
            steps=f"{case.steps:,}",
            decay=f"{decay:.4f}",
        ),
    )


def _hardly_improves(case: Case, series: list[Evaluation]) -> bool:
    """Return whether the best loss, or else the best score, is next to that of the first evaluation.

    The best loss must also be next to the first one of training: a network may have learned most before the first
    evaluation.
    """
    losses = [evaluation.loss for evaluation in series if math.isfinite(evaluation.loss)]
    scores = [evaluation.score for evaluation in series if math.isfinite(evaluation.score)]
    max_gain = MAX_GAIN * min(1.0, case.loss_reduction)  # a loss below zero is reduced by more than 1
    if len(losses) >= MIN_EVALUATIONS:
        has_not_learned = case.first_loss - min(losses) < MAX_GAIN * (case.first_loss - case.final_loss)
        return has_not_learned and losses[0] - min(losses) < max_gain * abs(losses[0])
    return len(scores) >= MIN_EVALUATIONS and max(scores) - scores[0] < max_gain * max(abs(1 - scores[0]), 1e-12)
