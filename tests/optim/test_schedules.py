"""Every schedule equals torch's scheduler, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.optim.schedules import Factor

LR = 0.4
EPOCHS, PER_EPOCH = 12, 7
STEPS = EPOCHS * PER_EPOCH


def make_schedule(name: str, **options: Any) -> Factor:
    return registry.find("optim.schedules", name).build(**options)


def torch_rates(make_scheduler: Callable[[torch.optim.Optimizer], Any], steps: int, per_epoch: int = 1) -> list[float]:
    """Return a torch scheduler's learning rates; it is advanced every ``per_epoch`` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = make_scheduler(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % per_epoch == 0 and step + 1 < steps:
            scheduler.step()
    return rates


def assert_equal(factor: Factor, expected: list[float], per_epoch: int = PER_EPOCH) -> None:
    rates = [LR * factor(step, len(expected), per_epoch) for step in range(len(expected))]
    torch.testing.assert_close(rates, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [0.0, 0.3, 1.0])
def test_inverse(k):
    expected = torch_rates(lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + k * epoch)), STEPS, PER_EPOCH)
    assert_equal(make_schedule("inverse", k=k), expected)


@pytest.mark.parametrize(("step_size", "factor"), [(1, 0.5), (5, 0.1), (30, 0.1)])
def test_step(step_size, factor):
    assert_equal(
        make_schedule("step", step_size=step_size, factor=factor),
        torch_rates(lambda o: lr_scheduler.StepLR(o, step_size, factor), STEPS, PER_EPOCH),
    )


@pytest.mark.parametrize("rate", [0.5, 0.95, 1.0])
def test_exponential(rate):
    assert_equal(
        make_schedule("exponential", rate=rate),
        torch_rates(lambda o: lr_scheduler.ExponentialLR(o, rate), STEPS, PER_EPOCH),
    )


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_cosine(floor):
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=floor * LR), STEPS)
    assert_equal(make_schedule("cosine", warmup=0, floor=floor), expected)


@pytest.mark.parametrize("warmup", [0.05, 0.5, 0.99])
def test_cosine_with_warm_up(warmup):
    peak = math.floor(warmup * STEPS)

    def make_warm_up(optimizer):
        rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (peak + 1), total_iters=peak)
        return lr_scheduler.SequentialLR(
            optimizer, [rise, lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - peak)], [peak]
        )

    assert_equal(make_schedule("cosine", warmup=warmup), torch_rates(make_warm_up, STEPS))


@settings(max_examples=50, deadline=None)
@given(
    steps=st.integers(2, 200),
    warmup=st.floats(0, 1),
    start=st.floats(0.01, 1),
    floor=st.floats(1e-4, 1),
)
def test_one_cycle(steps, warmup, start, floor):
    peak = max(round(warmup * steps) - 1, 0)
    assume(peak >= 1)  # torch divides by zero without a warm-up
    expected = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(
            o,
            max_lr=LR,
            total_steps=steps,
            pct_start=(peak + 1) / steps,
            div_factor=1 / start,
            final_div_factor=start / floor,
            cycle_momentum=False,
        ),
        steps,
    )
    assert_equal(make_schedule("one-cycle", warmup=warmup, start=start, floor=floor), expected)


def test_the_default_one_cycle_equals_torchs_default():
    expected = torch_rates(lambda o: lr_scheduler.OneCycleLR(o, max_lr=LR, total_steps=100, cycle_momentum=False), 100)
    assert_equal(make_schedule("one-cycle"), expected)


@settings(deadline=None)
@given(
    warmup=st.floats(0, 1, exclude_max=True),
    start=st.floats(0, 1),
    floor=st.floats(0, 1),
    steps=st.integers(1, 300),
    per_epoch=st.integers(1, 50),
)
def test_cosines_are_within_their_bounds_and_reach_one(warmup, start, floor, steps, per_epoch):
    cosine = make_schedule("cosine", warmup=warmup, floor=floor)
    one_cycle = make_schedule("one-cycle", warmup=warmup, start=start, floor=floor)
    for factor in (cosine, one_cycle):
        factors = [factor(step, steps, per_epoch) for step in range(steps)]
        assert all(0 <= value <= 1 for value in factors)
        assert max(factors) == 1
        assert factor(steps, steps, per_epoch) <= factors[-1]
    assert cosine(steps, steps, per_epoch) == cosine(9 * steps, steps, per_epoch) == floor
    assert one_cycle(steps - 1, steps, per_epoch) == one_cycle(9 * steps, steps, per_epoch)


@settings(deadline=None)
@given(k=st.floats(0, 1e300), step=st.integers(0, 10**12))
def test_decay_does_not_overflow(k, step):
    factors = [
        make_schedule("inverse", k=k)(step, 10, 1),
        make_schedule("exponential", rate=0.5)(step, 10, 1),
        make_schedule("step", step_size=1, factor=1e-300)(step, 10, 1),
    ]
    assert all(0 <= value <= 1 for value in factors)


def test_the_rate_is_constant_within_an_epoch():
    for name in ("inverse", "exponential", "step"):
        factors = [make_schedule(name)(step, STEPS, PER_EPOCH) for step in range(STEPS)]
        assert all(len(set(factors[start : start + PER_EPOCH])) == 1 for start in range(0, STEPS, PER_EPOCH))
    assert len({make_schedule("exponential")(step, STEPS, PER_EPOCH) for step in range(STEPS)}) == EPOCHS


@pytest.mark.parametrize(
    "settings_text",
    [
        ("schedule=inverse", "k=-1"),
        ("schedule=step", "step_size=0"),
        ("schedule=step", "step_size=1.5"),
        ("schedule=step", "factor=0"),
        ("schedule=exponential", "rate=1.1"),
        ("schedule=cosine", "warmup=1"),
        ("schedule=cosine", "floor=nan"),
        ("schedule=one-cycle", "start=2"),
        ("schedule=constant", "rate=0.5"),
    ],
)
def test_invalid_options_are_errors(settings_text):
    with pytest.raises(UsageError):
        merge_settings([(*setting.split("="), "command line") for setting in settings_text])


def test_schedules_do_not_need_torch():
    import subprocess
    import sys

    code = "from yisheng.core.registry import entries; [e.build()(3, 10, 5) for e in entries('optim.schedules')]"
    process = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == "False"
