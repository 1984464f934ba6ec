"""The serial executor trains exactly as `yisheng train`, in one process or in several."""

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
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.experiments import load_data
from yisheng.search.executors.serial import Trainer, train_serial
from yisheng.search.jobs import Job

BASE = {"data": "wine", "model": "mlp", "hidden": [8], "dropout": 0.2, "batch_norm": True, "epochs": 3, "batch": 16}
LENET = merge_settings([("model", "lenet", "file")]).config


def config(**settings):
    return merge_settings([(key, value, "command line") for key, value in {**BASE, **settings}.items()]).config


def jobs(data, *settings_of_jobs):
    built = []
    for n, settings in enumerate(settings_of_jobs):
        job_config = config(**settings)
        built.append(Job(f"{n:04d}", job_config, load_data.split_dataset(job_config, data)))
    return built


@pytest.fixture(scope="module")
def wine():
    return load_data.load_dataset(config())


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
def test_job_equals_the_training_of_its_config(tmp_path, settings):
    run = yisheng.train(**{**BASE, **settings}, out=tmp_path, quiet=True)
    data = load_data.load_dataset(config(**settings))
    (outcome,) = train_serial(jobs(data, settings), data)
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


def test_non_finite_training_is_a_failed_outcome(wine):
    outcomes = list(train_serial(jobs(wine, {**DIVERGING, "fold": "1/3"}, {"fold": "1/3"}), wine))
    assert "NaN" in outcomes[0].failure or "finite" in outcomes[0].failure
    assert (dict(outcomes[0].scores), outcomes[0].epoch, dict(outcomes[0].weights)) == ({}, 0, {})
    assert outcomes[1].failure == ""
    assert outcomes[1].scores["accuracy"] > 0


def test_model_that_does_not_fit_is_an_error(wine):
    with pytest.raises(UsageError, match="lenet"):
        list(train_serial([Job("1", LENET, load_data.split_dataset(config(), wine))], wine))


def test_transforms_are_fitted_once_per_part_and_scaling(wine):
    splits = [load_data.split_dataset(config(fold=fold), wine) for fold in ("1/2", "2/2")]
    trainer, fitted = Trainer(wine), {}
    for _ in range(2):
        for split in splits:
            for settings in ({"lr": 0.1}, {"hidden": [4]}, {"scale": "none"}):
                scale = trainer.assemble(Job("1", config(fold="1/2", **settings), split)).transforms["input"]
                fitted.setdefault((id(split), settings.get("scale")), []).append(scale)
    assert len(fitted) == 4
    assert all(scale is scales[0] for scales in fitted.values() for scale in scales)
    assert len({id(scales[0]) for scales in fitted.values()}) == 4


DIVERGING = {"lr": 1e30, "optimizer": "sgd", "batch_norm": False, "scale": "none"}
MANY_SETTINGS = [
    {"fold": f"{k}/3", "seed": s, **extra} for k in (1, 2, 3) for s in (0, 1) for extra in ({"lr": 0.01}, DIVERGING)
]


@pytest.mark.slow
def test_two_processes_give_the_same_bits(wine):
    wine_jobs = jobs(wine, *MANY_SETTINGS)
    in_one_process = list(train_serial(wine_jobs, wine))
    in_two_processes = sorted(train_serial(wine_jobs, wine, processes=2), key=lambda outcome: outcome.key)
    assert len(in_two_processes) == len(in_one_process) == 12
    for a, b in zip(in_one_process, in_two_processes, strict=True):
        assert (a.key, dict(a.scores), a.epoch, a.history, a.failure) == (
            b.key,
            dict(b.scores),
            b.epoch,
            b.history,
            b.failure,
        )
        assert all(torch.equal(value, b.weights[name]) for name, value in a.weights.items())
    assert not list_workers()


@pytest.mark.slow
def test_processes_end_with_the_iterator(wine):
    wine_jobs = jobs(wine, *[{"epochs": 5, "seed": s} for s in range(50)])
    outcomes = train_serial(wine_jobs, wine, processes=2)
    next(outcomes)
    assert list_workers()
    outcomes.close()
    assert not list_workers()
    broken = [Job("1", LENET, wine_jobs[0].split), *wine_jobs]
    with pytest.raises(UsageError, match="lenet"):
        list(train_serial(broken, wine, processes=2))
    assert not list_workers()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills by POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_survives_a_signal(tmp_path, number):
    arguments = [
        "data=wine",
        "model=mlp",
        "lr=log(1e-4,1)",
        "n=200",
        "epochs=200",
        "folds=5",
        "processes=2",
        "executor=serial",
    ]
    command = [sys.executable, "-m", "yisheng", "tune", *arguments, f"out={tmp_path}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob("*/jobs.jsonl")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    assert len(list_processes(process.pid)) >= 3
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    while list_processes(process.pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def list_workers():
    """Return the worker processes; scikit-learn may have others."""
    return [child for child in multiprocessing.active_children() if isinstance(child, SpawnProcess)]


def list_processes(group):
    """Return the processes of a group that have not ended."""
    listing = subprocess.run(["ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()[1:]]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


def test_data_set_can_be_pickled(wine):
    copied = pickle.loads(pickle.dumps(wine))
    assert np.array_equal(copied.x, wine.x)
    assert copied.spec == wine.spec
