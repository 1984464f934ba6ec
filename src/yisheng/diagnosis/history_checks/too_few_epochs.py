"""A training that ended while it was still getting better."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.history_checks._losses import losses, why_not
from yisheng.reporting.run_facts import RunFacts

LAST = 3
"""The last third of the epochs is looked at, this many at least."""
GAIN, NOISE = 0.1, 3.0
"""Share of all that was gained that the last third must have brought, and times the scatter about its line."""


@register(needs=why_not, follows=True)
def too_few_epochs(facts: RunFacts) -> Iterator[Finding]:
    """The validation loss still fell at the end, along a line that stands out from its scatter.

    Args:
        facts: the losses by epoch.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.4.
    """
    seen = losses(facts)
    assert seen is not None  # asked by needs
    tail = seen.validation[-max(LAST, len(seen.validation) // 3) :]
    fall, scatter = _line(tail)
    gained = fall / max(seen.start - seen.validation[-1], 1e-12)
    late = seen.best >= len(seen.validation) - max(1, len(tail) // 4)
    if not late or gained < GAIN or fall < NOISE * scatter or seen.training[-1] > seen.training[-len(tail)]:
        return
    epochs = len(seen.validation)
    yield Finding(
        "too-few-epochs",
        "warning",
        {"epochs": epochs, "share gained in the last": gained, "epochs looked at": len(tail)},
        f"the validation loss still fell at the end: the last {len(tail)} of {epochs} epochs brought {gained:.0%} of "
        "all that was gained",
        f"say epochs={2 * epochs}, or a larger lr",
        change={"epochs": 2 * epochs},
    )


def _line(values: Sequence[float]) -> tuple[float, float]:
    """How far the line of least squares falls from end to end, and the standard deviation about it.

    >>> _line([3.0, 2.0, 1.0])
    (2.0, 0.0)
    """
    slope, level = statistics.linear_regression(range(len(values)), values)
    about = [value - (level + slope * at) for at, value in enumerate(values)]
    return -slope * (len(values) - 1), (sum(one * one for one in about) / max(1, len(values) - 2)) ** 0.5
