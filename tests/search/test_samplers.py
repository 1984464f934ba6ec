"""The samplers, compared with their definitions; each is determined by its seed and the losses."""

import itertools
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core import registry
from yisheng.core.errors import MissingPartError
from yisheng.search.axes import Axis
from yisheng.search.samplers.coarse import shrink_axis
from yisheng.search.trials import draw_settings, make_generator, rank

AXES = (
    Axis("lr", "optimizer.lr", "log", low=1e-4, high=1.0),
    Axis("dropout", "model.dropout", "uniform", low=0.0, high=0.5),
    Axis("width", "model.width", "logint", low=4, high=256),
    Axis("batch", "batch", "int", low=8, high=64),
    Axis("optimizer", "optimizer", values=("sgd", "adam", "adamw")),
)
CHOICES = (Axis("a", "a", values=(1, 2, 3)), Axis("b", "b", values=("x", "y")), Axis("c", "c", values=([8], [8, 8])))


def rounds(name, axes=AXES, loss=None, **options):
    """Return all rounds of a search, each as (trials, losses)."""
    loss = loss or (lambda setting: abs(math.log10(setting["lr"]) + 2) + setting["dropout"])
    search = registry.build("search.samplers", name, axes, **options)
    finished_rounds, trials = [], next(search)
    while True:
        losses = [loss(trial.setting) for trial in trials]
        finished_rounds.append((trials, losses))
        try:
            trials = search.send(losses)
        except StopIteration:
            return finished_rounds


def settings(finished_rounds):
    return [trial.setting for trials, _ in finished_rounds for trial in trials]


def numbers(finished_rounds):
    return [trial.number for trials, _ in finished_rounds for trial in trials]


def options(name, **changes):
    if name == "tpe":
        pytest.importorskip("optuna")
    return {"n": 13, "seed": 3, **changes} | ({"epochs": 9} if name == "halving" else {})


def test_grid_is_the_product_of_the_axes():
    finished_rounds = rounds("grid", CHOICES, lambda setting: 0.0, n=0, seed=0)
    assert len(finished_rounds) == 1
    expected = list(itertools.product((1, 2, 3), ("x", "y"), ([8], [8, 8])))
    assert [tuple(setting.values()) for setting in settings(finished_rounds)] == expected
    assert numbers(finished_rounds) == list(range(1, 13))


@pytest.mark.parametrize("name", ["random", "coarse", "halving", "tpe"])
def test_search_is_determined_by_its_seed_and_the_losses(name):
    first, repeated = (rounds(name, **options(name)) for _ in range(2))
    assert first == repeated
    assert settings(first) != settings(rounds(name, **options(name, seed=4)))
    assert numbers(first) == list(range(1, len(numbers(first)) + 1))


@pytest.mark.parametrize("name", ["random", "coarse", "halving", "tpe"])
def test_settings_are_in_the_space(name):
    for setting in settings(rounds(name, **options(name))):
        assert list(setting) == [axis.name for axis in AXES]
        assert 1e-4 <= setting["lr"] <= 1
        assert 0 <= setting["dropout"] <= 0.5
        assert isinstance(setting["width"], int)
        assert 4 <= setting["width"] <= 256
        assert setting["optimizer"] in ("sgd", "adam", "adamw")
        assert float(f"{setting['lr']:.4g}") == setting["lr"]  # the digits of the table can be typed again


@pytest.mark.parametrize("name", ["random", "coarse", "halving", "tpe"])
def test_failures_do_not_stop_a_search(name):
    finished_rounds = rounds(
        name, loss=lambda setting: None if setting["optimizer"] == "sgd" else math.nan, **options(name)
    )
    assert len(settings(finished_rounds)) >= (9 if name == "halving" else 13)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20])
def test_random_and_coarse_yield_the_requested_number(n):
    for name in ("random", "coarse"):
        drawn = settings(rounds(name, n=n, seed=0))
        assert len(drawn) == n
        assert len({repr(setting) for setting in drawn}) == n


def test_settings_are_distinct_and_a_small_space_is_exhausted():
    axes = (*CHOICES[:2], Axis("k", "k", "int", low=1, high=2))
    drawn = settings(rounds("random", axes, lambda setting: 0.0, n=100, seed=0))
    assert len(drawn) == len({repr(setting) for setting in drawn}) == 12


def test_random_is_uniform_on_the_scale_of_each_axis():
    drawn = draw_settings(AXES, 4000, make_generator(0))
    for axis in AXES[:3]:
        positions = [axis.position_of(setting[axis.name]) for setting in drawn]
        quarters = [sum(k / 4 <= position < (k + 1) / 4 for position in positions) / len(positions) for k in range(4)]
        assert all(abs(fraction - 0.25) < 0.05 for fraction in quarters), axis
    fraction = sum(setting["optimizer"] == "sgd" for setting in drawn) / len(drawn)
    assert abs(fraction - 1 / 3) < 0.03


def test_coarse_shrinks_the_space_around_the_best_third():
    (coarse, losses), (fine, _) = rounds("coarse", n=60, seed=1)
    best = [coarse[i].setting for i in rank(losses)[:10]]
    for axis in AXES[:2]:
        positions = [axis.position_of(setting[axis.name]) for setting in best]
        low, high = min(positions) - 0.5 / 30, max(positions) + 0.5 / 30
        assert all(low - 1e-3 <= axis.position_of(trial.setting[axis.name]) <= high + 1e-3 for trial in fine)
    coarse_positions, fine_positions = (
        [AXES[0].position_of(trial.setting["lr"]) for trial in trials] for trials in (coarse, fine)
    )
    assert max(fine_positions) - min(fine_positions) < 0.75 * (max(coarse_positions) - min(coarse_positions))
    assert {trial.setting["optimizer"] for trial in fine} <= {setting["optimizer"] for setting in best}


@given(st.integers(0, 1000), st.integers(1, 20), st.sampled_from(AXES))
def test_shrunken_axis_contains_its_values_and_is_in_the_axis(seed, n, axis):
    values = [axis.value_at(make_generator(seed, k).random()) for k in range(n)]
    smaller = shrink_axis(axis, values, 3 * n)
    if axis.values is not None:
        assert set(smaller.values) == set(values)
    else:
        assert axis.low <= smaller.low <= min(values) <= max(values) <= smaller.high <= axis.high
        assert smaller.low <= smaller.value_at(0.999) <= smaller.high


@pytest.mark.parametrize(
    ("n", "epochs", "eta", "sizes"),
    [
        (27, 27, 3, [(27, 1), (9, 3), (3, 9), (1, 27)]),
        (27, 9, 3, [(27, 1), (9, 3), (3, 9)]),
        (9, 100, 3, [(9, 11), (3, 33), (1, 100)]),
        (16, 16, 2, [(16, 1), (8, 2), (4, 4), (2, 8), (1, 16)]),
        (1, 50, 3, [(1, 50)]),
        (5, 1, 3, [(5, 1)]),
        (40, 20, 3, [(40, 2), (13, 6), (4, 20)]),
    ],
)
def test_sizes_and_epochs_of_the_rungs_of_halving(n, epochs, eta, sizes):
    rungs = rounds("halving", n=n, seed=0, epochs=epochs, eta=eta)
    assert [(len(trials), trials[0].epochs) for trials, _ in rungs] == sizes
    for (trials, losses), (next_trials, _) in itertools.pairwise(rungs):
        best = [trials[i].setting for i in rank(losses)[: len(next_trials)]]
        assert [trial.setting for trial in next_trials] == best


def test_halving_drops_failures_first():
    rungs = rounds("halving", loss=lambda s: None if s["optimizer"] != "sgd" else s["lr"], n=9, seed=0, epochs=9)
    assert all(trial.setting["optimizer"] == "sgd" for trials, _ in rungs[1:] for trial in trials)


def test_first_rung_of_halving_has_min_epochs():
    rungs = rounds("halving", n=27, seed=0, epochs=27, min_epochs=5)
    assert [trials[0].epochs for trials, _ in rungs] == [9, 27]


def test_tpe_improves_over_its_rounds():
    pytest.importorskip("optuna")
    finished_rounds = rounds("tpe", n=60, seed=0)
    (_, first_losses), *_, (_, last_losses) = finished_rounds
    assert len(finished_rounds) == 6
    assert sum(last_losses) / len(last_losses) < sum(first_losses) / len(first_losses)


def test_tpe_without_optuna_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPartError, match="yisheng\\[tune\\]"):
        next(registry.build("search.samplers", "tpe", AXES, n=3, seed=0))
