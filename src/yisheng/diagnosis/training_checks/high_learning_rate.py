"""Steps that are too long."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import MIN_LOSSES_TO_JUDGE, Case, describe_shortage
from yisheng.diagnosis.dead_units import find_dead_layer

LEAST = 20
ABOVE, SPIKE, LONG, LITTLE, NOTHING = 1.2, 5.0, 0.3, 0.5, 0.2
BEGINNING = 10


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST if case.nonfinite_loss is None else 2, len(case.losses), "losses")


@register(
    needs=why_not,
    when="during",
    cause="rate",
    explains=(
        "dead-relu",
        "saturated-activation",
        "exploding-gradients",
        "non-finite-loss",
        "no-gradient",
        "oscillation",
        "plateau",
    ),
)
def high_learning_rate(case: Case) -> Iterator[Finding]:
    """The loss ends above where it began, jumped far above and stayed, or grew past all numbers; or updates are as
    large as the weights and little is learned.

    A spike that training recovers from, as in a warm-up, is none of that.

    Args:
        case: its losses and updates.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.4.1; Smith, "Cyclical learning rates",
    2017, section 3.3.
    """
    losses = [loss for loss in case.losses if math.isfinite(loss)]
    if len(losses) < 2:
        return
    longest, typical = _lengths(case)
    why = _why(case, losses, longest, typical)
    if not why:
        return
    evidence = {"loss at the start": losses[0], "largest": max(losses), "at the end": case.final_loss, "update": typical}
    yield Finding(
        "high-learning-rate",
        "error",
        evidence,
        f"{why}: the steps are too long (an update changed a weight by up to {longest:.2g} times its size)",
        case.choose_remedy("divide lr by 10", "divide the learning rate by 10"),
        change=case.config_change(lr="x 0.1"),
    )


def _lengths(case: Case) -> tuple[float, float]:
    """The longest relative update of a weight, and the middle one of the weight that moves most."""
    ratios: dict[str, list[float]] = {}
    for one in (one for moment in case.records for one in moment.parameters):
        drawn = len(one.shape) > 1 and one.weight > 0 and one.name not in case.equal_rows
        if drawn and math.isfinite(one.update / one.weight):
            ratios.setdefault(one.name, []).append(one.update / one.weight)
    longest = max((max(found) for found in ratios.values()), default=0.0)
    return longest, max((statistics.median(found[:BEGINNING]) for found in ratios.values()), default=0.0)


def _why(case: Case, losses: list[float], longest: float, typical: float) -> str:
    """What shows that steps are too long; empty where nothing does."""
    start, most = losses[0], max(losses)
    if case.nonfinite_loss is not None or len(losses) < len(case.losses):
        fine = case.nonfinite_loss is None or (case.nonfinite_loss.inputs and case.nonfinite_loss.targets)
        grew = most > SPIKE * max(abs(start), 1e-12) or longest > 1
        return f"the loss went from {start:.4g} past all numbers" if fine and grew else ""
    if not start > 0 or not math.isfinite(case.final_loss) or any(moment.depends_on_others for moment in case.records):
        return ""
    first = min(statistics.median(losses[:3]), start * ABOVE)
    went = f"the loss went from {start:.4g} to {most:.4g} and is {case.final_loss:.4g} at the end"
    unlearned = not case.learned_fraction > 0.05
    known = case.baseline_loss > 0
    least = max(first, case.baseline_loss) if known else 2 * first
    if len(losses) >= MIN_LOSSES_TO_JUDGE and case.final_loss > ABOVE * least and unlearned:
        return went
    if len(losses) >= MIN_LOSSES_TO_JUDGE and case.final_loss > 2 * first and known and case.final_loss > 0.2 * case.baseline_loss:
        return went
    if most > SPIKE * start and case.final_loss > 0.9 * start and unlearned:
        return went
    if case.learned_less_than(LITTLE) and typical > LONG and len(losses) >= 2 * MIN_LOSSES_TO_JUDGE:
        return f"the loss is {case.final_loss:.4g} at the end, and updates are about as large as the weights"
    dead = find_dead_layer(case) if case.learned_less_than(LITTLE) else None
    if dead is not None and not dead.dead_from_start:
        return f"the relu units {dead.layer} were alive in the first step and died, and the loss is {case.final_loss:.4g}"
    if case.learned_less_than(NOTHING) and longest > 1:
        return f"the loss is {case.final_loss:.4g} at the end, and nothing was learned after a long update"
    return ""
