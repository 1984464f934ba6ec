"""How the learning rate moves over a run.

A schedule is a function ``f(**options) -> factor`` with ``factor(step, steps, per_epoch) -> float``: what the
optimiser's ``lr`` is multiplied by in the update that follows ``step`` updates, of ``steps`` in the whole run and
``per_epoch`` in an epoch. It is a pure function of these numbers, so a run that is taken up anywhere goes on as if
it had never stopped, and one that is given more epochs follows the schedule of the longer run from there on.
From ``steps`` on, those that know an end stay there.

Factors lie in 0..1, and 1 is reached: ``lr`` is the highest rate of the run.
"""

from __future__ import annotations

from collections.abc import Callable

Factor = Callable[[int, int, int], float]
"""``factor(step, steps, per_epoch) -> float``"""
