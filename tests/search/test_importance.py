"""Importance of parameters: against the analysis of variance worked out by hand, and honest where little is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.search.importance import FEWEST, importance


def ranged(name: str, kind: str = "uniform", low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    return {"name": name, "kind": kind, "values": None, "low": low, "high": high}


def choice(name: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "choice", "values": list(values), "low": None, "high": None}


def drawn(n: int, *names: str, seed: int = 0) -> list[dict[str, float]]:
    return [dict(zip(names, row, strict=True)) for row in np.random.default_rng(seed).random((n, len(names))).tolist()]


def test_shares_are_those_of_the_analysis_of_variance() -> None:
    """f = 2 a + b + 0 c on the unit cube: Var = 4/12 + 1/12, so a has four fifths and b one."""
    trials = drawn(250, "a", "b", "c")
    shares = importance([ranged(n) for n in "abc"], trials, [2 * t["a"] + t["b"] for t in trials])
    assert shares is not None
    assert shares["a"] == pytest.approx(0.8, abs=0.05)
    assert shares["b"] == pytest.approx(0.2, abs=0.05)
    assert shares["c"] < 0.01


def test_of_a_grid_of_choices_too() -> None:
    """Main effects of a full table, as the two-way analysis of variance without repetition has them."""
    rates, nets = [0.001, 0.01, 0.1, 1.0, 10.0], [[16], [64], [64, 64]]
    table = np.array([[5.0, 5, 5], [3, 3, 3], [1, 1, 1], [2, 2, 2], [9, 9, 9]]) + np.array([0.0, 0.8, 1.6])
    effects = (table.mean(1).var() / table.var(), table.mean(0).var() / table.var())
    pairs = list(itertools.product(range(5), range(3))) * 4
    trials = [{"lr": rates[i], "hidden": nets[j]} for i, j in pairs]
    shares = importance([choice("lr", *rates), choice("hidden", *nets)], trials, [table[i, j] for i, j in pairs])
    assert shares is not None
    assert shares["lr"] == pytest.approx(effects[0], abs=0.02)
    assert shares["hidden"] == pytest.approx(effects[1], abs=0.02)


def test_pure_interplay_is_nobodys_alone() -> None:
    trials = drawn(300, "a", "b")
    shares = importance(
        [ranged("a"), ranged("b")], trials, [math.copysign(1, (t["a"] - 0.5) * (t["b"] - 0.5)) for t in trials]
    )
    assert shares is not None
    assert sum(shares.values()) < 0.1


def test_noise_has_no_importance() -> None:
    trials = drawn(60, "a", "b")
    noise = np.random.default_rng(1).normal(size=60).tolist()
    assert sum((importance([ranged("a"), ranged("b")], trials, noise) or {}).values()) < 0.15


def test_a_log_axis_is_measured_on_its_own_scale() -> None:
    """The same trials, told as x or as e^x, have the same shares."""
    plain = drawn(80, "lr", "wd")
    scores = [t["lr"] + 0.5 * t["wd"] for t in plain]
    logged = [{name: math.exp(value) for name, value in t.items()} for t in plain]
    one = importance([ranged("lr"), ranged("wd")], plain, scores)
    other = importance([ranged("lr", "log", 1.0, math.e), ranged("wd", "log", 1.0, math.e)], logged, scores)
    assert one == pytest.approx(other, abs=0.02)


def test_one_diverged_trial_is_not_all_the_variance() -> None:
    trials = drawn(60, "a", "b")
    scores = [t["a"] for t in trials]
    usual = importance([ranged("a"), ranged("b")], trials, scores)
    scores[7] = 1e20
    with_wild = importance([ranged("a"), ranged("b")], trials, scores)
    assert usual is not None
    assert with_wild is not None
    assert with_wild["a"] == pytest.approx(usual["a"], abs=0.25)
    assert with_wild["b"] < 0.1


def test_nothing_is_said_of_few_trials_or_of_equal_ones() -> None:
    axes, trials = [ranged("a")], drawn(40, "a")
    scores: list[float | None] = [t["a"] for t in trials]
    assert importance(axes, trials[: FEWEST - 1], scores[: FEWEST - 1]) is None
    assert importance(axes, trials, [None] * 33 + scores[33:]) is None
    assert importance(axes, trials, [math.nan] * 33 + scores[33:]) is None
    assert importance(axes, trials, [0.25] * 40) is None
    assert importance([], [{}] * 40, scores) is None
    assert importance(axes, trials, [None] * 10 + scores[10:]) is not None


def test_a_fixed_parameter_has_none() -> None:
    trials = [{**t, "net": "mlp", "momentum": 0.9} for t in drawn(40, "a")]
    axes = [ranged("a"), choice("net", "mlp"), ranged("momentum", "uniform", 0.9, 0.9)]
    shares = importance(axes, trials, [t["a"] for t in trials])
    assert shares is not None
    assert shares["net"] == shares["momentum"] == 0
    assert shares["a"] > 0.8


def test_python_and_json_say_the_same() -> None:
    nets, rates = [(16,), (64, 64)], [1, 10]
    pairs = list(itertools.product(nets, rates)) * 4
    scores = [len(net) + rate / 20 for net, rate in pairs]
    python = [{"hidden": net, "lr": rate} for net, rate in pairs]
    json = [{"hidden": list(net), "lr": float(rate)} for net, rate in pairs]
    axes = [choice("hidden", *map(list, nets)), choice("lr", *rates)]
    assert importance(axes, python, scores) == importance(axes, json, scores)


@settings(max_examples=10)
@given(st.integers(FEWEST, 30), st.integers(0, 2**32 - 1), st.sampled_from(["uniform", "log", "int", "logint"]))
def test_shares_are_shares(n: int, seed: int, kind: str) -> None:
    draw = np.random.default_rng(seed)
    axes = [ranged("a", kind, 1, 50), choice("b", "x", None, True)]
    trials = [{"a": int(draw.integers(1, 51)), "b": ("x", None, True)[draw.integers(3)]} for _ in range(n)]
    scores = draw.normal(size=n).tolist()
    shares = importance(axes, trials, scores)
    assert shares is None or (set(shares) == {"a", "b"} and 0 <= min(shares.values()) <= sum(shares.values()) <= 1)
    assert shares == importance(axes, trials, scores)
