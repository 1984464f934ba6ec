"""What every registered schedule must keep."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core import registry

each = pytest.mark.parametrize("entry", list(registry.entries("optim.schedules")), ids=lambda entry: entry.name)
lengths = given(epochs=st.integers(1, 40), per_epoch=st.integers(1, 50))


@each
@settings(deadline=None)
@lengths
def test_factors_are_shares_and_reach_one(entry: registry.Entry, epochs: int, per_epoch: int) -> None:
    factor, steps = entry.build(), epochs * per_epoch
    factors = [factor(step, steps, per_epoch) for step in range(steps)]
    assert all(type(value) is float for value in factors)
    assert all(0 <= value <= 1 for value in factors)
    assert max(factors) == 1


@each
@settings(deadline=None)
@lengths
def test_it_rises_then_falls(entry: registry.Entry, epochs: int, per_epoch: int) -> None:
    factor, steps = entry.build(), epochs * per_epoch
    factors = [factor(step, steps, per_epoch) for step in range(steps + 5)]
    peak = factors.index(1)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


@each
@settings(deadline=None)
@given(step=st.integers(0, 10**9), steps=st.integers(1, 10**6), per_epoch=st.integers(1, 10**6))
def test_any_step_has_a_factor(entry: registry.Entry, step: int, steps: int, per_epoch: int) -> None:
    """Also one beyond the end: a run may be carried on."""
    value = entry.build()(step, steps, per_epoch)
    assert math.isfinite(value)
    assert 0 <= value <= 1


@each
def test_it_is_a_pure_function(entry: registry.Entry) -> None:
    assert set(entry.meta) == set()
    forward, other = entry.build(), entry.build()
    there = [forward(step, 60, 6) for step in range(60)]
    back = [other(step, 60, 6) for step in reversed(range(60))]
    assert there == back[::-1] == [forward(step, 60, 6) for step in range(60)]
