"""The choice of an executor: the requested one, or the faster one, with its reason in the log."""

import logging

import numpy as np
import pytest

from yisheng.core.choice import IN_MEMORY
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.experiments import load_data
from yisheng.search.executors import auto
from yisheng.search.executors.auto import run_jobs
from yisheng.search.jobs import Job


def dataset(n=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return Dataset("made", Spec("regression", (3,)), x, x[:, :1].copy())


def jobs(data, settings=({"lr": 0.001}, {"lr": 0.01}), **options):
    group = []
    for number, setting in enumerate(settings):
        values = {"data": IN_MEMORY, "epochs": 2, "batch": 16, "model": "linear", **options, **setting}
        config = merge_settings([(key, value, "command line") for key, value in values.items()]).config
        group.append(Job(str(number), config, load_data.split_dataset(config, data)))
    return group


def executors_by_key(outcomes):
    return {outcome.key: outcome.executor for outcome in outcomes}


@pytest.fixture
def messages(caplog):
    """Return a function that returns the logged messages."""
    caplog.set_level(logging.INFO, logger="yisheng")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("executor", ["serial", "stacked"])
def test_requested_executor_is_used_and_logged(executor, messages):
    data = dataset()
    assert executors_by_key(run_jobs(jobs(data), data, executor=executor)) == {"0": executor, "1": executor}
    assert messages() == [f"{executor}: 2 trainings, as requested"]


def test_jobs_that_cannot_be_stacked_are_serial_with_the_reason(messages):
    data = dataset()
    group = jobs(data, ({"lr": 0.001}, {"lr": 0.01}, {"accumulate": 2}, {"accumulate": 2, "lr": 0.3}))
    executors = executors_by_key(run_jobs(group, data))
    assert executors == {"0": "stacked", "1": "stacked", "2": "serial", "3": "serial"}
    assert messages()[1] == "serial: 2 trainings, since accumulate=2 adds up gradients of smaller batches"
    with pytest.raises(UsageError, match="cannot be stacked: accumulate=2"):
        list(run_jobs(group, data, executor="stacked"))


def test_network_declared_not_stackable_is_serial(messages):
    data = dataset()
    assert set(executors_by_key(run_jobs(jobs(data, model="tabm", k=2), data)).values()) == {"serial"}
    assert messages() == ["serial: 2 trainings, since model=tabm is declared not stackable"]


def test_single_job_is_serial(messages):
    data = dataset()
    assert executors_by_key(run_jobs(jobs(data)[:1], data)) == {"0": "serial"}
    assert messages() == ["serial: 1 training, since there is no other job of this form"]


def test_small_searches_are_not_timed(messages):
    data = dataset()
    assert set(executors_by_key(run_jobs(jobs(data), data)).values()) == {"stacked"}
    assert messages() == ["stacked: 2 trainings, networks of 4 weights with too few updates to time"]


def test_longer_searches_are_timed(messages):
    data = dataset()
    assert len(executors_by_key(run_jobs(jobs(data, epochs=80, lr=0.01), data))) == 2
    (message,) = messages()
    assert "an update of a model takes" in message
    assert message.endswith("serial (measured)")


@pytest.mark.parametrize("faster", [True, False])
def test_faster_executor_is_used(faster, monkeypatch):
    """The time of the stacked executor is set here; another test measures it."""
    data = dataset()
    monkeypatch.setattr(auto, "_time_stacked", lambda *_: 0.0 if faster else 1e9)
    executors = executors_by_key(run_jobs(jobs(data, epochs=80), data))
    assert set(executors.values()) == {"stacked" if faster else "serial"}


def test_first_job_that_fails_does_not_end_the_search():
    data = dataset()
    group = jobs(data, ({"lr": 1e200}, {"lr": 0.01}), optimizer="sgd", epochs=80)
    outcomes = {o.key: o for o in run_jobs(group, data)}
    assert (bool(outcomes["0"].failure), bool(outcomes["1"].failure)) == (True, False)


def test_no_jobs_give_no_outcomes():
    assert list(run_jobs([], dataset())) == []
