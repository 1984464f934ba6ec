"""A first loss far above what guessing gives."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import NO_LOSS, Case

TIMES, LITTLE = 3.0, 0.8
MANY = 10.0


def why_not(case: Case) -> str:
    """What it lacks."""
    if case.pairing is None or not case.losses:
        return NO_LOSS
    return "the loss is no plain mean cross-entropy" if math.isnan(_guess(case)) else ""


def _guess(case: Case) -> float:
    """The loss of guessing evenly; NaN where that cannot be said."""
    pairing = case.pairing
    if pairing is None or not pairing.is_only_term or not (case.is_mean and pairing.reduction):
        return math.nan
    if pairing.loss == "nll" and len(pairing.shape) > 1 and pairing.shape[1] > 1:
        return math.log(pairing.shape[1])
    return math.log(2) if pairing.loss.startswith("binary_cross_entropy") else math.nan


@register(
    needs=why_not,
    when="first",
    cause="data",
    explains=("high-learning-rate", "saturated-activation", "dead-relu", "non-finite-loss"),
)
def initial_loss(case: Case) -> Iterator[Finding]:
    """The first loss of a classifier is several times that of guessing and is not soon mended; or ten times.

    Args:
        case: its first loss and number of classes.

    Source: Karpathy, "A config for training neural networks", 2019 (verify loss at init).
    """
    guess = _guess(case)
    if not case.first_loss > (TIMES if case.learned_less_than(LITTLE) else MANY) * guess:
        return
    yield Finding(
        "initial-loss",
        "warning",
        {"loss": case.first_loss, "guessing": guess},
        f"the first loss is {case.first_loss:.3g}, where guessing gives {guess:.3g}: the network begins sure of itself and "
        "wrong",
        case.choose_remedy(
            "say init=default and scale=standard", "use smaller initial weights (torch's default), and scale the inputs"
        ),
        change=case.config_change(init="default", scale="standard"),
    )
