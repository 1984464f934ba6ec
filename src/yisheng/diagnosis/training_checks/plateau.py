"""The second half of a training that learned nothing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES = 500
"""Shorter trainings end before their noise shows whether they still fall."""
MIN_LEARNED_FRACTION, MAX_LEARNED_FRACTION = 0.1, 0.95
"""Something must have been learned, and something must be left."""
MAX_DECREASE, MAX_DECREASE_IN_ERRORS = 0.01, 2.0
"""Decrease that counts as none: relative to the distance to the baseline, and to its standard error."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    shortage = describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))
    if shortage:
        return shortage
    if len({record.lr for record in case.records if record.parameters}) > 1:
        return Message("the learning rate changes, and its end may learn nothing on purpose")
    is_known = math.isfinite(case.learned_fraction) and case.baseline_loss > 0
    return "" if is_known else Message("the loss of a constant prediction is unknown")


@register(needs=explain_skip, when="during", cause="fit")
def plateau(case: Case) -> Iterator[Finding]:
    """Find a loss that did not fall in the second half of the steps at a constant learning rate, with much left.

    There may be nothing more to learn, so it is a note.

    Args:
        case: its losses.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 8.3.1 (the noise of the gradient does not
    vanish at a minimum; the learning rate must decrease).
    """
    half = case.losses[len(case.losses) // 2 :]
    if not MIN_LEARNED_FRACTION < case.learned_fraction < MAX_LEARNED_FRACTION or not all(map(math.isfinite, half)):
        return
    third_quarter, last_quarter = half[: len(half) // 2], half[len(half) // 2 :]
    loss = statistics.fmean(last_quarter)
    decrease = statistics.fmean(third_quarter) - loss
    error = math.sqrt(
        statistics.variance(third_quarter) / len(third_quarter) + statistics.variance(last_quarter) / len(last_quarter)
    )
    if decrease > MAX_DECREASE * (case.baseline_loss - loss) or decrease > MAX_DECREASE_IN_ERRORS * error:
        return
    yield Finding(
        "plateau",
        "note",
        {"loss": loss, "guessing": case.baseline_loss, "fell by": decrease, "losses": len(half)},
        Message(
            "the loss has not fallen below {loss} in the last {count} of {count_2} steps; the best "
            "constant prediction has {baseline_loss}",
            loss=f"{loss:.4g}",
            count=len(half),
            count_2=len(case.losses),
            baseline_loss=f"{case.baseline_loss:.4g}",
        ),
        case.choose_remedy(
            Message(
                "use schedule=cosine or a lower lr; if that does not help, use a larger network or fewer epochs",
            ),
            Message(
                "let the learning rate decay or divide it by 10; if that does not help, use a larger network "
                "or stop earlier",
            ),
        ),
    )
