"""Steps that are too short."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

SHORT, TOTAL = 1e-3, 0.2
LEAST, LITTLE, NOTHING = 50, 0.2, 1e-3


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST, len(case.losses), "losses")


@register(needs=why_not, when="during", cause="rate", explains=("plateau",))
def low_learning_rate(case: Case) -> Iterator[Finding]:
    """Updates that hardly change the weights, while the loss hardly falls; or a rate that decayed to nothing too soon.

    Args:
        case: the sizes of updates and weights in the steps that were looked at.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.4.1.
    """
    if math.isnan(case.loss_reduction) or case.loss_reduction > LITTLE or case.learned_fraction > LITTLE:
        return
    rates = [(moment.step, moment.lr) for moment in case.records if moment.lr > 0]
    if len(rates) > 1 and rates[-1][1] > rates[-2][1]:
        return  # still warming up
    highest = max((rate for _, rate in rates), default=0.0)
    gone_at = next((step for step, rate in rates if rate < NOTHING * highest and rates[0][1] > rate), None)
    if gone_at is not None and gone_at < case.steps / 2 and len(case.losses) >= 50:
        yield _finding(
            case,
            {"step": gone_at, "from": highest},
            f"the learning rate is next to nothing from step {gone_at} on",
            True,
        )
        return
    ratios: dict[str, list[float]] = {}
    for _, one in case.weight_records():
        if one.weight > 0 and one.gradient:
            ratios.setdefault(one.name, []).append(one.update / one.weight)
    fastest = max((statistics.median(found) for found in ratios.values()), default=math.nan)
    if fastest < SHORT and fastest * case.steps < TOTAL:
        yield _finding(
            case,
            {"relative update": fastest},
            f"an update changes a weight by {fastest:.2g} of its size at most",
            False,
        )


def _finding(case: Case, evidence: dict[str, float], what: str, decayed: bool) -> Finding:
    return Finding(
        "low-learning-rate",
        "warning",
        {**evidence, "share of the loss gone": case.loss_reduction},
        f"{what}, and in {len(case.losses)} steps {case.loss_reduction:.1%} of the loss is gone: the steps are too short",
        case.choose_remedy(
            "say schedule=cosine, which falls more slowly",
            "step the schedule once per epoch, not per batch, or decay less",
        )
        if decayed
        else case.choose_remedy("multiply lr by 10 to 100", "multiply the learning rate by 10 to 100"),
        change=case.config_change(schedule="cosine") if decayed else case.config_change(lr="x 10"),
    )
