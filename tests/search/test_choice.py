"""The one-standard-error rule, against its definition written out."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.search.selection import choose


def row(
    number: int, mean: float | None, se: float | None = 0.0, parameters: int | None = 1, **more: Any
) -> dict[str, Any]:
    return {"number": number, "setting": {}, "mean": mean, "se": se, "parameters": parameters, "failure": "", **more}


def test_the_simplest_within_one_standard_error() -> None:
    trials = [row(1, 1.0, 0.1, 900), row(2, 1.1, 9.0, 500), row(3, 1.1 + 1e-9, 9.0, 100), row(4, 1.05, 0.0, 700)]
    assert choose(trials, higher=False) == (1, 2)
    mirrored = [{**t, "mean": -t["mean"]} for t in trials]
    assert choose(mirrored, higher=True) == (1, 2)


def test_ties_are_broken_in_the_order_that_is_told() -> None:
    same = {"epochs": 10}
    trials = [
        row(1, 1.00, 0.1, 5, setting={"lr": 1.0, "wd": 0.1}, epochs=30),
        row(2, 1.04, 0.1, 5, setting={"lr": 0.1, "wd": 0.5}, epochs=30),
        row(3, 1.06, 0.1, 5, setting={"lr": 0.1, "wd": 0.5}, **same),
        row(4, 1.05, 0.1, 5, setting={"lr": 9.0, "wd": 0.5}, **same),
        row(5, 1.05, 0.1, 5, setting={"lr": 9.0, "wd": 0.5}, **same),
        row(6, 1.09, 0.1, 6, setting={"lr": 9.0, "wd": 9.0}, epochs=1),
    ]
    random.Random(0).shuffle(trials)
    assert choose(trials, higher=False) == (1, 4)


@pytest.mark.parametrize("name", ["wd", "optimizer.wd", "weight_decay"])
def test_weight_decay_by_any_of_its_names(name: str) -> None:
    assert choose([row(1, 1.0, 0.1, setting={name: 0.0}), row(2, 1.05, setting={name: 1.0})], False) == (1, 2)
    assert choose([row(1, 1.0, 0.1, setting={"hdwd": 0.0}), row(2, 1.05, setting={"hdwd": 1.0})], False) == (1, 1)


def test_without_a_standard_error_only_the_same_mean_is_as_good() -> None:
    for se in (None, math.nan):
        assert choose([row(1, 0.5, se, 9), row(2, 0.5, se, 3), row(3, 0.49, se, 1)], higher=True) == (2, 2)


def test_failures_are_passed_over() -> None:
    bad = [row(1, None), row(2, math.nan), row(3, math.inf), row(4, 0.0, failure="non-finite loss")]
    assert choose(bad, higher=False) == (None, None)
    assert choose([], higher=True) == (None, None)
    assert choose([*bad, row(5, 3.0)], higher=False) == (5, 5)


def test_unknown_sizes_count_as_the_least_simple() -> None:
    assert choose([row(1, 1.0, 0.5, None), row(2, 1.2, 0.0, 7)], higher=False) == (1, 2)
    assert choose([row(1, 1.0, 0.5, 7), row(2, 1.2, 0.0, None)], higher=False) == (1, 1)


values = st.integers(-4, 4).map(lambda i: i / 4)


@given(st.lists(st.tuples(values, st.sampled_from([0.0, 0.25, 0.5]), st.integers(1, 3)), min_size=1), st.booleans())
def test_what_holds_of_every_choice(given_rows: list[tuple[float, float, int]], higher: bool) -> None:
    trials = [row(i, mean, se, size) for i, (mean, se, size) in enumerate(given_rows, 1)]
    best, chosen = (trials[number - 1] for number in choose(trials, higher) if number)
    sign = 1 if higher else -1
    assert sign * best["mean"] == max(sign * t["mean"] for t in trials)
    near = [t for t in trials if abs(t["mean"] - best["mean"]) <= best["se"]]
    assert chosen in near
    assert chosen["parameters"] == min(t["parameters"] for t in near)
    assert sign * chosen["mean"] == max(sign * t["mean"] for t in near if t["parameters"] == chosen["parameters"])
