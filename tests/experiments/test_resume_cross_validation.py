"""A cross-validation that was killed, stopped or damaged and then resumed ends with the same results."""

import hashlib
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
from yisheng.core.run_folder import RunFolder
from yisheng.experiments import complete_run
from yisheng.experiments.cross_validation import training as cross_validation_training
from yisheng.experiments.dispatch import resume

pytestmark = pytest.mark.usefixtures("without_reports")

SETTINGS = {"data": "wine", "model": "mlp", "hidden": [8], "dropout": 0.2, "epochs": 12, "batch": 4, "folds": 3}


def outcome(folder):
    """Return all results of a cross-validation without seconds."""
    content = json.loads((folder / "cv.json").read_text())
    for fold in content["models"]:
        del fold["seconds"]
    logs = []
    for fold in content["models"]:
        lines = [json.loads(line) for line in (folder / fold["folder"] / "events.jsonl").read_text().splitlines()]
        logs.append([{key: value for key, value in line.items() if key != "seconds"} for line in lines])
    names = ("scores.json", "out-of-fold.csv", "evaluation.json", "model.json", "config.toml")
    weights = [
        hashlib.sha256((folder / fold["folder"] / "model.safetensors").read_bytes()).hexdigest()
        for fold in content["models"]
    ]
    return {
        "folds": content,
        "logs": logs,
        "weights": weights,
        **{name: (folder / name).read_bytes() for name in names},
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return yisheng.train(**SETTINGS, out=tmp_path_factory.mktemp("uninterrupted"), quiet=True).path


@pytest.fixture
def copy(uninterrupted, tmp_path):
    return Path(shutil.copytree(uninterrupted, tmp_path / uninterrupted.name))


def start(out):
    """Start a process that trains a cross-validation, with a checkpoint after every step."""
    words = [f"{key}={','.join(map(str, v)) if isinstance(v, list) else v}" for key, v in SETTINGS.items()]
    command = [sys.executable, "-m", "yisheng", "train", *words, f"out={out}", "checkpoint_every=0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})


def kill(process):
    """Send SIGKILL, which a process cannot handle."""
    process.kill()
    process.communicate()


def wait_for(process, find_paths, seconds=120):
    """Wait until there is a path."""
    end = time.monotonic() + seconds
    while not any(find_paths()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.slow
def test_a_cross_validation_killed_twice_ends_with_the_same_results(uninterrupted, tmp_path, caplog):
    process = start(tmp_path)
    wait_for(process, lambda: tmp_path.glob("*/fold-02/checkpoint/*.safetensors"))
    kill(process)
    (folder,) = tmp_path.glob("0001-*")
    assert json.loads((folder / "environment.json").read_text())["finished"] is False
    assert not (folder / "fold-03").exists()
    time_of_first = (folder / "fold-01" / "model.safetensors").stat().st_mtime_ns

    command = [sys.executable, "-m", "yisheng", "resume", str(folder)]
    resumed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    wait_for(resumed, lambda: folder.glob("fold-03/checkpoint/*.safetensors"))
    kill(resumed)

    resume(folder)
    assert "2 of 3 folds are trained" in caplog.text
    assert (folder / "fold-01" / "model.safetensors").stat().st_mtime_ns == time_of_first  # finished folds are kept
    actual, expected = outcome(folder), outcome(uninterrupted)
    for results in (actual, expected):  # the only key of the config that differs
        results["config.toml"] = results["config.toml"].replace(b"checkpoint_every = 0.0", b"checkpoint_every = 10.0")
    assert actual == expected


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_after_a_checkpoint_and_the_remedy_is_resume(tmp_path, number, code):
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


def make_unfinished(folder, *untrained):
    """Make a finished cross-validation look like one that was killed before some folds were trained."""
    for name in ("scores.json", "evaluation.json", "report.html", "model.json", "out-of-fold.csv"):
        (folder / name).unlink(missing_ok=True)
    RunFolder(folder).update_environment(finished=False)
    for name in untrained:
        shutil.rmtree(folder / name)


@pytest.mark.parametrize("state", ["nothing", "a folder", "a config", "an environment", "a broken fold", "all folds"])
def test_it_ends_with_the_same_results_wherever_it_was_killed(copy, uninterrupted, state, capsys):
    make_unfinished(copy, *(["fold-02", "fold-03"] if state != "all folds" else []))
    files_of_state = {"a folder": [], "a config": ["config.toml"], "an environment": ["environment.json"]}
    if state in files_of_state:
        (copy / "fold-02").mkdir()
    for name in files_of_state.get(state, []):
        shutil.copy(uninterrupted / "fold-02" / name, copy / "fold-02")
    if state == "a broken fold":
        shutil.copytree(uninterrupted / "fold-02", copy / "fold-02")
        for path in (copy / "fold-02").glob("*.*"):
            if path.name not in ("config.toml", "environment.json", "events.jsonl"):
                path.unlink()
    if state in ("an environment", "a broken fold"):
        RunFolder(copy / "fold-02").update_environment(finished=False)
    yisheng.resume(copy)
    assert outcome(copy) == outcome(uninterrupted)
    messages = capsys.readouterr().err
    assert messages.count("accuracy") == (0 if state == "all folds" else 2)


def test_a_finished_cross_validation_is_not_changed_and_a_message_says_so(copy, caplog):
    contents = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert resume(copy) == copy
    assert "the cross-validation is finished: all 3 folds are trained" in caplog.text
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == contents


def test_more_epochs_are_refused(copy):
    with pytest.raises(UsageError, match="cannot be made longer"):
        resume(copy, epochs=20)


@pytest.mark.parametrize(("changed", "error"), [("data", DataError), ("torch", UsageError), ("code", UsageError)])
def test_changed_data_or_code_is_refused_without_force(copy, changed, error):
    make_unfinished(copy, "fold-03")
    environment = json.loads((copy / "environment.json").read_text())
    if changed == "data":
        environment["data"]["sha256"] = "0" * 64
    else:
        environment[changed] = "0.0.1"
    (copy / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(error, match="force=true"):
        resume(copy)
    assert not (copy / "fold-03").exists()
    resume(copy, force=True)
    assert (copy / "scores.json").exists()


@pytest.mark.parametrize("name", ["scores.json", "model.json"])
def test_a_damaged_fold_is_named(copy, name):
    make_unfinished(copy, "fold-03")
    (copy / "fold-01" / name).write_text("{}")
    with pytest.raises(DataError, match="fold-01 is damaged"):
        resume(copy)


def test_a_damaged_config_is_named(copy):
    make_unfinished(copy)
    (copy / "config.toml").write_text('data = "wine"\n')
    with pytest.raises(DataError, match="config.toml is damaged: it has no folds"):
        resume(copy)
    (copy / "config.toml").write_text("folds = 'many'\n")
    with pytest.raises(DataError, match="config.toml is damaged"):
        resume(copy)


def test_a_signal_between_two_folds_or_at_the_end_loses_nothing(copy, uninterrupted, monkeypatch):
    make_unfinished(copy, "fold-02", "fold-03")

    write_results = cross_validation_training.write_results

    def interrupt_after_writing(*arguments):
        write_results(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(cross_validation_training, "write_results", interrupt_after_writing)
    with pytest.raises(StoppedError, match="stopped by SIGTERM after fold 2 of 3") as caught:
        resume(copy)
    assert caught.value.code == 143
    assert json.loads((copy / "cv.json").read_text())["models"][1]["scores"]
    monkeypatch.undo()

    score_cross_validation = cross_validation_training.score_cross_validation

    def interrupt_before_scoring(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return score_cross_validation(*arguments)

    monkeypatch.setattr(cross_validation_training, "score_cross_validation", interrupt_before_scoring)
    with pytest.raises(StoppedError, match="after all folds were trained; the cross-validation is finished"):
        resume(copy)
    assert outcome(copy) == outcome(uninterrupted)
    assert json.loads((copy / "environment.json").read_text())["finished"] is True


def test_a_fold_with_a_nonfinite_loss_is_named(tmp_path):
    settings = {**SETTINGS, "optimizer": "sgd", "lr": 1e30}
    with pytest.raises(NonFiniteError, match="^fold 1 of 3: "):
        yisheng.train(**settings, out=tmp_path, quiet=True)


def test_a_stopped_fold_stops_the_cross_validation(copy, monkeypatch):
    make_unfinished(copy, "fold-03")

    def stop(*arguments, **options):
        raise StoppedError(signal.SIGINT, "stopped by SIGINT after step 3", "continue with: the fold")

    monkeypatch.setattr(complete_run, "train", stop)
    with pytest.raises(StoppedError) as caught:
        resume(copy)
    assert caught.value.code == 130
    assert caught.value.problem == "stopped by SIGINT in fold 3 of 3; what is trained is kept"
    assert caught.value.remedy == f"continue with: yisheng resume {copy}"


def test_two_processes_cannot_train_in_one_cross_validation(copy):
    make_unfinished(copy)
    with RunFolder(copy).lock(), pytest.raises(UsageError, match="another process"):
        resume(copy)
