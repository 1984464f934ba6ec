"""Schedules: how the learning rate changes during a run.

A schedule is a function ``f(**options) -> factor`` with ``factor(step, steps, per_epoch) -> float``: what the
optimizer's ``lr`` is multiplied by after ``step`` updates, of ``steps`` in the run and ``per_epoch`` in an epoch. It is
a pure function of these numbers, so a resumed run continues as if it had never stopped, and a run that is resumed with
more epochs follows the schedule of the longer run from then on. From ``steps`` on, the schedules that depend on it keep
their last factor.

Factors are in 0..1, and 1 is reached: ``lr`` is the highest rate of the run.
"""

from __future__ import annotations

from collections.abc import Callable

Factor = Callable[[int, int, int], float]
"""``factor(step, steps, per_epoch) -> float``"""
