"""Properties that every registered schedule has."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core import registry
from yisheng.core.entry import Entry

all_schedules = pytest.mark.parametrize(
    "entry", list(registry.entries("optim.schedules")), ids=lambda entry: entry.name
)
lengths = given(epochs=st.integers(1, 40), per_epoch=st.integers(1, 50))


@all_schedules
@settings(deadline=None)
@lengths
def test_factors_are_within_0_and_1_and_reach_1(entry: Entry, epochs: int, per_epoch: int) -> None:
    factor, steps = entry.build(), epochs * per_epoch
    factors = [factor(step, steps, per_epoch) for step in range(steps)]
    assert all(type(value) is float for value in factors)
    assert all(0 <= value <= 1 for value in factors)
    assert max(factors) == 1


@all_schedules
@settings(deadline=None)
@lengths
def test_it_rises_then_falls(entry: Entry, epochs: int, per_epoch: int) -> None:
    factor, steps = entry.build(), epochs * per_epoch
    factors = [factor(step, steps, per_epoch) for step in range(steps + 5)]
    peak = factors.index(1)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


@all_schedules
@settings(deadline=None)
@given(step=st.integers(0, 10**9), steps=st.integers(1, 10**6), per_epoch=st.integers(1, 10**6))
def test_every_step_has_a_factor(entry: Entry, step: int, steps: int, per_epoch: int) -> None:
    """A step may be beyond the end, since a run can be resumed with more epochs."""
    value = entry.build()(step, steps, per_epoch)
    assert math.isfinite(value)
    assert 0 <= value <= 1


@all_schedules
def test_it_is_a_pure_function(entry: Entry) -> None:
    assert set(entry.meta) == set()
    factor, second_factor = entry.build(), entry.build()
    ascending = [factor(step, 60, 6) for step in range(60)]
    descending = [second_factor(step, 60, 6) for step in reversed(range(60))]
    assert ascending == descending[::-1] == [factor(step, 60, 6) for step in range(60)]
