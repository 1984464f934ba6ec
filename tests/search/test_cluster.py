"""Searches on a real cluster of Ray: the same table as on one machine, whatever is lost on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_wine

import yisheng
from tests.ray_nodes import start_two_nodes
from yisheng.core.errors import DataError, MissingPartError, ProcessError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings
from yisheng.experiments import load_data
from yisheng.search.executors import cluster as clusters
from yisheng.search.executors import sent_data
from yisheng.search.executors.cluster import open_cluster, require_cluster
from yisheng.search.executors.cluster_jobs import train_on_cluster
from yisheng.search.executors.sent_data import Origin
from yisheng.search.executors.serial import train_serial
from yisheng.search.jobs import Job

needs_ray = pytest.mark.skipif(not clusters.is_installed(), reason="Ray is not installed")
SEARCH = {
    "data": "wine",
    "model": "mlp",
    "hidden": [16],
    "epochs": 3,
    "lr": [0.003, 0.01, 0.03],
    "folds": 3,
    "seeds": 2,
}
SLOW_SEARCH = {**SEARCH, "seeds": 1, "folds": 4, "epochs": 150, "executor": "serial"}


def read_table(folder):
    """Return the rows of a search without what differs from machine to machine."""
    content = json.loads((Path(folder) / "trials.json").read_text())
    for row in content["trials"]:
        for key in ("seconds", "executor"):
            row.pop(key)
    return content["trials"], content["best"], content["chosen"]


def read_jobs(folder):
    path = Path(folder) / "jobs.jsonl"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("place", ["", "local", "local:0", "local:-1", "ray://host:1", "http://host", "host", "a:b"])
def test_other_forms_are_refused(place):
    with pytest.raises(UsageError, match="does not name a cluster"):
        require_cluster(place)


def test_windows_and_a_missing_package_are_refused(monkeypatch):
    monkeypatch.setattr(clusters, "is_installed", lambda: False)
    with pytest.raises(MissingPartError, match="needs Ray"):
        require_cluster("local:2")
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match="a search may use processes=2"):
        require_cluster("local:2")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"processes": 2}, "processes=2 and cluster="), ({"executor": "stacked"}, "executor=stacked and cluster=")],
)
def test_contradictions_are_refused(tmp_path, monkeypatch, settings, message):
    monkeypatch.setattr(clusters, "is_installed", lambda: True)
    with pytest.raises(UsageError, match=message):
        yisheng.tune(
            data="iris", model="linear", lr=[0.1, 0.2], cluster="local:2", out=tmp_path, quiet=True, **settings
        )
    assert not list(tmp_path.iterdir())


def test_another_origin_is_explained():
    origin = Origin({"torch": "2.13.0", "numpy": "2.4"}, "abc")
    older = Origin({"torch": "2.12.0", "numpy": "2.4"}, "abc")
    assert origin.explain_difference(older) == "torch 2.12.0 instead of 2.13.0"
    assert origin.explain_difference(Origin({"numpy": "2.4"}, "abc")) == "torch None instead of 2.13.0"
    assert "sources" in origin.explain_difference(Origin(dict(origin.versions), "abd"))
    assert not origin.explain_difference(Origin(dict(origin.versions), "abc"))


@needs_ray
def test_a_cluster_that_is_not_there_is_reported_before_a_folder_is_made(tmp_path):
    with pytest.raises(ProcessError, match=r"cluster=127\.0\.0\.1:9 cannot be reached"):
        yisheng.tune(**SEARCH, cluster="127.0.0.1:9", out=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def two_nodes():
    with start_two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the search of one machine."""
    return yisheng.tune(**SEARCH, executor="serial", out=tmp_path_factory.mktemp("alone"), quiet=True)


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_the_program_has_joined(tmp_path, two_nodes, alone, monkeypatch):
    """One connection for all of it: bits, large data, folds with code of one's own, and what is refused."""
    import ray

    ray.init(address=two_nodes.address, log_to_driver=False, configure_logging=False)
    try:
        _require_equal_outcomes(two_nodes.address)
        _require_equal_folds(tmp_path / "folds", two_nodes.address)
        _require_equal_ensembles(tmp_path / "ensembles", two_nodes.address)
        with monkeypatch.context() as patch:
            patch.setattr(sent_data, "MAX_SENT_BYTES", 100)
            shared = yisheng.tune(**SEARCH, cluster="auto", out=tmp_path / "large", quiet=True)
            assert read_table(alone.path) == read_table(shared.path)
            settings = SEARCH | {"data": load_wine(return_X_y=True)}
            with pytest.raises(UsageError, match="more than 0 GB is not sent"):
                yisheng.tune(**settings, cluster="auto", out=tmp_path / "own", quiet=True)
            patch.setattr(sent_data, "fingerprint", lambda data: "another")
            with pytest.raises(DataError, match="other data in the place that the config names"):
                yisheng.tune(**SEARCH, cluster="auto", out=tmp_path / "data", quiet=True)
        monkeypatch.setattr(clusters, "find_origin", lambda: Origin({"torch": "1.0"}, "other"))
        with pytest.raises(UsageError, match=r"a machine of the cluster has .* instead of"):
            yisheng.tune(**SEARCH, cluster="auto", out=tmp_path / "versions", quiet=True)
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def _require_equal_outcomes(place):
    """Train jobs here and there, to the same bits."""
    settings = {"data": "wine", "model": "mlp", "hidden": [8], "dropout": 0.2, "epochs": 2}
    configs = [
        merge_settings([(k, v, "command line") for k, v in {**settings, "fold": f"{fold}/3", "lr": lr}.items()]).config
        for fold in (1, 2, 3)
        for lr in (0.01, 1e30)
    ]
    data = load_data.load_dataset(configs[0])
    splits = {config.fold: load_data.split_dataset(config, data) for config in configs}
    jobs = [Job(f"{n}", config, splits[config.fold]) for n, config in enumerate(configs)]
    expected = list(train_serial(jobs, data))
    with open_cluster(place) as cluster:
        outcomes = sorted(train_on_cluster(cluster, jobs, data), key=lambda outcome: outcome.key)
    for a, b in zip(expected, outcomes, strict=True):
        for name in ("key", "scores", "epoch", "history", "failure"):
            assert getattr(a, name) == getattr(b, name)
        assert all(torch.equal(value, b.weights[name]) for name, value in a.weights.items())


def _require_equal_folds(folder, place):
    """Train folds of a network of a file here and there, to the same bits."""
    folder.mkdir()
    (folder / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Linear(13, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3))\n"
    )
    settings = {"data": "wine", "model": f"{folder / 'net.py'}:Net", "epochs": 3, "folds": 3, "quiet": True}
    alone = yisheng.train(**settings, out=folder / "alone")
    shared = yisheng.train(**settings, out=folder / "shared", cluster=place)
    assert len(read_weights(alone.path)) == 3
    assert read_weights(alone.path) == read_weights(shared.path)
    assert alone.scores["validation"] == shared.scores["validation"]
    assert not list(shared.path.glob(".*.part"))


def _require_equal_ensembles(folder, place):
    """Train the candidates of an ensemble within a time here and there, to the same models."""
    settings = {"data": "wine", "model": "ensemble", "candidates": ["linear", "neighbors"], "bag_folds": 2}
    settings |= {"budget": 600, "boosting": False, "ood": False, "quiet": True}
    tensors = []
    for name, cluster in (("alone", None), ("shared", place)):
        run = yisheng.train(**settings, out=folder / name, cluster=cluster)
        tensors.append(load_file(run.path / "model.safetensors"))
        tensors[-1].pop("description")  # with seconds
    assert len(tensors[0]) > 1
    assert {name: value.tolist() for name, value in tensors[0].items()} == {
        name: value.tolist() for name, value in tensors[1].items()
    }


def read_weights(folder):
    return {path.parent.name: path.read_bytes() for path in sorted(Path(folder).glob("fold-*/model.safetensors"))}


@needs_ray
@pytest.mark.slow
def test_a_cluster_of_this_machine_gives_the_same_table(tmp_path, alone):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environment = dict(os.environ)
    shared = yisheng.tune(**SEARCH, cluster="local:2", out=tmp_path, quiet=True)
    assert read_table(alone.path) == read_table(shared.path)
    assert shared.trials["executor"].unique().tolist() == ["cluster"]
    assert handlers == {number: signal.getsignal(number) for number in handlers}
    import ray

    assert not ray.is_initialized()
    added = os.environ.keys() - environment.keys()
    assert not {name for name in added if "TOKEN" in name or "AUTH" in name or "USAGE" in name}
    with pytest.raises(UsageError, match="Ray keeps the secret of the first"):
        yisheng.tune(**SEARCH, cluster="auto", out=tmp_path, quiet=True)


@needs_ray
@pytest.mark.slow
def test_a_killed_driver_and_a_lost_node_cost_nothing_but_time(tmp_path, two_nodes):
    expected = yisheng.tune(**SLOW_SEARCH, out=tmp_path / "alone", quiet=True)
    begin = f"yisheng.tune(**{SLOW_SEARCH!r}, cluster={two_nodes.address!r}, out={str(tmp_path / 'shared')!r})"
    with start(begin) as driver:
        folder = wait_for_jobs(tmp_path / "shared", driver, 2)
        driver.kill()
        driver.communicate()
    trained = read_jobs(folder)
    assert 2 <= len(trained) < 12
    with start(f"yisheng.resume({str(folder)!r}, cluster={two_nodes.address!r})") as driver:
        wait_for_jobs(tmp_path / "shared", driver, len(trained) + 1)
        two_nodes.remove_node(two_nodes.second, allow_graceful=False)
        errors = driver.communicate()[1]
    assert driver.returncode == 0, errors
    assert read_jobs(folder)[: len(trained)] == trained
    assert read_table(folder) == read_table(expected.path)


def start(code):
    """Start a program in a process of its own."""
    command = [sys.executable, "-c", f"import yisheng\n{code}"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for_jobs(out, driver, count):
    """Return the folder of a search when some of its trainings have ended."""
    while True:
        assert driver.poll() is None, driver.stderr.read()
        folders = list(out.glob("*")) if out.exists() else []
        if folders and len(read_jobs(folders[0])) >= count:
            return folders[0]
        time.sleep(0.05)


@needs_ray
@pytest.mark.slow
def test_killed_folds_are_resumed(tmp_path):
    settings = {"data": "digits", "model": "mlp", "epochs": 40, "folds": 4, "ood": False, "quiet": True}
    alone = yisheng.train(**settings, out=tmp_path / "alone")
    with start(f"yisheng.train(**{settings!r}, cluster='local:1', out={str(tmp_path / 'shared')!r})") as driver:
        while not list((tmp_path / "shared").glob("*/fold-*/model.safetensors")):
            assert driver.poll() is None, driver.stderr.read()
            time.sleep(0.05)
        driver.kill()
        driver.communicate()
    (folder,) = (tmp_path / "shared").iterdir()
    assert len(read_weights(folder)) < 4
    yisheng.resume(folder, cluster="local:1", quiet=True)
    assert read_weights(folder) == read_weights(alone.path)


@pytest.mark.slow
def test_two_drivers_in_one_folder_are_refused(alone, monkeypatch):
    monkeypatch.setattr(clusters, "is_installed", lambda: True)
    with RunFolder(alone.path).lock(), pytest.raises(UsageError, match="another process is training in"):
        yisheng.resume(alone.path, cluster="local:2", quiet=True)


def test_a_cluster_for_one_training_is_refused(tmp_path):
    for settings in ({}, {"folds": 2, "fix": True}):
        with pytest.raises(UsageError, match="cluster= is for many trainings"):
            yisheng.train(data="iris", cluster="local:2", out=tmp_path, quiet=True, **settings)
    run = yisheng.train(data="iris", model="linear", epochs=1, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="this folder has one"):
        yisheng.resume(run.path, cluster="local:2")
