"""Half of a training that brought nothing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

LEAST = 500
LITTLE, MUCH, NOTHING, SURE = 0.1, 0.95, 0.01, 2.0
"""Shares of guessing's loss that must be gone, at least and at most; share of that gain that is nothing; its error."""


def why_not(case: Case) -> str:
    """What it lacks."""
    few = describe_shortage(LEAST, len(case.losses), "losses")
    if few:
        return few
    if len({moment.lr for moment in case.records if moment.parameters}) > 1:
        return "the learning rate changes, and steps that bring nothing may be its end"
    return "" if math.isfinite(case.learned_fraction) and case.baseline_loss > 0 else "what guessing would give is not known"


@register(needs=why_not, when="during", cause="fit")
def plateau(case: Case) -> Iterator[Finding]:
    """Something was learned, much is left, and the last half of the steps brought nothing at an unchanged rate.

    That may be all there is to learn, so it is a note.

    Args:
        case: its losses.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 8.3.1 (the noise of the gradient does not
    vanish at a minimum; the learning rate must decrease).
    """
    last = case.losses[len(case.losses) // 2 :]
    if not LITTLE < case.learned_fraction < MUCH or not all(map(math.isfinite, last)):
        return
    before, after = last[: len(last) // 2], last[len(last) // 2 :]
    fell = statistics.fmean(before) - statistics.fmean(after)
    error = math.sqrt(statistics.variance(before) / len(before) + statistics.variance(after) / len(after))
    if fell > NOTHING * (case.baseline_loss - statistics.fmean(after)) or fell > SURE * error:
        return
    yield Finding(
        "plateau",
        "note",
        {"loss": statistics.fmean(after), "guessing": case.baseline_loss, "fell by": fell, "losses": len(last)},
        f"the loss has stood at {statistics.fmean(after):.4g} for the last {len(last)} of {len(case.losses)} steps, "
        f"where guessing gives {case.baseline_loss:.4g}",
        case.choose_remedy(
            "say schedule=cosine or a lower lr; if it stays, a larger network; or fewer epochs",
            "let the learning rate decay or divide it by 10; if it stays, a larger network; or stop earlier",
        ),
    )
