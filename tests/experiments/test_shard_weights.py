"""Trainings whose processes divide the weights: the same runs as with complete weights, up to rounding."""

import json
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import yisheng
from tests.experiments.test_processes import PLAIN, find_run, find_started, require_close, train_faulty
from yisheng.core.config import Config
from yisheng.core.errors import ProcessError, StoppedError, UsageError
from yisheng.data.batches import Batches
from yisheng.experiments.shared_run import move_to_cpu
from yisheng.training.setup import Assembly
from yisheng.training.shardable import choose_shards
from yisheng.transforms.none import none

EXACT = {"precision": "fp32", "memory_format": "contiguous", "doctor": "off"}


def read_steps(path):
    """Return the events without what depends on time."""
    events = [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]
    return [(event["event"], event["step"]) for event in events]


@pytest.mark.slow
def test_a_run_with_a_part_of_the_weights_is_that_with_complete_ones_up_to_rounding(tmp_path, without_reports):
    settings = {"data": "digits", "model": "lenet", "epochs": 2, "batch": 100, "clip_norm": 1.0, "l1": 1e-4}
    settings |= {"shards": 4, "exact": False, "lr": 0.01, **PLAIN, "ood": True}
    complete = yisheng.train(**settings, **EXACT, out=tmp_path / "complete")
    run = yisheng.train(**settings, shard_weights=True, processes=2, out=tmp_path / "divided")
    require_close(run.path, complete.path)
    assert read_steps(run.path) == read_steps(complete.path)
    values = re.search(r"holds ([\d,]+) values", (run.path / "rank-1.log").read_text())
    complete_count = sum(value.numel() for value in load_file(complete.path / "model.safetensors").values())
    assert int(values[1].replace(",", "")) <= 0.51 * complete_count
    image = np.eye(8, dtype=np.uint8) * 255
    assert [p.prediction for p in yisheng.predict(run.path, image)] == [
        p.prediction for p in yisheng.predict(complete.path, image)
    ]
    assert not find_started()


@pytest.mark.slow
def test_killed_and_stopped_runs_are_resumed_with_any_number_of_processes(tmp_path, monkeypatch, without_reports):
    settings = {"lr": 0.05, "checkpoint_every": 0, "ood": False}
    train_faulty(tmp_path / "complete", monkeypatch, "none", **settings, **EXACT)
    complete = find_run(tmp_path / "complete")
    for fault, error, processes in [(signal.SIGKILL, ProcessError, 1), (signal.SIGTERM, StoppedError, 2)]:
        folder = tmp_path / fault.name
        with pytest.raises(error):
            train_faulty(folder, monkeypatch, fault.value, processes=2, shard_weights=True, **settings)
        run = find_run(folder)
        assert list((run / "checkpoint").glob("*.safetensors"))
        monkeypatch.setenv("FAULTY_RANK", "none")
        if fault is signal.SIGTERM:  # from parts of the weights to complete ones, and back
            config = run / "config.toml"
            config.write_text(config.read_text().replace("shard_weights = true", "shard_weights = false"))
        yisheng.resume(run, model=f"{folder / 'net.py'}:Net", processes=processes, quiet=True)
        require_close(run, complete)


@pytest.mark.parametrize(
    ("settings", "processes", "problem", "remedy"),
    [
        ({"exact": True}, 2, "adds gradients in an order", "exact=false"),
        ({"sync_bn": True}, 2, "sync_bn=true counts each row once", "leave sync_bn="),
        ({"compile": True}, 2, "compile= needs", "leave compile="),
        ({}, 1, "there is one", "processes=2"),
        ({"budget": 60}, 2, "budget= needs the complete weights", "leave budget="),
        ({"finetune": "head"}, 2, "finetune= needs", "leave finetune="),
        ({"memory_format": "channels-last"}, 2, "memory_format= needs", "leave memory_format="),
        ({"tensorboard": True}, 2, "tensorboard= needs", "leave tensorboard="),
        ({"watch": True}, 2, "watch= needs", "leave watch="),
        ({"doctor": "full"}, 2, "doctor=full", "doctor=passive"),
        ({"folds": 3}, 2, "folds=3", "fold=1/3"),
        ({"scratch": True}, 2, "scratch=true", "scratch=false"),
    ],
)
def test_what_needs_complete_weights_is_refused(settings, processes, problem, remedy):
    with pytest.raises(UsageError, match=problem) as caught:
        choose_shards(Config(shard_weights=True, **settings), processes)
    assert remedy in caught.value.remedy


def test_the_doctor_and_measured_choices_are_off():
    config = choose_shards(Config(shard_weights=True), 2)
    assert config.exact is False
    assert (config.doctor, config.precision, config.memory_format, config.budget) == ("off", "fp32", "contiguous", None)
    assert choose_shards(config, 2) == config
    assert choose_shards(Config(shard_weights=True, precision="bf16"), 2).precision == "bf16"


def test_the_batches_of_the_finished_network_are_on_the_cpu():
    gpu = torch.device("cuda", 0)
    part = Batches(torch.zeros(5, 2), torch.zeros(5, 1), torch.arange(5), 2, none(), gpu, 0, weight=torch.ones(5))
    assembly = Assembly(None, None, None, part, replace(part, weight=None), part, None, None, None, {})
    moved = move_to_cpu(assembly)
    for batches in (moved.train, moved.validation, moved.test):
        assert batches.device == torch.device("cpu")
        assert [len(batch) for batch in batches] == [2, 3]
    assert move_to_cpu(moved) is moved
