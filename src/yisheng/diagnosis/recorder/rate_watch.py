"""The course of the learning rate, and when it vanished."""

from __future__ import annotations

from typing import Any

VANISHED = 1e-3
"""Rate relative to the highest one so far that counts as none."""
ROUNDING = 1 + 1e-6
"""Three factors of 0.1 are not exactly 0.001."""


class RateWatch:
    """Watch the first learning rate of an optimizer; rates on a device are not read, since that would wait for it.

    Attributes:
        highest: the highest rate so far.
        vanished_at: the first update at a thousandth of the highest rate or less; None if there was none.
        lowest: the lowest rate after the highest one.
        lowest_at: its first update.
        last: the rate of the last update at which it was noted; it is noted when it changes.

    >>> watch = RateWatch()
    >>> for step, rate in enumerate([0.1, 0.01, 1e-5, 0.1], 1):
    ...     watch.note(step, rate)
    >>> watch.vanished_at, watch.lowest_at, watch.last
    (3, 3, 0.1)
    """

    def __init__(self) -> None:
        self.highest = self.lowest = self.last = 0.0
        self.vanished_at: int | None = None
        self.lowest_at = 0

    def note(self, step: int, rate: Any) -> None:
        """Note the rate of an update, numbered from 1."""
        if not isinstance(rate, float | int):
            return
        self.last = float(rate)
        if rate > self.highest * ROUNDING:
            self.highest = self.lowest = self.last
            self.vanished_at, self.lowest_at = None, step
        elif rate < self.lowest:
            self.lowest, self.lowest_at = self.last, step
        if self.vanished_at is None and rate <= VANISHED * self.highest * ROUNDING:
            self.vanished_at = step
