"""A first loss far above that of a uniform guess."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, Case
from yisheng.diagnosis.initialization import have_structure

MIN_RATIO, MIN_RATIO_IF_LEARNING = 3.0, 10.0
"""First loss over that of a uniform guess, if little is learned and otherwise."""
MIN_RATIO_OF_SQUARES = 30.0
"""First squared error over that of predicting 0: a network whose outputs are as large as the targets has 2."""
MAX_LEARNED_FRACTION = 0.8
"""A training that has learned more than this has recovered from its first loss."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or not case.losses:
        return NO_LOSS
    is_unknown = math.isnan(_uniform_guess_loss(case)) and math.isnan(_zero_prediction_loss(case))
    return Message("the loss is neither a plain mean cross-entropy nor a mean squared error") if is_unknown else ""


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=("high-learning-rate", "saturated-activation", "dead-relu", "non-finite-loss"),
)
def initial_loss(case: Case) -> Iterator[Finding]:
    """Find a first loss of a classifier of three times that of a uniform guess that does not fall soon, or ten times.

    Weights that were trained before may be confident about other classes, and are not reported.

    Args:
        case: its first loss and number of classes.

    Source: Karpathy, https://karpathy.github.io/2019/04/25/recipe (verify loss at init).
    """
    if not _began_untrained(case):
        return
    zero = _zero_prediction_loss(case)
    if case.first_loss > MIN_RATIO_OF_SQUARES * zero and case.learned_less_than(MAX_LEARNED_FRACTION):
        yield Finding(
            "initial-loss",
            "warning",
            {"loss": case.first_loss, "predicting 0": zero},
            Message(
                "the first loss is {first_loss}, and predicting 0 has {zero}: the outputs of the untrained "
                "network are far too large",
                first_loss=f"{case.first_loss:.3g}",
                zero=f"{zero:.3g}",
            ),
            case.choose_remedy(
                Message("use init=default and scale=standard"),
                Message(
                    "use smaller initial weights (of a recurrent layer, orthogonal ones with a gain below 1), "
                    "average instead of adding over neighbors or positions, and scale the inputs",
                ),
            ),
            change=case.config_change(init="default", scale="standard"),
        )
        return
    guess = _uniform_guess_loss(case)
    ratio = MIN_RATIO if case.learned_less_than(MAX_LEARNED_FRACTION) else MIN_RATIO_IF_LEARNING
    if not case.first_loss > ratio * guess:
        return
    yield Finding(
        "initial-loss",
        "warning",
        {"loss": case.first_loss, "guessing": guess},
        Message(
            "the first loss is {first_loss}, and a uniform guess has {guess}: the untrained network is "
            "confident and wrong",
            first_loss=f"{case.first_loss:.3g}",
            guess=f"{guess:.3g}",
        ),
        case.choose_remedy(
            Message("use init=default and scale=standard"),
            Message("use smaller initial weights (torch's default), and scale the inputs"),
        ),
        change=case.config_change(init="default", scale="standard"),
    )


def _uniform_guess_loss(case: Case) -> float:
    """Return the loss of equal probabilities for all classes, or NaN if the loss is not a mean cross-entropy."""
    pairing = case.pairing
    if pairing is None or not pairing.is_only_term or not (case.is_mean and pairing.reduction):
        return math.nan
    if pairing.loss == "nll" and len(pairing.shape) > 1 and pairing.shape[1] > 1:
        return math.log(pairing.shape[1])
    return math.log(2) if pairing.loss.startswith("binary_cross_entropy") else math.nan


def _zero_prediction_loss(case: Case) -> float:
    """Return the mean squared error of predicting 0, or NaN if the loss is not a mean squared error or it is 0."""
    pairing, targets = case.pairing, case.collect_targets()
    if pairing is None or targets is None or pairing.loss != "mse" or not pairing.is_only_term or not case.is_mean:
        return math.nan
    square = float(targets.double().square().mean())
    return square if square > 0 else math.nan


def _began_untrained(case: Case) -> bool:
    """Return whether neither the weights that learn nor those that are frozen had been trained before."""
    frozen = [p for p in case.model.parameters() if p.ndim > 1 and not p.requires_grad]
    return not case.began_trained and not have_structure(frozen)
