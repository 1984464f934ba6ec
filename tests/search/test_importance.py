"""Importance of parameters, compared with the analysis of variance."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.search.importance import MIN_TRIALS, compute_importance


def range_axis(name: str, kind: str = "uniform", low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    return {"name": name, "kind": kind, "values": None, "low": low, "high": high}


def choice_axis(name: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "choice", "values": list(values), "low": None, "high": None}


def draw_settings(n: int, *names: str, seed: int = 0) -> list[dict[str, float]]:
    return [dict(zip(names, row, strict=True)) for row in np.random.default_rng(seed).random((n, len(names))).tolist()]


def test_importance_matches_the_analysis_of_variance() -> None:
    """f = 2 a + b + 0 c on the unit cube: Var = 4/12 + 1/12, so a explains four fifths and b one fifth."""
    trials = draw_settings(250, "a", "b", "c")
    importance = compute_importance([range_axis(n) for n in "abc"], trials, [2 * t["a"] + t["b"] for t in trials])
    assert importance is not None
    assert importance["a"] == pytest.approx(0.8, abs=0.05)
    assert importance["b"] == pytest.approx(0.2, abs=0.05)
    assert importance["c"] < 0.01


def test_importance_of_a_grid_of_choices() -> None:
    """The main effects of a full table in a two-way analysis of variance without repetition."""
    rates, nets = [0.001, 0.01, 0.1, 1.0, 10.0], [[16], [64], [64, 64]]
    table = np.array([[5.0, 5, 5], [3, 3, 3], [1, 1, 1], [2, 2, 2], [9, 9, 9]]) + np.array([0.0, 0.8, 1.6])
    effects = (table.mean(1).var() / table.var(), table.mean(0).var() / table.var())
    pairs = list(itertools.product(range(5), range(3))) * 4
    trials = [{"lr": rates[i], "hidden": nets[j]} for i, j in pairs]
    importance = compute_importance(
        [choice_axis("lr", *rates), choice_axis("hidden", *nets)], trials, [table[i, j] for i, j in pairs]
    )
    assert importance is not None
    assert importance["lr"] == pytest.approx(effects[0], abs=0.02)
    assert importance["hidden"] == pytest.approx(effects[1], abs=0.02)


def test_pure_interaction_gives_no_parameter_importance() -> None:
    trials = draw_settings(300, "a", "b")
    importance = compute_importance(
        [range_axis("a"), range_axis("b")], trials, [math.copysign(1, (t["a"] - 0.5) * (t["b"] - 0.5)) for t in trials]
    )
    assert importance is not None
    assert sum(importance.values()) < 0.1


def test_noise_has_no_importance() -> None:
    trials = draw_settings(60, "a", "b")
    noise = np.random.default_rng(1).normal(size=60).tolist()
    assert sum((compute_importance([range_axis("a"), range_axis("b")], trials, noise) or {}).values()) < 0.15


def test_log_axes_are_measured_on_their_scale() -> None:
    """The same trials as x or as e^x have the same importance."""
    linear = draw_settings(80, "lr", "weight_decay")
    scores = [t["lr"] + 0.5 * t["weight_decay"] for t in linear]
    exponential = [{name: math.exp(value) for name, value in t.items()} for t in linear]
    on_linear = compute_importance([range_axis("lr"), range_axis("weight_decay")], linear, scores)
    on_log = compute_importance(
        [range_axis("lr", "log", 1.0, math.e), range_axis("weight_decay", "log", 1.0, math.e)], exponential, scores
    )
    assert on_linear == pytest.approx(on_log, abs=0.02)


def test_one_diverged_trial_does_not_dominate() -> None:
    trials = draw_settings(60, "a", "b")
    scores = [t["a"] for t in trials]
    regular = compute_importance([range_axis("a"), range_axis("b")], trials, scores)
    scores[7] = 1e20
    with_outlier = compute_importance([range_axis("a"), range_axis("b")], trials, scores)
    assert regular is not None
    assert with_outlier is not None
    assert with_outlier["a"] == pytest.approx(regular["a"], abs=0.25)
    assert with_outlier["b"] < 0.1


def test_few_or_equal_trials_give_no_importance() -> None:
    axes, trials = [range_axis("a")], draw_settings(40, "a")
    scores: list[float | None] = [t["a"] for t in trials]
    assert compute_importance(axes, trials[: MIN_TRIALS - 1], scores[: MIN_TRIALS - 1]) is None
    assert compute_importance(axes, trials, [None] * 33 + scores[33:]) is None
    assert compute_importance(axes, trials, [math.nan] * 33 + scores[33:]) is None
    assert compute_importance(axes, trials, [0.25] * 40) is None
    assert compute_importance([], [{}] * 40, scores) is None
    assert compute_importance(axes, trials, [None] * 10 + scores[10:]) is not None


def test_fixed_parameters_have_no_importance() -> None:
    trials = [{**t, "net": "mlp", "momentum": 0.9} for t in draw_settings(40, "a")]
    axes = [range_axis("a"), choice_axis("net", "mlp"), range_axis("momentum", "uniform", 0.9, 0.9)]
    importance = compute_importance(axes, trials, [t["a"] for t in trials])
    assert importance is not None
    assert importance["net"] == importance["momentum"] == 0
    assert importance["a"] > 0.8


def test_values_of_python_and_json_are_equal() -> None:
    nets, rates = [(16,), (64, 64)], [1, 10]
    pairs = list(itertools.product(nets, rates)) * 4
    scores = [len(net) + rate / 20 for net, rate in pairs]
    python = [{"hidden": net, "lr": rate} for net, rate in pairs]
    json = [{"hidden": list(net), "lr": float(rate)} for net, rate in pairs]
    axes = [choice_axis("hidden", *map(list, nets)), choice_axis("lr", *rates)]
    assert compute_importance(axes, python, scores) == compute_importance(axes, json, scores)


@settings(max_examples=10)
@given(st.integers(MIN_TRIALS, 30), st.integers(0, 2**32 - 1), st.sampled_from(["uniform", "log", "int", "logint"]))
def test_importance_is_a_fraction(n: int, seed: int, kind: str) -> None:
    draw = np.random.default_rng(seed)
    axes = [range_axis("a", kind, 1, 50), choice_axis("b", "x", None, True)]
    trials = [{"a": int(draw.integers(1, 51)), "b": ("x", None, True)[draw.integers(3)]} for _ in range(n)]
    scores = draw.normal(size=n).tolist()
    importance = compute_importance(axes, trials, scores)
    assert importance is None or (
        set(importance) == {"a", "b"} and 0 <= min(importance.values()) <= sum(importance.values()) <= 1
    )
    assert importance == compute_importance(axes, trials, scores)
