"""One training in several processes: the same bits as in one, and an end of all when one of them fails."""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

import yisheng
from tests.experiments.sharded_trainings import describe
from yisheng.core.errors import NonFiniteError, ProcessError, StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments import processes, worker_processes

ROOT = Path(__file__).parents[2]
PLAIN = {"ood": False, "boosting": False, "quiet": True}
MAX_SECONDS = 30
"""Until all processes have ended after one failed."""

FAULTY_NETWORK = """
import multiprocessing, os, pathlib, signal, time
import torch
from torch import nn

RANK = multiprocessing.current_process().name.rpartition("-")[2]  # of a process that was started for a training
IS_FAULTY = RANK == os.environ["FAULTY_RANK"]
if IS_FAULTY and os.environ["FAULT"] == "hang":
    time.sleep(100)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))
        self.passes = 0

    def forward(self, x):
        self.passes += self.training
        if IS_FAULTY and self.training and self.passes == int(os.environ["FAULTY_PASS"]):
            pathlib.Path(__file__).with_name("failed-at").write_text(str(time.time()))
            if os.environ["FAULT"] == "nan":
                return self.linear(x) * torch.nan
            os.kill(os.getpid(), int(os.environ["FAULT"]))
        return self.linear(x)
"""


def train_faulty(tmp_path, monkeypatch, fault, processes=1, **settings):
    """Train a network that fails in the last process."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "net.py").write_text(FAULTY_NETWORK)
    monkeypatch.setenv("FAULT", str(fault))
    monkeypatch.setenv("FAULTY_RANK", str(processes - 1))
    monkeypatch.setenv("FAULTY_PASS", str(15 * 4 // processes))  # in the last shard of step 15
    settings = {"epochs": 3, "shards": 4, "processes": processes, **PLAIN, **settings}
    model = f"{tmp_path / 'net.py'}:Net"
    yisheng.train(data="digits", model=model, out=tmp_path / "runs", **settings)


def require_close(run, exact_run):
    """Compare weights and scores up to rounding."""
    weights, expected = (load_file(path / "model.safetensors") for path in (run, exact_run))
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)
    for part in ("validation", "test"):
        scores, exact_scores = (json.loads((path / "scores.json").read_text())[part] for path in (run, exact_run))
        values, expected = ({name: score["value"] for name, score in s.items()} for s in (scores, exact_scores))
        assert values == pytest.approx(expected, abs=0.01)
        assert len(values) > 2


def find_run(tmp_path):
    (run,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    return run


def find_started():
    """Return the processes that were started for a training and run (joblib keeps others of its own)."""
    return [child for child in multiprocessing.active_children() if isinstance(child, SpawnProcess)]


def test_two_processes_train_to_the_same_bits_and_log(tmp_path, without_reports):
    settings = {"data": "digits", "model": "lenet", "shards": 4, "epochs": 1, "doctor": "off", **PLAIN}
    alone = yisheng.train(**settings, out=tmp_path / "1")
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    shared = yisheng.train(**settings, out=tmp_path / "2", processes=2)
    assert describe(alone.path) == describe(shared.path)
    assert (alone.path / "config.toml").read_text() == (shared.path / "config.toml").read_text()
    assert "2 each" in (shared.path / "rank-1.log").read_text()
    assert not (shared.path / "rank-0.log").exists()
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.get_num_threads() == threads
    assert not torch.distributed.is_initialized()
    assert not find_started()


@pytest.mark.slow
def test_sums_that_overlap_give_the_exact_scores_up_to_rounding(tmp_path, without_reports):
    settings = {"data": "digits", "model": "lenet", "shards": 4, "epochs": 2, "batch": 100, "clip_norm": 1.0}
    settings |= {"lr": 0.01, "precision": "fp32", "memory_format": "contiguous", "doctor": "off", **PLAIN}
    exact = yisheng.train(**settings, out=tmp_path / "exact")
    run = yisheng.train(**settings, out=tmp_path / "overlapped", processes=4, exact=False)
    assert "exact = false" in (run.path / "config.toml").read_text()
    assert (run.path / "model.safetensors").read_bytes() != (exact.path / "model.safetensors").read_bytes()
    require_close(run.path, exact.path)


@pytest.mark.slow
def test_torchrun_trains_to_the_same_bits(tmp_path, expected):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    script = str(ROOT / "tests" / "experiments" / "sharded_trainings.py")
    completed = subprocess.run([*command, script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines() == expected


@pytest.mark.slow
def test_srun_trains_to_the_same_bits(tmp_path, expected):
    """Slurm is not here: the variables that its manual promises are set, as for two tasks on one machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = str(ROOT / "tests" / "experiments" / "sharded_trainings.py")
    step = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_JOB_ID": "1",
        "MASTER_PORT": str(port),
    }
    tasks = [
        subprocess.Popen(
            [sys.executable, script, str(tmp_path)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **step, "SLURM_PROCID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [task.communicate() for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], outputs[0][1] + outputs[1][1]
    assert outputs[0][0].splitlines() == expected
    assert not outputs[1][0]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return what one process prints."""
    command = [sys.executable, str(ROOT / "tests" / "experiments" / "sharded_trainings.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder = tmp_path_factory.mktemp("one")
    completed = subprocess.run([*command, folder], capture_output=True, text=True, check=True, env=environment)
    lines = completed.stdout.splitlines()
    assert len({json.loads(line)["weights"] for line in lines}) == len(lines)
    return lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "exact", "fault", "error", "message"),
    [
        (2, True, "nan", NonFiniteError, "the loss became nan at step 15"),
        (2, False, "nan", NonFiniteError, "the loss became nan at step 15"),
        (2, True, int(signal.SIGTERM), StoppedError, "stopped by SIGTERM after step 15; a checkpoint was written"),
        (2, False, int(signal.SIGTERM), StoppedError, "stopped by SIGTERM after step 15; a checkpoint was written"),
        (4, True, int(signal.SIGKILL), ProcessError, "process 3 of 4 was ended by SIGKILL"),
        (2, False, int(signal.SIGKILL), ProcessError, "process 1 of 2 was ended by SIGKILL"),
    ],
)
def test_a_failure_of_one_process_ends_all(tmp_path, monkeypatch, count, exact, fault, error, message):
    with pytest.raises(error, match=message):
        train_faulty(tmp_path, monkeypatch, fault, count, exact=exact)
    assert time.time() - float((tmp_path / "failed-at").read_text()) < MAX_SECONDS
    assert not find_started()
    run = find_run(tmp_path)
    if fault == "nan" or (fault == signal.SIGKILL and not exact):
        return
    assert re.search(r"^0000000(14|15)-", max(path.name for path in (run / "checkpoint").glob("0*.safetensors")))
    monkeypatch.setenv("FAULT", "none")
    yisheng.resume(run, model=f"{tmp_path / 'net.py'}:Net", quiet=True)
    train_faulty(tmp_path / "again", monkeypatch, "none")
    if exact:
        assert describe(run) == describe(find_run(tmp_path / "again"))
    else:
        require_close(run, find_run(tmp_path / "again"))


@pytest.mark.slow
def test_a_process_that_never_comes_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_processes, "JOIN_SECONDS", 5.0)
    with pytest.raises(ProcessError, match="process 1 of 2 did not come within 5 seconds"):
        train_faulty(tmp_path, monkeypatch, "hang", 2)
    assert not find_started()


@pytest.mark.slow
def test_a_process_that_does_not_run_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_processes, "SILENT_SECONDS", 3.0)
    start = SpawnProcess.start

    def start_stopped(process):
        start(process)
        os.kill(process.pid, signal.SIGSTOP)

    monkeypatch.setattr(SpawnProcess, "start", start_stopped)
    with pytest.raises(ProcessError, match="showed no sign of life for 3 seconds"):
        yisheng.train(data="iris", processes=2, out=tmp_path, quiet=True)
    assert not find_started()


@pytest.mark.slow
def test_a_process_that_stops_in_mid_training_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_processes, "LOST_SECONDS", 5.0)
    with pytest.raises(ProcessError, match="process 1: it showed no sign of life for 5 seconds, and was ended"):
        train_faulty(tmp_path, monkeypatch, int(signal.SIGSTOP), 2)
    assert not find_started()


@pytest.mark.slow
def test_processes_end_with_the_first_one(tmp_path):
    """The first process is killed: nobody is left to end the others."""
    command = [sys.executable, "-m", "yisheng", "train", "data=digits", "model=lenet", "epochs=1000", "processes=2"]
    first = subprocess.Popen([*command, f"out={tmp_path / 'runs'}", "--quiet"], cwd=ROOT)
    while not list((tmp_path / "runs").glob("*/rank-1.log")):
        assert first.poll() is None
        time.sleep(0.1)
    others = psutil.Process(first.pid).children(recursive=True)
    assert others
    first.kill()
    first.wait()
    _, alive = psutil.wait_procs(others, timeout=MAX_SECONDS)
    assert not alive


def test_auto_is_one_process_without_gpus(tmp_path, monkeypatch):
    assert processes.count_processes("auto", device="cpu") == 1
    run = yisheng.train(data="iris", model="linear", epochs=1, device="cpu", processes="auto", out=tmp_path, quiet=True)
    assert not (run.path / "rank-1.log").exists()
    monkeypatch.setattr(processes, "count_gpus", lambda device: 5)
    assert processes.count_processes("auto", device="cuda") == 4
    assert processes.count_processes("auto", device="cuda", shards=2) == 2
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "0")
    assert processes.count_processes("auto", device="cpu") == 8


def test_what_processes_cannot_do_is_refused_before_work(tmp_path, monkeypatch):
    class Network(torch.nn.Linear):
        pass

    cases = [
        ({"processes": 0}, "whole number from 1"),
        ({"processes": "all"}, "whole number from 1, or auto"),
        ({"processes": 3}, "use processes=2"),
        ({"processes": 4, "shards": 2}, "use processes=2 or fewer"),
        ({"processes": 2, "folds": 3}, "use fold=1/3"),
        ({"processes": 2, "fix": True}, "fix=true"),
        ({"processes": 2, "callbacks": [lambda events: events]}, "callbacks"),
        ({"processes": 2, "model": Network(4, 3)}, "put it into a file"),
    ]
    for settings, message in cases:
        with pytest.raises(UsageError, match=re.escape(message)):
            yisheng.train(data="iris", out=tmp_path, quiet=True, **settings)
    for settings, message in (
        ({"shards": 3}, "a power of two"),
        ({"exact": False}, "use processes=2 or shards=2, or leave exact= out"),
        ({"sync_bn": True, "shards": 2, "device": "cpu"}, "sync_bn=true is for CUDA GPUs"),
        ({"sync_bn": True, "model": "forest"}, "without gradient steps: sync_bn does not apply"),
        ({"exact": False, "model": "forest"}, "without gradient steps: exact does not apply"),
        ({"shards": 2, "scratch": True, "model": "linear"}, "scratch=true"),
        ({"shards": 2, "model": "forest"}, "without gradient steps: shards does not apply"),
        ({"shards": 2, "model": "linear", "optimizer": "lbfgs"}, "use optimizer=adam"),
        ({"shards": 2, "model": torch.nn.Sequential(torch.nn.SyncBatchNorm(4), torch.nn.Linear(4, 3))}, "BatchNorm2d"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            yisheng.train(data="iris", out=tmp_path, quiet=True, epochs=1, **settings)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match="torchrun started 4"):
        yisheng.train(data="iris", out=tmp_path, quiet=True, processes=2)
    with pytest.raises(UsageError, match="torchrun started 4"):
        yisheng.tune(data="iris", model="linear", lr=[0.1, 0.2], out=tmp_path, quiet=True)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match="shards= gives the same weights in one process"):
        yisheng.train(data="iris", out=tmp_path, quiet=True, processes=4)
    assert not RunFolder(tmp_path).is_begun
    assert not list(tmp_path.iterdir())
