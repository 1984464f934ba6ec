"""A study that was killed, stopped or damaged on the way ends with the same table."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import yisheng
from yisheng.core.errors import DataError, NonFiniteError, StoppedError, UsageError
from yisheng.experiments import evaluate as verb_evaluate
from yisheng.experiments import run as single
from yisheng.experiments.cross_validation import pooling, status
from yisheng.experiments.cross_validation import train_folds as study
from yisheng.experiments.run import resume

SETTINGS = {"data": "wine", "model": "mlp", "hidden": [8], "dropout": 0.2, "epochs": 12, "batch": 4, "folds": 3}


def outcome(folder):
    """All that a study ended with, but for seconds."""
    about = json.loads((folder / "folds.json").read_text())
    for one in about["each"]:
        del one["seconds"]
    logs = []
    for one in about["each"]:
        lines = [json.loads(line) for line in (folder / one["folder"] / "events.jsonl").read_text().splitlines()]
        logs.append([{key: value for key, value in line.items() if key != "seconds"} for line in lines])
    names = ("scores.json", "out-of-fold.csv", "evaluation.json", "model.json", "config.toml")
    weights = [
        hashlib.sha256((folder / one["folder"] / "model.safetensors").read_bytes()).hexdigest() for one in about["each"]
    ]
    return {"folds": about, "logs": logs, "weights": weights, **{name: (folder / name).read_bytes() for name in names}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return yisheng.train(**SETTINGS, out=tmp_path_factory.mktemp("whole"), quiet=True).path


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / whole.name))


@pytest.fixture(autouse=True)
def unreported(request, monkeypatch):
    """Reports take most of the time of such small trainings."""
    for module in (study, verb_evaluate):
        monkeypatch.setattr(module, "report", lambda folder: folder / "report.html")


def start(out):
    """A real process that trains the study, with a checkpoint after every step."""
    words = [f"{key}={','.join(map(str, v)) if isinstance(v, list) else v}" for key, v in SETTINGS.items()]
    command = [sys.executable, "-m", "yisheng", "train", *words, f"out={out}", "checkpoint_every=0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})


def kill(process):
    """SIGKILL: it can do nothing about it."""
    process.kill()
    process.communicate()


def wait_for(process, found, seconds=120):
    """Until a path that matches is there."""
    end = time.monotonic() + seconds
    while not any(found()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.slow
def test_a_study_killed_twice_ends_with_the_table_of_the_one_never_killed(whole, tmp_path):
    process = start(tmp_path)
    wait_for(process, lambda: tmp_path.glob("*/fold-02/checkpoint/*.safetensors"))
    kill(process)
    (folder,) = tmp_path.glob("0001-*")
    assert json.loads((folder / "environment.json").read_text())["finished"] is False
    assert not (folder / "fold-03").exists()
    first = (folder / "fold-01" / "model.safetensors").stat().st_mtime_ns

    command = [sys.executable, "-m", "yisheng", "resume", str(folder)]
    again = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    wait_for(again, lambda: folder.glob("fold-03/checkpoint/*.safetensors"))
    kill(again)

    said = io.StringIO()
    resume(folder, stream=said)
    assert "2 of 3 folds are trained" in said.getvalue()
    assert (folder / "fold-01" / "model.safetensors").stat().st_mtime_ns == first  # finished folds are kept
    got, wanted = outcome(folder), outcome(whole)
    for found in (got, wanted):  # the one key of the config that differs
        found["config.toml"] = found["config.toml"].replace(b"checkpoint_every = 0.0", b"checkpoint_every = 10.0")
    assert got == wanted


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_after_a_checkpoint_and_says_how_to_go_on(tmp_path, number, code):
    process = start(tmp_path)
    wait_for(process, lambda: tmp_path.glob("*/fold-01/checkpoint/*.safetensors"))
    process.send_signal(number)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, "")
    (folder,) = tmp_path.glob("0001-*")
    problem, remedy = error.splitlines()[-2:]
    assert f"stopped by {number.name} in fold " in problem
    assert remedy == f"  continue with: yisheng resume {folder}"
    assert (folder / "report.html").exists()
    assert list((folder / "fold-01" / "checkpoint").glob("*.safetensors"))


def stop(folder, *members):
    """Make a finished study look like one that was killed, with these members not trained yet."""
    for name in ("scores.json", "evaluation.json", "report.html", "model.json", "out-of-fold.csv"):
        (folder / name).unlink(missing_ok=True)
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**environment, "finished": False}))
    for name in members:
        shutil.rmtree(folder / name)


@pytest.mark.parametrize("state", ["nothing", "a folder", "a config", "an environment", "a broken fold", "all folds"])
def test_wherever_it_was_killed_it_ends_the_same(copy, whole, state):
    stop(copy, *(["fold-02", "fold-03"] if state != "all folds" else []))
    first = {"a folder": [], "a config": ["config.toml"], "an environment": ["environment.json"]}
    if state in first:
        (copy / "fold-02").mkdir()
    for name in first.get(state, []):
        shutil.copy(whole / "fold-02" / name, copy / "fold-02")
    if state == "a broken fold":
        shutil.copytree(whole / "fold-02", copy / "fold-02")
        for path in (copy / "fold-02").glob("*.*"):
            if path.name not in ("config.toml", "environment.json", "events.jsonl"):
                path.unlink()
    about = copy / "fold-02" / "environment.json"
    if state in ("an environment", "a broken fold"):
        about.write_text(json.dumps({**json.loads(about.read_text()), "finished": False}))
    said = io.StringIO()
    resume(copy, stream=said)
    assert outcome(copy) == outcome(whole)
    assert said.getvalue().count("accuracy") == (0 if state == "all folds" else 2)


def test_a_finished_study_resumed_does_nothing_and_says_so(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    said = io.StringIO()
    assert resume(copy, stream=said) == copy
    assert "the study is finished: all 3 folds are trained" in said.getvalue()
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_more_epochs_are_refused(copy):
    with pytest.raises(UsageError, match="cannot be made longer"):
        resume(copy, epochs=20, stream=io.StringIO())


@pytest.mark.parametrize(("what", "error"), [("data", DataError), ("torch", UsageError), ("code", UsageError)])
def test_changed_data_or_code_is_refused_unless_told(copy, what, error):
    stop(copy, "fold-03")
    environment = json.loads((copy / "environment.json").read_text())
    if what == "data":
        environment["data"]["sha256"] = "0" * 64
    else:
        environment[what] = "0.0.1"
    (copy / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(error, match="force=true"):
        resume(copy, stream=io.StringIO())
    assert not (copy / "fold-03").exists()
    resume(copy, force=True, stream=io.StringIO())
    assert (copy / "scores.json").exists()


@pytest.mark.parametrize("name", ["scores.json", "model.json"])
def test_a_damaged_member_is_named(copy, name):
    stop(copy, "fold-03")
    (copy / "fold-01" / name).write_text("{}")
    with pytest.raises(DataError, match="fold-01 is damaged"):
        resume(copy, stream=io.StringIO())


def test_a_damaged_config_is_named(copy):
    stop(copy)
    (copy / "config.toml").write_text('data = "wine"\n')
    with pytest.raises(DataError, match="config.toml is damaged: it has no folds"):
        resume(copy, stream=io.StringIO())
    (copy / "config.toml").write_text("folds = 'many'\n")
    with pytest.raises(DataError, match="config.toml is damaged"):
        resume(copy, stream=io.StringIO())


def test_a_signal_between_two_folds_or_at_the_end_loses_nothing(copy, whole, monkeypatch):
    stop(copy, "fold-02", "fold-03")

    def interrupted(*given, of=status.write):
        of(*given)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(status, "write", interrupted)
    with pytest.raises(StoppedError, match="stopped by SIGTERM after fold 2 of 3") as caught:
        resume(copy, stream=io.StringIO())
    assert caught.value.code == 143
    assert json.loads((copy / "folds.json").read_text())["each"][1]["scores"]
    monkeypatch.undo()

    def at_the_end(*given, of=pooling.finish):
        os.kill(os.getpid(), signal.SIGINT)
        return of(*given)

    monkeypatch.setattr(pooling, "finish", at_the_end)
    with pytest.raises(StoppedError, match="when all folds were trained; the study is finished"):
        resume(copy, stream=io.StringIO())
    assert outcome(copy) == outcome(whole)
    assert json.loads((copy / "environment.json").read_text())["finished"] is True


def test_a_fold_whose_numbers_go_wrong_is_named(tmp_path):
    settings = {**SETTINGS, "optimizer": "sgd", "lr": 1e30}
    with pytest.raises(NonFiniteError, match="^fold 1 of 3: "):
        yisheng.train(**settings, out=tmp_path, quiet=True)


def test_what_stops_a_member_is_told_of_the_study(copy, monkeypatch):
    stop(copy, "fold-03")

    def stopped(*given, **named):
        raise StoppedError(signal.SIGINT, "stopped by SIGINT after step 3", "continue with: the member")

    monkeypatch.setattr(single, "train", stopped)
    with pytest.raises(StoppedError) as caught:
        resume(copy, stream=io.StringIO())
    assert caught.value.code == 130
    assert caught.value.problem == "stopped by SIGINT in fold 3 of 3; what is trained is kept"
    assert caught.value.remedy == f"continue with: yisheng resume {copy}"


def test_two_processes_do_not_train_in_one_study(copy):
    from yisheng.core import run_folder

    stop(copy)
    with run_folder.locked(copy), pytest.raises(UsageError, match="another process"):
        resume(copy, stream=io.StringIO())
