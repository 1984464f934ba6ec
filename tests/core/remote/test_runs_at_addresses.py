"""Runs at addresses: trained, killed, resumed on another machine, evaluated, served from there, deleted."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

import yisheng
from tests.core.remote.stores import break_after, list_store, stop_after
from yisheng.cli import main
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.core.remote import sessions
from yisheng.core.remote.mirrors import Mirror
from yisheng.training import checkpoint

RUNS = "breaking://bucket/runs"
SETTINGS = {
    "data": "digits",
    "model": "mlp",
    "hidden": [8],
    "epochs": 3,
    "checkpoint_every": 0,
    "doctor": "off",
    "quiet": True,
}


def hash_weights(folder):
    return hashlib.sha256((Path(folder) / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return hash_weights(yisheng.train(**SETTINGS, out=tmp_path_factory.mktemp("runs")).path)


def test_a_training_continues_on_another_machine_to_the_same_bits(expected, move_to_other_machine, monkeypatch):
    published = []
    publish = sessions.publish
    monkeypatch.setattr(sessions, "_publish_after", lambda *_: None)  # the machine is lost
    monkeypatch.setattr(
        "yisheng.experiments.run_training.publish", lambda folder: (publish(folder), published.append(1))
    )
    with pytest.raises(KeyboardInterrupt):
        yisheng.train(**SETTINGS, out=RUNS, callbacks=[stop_after(40)])
    assert len(published) >= 40
    move_to_other_machine()
    run = yisheng.resume(f"{RUNS}/0001-digits-mlp", quiet=True)
    assert hash_weights(run.path) == expected
    move_to_other_machine()
    assert hash_weights(yisheng.load(f"{RUNS}/0001-digits-mlp").path) == expected
    assert [entry.path for entry in yisheng.runs(RUNS)] == [f"{RUNS}/0001-digits-mlp"]


@pytest.mark.slow
def test_a_broken_network_is_a_warning_until_the_end(expected, caplog, move_to_other_machine):
    def break_network(events):
        for number, event in enumerate(events):
            if number == 10:
                break_after(0)
            yield event

    with pytest.raises(StorageError, match="cannot be written: the network is unreachable"):
        yisheng.train(**SETTINGS, out=RUNS, callbacks=[break_network])
    assert "the training goes on, and is copied with a later checkpoint" in caplog.text
    break_after(None)
    run = yisheng.resume(f"{RUNS}/0001-digits-mlp", quiet=True)  # copies what is complete here
    assert hash_weights(run.path) == expected
    move_to_other_machine()
    assert hash_weights(yisheng.load(f"{RUNS}/0001-digits-mlp").path) == expected


@pytest.mark.slow
def test_runs_get_different_numbers_from_different_machines(move_to_other_machine, capsys):
    words = ["train", "data=iris", "model=linear", "epochs=1", f"out={RUNS}"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{RUNS}/0001-iris-linear"
    move_to_other_machine()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == f"{RUNS}/0002-iris-linear"
    fsspec.filesystem("breaking").pipe_file("/bucket/runs/.yisheng/numbers/0003", b"taken elsewhere")
    assert main([*words, "folds=2", "name=cv"]) == 0
    address = f"{RUNS}/0004-cv"
    move_to_other_machine()
    assert main(["report", address]) == 0
    assert main(["compare", f"{RUNS}/0001-iris-linear", address]) == 0
    assert len(yisheng.load(address).folds) == 2


@pytest.mark.slow
def test_commands_take_addresses(move_to_other_machine, capsys, tmp_path):
    fs = fsspec.filesystem("breaking")
    rows = "\n".join(f"{i % 7},{i % 5},{'up' if i % 7 > 3 else 'down'}" for i in range(200))
    fs.pipe_file("/bucket/data/rows.csv", f"a,b,direction\n{rows}\n".encode())
    data = "breaking://bucket/data/rows.csv"
    assert main(["train", f"data={data}", "target=direction", "model=linear", "epochs=2", f"out={RUNS}"]) == 0
    run = f"{RUNS}/0001-rows-linear"
    move_to_other_machine()
    local = yisheng.load(run)
    assert local.run.config["data"]["path"] == data
    assert main(["resume", run, "epochs=3"]) == 0  # the data is fetched, too
    fs.copy("/bucket/data/rows.csv", "/bucket/data/other.csv")
    other = "data=breaking://bucket/data/other.csv"
    assert main(["evaluate", run, other, "target=direction", "name=again"]) == 0
    assert main(["predict", run, data, "out=breaking://bucket/predictions.csv"]) == 0
    assert main(["export", run, "format=safetensors", "out=breaking://bucket/x/model.safetensors"]) == 0
    assert main(["runs", "export", run, "out=breaking://bucket/run.zip"]) == 0
    assert main(["runs", RUNS, "data=rows"]) == 0
    assert run in capsys.readouterr().out
    assert fs.cat_file("/bucket/predictions.csv").count(b"\n") == 201
    assert fs.size("/bucket/run.zip")
    assert fs.size("/bucket/x/model.safetensors")
    assert "evaluations/again/scores.json" in list_store(run)
    fs.pipe_file("/bucket/data/rows.csv", f"a,b,direction\n{rows}\n1,1,up\n".encode())
    assert main(["resume", run, "epochs=4"]) == 3  # the data changed
    assert main(["runs", "rename", run, "other"]) == 2
    assert main(["runs", "delete", run, "--yes"]) == 0
    assert not [name for name in list_store(RUNS) if name.startswith("0001")]
    assert main(["predict", run, data]) == 3


def test_what_cannot_be_is_refused(move_to_other_machine, capsys):
    assert main(["train", "data=iris", "epochs=1", "model=linear", f"out={RUNS}"]) == 0
    run = f"{RUNS}/0001-iris-linear"
    assert main(["train", "data=iris", f"out={run}"]) == 2
    assert "is a run, not a folder of runs" in capsys.readouterr().err
    mirror = Mirror(run)
    mirror.publisher.begin_writing()
    move_to_other_machine()
    with pytest.raises(UsageError, match="writes to"):
        yisheng.resume(run, epochs=2, quiet=True)
    yisheng.load(run)  # reading needs no right to write
    mirror.publisher.release()
    with pytest.raises(DataError, match="holds no complete copy"):
        yisheng.resume(f"{RUNS}/0002-iris-linear", quiet=True)


def test_nothing_is_half_written_when_a_checkpoint_is_not(monkeypatch, move_to_other_machine):
    """A second machine that takes over stops the first one at its next checkpoint."""
    other = []

    def take_over(events):
        for number, event in enumerate(events):
            if number == 5:
                sessions.find_mirror(next(iter(sessions._session.get().mirrors))).publisher._writer.stop()
                move_to_other_machine()
                other.append(Mirror(f"{RUNS}/0001-digits-mlp"))
                other[0].publisher.begin_writing()
            yield event

    with pytest.raises(UsageError, match="another process writes to"):
        yisheng.train(**SETTINGS, out=RUNS, callbacks=[take_over])
    other[0].publisher.release()


@pytest.mark.slow
def test_killed_processes_are_resumed_with_an_empty_cache(expected, tmp_path):
    """``kill -9`` at different times; each time another folder is the cache, as on another machine."""
    runs = f"local://{tmp_path}/store/runs"
    words = [f"{key}={value}" for key, value in SETTINGS.items() if key not in ("quiet", "hidden")]
    command = ["train", *words, "hidden=8", f"out={runs}"]
    for attempt, seconds in enumerate((0.4, 0.2, None)):
        environment = {**os.environ, "YISHENG_HOME": str(tmp_path / f"home-{attempt}")}
        process = subprocess.Popen(
            [sys.executable, "-m", "yisheng", *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if seconds is None:
            assert process.wait(120) == 0, process.stderr.read()
            break
        folder = tmp_path / "store/runs/0001-digits-mlp/.yisheng"
        before = set(folder.glob("manifest-*")) if folder.is_dir() else set()
        while not (folder.is_dir() and set(folder.glob("manifest-*")) - before):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        command = ["resume", f"{runs}/0001-digits-mlp"]
    process.stderr.close()
    assert hash_weights(tmp_path / "store/runs/0001-digits-mlp") == expected
    assert checkpoint.load_weights(tmp_path / "store/runs/0001-digits-mlp/checkpoint")
