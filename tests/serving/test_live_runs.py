"""The runs of a folder for the live page: their list, their states, and what changes."""

import json
import os
import sys

import pytest
from filelock import FileLock

from yisheng.core import run_state
from yisheng.serving import live_runs
from yisheng.serving.live_runs import LiveRuns

CONFIG = 'epochs = 4\nbatch = 32\ndata = "digits"\n[model]\nname = "lenet"\n[optimizer]\nname = "sgd"\n'


def make_run(folder, *, finished=False, epochs=2):
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "environment.json").write_text(json.dumps({"finished": finished}))
    (folder / "config.toml").write_text(CONFIG)
    lines = [
        {"event": "epoch", "step": 10 * n, "epoch": n, "loss": 1 / n, "scores": {"loss": 2 / n}, "seconds": n}
        for n in range(1, epochs + 1)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def get_only_run(runs):
    (run,) = runs.list_runs()["runs"]
    return run


def test_runs_and_fold_runs_are_listed_and_nothing_else(tmp_path):
    make_run(tmp_path / "0001-digits-lenet", finished=True)
    make_run(tmp_path / "0002-cross-validation" / "fold-01")
    (tmp_path / "0002-cross-validation" / "cv.json").write_text("{}")
    for name in ("environment.json", "config.toml"):
        (tmp_path / "0002-cross-validation" / name).write_text("{}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "0003-incomplete").mkdir()
    (tmp_path / "0003-incomplete" / "environment.json").write_text("{}")
    runs = LiveRuns(tmp_path)
    kinds = {kind for kind, _ in runs.poll()}
    assert kinds in ({"run", "details"}, {"run"})
    names = [run["name"] for run in runs.list_runs()["runs"]]
    assert names == ["0002-cross-validation/fold-01", "0001-digits-lenet"]
    assert runs.list_runs()["runs"][1]["model"] == "lenet"
    assert runs.poll() == []


def test_the_folder_may_be_a_single_run_or_missing_at_first(tmp_path):
    runs = LiveRuns(tmp_path / "runs")
    assert runs.poll() == []
    make_run(tmp_path / "runs" / "0001-a-b")
    runs.poll()
    assert get_only_run(runs)["name"] == "0001-a-b"
    single_run = LiveRuns(tmp_path / "runs" / "0001-a-b")
    single_run.poll()
    assert get_only_run(single_run)["name"] == "0001-a-b"


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = make_run(tmp_path / "outside")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "0001-link").symlink_to(outside)
    inside = make_run(tmp_path / "runs" / "0002-x")
    (tmp_path / "secret").write_text("secret")
    (inside / "report.html").symlink_to(tmp_path / "secret")
    (inside / "mistakes.json").symlink_to(tmp_path / "secret")
    runs = LiveRuns(tmp_path / "runs")
    runs.poll()
    run = get_only_run(runs)
    assert run["name"] == "0002-x"
    assert runs.find_report(run["id"]) is None
    assert runs.describe_run(run["id"])["mistakes"] is None
    assert runs.describe_run("../outside") is None


@pytest.mark.parametrize("system", [sys.platform, "elsewhere"])
def test_a_run_is_running_while_it_is_locked_then_stopped_broken_or_finished(tmp_path, monkeypatch, system):
    monkeypatch.setattr(run_state.sys, "platform", system)
    folder = make_run(tmp_path / "0001-a-b")
    runs = LiveRuns(tmp_path)
    with FileLock(folder / "checkpoint" / "lock"):
        runs.poll()
        assert get_only_run(runs)["state"] == "running"
        assert get_only_run(runs)["progress"] == 0.5
        assert get_only_run(runs)["remaining_seconds"] == 2.0
    os.utime(folder / "events.jsonl", (0, 0))
    runs.poll()
    assert get_only_run(runs)["state"] == "stopped"
    assert get_only_run(runs)["remaining_seconds"] in (2.0, None)
    (folder / "findings.json").write_text(json.dumps({"findings": [{"check": "non-finite-loss", "severity": "error"}]}))
    runs.poll()
    assert get_only_run(runs)["state"] == "broken"
    (folder / "environment.json").write_text(json.dumps({"finished": True}))
    runs.poll()
    assert get_only_run(runs)["state"] == "finished"


def test_changes_of_an_open_log_are_reported(tmp_path):
    folder = make_run(tmp_path / "0001-a-b")
    runs = LiveRuns(tmp_path)
    runs.poll()
    id = get_only_run(runs)["id"]
    assert len(runs.describe_run(id)["curves"]["epochs"]) == 2
    line = {"event": "epoch", "step": 30, "epoch": 3, "loss": 0.1, "scores": {}, "seconds": 3}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n" + '{"event": "ep')
    changes = dict(runs.poll())
    assert changes["points"]["id"] == id
    assert changes["points"]["curves"]["from"] == [0, 2]
    assert changes["points"]["curves"]["epochs"] == [[30, 3, 0.1, {}, 3.0]]
    (folder / "events.jsonl").write_text("")
    assert ("reset", {"id": id}) in runs.poll()
    (folder / "mistakes.json").write_text(json.dumps({"worst": []}))
    assert ("details", {"id": id}) in runs.poll()
    assert runs.describe_run(id)["mistakes"] == {"worst": []}


def test_a_removed_run_is_reported(tmp_path):
    folder = make_run(tmp_path / "0001-a-b")
    runs = LiveRuns(tmp_path)
    runs.poll()
    id = get_only_run(runs)["id"]
    (folder / "config.toml").unlink()
    assert runs.poll() == [("removed", {"id": id})]
    assert runs.list_runs()["runs"] == []


def test_runs_and_logs_in_memory_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(live_runs, "MAX_RUNS", 5)
    monkeypatch.setattr(live_runs, "MAX_IDLE_LOGS", 2)
    for n in range(8):
        make_run(tmp_path / f"000{n}-a-b", finished=True)
    runs = LiveRuns(tmp_path)
    runs.poll()
    listing = runs.list_runs()
    assert [run["name"][:4] for run in listing["runs"]] == ["0007", "0006", "0005", "0004", "0003"]
    assert listing["omitted"] == 3
    for run in listing["runs"]:
        assert runs.describe_run(run["id"])["curves"]["epochs"]
    runs.poll()
    assert sum(run.log is not None for run in runs._runs.values()) == 2


DAMAGED = ["", "[]", "{", '{"findings": 3}', '{"findings": [1, {"cause": 2}]}', "\udcff", '{"a": ' * 5000]
DAMAGED += ['{"best": {"epoch": 1, "value": NaN, "score": "\\ud800"}}', '{"best": {"value": 1e999}}', '{"best": [1]}']


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_files_do_not_hide_the_curves(tmp_path, content):
    folder = make_run(tmp_path / "0001-a-b")
    for name in ("findings.json", "mistakes.json", "model.json", "environment.json"):
        (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    (folder / "config.toml").write_text("epochs = [" if len(content) % 2 else f"epochs = {10**400}")
    runs = LiveRuns(tmp_path)
    json.dumps(runs.poll(), allow_nan=False)
    description = runs.describe_run(get_only_run(runs)["id"])
    json.dumps(description, allow_nan=False)
    assert len(description["curves"]["epochs"]) == 2


def touch(path, seconds):
    path.touch()
    os.utime(path, (seconds, seconds))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not report locks")
def test_a_running_run_says_what_it_does(tmp_path):
    folder = make_run(tmp_path / "0001-a-b")
    log = folder / "events.jsonl"
    with FileLock(folder / "checkpoint" / "lock"):
        runs = LiveRuns(tmp_path)

        def find_phase():
            runs.poll()
            return get_only_run(runs)["phase"]

        touch(log, 1000)
        assert find_phase() == "training"
        lines = [{"event": "epoch", "step": 10 * n, "epoch": n, "loss": 1.0, "scores": {}} for n in (3, 4)]
        with log.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        touch(log, 1010)
        assert find_phase() == "scoring"  # all epochs are done, the model is not written yet
        touch(folder / "model.json", 1020)
        assert find_phase() == "scoring"
        touch(folder / "scores.json", 1030)
        assert find_phase() == "report"
        (folder / "config.toml").write_text(CONFIG.replace("4", "9"))  # resumed for more epochs
        with log.open("a") as file:
            file.write(json.dumps({"event": "epoch", "step": 50, "epoch": 5, "loss": 1.0, "scores": {}}) + "\n")
        touch(log, 2000)
        assert find_phase() == "training"
        touch(folder / "model.json", 2010)  # it stopped early
        assert find_phase() == "scoring"
    assert find_phase() is None


def test_runs_are_in_natural_order(tmp_path):
    for number in (9, 10, 1, 100):
        make_run(tmp_path / f"fold-{number}", finished=True)
    runs = LiveRuns(tmp_path)
    runs.poll()
    assert [run["name"] for run in runs.list_runs()["runs"]] == ["fold-100", "fold-10", "fold-9", "fold-1"]
