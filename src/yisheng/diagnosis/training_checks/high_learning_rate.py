"""Updates that are too large."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.batch_kinds import has_batch_kinds
from yisheng.diagnosis.case import MIN_LOSSES_TO_JUDGE, Case
from yisheng.diagnosis.dead_units import find_dead_layer
from yisheng.diagnosis.policy_terms import is_policy_gradient
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES = 20
"""A rate of divergence, a factor of two per step, shows in far fewer; noise of single batches needs some."""
MIN_RISE, MIN_SPIKE = 1.2, 5.0
"""Factors between the first loss and the final one, or the largest one, that are reported."""
MIN_CAUSAL_UPDATE = 1e-3
"""Largest relative update of a weight, below which updates have moved no loss: its course is that of the batches."""
LARGE_UPDATE = 0.3
"""Update relative to the weight that is reported if little is learned."""
MAX_LEARNED_FRACTION, MAX_LEARNED_AFTER_LARGE_UPDATE = 0.5, 0.2
"""Fraction of the loss that is gone in a training that stands its large updates, and one large update."""
MIN_JUMP, MAX_SPREAD, MAX_LEARNED_WITHOUT_INPUTS = 1.5, 0.001, 0.1
"""Largest loss over the first one; and spread of the predictions over the rows relative to their size, and fraction of
the loss that is gone, of a network that a jump has destroyed."""
MIN_RETURN, MIN_LOST = 1.5, 0.2
"""Loss at the end over the smallest smoothed one, and what is lost again relative to guessing: a training that has
learned and forgotten."""
MIN_SMOOTHED, SMOOTHED_FRACTION = 8, 20
"""Losses in the running mean, and the fraction of all (one in so many), if that is more."""
FIRST_UPDATES = 10
"""Recorded updates whose median size is the typical one: later ones may be smaller by a schedule."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.has_line_search:
        return Message("the optimizer finds the size of its steps by a line search")
    return describe_shortage(MIN_LOSSES if case.nonfinite_loss is None else 2, len(case.losses), Message("losses"))


@register(
    needs=explain_skip,
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
        "constant-outputs",
        "opposed-score",
    ),
)
def high_learning_rate(case: Case) -> Iterator[Finding]:
    """Find a loss that ends above its start, stays high after a jump or overflows; or updates as large as the weights.

    Large updates are reported only if little is learned. A spike that training recovers from, as in a warm-up, is not
    reported.

    Args:
        case: its losses and updates.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.4.1; Smith, "Cyclical learning rates",
    2017, section 3.3.
    """
    losses = [loss for loss in case.losses if math.isfinite(loss)]
    if len(losses) < 2:
        return
    largest, typical = _update_sizes(case)
    if 0 <= largest < MIN_CAUSAL_UPDATE and case.nonfinite_loss is None:
        return
    largest = max(0.0, largest)
    symptom = _describe_divergence(case, losses, largest) or _describe_large_updates(case, largest, typical)
    if not symptom:
        return
    yield Finding(
        "high-learning-rate",
        "error",
        {"loss at the start": losses[0], "largest": max(losses), "at the end": case.final_loss, "update": typical},
        Message(
            "{symptom}: the updates are too large (one changed a weight by up to {largest} times its size)",
            symptom=symptom,
            largest=f"{largest:.2g}",
        ),
        case.choose_remedy(Message("divide lr by 10"), Message("divide the learning rate by 10")),
        change=case.config_change(lr="x 0.1"),
    )


def _update_sizes(case: Case) -> tuple[float, float]:
    """Return the largest relative update of a weight, -1 if unknown, and the median one of that which changes most."""
    ratios: dict[str, list[float]] = {}
    for p in (p for record in case.records for p in record.parameters):
        is_random = len(p.shape) > 1 and p.weight > 0 and p.name not in case.equal_rows
        if is_random and math.isfinite(p.update / p.weight):
            ratios.setdefault(p.name, []).append(p.update / p.weight)
    largest = max((max(updates) for updates in ratios.values()), default=-1.0)
    return largest, max((statistics.median(updates[:FIRST_UPDATES]) for updates in ratios.values()), default=0.0)


def _describe_divergence(case: Case, losses: Sequence[float], largest: float) -> str:
    """Return how the loss has diverged; empty if it has not."""
    start, peak = losses[0], max(losses)
    if case.nonfinite_loss is not None or len(losses) < len(case.losses):
        data_is_finite = case.nonfinite_loss is None or (case.nonfinite_loss.inputs and case.nonfinite_loss.targets)
        has_grown = peak > MIN_SPIKE * max(abs(start), 1e-12) or largest > 1
        return (
            Message("the loss grew from {start} until it was not finite", start=f"{start:.4g}")
            if data_is_finite and has_grown
            else ""
        )
    if not _can_compare(case, start):
        return ""
    level = min(statistics.median(losses[:3]), start * MIN_RISE)
    has_not_learned = not case.learned_fraction > 0.05
    has_baseline = case.baseline_loss > 0
    limit = max(level, case.baseline_loss) if has_baseline else 2 * level
    end, can_judge = case.final_loss, len(losses) >= MIN_LOSSES_TO_JUDGE
    if (
        (can_judge and end > MIN_RISE * limit and has_not_learned)
        or (can_judge and end > 2 * level and has_baseline and end > 0.2 * case.baseline_loss)
        or (peak > MIN_SPIKE * start and end > 0.9 * start and has_not_learned)
    ):
        return Message(
            "the loss went from {start} to {peak} and is {end} at the end",
            start=f"{start:.4g}",
            peak=f"{peak:.4g}",
            end=f"{end:.4g}",
        )
    lowest_loss, last_loss = _smooth(losses)
    end_loss = min(end, last_loss)
    rises = end_loss > MIN_RETURN * lowest_loss and end_loss - lowest_loss > MIN_LOST * case.baseline_loss
    if has_baseline and can_judge and rises:
        return Message(
            "the loss fell from {start} to {least} and rose again to {end}",
            start=f"{start:.4g}",
            least=f"{lowest_loss:.4g}",
            end=f"{end:.4g}",
        )
    return ""


def _smooth(losses: Sequence[float]) -> tuple[float, float]:
    """Return the smallest running mean, and the last one: batches that alternate move a median."""
    width = max(MIN_SMOOTHED, len(losses) // SMOOTHED_FRACTION)
    starts = range(0, len(losses) - width + 1, max(1, width // 4))
    means = [statistics.fmean(losses[start : start + width]) for start in starts]
    return min(means, default=math.inf), statistics.fmean(losses[-width:])


def _describe_large_updates(case: Case, largest: float, typical: float) -> str:
    """Return what large updates have done to a training of finite losses; empty if nothing."""
    is_finite = case.nonfinite_loss is None and all(map(math.isfinite, case.losses))
    if not is_finite or not _can_compare(case, case.losses[0]):
        return ""
    end, learns_little = case.final_loss, case.learned_less_than(MAX_LEARNED_FRACTION)
    if learns_little and typical > LARGE_UPDATE and len(case.losses) >= 2 * MIN_LOSSES_TO_JUDGE:
        return Message("the loss is {end} at the end, and updates are about as large as the weights", end=f"{end:.4g}")
    dead = find_dead_layer(case) if learns_little else None
    if dead is not None and not dead.dead_from_start:
        return Message(
            "the relu units {layer} were alive in the first step and died, and the loss is {end}",
            layer=dead.layer,
            end=f"{end:.4g}",
        )
    deviation, peak = case.probe.between_rows, max(case.losses)
    if (case.probe.chance or 0.0) > MAX_SPREAD:
        deviation = None  # rows differ at random only, as they do behind a code that is ignored
    has_jumped = peak > MIN_JUMP * abs(case.first_loss) or largest > 1
    has_learned = case.baseline_loss > 0 and not case.learned_less_than(MAX_LEARNED_WITHOUT_INPUTS)
    if deviation is not None and deviation < MAX_SPREAD and has_jumped and not has_learned:
        return Message(
            "the loss jumped from {first_loss} to {peak}, and at the end, at {end}, the predictions are "
            "the same for all rows",
            first_loss=f"{case.first_loss:.4g}",
            peak=f"{peak:.4g}",
            end=f"{end:.4g}",
        )
    if case.learned_less_than(MAX_LEARNED_AFTER_LARGE_UPDATE) and largest > 1:
        return Message("the loss is {end} at the end, and nothing was learned after a large update", end=f"{end:.4g}")
    return ""


def _can_compare(case: Case, start: float) -> bool:
    """Return whether a rise of the loss means something.

    The loss must be positive, and no other network have a part in it. That of a policy grows with the returns of its
    actions. If the batches are of several kinds, the first loss may be that of the easiest one.
    """
    if not start > 0 or not math.isfinite(case.final_loss) or any(r.depends_on_others for r in case.records):
        return False
    if is_policy_gradient(case.features):
        return False
    return not has_batch_kinds(case.records) or case.final_loss > MIN_SPIKE * max(start, _largest_target_size(case))


def _largest_target_size(case: Case) -> float:
    """Return the largest mean square of the targets of a batch, the loss of predicting 0; 0 if they are classes."""
    batches = [record.targets for record in case.records if record.targets is not None]
    return max((float(y.double().square().mean()) for y in batches if y.is_floating_point()), default=0.0)
