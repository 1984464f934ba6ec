"""One after the other: the very trainings of `yisheng train`, in one process or in several."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from multiprocessing.context import SpawnProcess

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import yisheng
from yisheng.core.config import resolve
from yisheng.core.errors import UsageError
from yisheng.experiments import load_data
from yisheng.search.executors.serial import Trainer, serial
from yisheng.search.jobs import Job

BASE = {"data": "wine", "model": "mlp", "hidden": [8], "dropout": 0.2, "batch_norm": True, "epochs": 3, "batch": 16}
LENET = resolve([("model", "lenet", "file")]).config


def config(**settings):
    return resolve([(key, value, "command line") for key, value in {**BASE, **settings}.items()]).config


def jobs(data, *each):
    found = []
    for n, settings in enumerate(each):
        one = config(**settings)
        found.append(Job(f"{n:04d}", one, load_data.split(one, data)))
    return found


@pytest.fixture(scope="module")
def wine():
    return load_data.dataset(config())


@pytest.mark.parametrize(
    "settings",
    [
        {"fold": "2/5", "seed": 1, "lr": 0.02},
        {"fold": "1/3", "score": "loss", "scale": "none", "schedule": "constant"},
        {"seed": 3, "lr": 0.05, "patience": 1, "epochs": 6},
        {"seed": 3, "optimizer": "sgd", "clip_norm": 1.0, "accumulate": 2},
        {"data": "diabetes", "fold": "3/4", "target_scale": "standard"},
    ],
    ids=lambda s: "-".join(s),
)
def test_a_job_is_the_training_of_its_config(tmp_path, settings):
    run = yisheng.train(**{**BASE, **settings}, out=tmp_path, quiet=True)
    data = load_data.dataset(config(**settings))
    (outcome,) = serial(jobs(data, settings), data)
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    best = json.loads((run.path / "model.json").read_text())["best"]
    assert outcome.epoch == best["epoch"]
    assert dict(outcome.scores) == epochs[outcome.epoch - 1]["scores"]  # to the bit
    assert list(outcome.history) == [event["loss"] for event in epochs]
    weights = load_file(run.path / "model.safetensors")
    assert weights.keys() == outcome.weights.keys()
    assert all(torch.equal(weights[name], value) for name, value in outcome.weights.items())
    for score in outcome.scores.keys() - {"loss"}:
        assert outcome.scores[score] == pytest.approx(run.scores["validation"][score].value, rel=1e-5)


def test_numbers_that_are_not_finite_are_an_outcome(wine):
    found = list(serial(jobs(wine, {**WILD, "fold": "1/3"}, {"fold": "1/3"}), wine))
    assert "NaN" in found[0].failure or "finite" in found[0].failure
    assert (dict(found[0].scores), found[0].epoch, dict(found[0].weights)) == ({}, 0, {})
    assert found[1].failure == ""
    assert found[1].scores["accuracy"] > 0


def test_a_choice_that_does_not_fit_is_an_error(wine):
    with pytest.raises(UsageError, match="lenet"):
        list(serial([Job("1", LENET, load_data.split(config(), wine))], wine))


def test_transforms_are_fitted_once_for_a_part_and_a_scaling(wine):
    splits = [load_data.split(config(fold=fold), wine) for fold in ("1/2", "2/2")]
    trainer, fitted = Trainer(wine), {}
    for _ in range(2):
        for split in splits:
            for settings in ({"lr": 0.1}, {"hidden": [4]}, {"scale": "none"}):
                scale = trainer.assemble(Job("1", config(fold="1/2", **settings), split)).transforms["input"]
                fitted.setdefault((id(split), settings.get("scale")), []).append(scale)
    assert len(fitted) == 4
    assert all(scale is same[0] for same in fitted.values() for scale in same)
    assert len({id(same[0]) for same in fitted.values()}) == 4


WILD = {"lr": 1e30, "optimizer": "sgd", "batch_norm": False, "scale": "none"}
MANY = [{"fold": f"{k}/3", "seed": s, **more} for k in (1, 2, 3) for s in (0, 1) for more in ({"lr": 0.01}, WILD)]


@pytest.mark.slow
def test_two_processes_come_to_the_same(wine):
    todo = jobs(wine, *MANY)
    alone = list(serial(todo, wine))
    side = sorted(serial(todo, wine, processes=2), key=lambda outcome: outcome.key)
    assert len(side) == len(alone) == 12
    for a, b in zip(alone, side, strict=True):
        assert (a.key, dict(a.scores), a.epoch, a.history, a.failure) == (
            b.key,
            dict(b.scores),
            b.epoch,
            b.history,
            b.failure,
        )
        assert all(torch.equal(value, b.weights[name]) for name, value in a.weights.items())
    assert not training()


@pytest.mark.slow
def test_processes_end_with_the_one_that_listens(wine):
    todo = jobs(wine, *[{"epochs": 5, "seed": s} for s in range(50)])
    outcomes = serial(todo, wine, processes=2)
    next(outcomes)
    assert training()
    outcomes.close()
    assert not training()
    broken = [Job("1", LENET, todo[0].split), *todo]
    with pytest.raises(UsageError, match="lenet"):
        list(serial(broken, wine, processes=2))
    assert not training()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills by POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path, number):
    words = ["data=wine", "model=mlp", "lr=log(1e-4,1)", "n=200", "epochs=200", "folds=5", "processes=2", "how=serial"]
    command = [sys.executable, "-m", "yisheng", "tune", *words, f"out={tmp_path}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob("*/jobs.jsonl")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    assert len(members(process.pid)) >= 3
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    while members(process.pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def training():
    """Processes that train; scikit-learn may have some of its own."""
    return [child for child in multiprocessing.active_children() if isinstance(child, SpawnProcess)]


def members(group):
    """Processes of a group that are not yet gone."""
    listing = subprocess.run(["ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()[1:]]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


def test_a_data_set_can_be_sent_to_a_process(wine):
    again = pickle.loads(pickle.dumps(wine))
    assert np.array_equal(again.x, wine.x)
    assert again.spec == wine.spec
