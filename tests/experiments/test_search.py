"""A search from its settings to a model that predicts; killed, stopped or damaged it ends with the same table."""

import csv
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import yisheng
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, NonFiniteError, StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.experiments import complete_run
from yisheng.experiments.search import run_search, run_trials
from yisheng.search.importance import compute_importance
from yisheng.search.selection import choose_trial

SETTINGS = {
    "data": "wine",
    "model": "mlp",
    "hidden": [[4], [8, 8]],
    "lr": [0.01, 0.05],
    "epochs": 2,
    "batch": 32,
    "folds": 2,
    "seeds": 2,
    "executor": "serial",
}


DIVERGING = {"data": "diabetes", "model": "linear", "optimizer": "sgd", "epochs": 3, "batch": 16, "folds": 2}


def tune(out, **settings):
    return yisheng.tune(**{**SETTINGS, **settings}, out=out, quiet=True)


def outcome(folder):
    """Return all results of a search without seconds."""
    with (folder / "trials.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    content = json.loads((folder / "trials.json").read_text())
    for trial in content["trials"]:
        del trial["seconds"]
    jobs = [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    for job in jobs:
        del job["seconds"]
    keys = [job["key"] for job in jobs]
    assert len(set(keys)) == len(keys)
    weights = {name: value.tolist() for name, value in load_file(folder / "best" / "model.safetensors").items()}
    return rows, content, sorted(jobs, key=lambda job: job["key"]), weights


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tune(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished.path, tmp_path / finished.path.name)


@pytest.mark.parametrize("trial", [0, 3])
def test_a_row_of_the_table_is_the_mean_of_single_runs(finished, tmp_path, trial):
    row = finished.trials.iloc[trial]
    fixed = {key: SETTINGS[key] for key in ("data", "model", "epochs", "batch")}
    values = []
    for seed in (0, 1):
        for fold in ("1/2", "2/2"):
            varied = {"hidden": row["hidden"], "lr": row["lr"], "seed": seed, "fold": fold}
            run = yisheng.train(**fixed, **varied, out=tmp_path, quiet=True)
            events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
            values.append([event for event in events if event["event"] == "epoch"][-1]["scores"]["accuracy"])
    assert row["mean"] == np.mean(values)
    assert row["sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert row["se"] == row["sd"] / 2
    assert (row["low"], row["high"], row["jobs"]) == (min(values), max(values), 4)
    assert row["parameters"] == sum(value.numel() for value in load_file(run.path / "model.safetensors").values())


def test_the_files_of_a_search(finished):
    assert finished.path.name == "0001-wine-mlp-search"
    trials = finished.trials
    assert list(zip(trials["hidden"].map(tuple), trials["lr"], strict=True)) == [
        ((4,), 0.01),
        ((4,), 0.05),
        ((8, 8), 0.01),
        ((8, 8), 0.05),
    ]
    content = json.loads((finished.path / "trials.json").read_text())
    assert (content["score"], content["higher"], content["search"], content["finished"]) == (
        "accuracy",
        True,
        "grid",
        True,
    )
    assert content["axes"][0] == {"name": "hidden", "kind": "choice", "values": [[4], [8, 8]]}
    assert (content["best"], content["chosen"]) == choose_trial(content["trials"], higher_is_better=True)
    settings, means = ([trial[key] for trial in content["trials"]] for key in ("setting", "mean"))
    assert content["importance"] == compute_importance(content["axes"], settings, means)
    assert all(len(trial["curve"]) == 2 for trial in content["trials"])
    plan = tomllib.loads((finished.path / "search.toml").read_text())
    assert (plan["search"], plan["seeds"], [axis["key"] for axis in plan["axes"]]) == (
        "grid",
        2,
        ["model.hidden", "optimizer.lr"],
    )
    assert (finished.path / "report.html").exists()
    assert json.loads((finished.path / "environment.json").read_text())["finished"] is True


def test_the_final_model_is_an_ordinary_run_on_all_rows_and_predicts(finished):
    setting = finished.chosen["setting"]
    config = tomllib.loads((finished.path / "best" / "config.toml").read_text())
    assert config["model"]["hidden"] == setting["hidden"]
    assert config["optimizer"]["lr"] == setting["lr"]
    assert (config["validation"], "fold" in config, config["epochs"]) == (0, False, 2)
    rows = yisheng.data.load("wine").x[:3]
    assert [a.prediction for a in finished.predict(rows)] == [
        a.prediction for a in yisheng.predict(finished.path, rows)
    ]
    assert finished.run.scores["test"]["accuracy"].value > 0.3
    assert yisheng.load(finished.path).path == finished.path / "best"
    assert yisheng.report(finished.path) == finished.path / "report.html"


def test_without_folds_the_final_run_repeats_the_trial(tmp_path):
    result = yisheng.tune(
        data="wine", model="linear", lr=[0.01, 0.1], epochs=3, out=tmp_path, quiet=True, executor="serial"
    )
    assert result.best["jobs"] == 1
    assert result.best["sd"] is None
    assert result.chosen == result.best  # a single job has no standard error
    best = json.loads((result.path / "best" / "model.json").read_text())["best"]
    assert best["value"] == result.best["mean"]


def test_data_in_memory_is_searched_and_must_be_given_again(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    data = Dataset("mine", Spec("regression", (3,)), x, x[:, :1] * 2 + 1)
    result = yisheng.tune(data=data, model="linear", lr="log(1e-3,1e-1)", n=3, epochs=2, out=tmp_path, quiet=True)
    assert result.path.name == "0001-mine-linear-search"
    assert len(result.trials) == 3
    assert json.loads((result.path / "trials.json").read_text())["higher"] is False
    shutil.rmtree(result.path / "best")
    make_unfinished(result.path)
    with pytest.raises(DataError, match="in memory"):
        yisheng.resume(result.path, quiet=True)
    yisheng.resume(result.path, data=data, quiet=True)


def test_a_setting_that_fails_is_a_row_of_the_table(tmp_path):
    result = yisheng.tune(**DIVERGING, lr=[0.01, 1e30], out=tmp_path, quiet=True)
    assert result.trials["failure"].map(bool).tolist() == [False, True]
    assert math.isnan(result.trials["mean"][1])
    assert result.best["number"] == result.chosen["number"] == 1


def test_a_search_without_any_score_raises(tmp_path):
    with pytest.raises(NonFiniteError, match="no setting has a score"):
        yisheng.tune(**DIVERGING, lr=[1e30, 1e31], out=tmp_path, quiet=True)
    (folder,) = tmp_path.glob("*-search")
    assert (folder / "report.html").exists()
    with pytest.raises(DataError, match="not finished"):
        yisheng.predict(folder, np.zeros((1, 13), np.float32))


def test_halving_chooses_among_the_longest_trials(tmp_path):
    result = tune(tmp_path, lr="log(1e-3,1e-1)", hidden=[4], search="halving", n=6, epochs=6, folds=None, seeds=1)
    trials = result.trials
    assert trials["epochs"].tolist() == [2] * 6 + [6] * 2
    assert result.chosen["epochs"] == 6
    assert tomllib.loads((result.path / "best" / "config.toml").read_text())["epochs"] == 6


def test_stacked_training_gives_the_same_table_to_rounding(tmp_path, finished):
    result = tune(tmp_path, executor="stacked")
    assert result.trials["executor"].unique().tolist() == ["stacked"]
    for column in ("mean", "sd", "se"):
        np.testing.assert_allclose(result.trials[column], finished.trials[column], rtol=1e-5, atol=1e-6)
    assert result.chosen["setting"] == finished.chosen["setting"]


def test_a_round_in_several_pieces_gives_the_same_table(tmp_path, finished, monkeypatch):
    monkeypatch.setattr(run_trials, "TRIALS_AT_ONCE", 3)
    assert outcome(tune(tmp_path).path) == outcome(finished.path)


def test_a_search_that_does_not_fit_is_refused_before_a_folder_is_created(tmp_path):
    with pytest.raises(UsageError, match="lenet"):
        yisheng.tune(data="wine", model=["linear", "lenet"], lr=[0.1, 0.2], out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="folds"):
        yisheng.tune(data="wine", lr=[0.1, 0.2], folds=900, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="cannot be trained together"):
        yisheng.tune(data="wine", lr=[0.1, 0.2], accumulate=2, executor="stacked", out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="n must be"):
        yisheng.tune(data="wine", lr="log(1e-4,1)", n="40", out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="search must be a name"):
        yisheng.tune(data="wine", lr="log(1e-4,1)", search={"eta": 3}, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="data cannot be read"):
        yisheng.tune(data=3, lr="log(1e-4,1)", out=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_a_note_warns_if_each_seed_has_its_own_test_part(tmp_path, capsys):
    yisheng.tune(**{**SETTINGS, "hidden": [4], "epochs": 1}, out=tmp_path)
    messages = capsys.readouterr().err
    assert "its test scores are a little too optimistic" in messages
    assert "trial 2 of 2: lr=0.05" in messages
    yisheng.tune(**{**SETTINGS, "hidden": [4], "epochs": 1, "test": 0}, out=tmp_path)
    assert "optimistic" not in capsys.readouterr().err


def make_unfinished(folder):
    RunFolder(folder).update_environment(finished=False)


@pytest.mark.parametrize("state", ["nothing", "some jobs", "a torn line", "all jobs", "a broken best", "all"])
def test_it_ends_with_the_same_table_wherever_it_was_killed(copy, finished, state, caplog):
    make_unfinished(copy)
    path, best = copy / "jobs.jsonl", copy / "best"
    lines = path.read_bytes().splitlines(keepends=True)
    if state == "nothing":
        path.unlink()
    elif state in ("some jobs", "a torn line"):
        path.write_bytes(b"".join(lines[:7]) + (lines[7][:40] if state == "a torn line" else b""))
    if state == "a broken best":
        for name in ("environment.json", "model.json", "scores.json"):
            (best / name).unlink()
    elif state != "all":
        shutil.rmtree(best)
        for name in ("trials.csv", "trials.json", "report.html"):
            (copy / name).unlink()
    run_search.resume(copy)
    assert outcome(copy) == outcome(finished.path)
    trained = {"nothing": 0, "some jobs": 7, "a torn line": 7}.get(state, 16)
    assert (f"{trained} trainings are done already" in caplog.text) == bool(trained)


def test_a_finished_search_is_not_changed_and_cannot_be_made_longer(copy):
    times = {path: path.stat().st_mtime_ns for path in copy.rglob("*.*")}
    assert yisheng.resume(copy, quiet=True).path == copy / "best"
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.*")} == times
    with pytest.raises(UsageError, match="cannot be made longer"):
        yisheng.resume(copy, epochs=9, quiet=True)


def test_a_log_line_of_another_setting_is_refused(copy):
    make_unfinished(copy)
    path = copy / "jobs.jsonl"
    path.write_text(path.read_text().replace('"lr": 0.05', '"lr": 0.07', 1))
    with pytest.raises(DataError, match="something that it depends on has changed"):
        run_search.resume(copy)


def start(*words):
    command = [sys.executable, "-m", "yisheng", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})


def wait_for(process, lines, out, seconds=300):
    """Wait until a number of trainings have ended."""
    end = time.monotonic() + seconds
    while not any(path.read_bytes().count(b"\n") >= lines for path in out.glob("*/jobs.jsonl")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


LARGE_SEARCH = {
    "data": "iris",
    "model": "linear",
    "epochs": 1,
    "batch": 64,
    "executor": "serial",
    "n": 500,
    "search": "coarse",
}
RANGES = {"lr": "log(1e-4,1)", "weight_decay": "log(1e-6,1e-2)"}


@pytest.mark.slow
def test_a_search_killed_five_times_ends_with_the_same_table(tmp_path):
    words = [f"{key}={value}" for key, value in {**LARGE_SEARCH, **RANGES}.items()]
    process = start("tune", *words, f"out={tmp_path}")
    for trainings in (60, 150, 240, 330, 420):
        wait_for(process, trainings, tmp_path)
        process.kill()
        process.communicate()
        (folder,) = tmp_path.glob("0001-*")
        assert json.loads((folder / "environment.json").read_text())["finished"] is False
        assert not (folder / "best").exists()
        process = start("resume", str(folder))
    out, error = process.communicate()
    assert (process.returncode, out.splitlines()[-1]) == (0, str(folder)), error
    uninterrupted = yisheng.tune(**LARGE_SEARCH, **RANGES, out=tmp_path / "uninterrupted", quiet=True)
    rows, *_ = outcome(folder)
    assert len(rows) == 500
    assert outcome(folder) == outcome(uninterrupted.path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_search_at_once_and_the_remedy_is_resume(tmp_path, number, code):
    process = start("tune", "data=wine", "lr=log(1e-4,1)", "n=400", "epochs=60", "executor=serial", f"out={tmp_path}")
    wait_for(process, 2, tmp_path)
    process.send_signal(number)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, "")
    (folder,) = tmp_path.glob("0001-*")
    problem, remedy = error.splitlines()[-2:]
    assert problem == f"yisheng: stopped by {signal.Signals(number).name}; all trainings that had ended are kept"
    assert remedy == f"  continue with: yisheng resume {folder}"
    assert (folder / "report.html").exists()
    content = json.loads((folder / "trials.json").read_text())
    assert content["finished"] is False
    assert len(content["trials"]) == (folder / "jobs.jsonl").read_bytes().count(b"\n")


def test_a_signal_in_the_final_training_stops_the_search(copy, monkeypatch):
    make_unfinished(copy)
    shutil.rmtree(copy / "best")

    def stop(*arguments, **options):
        raise StoppedError(signal.SIGINT, "stopped", "resume the run")

    monkeypatch.setattr(complete_run, "train", stop)
    with pytest.raises(StoppedError, match=f"yisheng resume {copy}") as caught:
        run_search.resume(copy)
    assert caught.value.code == 130


@pytest.mark.slow
def test_the_examples_of_the_documentation_run(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        assert program == "yisheng"
        completed = subprocess.run(
            [sys.executable, "-m", "yisheng", *words], capture_output=True, text=True, cwd=tmp_path
        )
        assert completed.returncode == 0, completed.stderr
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert "cultivar" in completed.stdout
