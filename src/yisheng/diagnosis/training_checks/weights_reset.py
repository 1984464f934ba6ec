"""Weights that something sets back during training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

WINDOW = 3
"""Losses before and after a change that are required."""
MIN_RESETS, MIN_REGAINED, MIN_FALL = 2, 0.5, 0.2
"""Changes that set training back; loss that comes back, relative to what had been learned; and what must have been
learned before, relative to the first loss. A restored best state or an average has a loss close to that before it."""


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
    (La - Lb) / (L0 - Lb) > 1/2.

    Args:
        case: when its weights were changed, and its losses.

    Source: PyTorch documentation, torch.nn.Module.apply, torch.nn.Module.load_state_dict.
    """
    resets = [at for at in case.foreign_writes if _sets_back(case, at)]
    if len(resets) < MIN_RESETS or len(resets) < len(case.foreign_writes) / 2:
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
