"""Weights that something sets back during training."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

WINDOW = 3
"""Losses before and after a change that are required."""
MIN_RESETS, MIN_REGAINED, MIN_FALL = 2, 0.5, 0.2
"""Changes that set training back; loss that comes back, relative to what had been learned; and what must have been
learned before, relative to the first loss. A restored best state or an average has a loss close to that before it."""
MIN_FALLS = 4
"""Times that the loss has fallen between two evaluations: fewer could be chance."""
MIN_EPOCH_FALL = 0.05
"""Such a fall, relative to the first loss: batches alone change a loss less."""
MIN_UNDONE = 0.5
"""Part of the fall that comes back after the evaluation; of other batches the loss differs less."""
MIN_UNDONE_FRACTION = 0.8
"""Falls that come back so, of all: a best state is restored only now and then."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.foreign_writes:
        return Message("only the optimizer changed the weights")
    return describe_shortage(4 * WINDOW, len(case.losses), Message("losses"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("high-learning-rate", "oscillation", "plateau", "low-learning-rate"),
)
def weights_reset(case: Case) -> Iterator[Finding]:
    """Find changes of the weights between two updates after which the loss is near its initial value again.

    With L0 the first loss, Lb the median of three losses before the change and La the mean of two after it:
    (La - Lb) / (L0 - Lb) > 1/2. And changes around evaluations after which most of what was learned since the
    evaluation before is undone, as by an average of the weights that is evaluated and remains in the network: with L0
    the mean of the three losses after that evaluation, in four of five epochs.

    Args:
        case: when its weights were changed, and its losses.

    Source: PyTorch documentation, torch.nn.Module.apply, torch.nn.Module.load_state_dict.
    """
    resets = [at for at in case.foreign_writes if _sets_back(case, at)]
    if len(resets) < MIN_RESETS or len(resets) < len(case.foreign_writes) / 2:
        yield from _find_undone_epochs(case)
        return
    yield Finding(
        "weights-reset",
        "error",
        {"times": len(resets), "losses before": resets[:10]},
        Message(
            "something else than the optimizer changed the weights {count} times between two updates, "
            "and the loss was near its initial value again each time: the training starts over",
            count=len(resets),
        ),
        Message("initialize or load the weights once, before the loop over the epochs"),
        source=case.sources.get("step", ""),
    )


def _sets_back(case: Case, at: int) -> bool:
    """Return whether the loss rises to near its initial value with the loss number `at`."""
    previous, following = case.losses[max(0, at - 1 - WINDOW) : at - 1], case.losses[at - 1 : at - 1 + WINDOW]
    if len(previous) < WINDOW or len(following) < WINDOW or not all(map(math.isfinite, (*previous, *following))):
        return False
    low, high, first = statistics.median(previous), statistics.fmean(following[:2]), case.first_loss
    return first - low > MIN_FALL * abs(first) and high - low > MIN_REGAINED * (first - low)


def _find_undone_epochs(case: Case) -> Iterator[Finding]:
    """Yield that what the updates between two evaluations learn is mostly undone around the second one."""
    evaluated = {evaluation.losses_before for series in case.course.series.values() for evaluation in series}
    epochs = [pair for pair in itertools.pairwise((1, *case.foreign_writes)) if pair[1] - 1 in evaluated]
    changes = [change for start, at in epochs if (change := _measure_change(case, start, at)) is not None]
    undone = sum(rise > MIN_UNDONE * fall for fall, rise in changes)
    if len(changes) < MIN_FALLS or undone < MIN_UNDONE_FRACTION * len(changes):
        return
    yield Finding(
        "weights-reset",
        "warning",
        {"times": undone, "falls": [fall for fall, _ in changes][:10], "rises": [rise for _, rise in changes][:10]},
        Message(
            "something else than the optimizer changed the weights around the evaluations, and {undone} of {count} "
            "times most of what the loss had fallen by since the evaluation before came back: weights that are "
            "evaluated, such as an average, remain in the network",
            undone=undone,
            count=len(changes),
        ),
        Message(
            "put the trained weights back after each evaluation, or evaluate a copy of the network with the other "
            "weights"
        ),
        source=case.sources.get("step", ""),
    )


def _measure_change(case: Case, start: int, at: int) -> tuple[float, float] | None:
    """Return the fall of the loss from number `start` to `at`, and its rise then; None if it hardly fell."""
    epoch, following = case.losses[start - 1 : at - 1], case.losses[at - 1 : at - 1 + WINDOW]
    if len(epoch) < 2 * WINDOW or len(following) < WINDOW or not all(map(math.isfinite, (*epoch, *following))):
        return None
    low = statistics.median(epoch[-WINDOW:])
    fall, rise = statistics.fmean(epoch[:WINDOW]) - low, statistics.fmean(following) - low
    return (fall, rise) if fall > MIN_EPOCH_FALL * abs(case.first_loss) else None
