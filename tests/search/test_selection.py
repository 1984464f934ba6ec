"""The one-standard-error rule, compared with its definition."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.search.selection import choose_trial


def row(
    number: int, mean: float | None, se: float | None = 0.0, parameters: int | None = 1, **fields: Any
) -> dict[str, Any]:
    return {"number": number, "setting": {}, "mean": mean, "se": se, "parameters": parameters, "failure": "", **fields}


def test_simplest_trial_within_one_standard_error_is_chosen() -> None:
    trials = [row(1, 1.0, 0.1, 900), row(2, 1.1, 9.0, 500), row(3, 1.1 + 1e-9, 9.0, 100), row(4, 1.05, 0.0, 700)]
    assert choose_trial(trials, higher_is_better=False) == (1, 2)
    mirrored = [{**t, "mean": -t["mean"]} for t in trials]
    assert choose_trial(mirrored, higher_is_better=True) == (1, 2)


def test_ties_are_broken_by_weight_decay_epochs_mean_and_number() -> None:
    ten_epochs = {"epochs": 10}
    trials = [
        row(1, 1.00, 0.1, 5, setting={"lr": 1.0, "weight_decay": 0.1}, epochs=30),
        row(2, 1.04, 0.1, 5, setting={"lr": 0.1, "weight_decay": 0.5}, epochs=30),
        row(3, 1.06, 0.1, 5, setting={"lr": 0.1, "weight_decay": 0.5}, **ten_epochs),
        row(4, 1.05, 0.1, 5, setting={"lr": 9.0, "weight_decay": 0.5}, **ten_epochs),
        row(5, 1.05, 0.1, 5, setting={"lr": 9.0, "weight_decay": 0.5}, **ten_epochs),
        row(6, 1.09, 0.1, 6, setting={"lr": 9.0, "weight_decay": 9.0}, epochs=1),
    ]
    random.Random(0).shuffle(trials)
    assert choose_trial(trials, higher_is_better=False) == (1, 4)


@pytest.mark.parametrize("name", ["weight_decay", "optimizer.weight_decay"])
def test_weight_decay_may_have_an_owner(name: str) -> None:
    assert choose_trial([row(1, 1.0, 0.1, setting={name: 0.0}), row(2, 1.05, setting={name: 1.0})], False) == (1, 2)
    assert choose_trial([row(1, 1.0, 0.1, setting={"hdwd": 0.0}), row(2, 1.05, setting={"hdwd": 1.0})], False) == (1, 1)


def test_without_a_standard_error_only_equal_means_are_as_good() -> None:
    for se in (None, math.nan):
        assert choose_trial([row(1, 0.5, se, 9), row(2, 0.5, se, 3), row(3, 0.49, se, 1)], higher_is_better=True) == (
            2,
            2,
        )


def test_failed_trials_are_ignored() -> None:
    failed = [row(1, None), row(2, math.nan), row(3, math.inf), row(4, 0.0, failure="non-finite loss")]
    assert choose_trial(failed, higher_is_better=False) == (None, None)
    assert choose_trial([], higher_is_better=True) == (None, None)
    assert choose_trial([*failed, row(5, 3.0)], higher_is_better=False) == (5, 5)


def test_unknown_numbers_of_parameters_count_as_the_least_simple() -> None:
    assert choose_trial([row(1, 1.0, 0.5, None), row(2, 1.2, 0.0, 7)], higher_is_better=False) == (1, 2)
    assert choose_trial([row(1, 1.0, 0.5, 7), row(2, 1.2, 0.0, None)], higher_is_better=False) == (1, 1)


values = st.integers(-4, 4).map(lambda i: i / 4)


@given(st.lists(st.tuples(values, st.sampled_from([0.0, 0.25, 0.5]), st.integers(1, 3)), min_size=1), st.booleans())
def test_every_choice_satisfies_the_definition(rows: list[tuple[float, float, int]], higher_is_better: bool) -> None:
    trials = [row(i, mean, se, size) for i, (mean, se, size) in enumerate(rows, 1)]
    best, chosen = (trials[number - 1] for number in choose_trial(trials, higher_is_better) if number)
    sign = 1 if higher_is_better else -1
    assert sign * best["mean"] == max(sign * t["mean"] for t in trials)
    candidates = [t for t in trials if abs(t["mean"] - best["mean"]) <= best["se"]]
    assert chosen in candidates
    assert chosen["parameters"] == min(t["parameters"] for t in candidates)
    assert sign * chosen["mean"] == max(sign * t["mean"] for t in candidates if t["parameters"] == chosen["parameters"])
