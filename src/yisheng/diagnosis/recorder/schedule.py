"""Which steps of a training are recorded, and after how many of them its parameters are judged."""

from __future__ import annotations

import math

FIRST_STEPS, MAX_INTERVAL = 5, 320
"""Each of the first steps is recorded, then ever fewer, at last every 320th: 16 of 2,000 steps in all."""
MIN_UPDATES_TO_JUDGE = 5
"""Updates after which equal rows stay equal, and after which a parameter that never changed counts as left out."""


def next_recorded_step(step: int) -> int:
    """Return the step to be recorded next after a step.

    >>> steps = [1]
    >>> while steps[-1] < 1000:
    ...     steps.append(next_recorded_step(steps[-1]))
    >>> steps
    [1, 2, 3, 4, 5, 10, 20, 40, 80, 160, 320, 640, 960, 1280]
    """
    if step < FIRST_STEPS:
        return step + 1
    if step >= MAX_INTERVAL:
        return (step // MAX_INTERVAL + 1) * MAX_INTERVAL
    return FIRST_STEPS * 2 ** (int(math.log2(step / FIRST_STEPS)) + 1)
