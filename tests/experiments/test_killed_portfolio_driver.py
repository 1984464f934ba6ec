"""A driver of an ensemble that is killed: a real cluster of two nodes, and the models of one machine nevertheless."""

import subprocess
import sys
import time

import pytest

from tests.experiments.conftest import skip_reports
from tests.experiments.test_portfolio_on_cluster import read_model
from tests.ray_nodes import start_two_nodes
from yisheng.cli import main
from yisheng.core.run_folder import RunFolder
from yisheng.experiments import portfolio_tasks
from yisheng.search.executors import cluster as clusters

CANDIDATES = ("linear", "neighbors", "embedded-mlp")
FOLDS = 3
SETTINGS = ["data=wine", "model=ensemble", f"candidates={','.join(CANDIDATES)}", f"bag_folds={FOLDS}", "budget=6000"]
SETTINGS += ["boosting=false", "ood=false", "quiet=true"]


def start_command(*arguments):
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "yisheng", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def list_trained(out):
    """Return the files of the folds that the driver has received."""
    return sorted(out.glob(f"*/{RunFolder.CHECKPOINT}/{portfolio_tasks.TRAINED_FOLDS}/*.safetensors"))


def wait_for_folds(driver, out, count):
    """Wait until this number of folds is stored; return the time of change of their files."""
    while len(trained := list_trained(out)) < count:
        assert driver.poll() is None, driver.stderr.read()
        time.sleep(0.02)
    return {path.name: path.stat().st_mtime_ns for path in trained}


def kill_after(driver, out, count):
    """Kill a driver by SIGKILL when this number of folds is stored; return the time of change of their files."""
    wait_for_folds(driver, out, count)
    driver.kill()
    driver.communicate()
    trained = wait_for_folds(driver, out, 0)
    assert count <= len(trained) < len(CANDIDATES) * FOLDS, "it was killed too late"
    return trained


@pytest.mark.skipif(not clusters.is_installed(), reason="Ray is not installed")
@pytest.mark.slow
def test_a_killed_driver_of_an_ensemble_costs_nothing_but_time(tmp_path, monkeypatch):
    """The same command goes on from the folds that had ended, and loses a machine of the cluster on the way."""
    skip_reports(monkeypatch)
    assert main(["train", *SETTINGS, f"out={tmp_path / 'alone'}"]) == 0
    with start_two_nodes() as nodes:
        place = f"cluster={nodes.address}"
        with start_command("train", *SETTINGS, place, f"out={tmp_path / 'cluster'}") as driver:
            trained = kill_after(driver, tmp_path / "cluster", 2)
        (folder,) = (tmp_path / "cluster").iterdir()
        with start_command("resume", str(folder), place, "quiet=true") as driver:
            continued = wait_for_folds(driver, tmp_path / "cluster", len(trained) + 1)
            assert trained.items() < continued.items(), "folds were trained twice"
            nodes.remove_node(nodes.second, allow_graceful=False)
            errors = driver.communicate()[1]
    assert driver.returncode == 0, errors
    (alone,) = (tmp_path / "alone").iterdir()
    assert read_model(folder) == read_model(alone)
    assert not list_trained(tmp_path / "cluster")
