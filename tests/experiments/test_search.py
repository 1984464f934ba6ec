"""A search from its words to a model that predicts; killed, stopped or damaged it ends with the same table."""

import csv
import io
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
from yisheng.core.errors import DataError, NonFiniteError, StoppedError, UsageError
from yisheng.core.types import Dataset, Spec
from yisheng.experiments.search import run_search as verb
from yisheng.experiments.search import trials as searching
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


WILD = {"data": "diabetes", "model": "linear", "optimizer": "sgd", "epochs": 3, "batch": 16, "folds": 2}


def tune(out, **more):
    return yisheng.tune(**{**SETTINGS, **more}, out=out, quiet=True)


def outcome(folder):
    """All that a search ended with, but for seconds."""
    with (folder / "trials.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    about = json.loads((folder / "trials.json").read_text())
    for trial in about["trials"]:
        del trial["seconds"]
    jobs = [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    for job in jobs:
        del job["seconds"]
    keys = [job["key"] for job in jobs]
    assert len(set(keys)) == len(keys)
    weights = {name: value.tolist() for name, value in load_file(folder / "best" / "model.safetensors").items()}
    return rows, about, sorted(jobs, key=lambda job: job["key"]), weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tune(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole.path, tmp_path / whole.path.name)


@pytest.mark.parametrize("trial", [0, 3])
def test_a_row_is_what_train_says_of_that_setting(whole, tmp_path, trial):
    row = whole.trials.iloc[trial]
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


def test_the_files_of_a_search(whole):
    assert whole.path.name == "0001-wine-mlp-search"
    trials = whole.trials
    assert list(zip(trials["hidden"].map(tuple), trials["lr"], strict=True)) == [
        ((4,), 0.01),
        ((4,), 0.05),
        ((8, 8), 0.01),
        ((8, 8), 0.05),
    ]
    about = json.loads((whole.path / "trials.json").read_text())
    assert (about["score"], about["higher"], about["search"], about["finished"]) == ("accuracy", True, "grid", True)
    assert about["axes"][0] == {"name": "hidden", "kind": "choice", "values": [[4], [8, 8]]}
    assert (about["best"], about["chosen"]) == choose_trial(about["trials"], higher_is_better=True)
    settings, means = ([trial[key] for trial in about["trials"]] for key in ("setting", "mean"))
    assert about["importance"] == compute_importance(about["axes"], settings, means)
    assert all(len(trial["curve"]) == 2 for trial in about["trials"])
    study = tomllib.loads((whole.path / "search.toml").read_text())
    assert (study["search"], study["seeds"], [axis["key"] for axis in study["axes"]]) == (
        "grid",
        2,
        ["model.hidden", "optimizer.lr"],
    )
    assert (whole.path / "report.html").exists()
    assert json.loads((whole.path / "environment.json").read_text())["finished"] is True


def test_the_chosen_model_is_an_ordinary_run_on_all_rows_and_predicts(whole):
    setting = whole.chosen["setting"]
    config = tomllib.loads((whole.path / "best" / "config.toml").read_text())
    assert config["model"]["hidden"] == setting["hidden"]
    assert config["optimizer"]["lr"] == setting["lr"]
    assert (config["validation"], "fold" in config, config["epochs"]) == (0, False, 2)
    rows = yisheng.data.load("wine").x[:3]
    assert [a.prediction for a in whole.predict(rows)] == [a.prediction for a in yisheng.predict(whole.path, rows)]
    assert whole.run.scores["test"]["accuracy"].value > 0.3
    assert yisheng.load(whole.path).path == whole.path / "best"
    assert yisheng.report(whole.path) == whole.path / "report.html"


def test_without_folds_it_is_the_hold_out_part_and_the_run_is_the_trial(tmp_path):
    found = yisheng.tune(data="wine", model="linear", lr=[0.01, 0.1], epochs=3, out=tmp_path, quiet=True, executor="serial")
    assert found.best["jobs"] == 1
    assert found.best["sd"] is None
    assert found.chosen == found.best  # nothing tells how sure the scores are
    best = json.loads((found.path / "best" / "model.json").read_text())["best"]
    assert best["value"] == found.best["mean"]


def test_data_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    data = Dataset("mine", Spec("regression", (3,)), x, x[:, :1] * 2 + 1)
    found = yisheng.tune(data=data, model="linear", lr="log(1e-3,1e-1)", n=3, epochs=2, out=tmp_path, quiet=True)
    assert found.path.name == "0001-mine-linear-search"
    assert len(found.trials) == 3
    assert json.loads((found.path / "trials.json").read_text())["higher"] is False
    shutil.rmtree(found.path / "best")
    unfinish(found.path)
    with pytest.raises(DataError, match="in memory"):
        yisheng.resume(found.path, quiet=True)
    yisheng.resume(found.path, data=data, quiet=True)


def test_a_setting_that_fails_is_a_row_and_not_the_end(tmp_path):
    found = yisheng.tune(**WILD, lr=[0.01, 1e30], out=tmp_path, quiet=True)
    assert found.trials["failure"].map(bool).tolist() == [False, True]
    assert math.isnan(found.trials["mean"][1])
    assert found.best["number"] == found.chosen["number"] == 1


def test_a_search_in_which_all_fails_says_so(tmp_path):
    with pytest.raises(NonFiniteError, match="no setting has a score"):
        yisheng.tune(**WILD, lr=[1e30, 1e31], out=tmp_path, quiet=True)
    (folder,) = tmp_path.glob("*-search")
    assert (folder / "report.html").exists()
    with pytest.raises(DataError, match="not finished"):
        yisheng.predict(folder, np.zeros((1, 13), np.float32))


def test_halving_chooses_among_the_last_rung(tmp_path):
    found = tune(tmp_path, lr="log(1e-3,1e-1)", hidden=[4], search="halving", n=6, epochs=6, folds=None, seeds=1)
    trials = found.trials
    assert trials["epochs"].tolist() == [2] * 6 + [6] * 2
    assert found.chosen["epochs"] == 6
    assert tomllib.loads((found.path / "best" / "config.toml").read_text())["epochs"] == 6


def test_in_one_pass_it_is_the_same_to_rounding(tmp_path, whole):
    found = tune(tmp_path, executor="stacked")
    assert found.trials["executor"].unique().tolist() == ["stacked"]
    for column in ("mean", "sd", "se"):
        np.testing.assert_allclose(found.trials[column], whole.trials[column], rtol=1e-5, atol=1e-6)
    assert found.chosen["setting"] == whole.chosen["setting"]


def test_a_round_is_laid_out_piece_by_piece(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(searching, "AT_ONCE", 3)
    assert outcome(tune(tmp_path).path) == outcome(whole.path)


def test_what_does_not_fit_the_data_is_refused_before_there_is_a_folder(tmp_path):
    with pytest.raises(UsageError, match="lenet"):
        yisheng.tune(data="wine", model=["linear", "lenet"], lr=[0.1, 0.2], out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="folds"):
        yisheng.tune(data="wine", lr=[0.1, 0.2], folds=900, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="cannot be trained in one pass"):
        yisheng.tune(data="wine", lr=[0.1, 0.2], accumulate=2, executor="stacked", out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="n must be"):
        yisheng.tune(data="wine", lr="log(1e-4,1)", n="40", out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="search must be a name"):
        yisheng.tune(data="wine", lr="log(1e-4,1)", search={"eta": 3}, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="data must be"):
        yisheng.tune(data=3, lr="log(1e-4,1)", out=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_each_seed_with_its_own_test_part_is_told(tmp_path, capsys):
    yisheng.tune(**{**SETTINGS, "hidden": [4], "epochs": 1}, out=tmp_path)
    said = capsys.readouterr().err
    assert "its test scores are a little too hopeful" in said
    assert "trial 2 of 2: lr=0.05" in said
    yisheng.tune(**{**SETTINGS, "hidden": [4], "epochs": 1, "test": 0}, out=tmp_path)
    assert "hopeful" not in capsys.readouterr().err


def unfinish(folder):
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**environment, "finished": False}))


@pytest.mark.parametrize("state", ["nothing", "some jobs", "a torn line", "all jobs", "a broken best", "all"])
def test_wherever_it_was_killed_it_ends_the_same(copy, whole, state):
    unfinish(copy)
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
    said = io.StringIO()
    verb.resume(copy, stream=said)
    assert outcome(copy) == outcome(whole.path)
    known = {"nothing": 0, "some jobs": 7, "a torn line": 7}.get(state, 16)
    assert (f"{known} trainings are known" in said.getvalue()) == bool(known)


def test_a_finished_search_is_left_alone_and_cannot_be_longer(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.*")}
    assert yisheng.resume(copy, quiet=True).path == copy / "best"
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.*")} == before
    with pytest.raises(UsageError, match="cannot be made longer"):
        yisheng.resume(copy, epochs=9, quiet=True)


def test_a_line_of_another_setting_is_refused(copy):
    unfinish(copy)
    path = copy / "jobs.jsonl"
    path.write_text(path.read_text().replace('"lr": 0.05', '"lr": 0.07', 1))
    with pytest.raises(DataError, match="something that it depends on has changed"):
        verb.resume(copy)


def start(*words):
    command = [sys.executable, "-m", "yisheng", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})


def wait_for(process, lines, out, seconds=300):
    """Until so many trainings have ended."""
    end = time.monotonic() + seconds
    while not any(path.read_bytes().count(b"\n") >= lines for path in out.glob("*/jobs.jsonl")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


MANY = {"data": "iris", "model": "linear", "epochs": 1, "batch": 64, "executor": "serial", "n": 500, "search": "coarse"}
RANGES = {"lr": "log(1e-4,1)", "weight_decay": "log(1e-6,1e-2)"}


@pytest.mark.slow
def test_500_trials_killed_five_times_end_with_the_table_of_those_never_killed(tmp_path):
    words = [f"{key}={value}" for key, value in {**MANY, **RANGES}.items()]
    process = start("tune", *words, f"out={tmp_path}")
    for done in (60, 150, 240, 330, 420):
        wait_for(process, done, tmp_path)
        process.kill()
        process.communicate()
        (folder,) = tmp_path.glob("0001-*")
        assert json.loads((folder / "environment.json").read_text())["finished"] is False
        assert not (folder / "best").exists()
        process = start("resume", str(folder))
    out, error = process.communicate()
    assert (process.returncode, out.splitlines()[-1]) == (0, str(folder)), error
    never = yisheng.tune(**MANY, **RANGES, out=tmp_path / "never", quiet=True)
    rows, *_ = outcome(folder)
    assert len(rows) == 500
    assert outcome(folder) == outcome(never.path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_at_once_and_says_how_to_go_on(tmp_path, number, code):
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
    about = json.loads((folder / "trials.json").read_text())
    assert about["finished"] is False
    assert len(about["trials"]) == (folder / "jobs.jsonl").read_bytes().count(b"\n")


def test_a_signal_while_the_chosen_setting_is_trained(copy, monkeypatch):
    unfinish(copy)
    shutil.rmtree(copy / "best")

    def stopped(*args, **options):
        raise StoppedError(signal.SIGINT, "stopped", "resume the run")

    monkeypatch.setattr(verb.single, "train", stopped)
    with pytest.raises(StoppedError, match=f"yisheng resume {copy}") as caught:
        verb.resume(copy)
    assert caught.value.code == 130


@pytest.mark.slow
def test_the_page_on_searching_runs(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for line in commands.splitlines():
        verb_, *words = shlex.split(line)
        assert verb_ == "yisheng"
        done = subprocess.run([sys.executable, "-m", "yisheng", *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cultivar" in done.stdout
