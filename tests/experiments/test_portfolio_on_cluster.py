"""Ensembles whose folds a cluster trains: the same models as on one machine, whatever is lost on the way."""

import contextlib
import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import yisheng
from tests.experiments.conftest import skip_reports
from yisheng.cli import main
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import ProcessError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments import cluster_choice, fold_queue, portfolio_tasks, resume_run
from yisheng.experiments import run as run_module
from yisheng.experiments.fold_queue import FoldQueue, FoldResult
from yisheng.search.executors import sent_data
from yisheng.search.executors.sent_data import SentData
from yisheng.training.portfolio import step as portfolio_step
from yisheng.training.portfolio.candidates import Candidate
from yisheng.training.portfolio.fold_data import FoldData
from yisheng.training.portfolio.fold_pool import FoldJournal, FoldPlan, TrainedFold
from yisheng.training.portfolio.timetable import Timetable

SETTINGS = {
    "data": "wine",
    "model": "ensemble",
    "candidates": ["linear", "neighbors"],
    "bag_folds": 3,
    "boosting": False,
    "ood": False,
    "checkpoint_every": 1000,
    "quiet": True,
}
CPU = torch.device("cpu")


class ClusterInThisProcess:
    """Calls functions as `yisheng.search.executors.cluster.Cluster` does, in random order.

    Args:
        fails_after: it is lost after this number of tasks.
    """

    def __init__(self, fails_after=None):
        self.trained, self._fails_after, self._calls = [], fails_after, 0

    def count_cores(self):
        return 3

    def run(self, function, shared, next_arguments, *, waiting, count_seconds_left):
        assert waiting == 0, "a task that waits would lose the time that it may take"
        rng, running = random.Random(0), []
        while True:
            while len(running) < 3 and (arguments := next_arguments(3)) is not None:
                running.append(arguments)
            if not running or count_seconds_left() <= 0:
                return
            if self._calls == self._fails_after:
                raise ProcessError("a task was lost", "resume")
            self._calls += 1
            task = running.pop(rng.randrange(len(running)))
            result = function(shared, task)
            self.trained += [(task.candidate, entry.fold) for entry in result[1]]
            yield result


@pytest.fixture
def use_cluster(monkeypatch):
    """Return a function that makes ``cluster=`` mean a given object."""
    skip_reports(monkeypatch)
    monkeypatch.setattr(cluster_choice, "require_cluster", lambda place: None)

    def use(cluster):
        opened = lambda place: contextlib.nullcontext(None if place is None else cluster)  # noqa: E731
        for module in (run_module, resume_run):
            monkeypatch.setattr(module, "open_if_given", opened)
        return cluster

    return use


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the tensors of the ensemble that one machine trains."""
    with pytest.MonkeyPatch.context() as patch:
        skip_reports(patch)
        return read_model(yisheng.train(**SETTINGS, out=tmp_path_factory.mktemp("alone")).path)


def use_task_seconds(monkeypatch, seconds):
    """Let a task train folds for this long."""
    for module in (fold_queue, portfolio_tasks):
        monkeypatch.setattr(module, "MIN_TASK_SECONDS", seconds)


def read_model(folder):
    """Return tensors, scores and events of a run without what was measured with a clock."""
    tensors = load_file(folder / "model.safetensors")
    plain = json.loads(bytes(tensors.pop("description").tolist()))
    plain.pop("rows_per_second")
    for entry in plain["tried"]:
        entry.pop("seconds")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for event in events:
        event.pop("seconds")
    arrays = {name: value.numpy().tobytes() for name, value in tensors.items()}
    return arrays, plain, events, (folder / "scores.json").read_text()


@pytest.mark.parametrize("seconds_of_a_task", [0.0, 1e9])
def test_the_ensemble_is_that_of_one_machine(tmp_path, use_cluster, alone, monkeypatch, seconds_of_a_task):
    use_task_seconds(monkeypatch, seconds_of_a_task)
    cluster = use_cluster(ClusterInThisProcess())
    run = yisheng.train(**SETTINGS, cluster="auto", out=tmp_path)
    assert read_model(run.path) == alone
    assert sorted(cluster.trained) == [(name, fold) for name in SETTINGS["candidates"] for fold in range(3)]
    assert not (run.path / "checkpoint" / portfolio_tasks.TRAINED_FOLDS).exists()


@pytest.mark.parametrize("goes_on", ["here", "on the cluster"])
def test_a_lost_cluster_costs_the_running_folds(tmp_path, use_cluster, alone, monkeypatch, goes_on):
    use_task_seconds(monkeypatch, 0.0)
    broken = use_cluster(ClusterInThisProcess(fails_after=4))
    with pytest.raises(ProcessError):
        yisheng.train(**SETTINGS, cluster="auto", out=tmp_path)
    (folder,) = tmp_path.iterdir()
    again, trained_here = use_cluster(ClusterInThisProcess()), []
    fit_fold = portfolio_step.fit_fold
    monkeypatch.setattr(portfolio_step, "fit_fold", lambda *a: trained_here.append((a[0].name, a[2])) or fit_fold(*a))
    yisheng.resume(folder, cluster="auto" if goes_on == "on the cluster" else None, quiet=True)
    assert read_model(folder) == alone
    remaining = trained_here if goes_on == "here" else again.trained
    assert len(broken.trained) == 4
    assert sorted(broken.trained + remaining) == [(name, fold) for name in SETTINGS["candidates"] for fold in range(3)]


def test_a_candidate_that_fails_is_left_out(tmp_path, use_cluster, monkeypatch):
    make_config = Candidate.make_config

    def make_impossible(self, base):
        if self.name == "neighbors":
            raise ValueError("no neighbors today")
        return make_config(self, base)

    monkeypatch.setattr(Candidate, "make_config", make_impossible)
    cluster = use_cluster(ClusterInThisProcess())
    run = yisheng.train(**SETTINGS, cluster="auto", out=tmp_path)
    leaderboard = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    tried = {entry["name"]: entry["status"] for entry in leaderboard}
    assert tried == {"linear": "trained", "neighbors": "failed: no neighbors today"}
    assert cluster.trained.count(("neighbors", 1)) == 0


class Clock:
    """A clock that only moves when it is told to."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def make_plan(clock, seconds, candidates=("a", "b"), required=2, folds=3):
    rows = np.arange(folds)
    split = Split(rows, rows, rows[:0])
    data = Dataset("rows", Spec("regression", (1,)), np.zeros((folds, 1), np.float32), np.zeros((folds, 1), np.float32))
    timetable = Timetable(seconds, 0.0, clock=clock)
    named = [(Candidate(name, "ridge", max_fraction=0.5), 0) for name in candidates]
    fold_data = FoldData(data, [split] * folds)
    return FoldPlan(Config(), data.spec, fold_data, named, required, timetable, seconds, is_new=True)


def end(queue, task, folds, seconds=5.0, *, is_fitted=True):
    queue.end(task, [FoldResult(fold, seconds, is_fitted, b"") for fold in folds])


def test_required_folds_come_first_and_each_candidate_is_probed(tmp_path):
    journal = FoldJournal(tmp_path / "folds", Spec("regression", (1,)), CPU)
    queue = FoldQueue(make_plan(Clock(), None), journal)
    first, second = queue.take(4), queue.take(4)
    assert [(task.candidate, task.folds) for task in (first, second)] == [("a", (0, 1, 2)), ("b", (0, 1, 2))]
    assert queue.take(4) is None
    end(queue, second, [0])
    required, optional = queue.take(4), queue.take(4)
    assert [(task.candidate, task.folds) for task in (required, optional)] == [("b", (1,)), ("b", (2,))]
    end(queue, first, [0, 1, 2], 0.1)
    assert queue.take(4) is None
    assert queue.missing == {("b", 1), ("b", 2)}


def test_the_time_of_an_ensemble_limits_its_folds(tmp_path):
    clock = Clock()
    queue = FoldQueue(make_plan(clock, 100.0), FoldJournal(tmp_path / "folds", Spec("regression", (1,)), CPU))
    first = queue.take(1)
    assert first.seconds == pytest.approx(0.5 * 92 / 2)  # half of what is left, for two folds
    assert not first.is_bound  # an ensemble has one candidate in any case
    second = queue.take(8)
    assert second.seconds == pytest.approx(92 / 2)  # eight cores, but one fold after the other
    assert second.is_bound
    clock.seconds = 60.0
    end(queue, first, [0], 30.0)
    assert queue.take(8).seconds == pytest.approx(32.0)
    assert queue.take(8).folds == (2,)
    clock.seconds = 80.0
    end(queue, second, [0], 30.0)
    assert queue.take(8).folds == (1,)
    assert queue.take(8) is None  # the last fold would end too late
    assert ("b", 2) not in queue.missing


def test_candidates_without_time_are_not_begun(tmp_path):
    clock = Clock()
    clock.seconds = 91.0
    queue = FoldQueue(make_plan(clock, 100.0), FoldJournal(tmp_path / "folds", Spec("regression", (1,)), CPU))
    assert queue.take(8).candidate == "a"
    assert queue.take(8) is None
    assert {name for name, _ in queue.missing} == {"a"}


def test_a_damaged_file_is_not_used(tmp_path):
    journal = FoldJournal(tmp_path / "folds", Spec("regression", (1,)), CPU)
    failed = TrainedFold("a", 1, 2.0, None, portfolio_step.describe_skipped("too slow"))
    journal.keep("a", 1, failed.to_bytes())
    assert journal.find("a", 1) == failed
    assert journal.find("a", 1).status.template == "skipped: {reason}"
    assert journal.find("a", 0) is None
    assert journal.find("a-2", 1) is None
    (path,) = (tmp_path / "folds").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert journal.find("a", 1) is None


def test_larger_data_is_loaded_where_it_is_used(tmp_path, use_cluster, alone, monkeypatch):
    """Each process reads and scales the rows by itself."""
    loaded = []

    def describe_large(data, load):
        loaded.append(load())
        assert fingerprint(loaded[-1]) == fingerprint(data)
        return SentData("large", None, load, fingerprint(data))

    monkeypatch.setattr(portfolio_tasks, "describe_data", describe_large)
    use_cluster(ClusterInThisProcess())
    assert read_model(yisheng.train(**SETTINGS, cluster="auto", out=tmp_path).path) == alone
    assert loaded


@pytest.mark.parametrize(
    ("settings", "message", "remedy"),
    [
        ({"data": "digits", "budget": "1m"}, "cluster= is for many trainings", "budget=1m"),
        ({"data": "wine", "budget": "1m", "model": "mlp"}, "cluster= is for many trainings", "budget=1m"),
        ({"data": "wine", "budget": "1m", "fix": True}, "fix=true trains one model after the other", "leave one"),
        ({"data": "wine", "budget": "1m", "processes": 2}, "processes=2 and cluster=local:2 contradict", "leave one"),
        ({"data": "wine", "budget": "1m", "cluster": "there"}, "does not name a cluster", "cluster=local:2"),
    ],
)
def test_what_is_refused(tmp_path, settings, message, remedy):
    with pytest.raises(UsageError, match=message) as error:
        yisheng.train(**{"cluster": "local:2", **settings}, out=tmp_path, quiet=True)
    assert remedy in error.value.remedy
    assert not list(tmp_path.iterdir())


def test_two_drivers_in_one_folder_are_refused(tmp_path, use_cluster, monkeypatch):
    use_task_seconds(monkeypatch, 0.0)
    use_cluster(ClusterInThisProcess(fails_after=0))
    with pytest.raises(ProcessError):
        yisheng.train(**SETTINGS, cluster="auto", out=tmp_path)
    (folder,) = tmp_path.iterdir()
    with RunFolder(folder).lock(), pytest.raises(UsageError, match="another process is training in"):
        yisheng.resume(folder, cluster="auto", quiet=True)


def test_data_that_cannot_be_sent_is_refused(tmp_path, use_cluster, monkeypatch):
    """Data of this process alone: no other one could load it."""
    monkeypatch.setattr(sent_data, "MAX_SENT_BYTES", 100)
    use_cluster(ClusterInThisProcess())
    draw = np.random.default_rng(0)
    data = (draw.normal(size=(60, 3)), draw.integers(0, 2, 60))
    with pytest.raises(UsageError, match="is not sent to a cluster") as error:
        yisheng.train(**{**SETTINGS, "data": data}, cluster="auto", out=tmp_path)
    assert "put it into files that all machines reach" in error.value.remedy


def test_a_network_of_one_folder_is_not_resumed_on_a_cluster(tmp_path, capsys, monkeypatch):
    skip_reports(monkeypatch)
    run = yisheng.train(data="iris", model="linear", epochs=1, out=tmp_path, quiet=True)
    assert main(["resume", str(run.path), "cluster=local:2"]) == 2
    assert "this folder has one" in capsys.readouterr().err
