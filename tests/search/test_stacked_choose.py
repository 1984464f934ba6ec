"""One by one or in one pass: what was asked for is done, what pays is found, and what was done is said."""

import numpy as np
import pytest

from yisheng.core.config import IN_MEMORY, resolve
from yisheng.core.errors import UsageError
from yisheng.core.types import Dataset, Spec
from yisheng.experiments import load_data
from yisheng.search.executors import auto
from yisheng.search.executors.auto import run
from yisheng.search.jobs import Job


def dataset(n=40):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, 3)).astype(np.float32)
    return Dataset("made", Spec("regression", (3,)), x, x[:, :1].copy())


def jobs(data, settings=({"lr": 0.001}, {"lr": 0.01}), **options):
    found = []
    for number, setting in enumerate(settings):
        chosen = {"data": IN_MEMORY, "epochs": 2, "batch": 16, "model": "linear", **options, **setting}
        config = resolve([(key, value, "command line") for key, value in chosen.items()]).config
        found.append(Job(str(number), config, load_data.split(config, data)))
    return found


def ways(outcomes):
    return {outcome.key: outcome.how for outcome in outcomes}


@pytest.mark.parametrize("how", ["serial", "stacked"])
def test_what_was_asked_for_is_done_and_said(how):
    data, said = dataset(), []
    assert ways(run(jobs(data), data, how=how, say=said.append)) == {"0": how, "1": how}
    assert said == [f"{'in one pass' if how == 'stacked' else 'one by one'}: 2 trainings, as asked"]


def test_what_cannot_be_one_is_trained_one_by_one_and_said_why():
    data, said = dataset(), []
    found = jobs(data, ({"lr": 0.001}, {"lr": 0.01}, {"accumulate": 2}, {"accumulate": 2, "lr": 0.3}))
    assert ways(run(found, data, say=said.append)) == {"0": "stacked", "1": "stacked", "2": "serial", "3": "serial"}
    assert said[1] == "one by one: 2 trainings, since accumulate=2 adds up gradients of smaller batches"
    with pytest.raises(UsageError, match="cannot be trained as one: accumulate=2"):
        list(run(found, data, how="stacked"))


def test_a_network_declared_not_stackable_is_trained_one_by_one():
    data, said = dataset(), []
    assert set(ways(run(jobs(data, model="tabm", k=2), data, say=said.append)).values()) == {"serial"}
    assert said == ["one by one: 2 trainings, since model=tabm is declared not stackable"]


def test_one_job_needs_no_pass():
    data, said = dataset(), []
    assert ways(run(jobs(data)[:1], data, say=said.append)) == {"0": "serial"}
    assert said == ["one by one: 1 training, there is nothing to train it with"]


def test_small_searches_are_not_measured():
    data, said = dataset(), []
    assert set(ways(run(jobs(data), data, say=said.append)).values()) == {"stacked"}
    assert said == ["in one pass: 2 trainings, networks of 4 weights with too few updates to measure"]


def test_longer_ones_are():
    data, said = dataset(), []
    assert len(ways(run(jobs(data, epochs=80, lr=0.01), data, say=said.append))) == 2
    (words,) = said
    assert "an update of a model takes" in words
    assert words.endswith("alone (measured)")


@pytest.mark.parametrize("faster", [True, False])
def test_the_faster_way_is_taken(faster, monkeypatch):
    """(What is measured is another test's; here the clock of one pass is set.)"""
    data = dataset()
    monkeypatch.setattr(auto, "_together", lambda *_: 0.0 if faster else 1e9)
    assert set(ways(run(jobs(data, epochs=80), data)).values()) == {"stacked" if faster else "serial"}


def test_a_first_job_that_fails_alone_does_not_end_the_search():
    data = dataset()
    found = jobs(data, ({"lr": 1e200}, {"lr": 0.01}), optimizer="sgd", epochs=80)
    outcomes = {o.key: o for o in run(found, data)}
    assert (bool(outcomes["0"].failure), bool(outcomes["1"].failure)) == (True, False)


def test_nothing_to_train():
    assert list(run([], dataset())) == []
