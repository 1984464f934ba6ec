"""A first loss far above what guessing gives."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnose.case import Case

TIMES, LITTLE = 3.0, 0.8
MANY = 10.0


@register(
    when="first", cause="data", explains=("high-learning-rate", "saturated-activation", "dead-relu", "non-finite-loss")
)
def initial_loss(case: Case) -> Iterator[Finding]:
    """The first loss of a classifier is several times that of guessing and is not soon mended; or ten times.

    Args:
        case: its first loss and number of classes.

    Source: Karpathy, "A recipe for training neural networks", 2019 (verify loss at init).
    """
    pairing = case.pairing
    if pairing is None or not pairing.whole or not case.losses:
        return
    if pairing.loss == "nll" and len(pairing.shape) > 1 and pairing.shape[1] > 1 and pairing.reduction == "mean":
        guess = math.log(pairing.shape[1])
    elif pairing.loss.startswith("binary_cross_entropy") and pairing.reduction == "mean":
        guess = math.log(2)
    else:
        return
    if not case.start > (TIMES if case.harmed(LITTLE) else MANY) * guess:
        return
    yield Finding(
        "initial-loss",
        "warning",
        {"loss": case.start, "guessing": guess},
        f"the first loss is {case.start:.3g}, where guessing gives {guess:.3g}: the network begins sure of itself and "
        "wrong",
        case.says(
            "say init=default and scale=standard", "use smaller initial weights (torch's default), and scale the inputs"
        ),
    )
