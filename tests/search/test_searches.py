"""The searches, against what their definitions say; all of them determined by seed and scores alone."""

import itertools
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core import config
from yisheng.core.errors import MissingPartError
from yisheng.search.axes import Axis
from yisheng.search.samplers.coarse import box
from yisheng.search.trials import chance, draw, ranked

AXES = (
    Axis("lr", "optimizer.lr", "log", low=1e-4, high=1.0),
    Axis("dropout", "model.dropout", "uniform", low=0.0, high=0.5),
    Axis("width", "model.width", "logint", low=4, high=256),
    Axis("batch", "batch", "int", low=8, high=64),
    Axis("optimizer", "optimizer", values=("sgd", "adam", "adamw")),
)
CHOICES = (Axis("a", "a", values=(1, 2, 3)), Axis("b", "b", values=("x", "y")), Axis("c", "c", values=([8], [8, 8])))


def rounds(name, axes=AXES, loss=None, **options):
    """All rounds of a search, each as (trials, losses)."""
    loss = loss or (lambda setting: abs(math.log10(setting["lr"]) + 2) + setting["dropout"])
    search = config.build("search.samplers", name, axes, **options)
    found, trials = [], next(search)
    while True:
        losses = [loss(trial.setting) for trial in trials]
        found.append((trials, losses))
        try:
            trials = search.send(losses)
        except StopIteration:
            return found


def settings(found):
    return [trial.setting for trials, _ in found for trial in trials]


def numbers(found):
    return [trial.number for trials, _ in found for trial in trials]


def options(name, **more):
    if name == "tpe":
        pytest.importorskip("optuna")
    return {"n": 13, "seed": 3, **more} | ({"epochs": 9} if name == "halving" else {})


def test_the_grid_is_the_product():
    found = rounds("grid", CHOICES, lambda setting: 0.0, n=0, seed=0)
    assert len(found) == 1
    wanted = list(itertools.product((1, 2, 3), ("x", "y"), ([8], [8, 8])))
    assert [tuple(setting.values()) for setting in settings(found)] == wanted
    assert numbers(found) == list(range(1, 13))


@pytest.mark.parametrize("name", ["random", "coarse", "halving", "tpe"])
def test_a_search_is_determined_by_its_seed_and_the_scores(name):
    first, again = (rounds(name, **options(name)) for _ in range(2))
    assert first == again
    assert settings(first) != settings(rounds(name, **options(name, seed=4)))
    assert numbers(first) == list(range(1, len(numbers(first)) + 1))


@pytest.mark.parametrize("name", ["random", "coarse", "halving", "tpe"])
def test_settings_lie_in_the_space(name):
    for setting in settings(rounds(name, **options(name))):
        assert list(setting) == [axis.name for axis in AXES]
        assert 1e-4 <= setting["lr"] <= 1
        assert 0 <= setting["dropout"] <= 0.5
        assert isinstance(setting["width"], int)
        assert 4 <= setting["width"] <= 256
        assert setting["optimizer"] in ("sgd", "adam", "adamw")
        assert float(f"{setting['lr']:.4g}") == setting["lr"]  # what the table shows can be typed


@pytest.mark.parametrize("name", ["random", "coarse", "halving", "tpe"])
def test_failures_do_not_stop_a_search(name):
    found = rounds(name, loss=lambda setting: None if setting["optimizer"] == "sgd" else math.nan, **options(name))
    assert len(settings(found)) >= (9 if name == "halving" else 13)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20])
def test_random_and_coarse_give_as_many_as_asked(n):
    for name in ("random", "coarse"):
        found = settings(rounds(name, n=n, seed=0))
        assert len(found) == n
        assert len({repr(setting) for setting in found}) == n


def test_no_setting_comes_twice_and_a_small_space_is_used_up():
    axes = (*CHOICES[:2], Axis("k", "k", "int", low=1, high=2))
    found = settings(rounds("random", axes, lambda setting: 0.0, n=100, seed=0))
    assert len(found) == len({repr(setting) for setting in found}) == 12


def test_random_is_even_on_the_scale_of_each_axis():
    found = draw(AXES, 4000, chance(0))
    for axis in AXES[:3]:
        places = [axis.place(setting[axis.name]) for setting in found]
        quarters = [sum(k / 4 <= place < (k + 1) / 4 for place in places) / len(places) for k in range(4)]
        assert all(abs(share - 0.25) < 0.05 for share in quarters), axis
    share = sum(setting["optimizer"] == "sgd" for setting in found) / len(found)
    assert abs(share - 1 / 3) < 0.03


def test_coarse_goes_where_the_best_third_was():
    (coarse, losses), (fine, _) = rounds("coarse", n=60, seed=1)
    best = [coarse[i].setting for i in ranked(losses)[:10]]
    for axis in AXES[:2]:
        places = [axis.place(setting[axis.name]) for setting in best]
        low, high = min(places) - 0.5 / 30, max(places) + 0.5 / 30
        assert all(low - 1e-3 <= axis.place(trial.setting[axis.name]) <= high + 1e-3 for trial in fine)
    before, after = ([AXES[0].place(trial.setting["lr"]) for trial in trials] for trials in (coarse, fine))
    assert max(after) - min(after) < 0.75 * (max(before) - min(before))
    assert {trial.setting["optimizer"] for trial in fine} <= {setting["optimizer"] for setting in best}


@given(st.integers(0, 1000), st.integers(1, 20), st.sampled_from(AXES))
def test_a_box_holds_its_values_and_is_no_larger_than_the_axis(seed, n, axis):
    values = [axis.at(chance(seed, k).random()) for k in range(n)]
    smaller = box(axis, values, 3 * n)
    if axis.values is not None:
        assert set(smaller.values) == set(values)
    else:
        assert axis.low <= smaller.low <= min(values) <= max(values) <= smaller.high <= axis.high
        assert smaller.low <= smaller.at(0.999) <= smaller.high


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
def test_the_rungs_of_halving(n, epochs, eta, sizes):
    found = rounds("halving", n=n, seed=0, epochs=epochs, eta=eta)
    assert [(len(trials), trials[0].epochs) for trials, _ in found] == sizes
    for (trials, losses), (after, _) in itertools.pairwise(found):
        best = [trials[i].setting for i in ranked(losses)[: len(after)]]
        assert [trial.setting for trial in after] == best


def test_halving_drops_failures_first():
    found = rounds("halving", loss=lambda s: None if s["optimizer"] != "sgd" else s["lr"], n=9, seed=0, epochs=9)
    assert all(trial.setting["optimizer"] == "sgd" for trials, _ in found[1:] for trial in trials)


def test_least_epochs():
    found = rounds("halving", n=27, seed=0, epochs=27, least=5)
    assert [trials[0].epochs for trials, _ in found] == [9, 27]


def test_tpe_finds_what_is_better():
    pytest.importorskip("optuna")
    found = rounds("tpe", n=60, seed=0)
    (_, first), *_, (_, last) = found
    assert len(found) == 6
    assert sum(last) / len(last) < sum(first) / len(first)


def test_tpe_without_optuna_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPartError, match="yisheng\\[tune\\]"):
        next(config.build("search.samplers", "tpe", AXES, n=3, seed=0))
