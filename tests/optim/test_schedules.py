"""Trajectories against torch's schedulers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torchs

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.optim.schedules import Factor

LR = 0.4
EPOCHS, PER_EPOCH = 12, 7
STEPS = EPOCHS * PER_EPOCH


def make(name: str, **options: Any) -> Factor:
    return registry.find("optim.schedules", name).build(**options)


def rates(make_torchs: Callable[[torch.optim.Optimizer], Any], steps: int, every: int = 1) -> list[float]:
    """Learning rates of torch's scheduler, advanced after every so many steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = make_torchs(optimizer)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < steps:
            scheduler.step()
    return found


def assert_equal(factor: Factor, expected: list[float], per_epoch: int = PER_EPOCH) -> None:
    found = [LR * factor(step, len(expected), per_epoch) for step in range(len(expected))]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [0.0, 0.3, 1.0])
def test_inverse(k):
    book = rates(lambda o: torchs.LambdaLR(o, lambda epoch: 1 / (1 + k * epoch)), STEPS, PER_EPOCH)
    assert_equal(make("inverse", k=k), book)


@pytest.mark.parametrize(("every", "factor"), [(1, 0.5), (5, 0.1), (30, 0.1)])
def test_step(every, factor):
    assert_equal(
        make("step", every=every, factor=factor), rates(lambda o: torchs.StepLR(o, every, factor), STEPS, PER_EPOCH)
    )


@pytest.mark.parametrize("rate", [0.5, 0.95, 1.0])
def test_exponential(rate):
    assert_equal(make("exponential", rate=rate), rates(lambda o: torchs.ExponentialLR(o, rate), STEPS, PER_EPOCH))


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_cosine(floor):
    book = rates(lambda o: torchs.CosineAnnealingLR(o, T_max=STEPS, eta_min=floor * LR), STEPS)
    assert_equal(make("cosine", warmup=0, floor=floor), book)


@pytest.mark.parametrize("warmup", [0.05, 0.5, 0.99])
def test_cosine_with_warm_up(warmup):
    top = math.floor(warmup * STEPS)

    def warm(optimizer):
        up = torchs.LinearLR(optimizer, start_factor=1 / (top + 1), total_iters=top)
        return torchs.SequentialLR(optimizer, [up, torchs.CosineAnnealingLR(optimizer, T_max=STEPS - top)], [top])

    assert_equal(make("cosine", warmup=warmup), rates(warm, STEPS))


@settings(max_examples=50, deadline=None)
@given(
    steps=st.integers(2, 200),
    warmup=st.floats(0, 1),
    start=st.floats(0.01, 1),
    floor=st.floats(1e-4, 1),
)
def test_one_cycle(steps, warmup, start, floor):
    peak = max(round(warmup * steps) - 1, 0)
    assume(peak >= 1)  # torch divides by zero where nothing rises
    book = rates(
        lambda o: torchs.OneCycleLR(
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
    assert_equal(make("one-cycle", warmup=warmup, start=start, floor=floor), book)


def test_one_cycle_is_torchs_by_default():
    book = rates(lambda o: torchs.OneCycleLR(o, max_lr=LR, total_steps=100, cycle_momentum=False), 100)
    assert_equal(make("one-cycle"), book)


@settings(deadline=None)
@given(
    warmup=st.floats(0, 1, exclude_max=True),
    start=st.floats(0, 1),
    floor=st.floats(0, 1),
    steps=st.integers(1, 300),
    per_epoch=st.integers(1, 50),
)
def test_waves_stay_within_their_ends_and_touch_one(warmup, start, floor, steps, per_epoch):
    cosine = make("cosine", warmup=warmup, floor=floor)
    one_cycle = make("one-cycle", warmup=warmup, start=start, floor=floor)
    for factor in (cosine, one_cycle):
        factors = [factor(step, steps, per_epoch) for step in range(steps)]
        assert all(0 <= value <= 1 for value in factors)
        assert max(factors) == 1
        assert factor(steps, steps, per_epoch) <= factors[-1]
    assert cosine(steps, steps, per_epoch) == cosine(9 * steps, steps, per_epoch) == floor
    assert one_cycle(steps - 1, steps, per_epoch) == one_cycle(9 * steps, steps, per_epoch)


@settings(deadline=None)
@given(k=st.floats(0, 1e300), step=st.integers(0, 10**12))
def test_decay_fades_without_overflow(k, step):
    factors = [
        make("inverse", k=k)(step, 10, 1),
        make("exponential", rate=0.5)(step, 10, 1),
        make("step", every=1, factor=1e-300)(step, 10, 1),
    ]
    assert all(0 <= value <= 1 for value in factors)


def test_whole_epochs_share_a_rate():
    for name in ("inverse", "exponential", "step"):
        factors = [make(name)(step, STEPS, PER_EPOCH) for step in range(STEPS)]
        assert all(len(set(factors[at : at + PER_EPOCH])) == 1 for at in range(0, STEPS, PER_EPOCH))
    assert len({make("exponential")(step, STEPS, PER_EPOCH) for step in range(STEPS)}) == EPOCHS


@pytest.mark.parametrize(
    "words",
    [
        ("schedule=inverse", "k=-1"),
        ("schedule=step", "every=0"),
        ("schedule=step", "every=1.5"),
        ("schedule=step", "factor=0"),
        ("schedule=exponential", "rate=1.1"),
        ("schedule=cosine", "warmup=1"),
        ("schedule=cosine", "floor=nan"),
        ("schedule=one-cycle", "start=2"),
        ("schedule=constant", "rate=0.5"),
    ],
)
def test_bad_options_are_refused(words):
    with pytest.raises(UsageError):
        merge_settings([(*word.split("="), "command line") for word in words])


def test_schedules_do_not_need_torch():
    import subprocess
    import sys

    code = "from yisheng.core.registry import entries; [e.build()(3, 10, 5) for e in entries('optim.schedules')]"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
