"""The runs of a folder, followed: which there are, how each stands, what is new."""

import json
import os
import sys

import pytest
from filelock import FileLock

from yisheng.serving import live_runs as module
from yisheng.serving.live_runs import Runs

CONFIG = 'epochs = 4\nbatch = 32\ndata = "digits"\n[model]\nname = "lenet"\n[optimizer]\nname = "sgd"\n'


def make(folder, *, finished=False, epochs=2):
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "environment.json").write_text(json.dumps({"finished": finished}))
    (folder / "config.toml").write_text(CONFIG)
    lines = [
        {"event": "epoch", "step": 10 * n, "epoch": n, "loss": 1 / n, "scores": {"loss": 2 / n}, "seconds": n}
        for n in range(1, epochs + 1)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def one(runs):
    (found,) = runs.listed()["runs"]
    return found


def test_runs_are_listed_with_those_of_studies_and_nothing_else(tmp_path):
    make(tmp_path / "0001-digits-lenet", finished=True)
    make(tmp_path / "0002-study" / "fold-01")
    (tmp_path / "0002-study" / "cv.json").write_text("{}")
    for name in ("environment.json", "config.toml"):
        (tmp_path / "0002-study" / name).write_text("{}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "0003-half").mkdir()
    (tmp_path / "0003-half" / "environment.json").write_text("{}")
    runs = Runs(tmp_path)
    kinds = [kind for kind, _ in runs.look()]
    assert set(kinds) == {"run", "more"} or set(kinds) == {"run"}
    assert [run["name"] for run in runs.listed()["runs"]] == ["0002-study/fold-01", "0001-digits-lenet"]
    assert runs.listed()["runs"][1]["model"] == "lenet"
    assert runs.look() == []


def test_a_single_run_or_a_folder_that_is_not_there_yet(tmp_path):
    runs = Runs(tmp_path / "runs")
    assert runs.look() == []
    make(tmp_path / "runs" / "0001-a-b")
    runs.look()
    assert one(runs)["name"] == "0001-a-b"
    alone = Runs(tmp_path / "runs" / "0001-a-b")
    alone.look()
    assert one(alone)["name"] == "0001-a-b"


def test_no_link_leads_out_of_the_folder(tmp_path):
    outside = make(tmp_path / "outside")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "0001-link").symlink_to(outside)
    inside = make(tmp_path / "runs" / "0002-x")
    (tmp_path / "secret").write_text("secret")
    (inside / "report.html").symlink_to(tmp_path / "secret")
    (inside / "mistakes.json").symlink_to(tmp_path / "secret")
    runs = Runs(tmp_path / "runs")
    runs.look()
    found = one(runs)
    assert found["name"] == "0002-x"
    assert runs.report(found["id"]) is None
    assert runs.whole(found["id"])["mistakes"] is None
    assert runs.whole("../outside") is None


@pytest.mark.parametrize("system", [sys.platform, "elsewhere"])
def test_a_run_is_running_while_it_is_trained_then_finished_or_stopped_or_broken(tmp_path, monkeypatch, system):
    monkeypatch.setattr(module.sys, "platform", system)
    folder = make(tmp_path / "0001-a-b")
    runs = Runs(tmp_path)
    with FileLock(folder / "checkpoint" / "lock"):
        runs.look()
        assert one(runs)["state"] == "running"
        assert one(runs)["done"] == 0.5
        assert one(runs)["left"] == 2.0
    os.utime(folder / "events.jsonl", (0, 0))
    runs.look()
    assert one(runs)["state"] == "stopped"
    assert one(runs)["left"] == 2.0 or one(runs)["left"] is None
    (folder / "findings.json").write_text(json.dumps({"findings": [{"check": "non-finite-loss", "severity": "error"}]}))
    runs.look()
    assert one(runs)["state"] == "broken"
    (folder / "environment.json").write_text(json.dumps({"finished": True}))
    runs.look()
    assert one(runs)["state"] == "finished"


def test_a_log_that_is_open_tells_what_is_new(tmp_path):
    folder = make(tmp_path / "0001-a-b")
    runs = Runs(tmp_path)
    runs.look()
    id = one(runs)["id"]
    whole = runs.whole(id)
    assert len(whole["curves"]["epochs"]) == 2
    more = {"event": "epoch", "step": 30, "epoch": 3, "loss": 0.1, "scores": {}, "seconds": 3}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(more) + "\n" + '{"event": "ep')
    news = dict(runs.look())
    assert news["points"]["id"] == id
    assert news["points"]["curves"]["from"] == [0, 2]
    assert news["points"]["curves"]["epochs"] == [[30, 3, 0.1, {}, 3.0]]
    (folder / "events.jsonl").write_text("")
    assert ("anew", {"id": id}) in runs.look()
    (folder / "mistakes.json").write_text(json.dumps({"worst": []}))
    assert ("more", {"id": id}) in runs.look()
    assert runs.whole(id)["mistakes"] == {"worst": []}


def test_logs_and_runs_in_memory_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_RUNS", 5)
    monkeypatch.setattr(module, "MOST_OPEN", 2)
    for n in range(8):
        make(tmp_path / f"000{n}-a-b", finished=True)
    runs = Runs(tmp_path)
    runs.look()
    listed = runs.listed()
    assert [run["name"][:4] for run in listed["runs"]] == ["0007", "0006", "0005", "0004", "0003"]
    assert listed["left_out"] == 3
    for run in listed["runs"]:
        assert runs.whole(run["id"])["curves"]["epochs"]
    runs.look()
    assert sum(run.tail is not None for run in runs._runs.values()) == 2


DAMAGED = ["", "[]", "{", '{"findings": 3}', '{"findings": [1, {"cause": 2}]}', "\udcff", '{"a": ' * 5000]
DAMAGED += ['{"best": {"epoch": 1, "value": NaN, "score": "\\ud800"}}', '{"best": {"value": 1e999}}', '{"best": [1]}']


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_files_take_nothing_else_with_them(tmp_path, content):
    folder = make(tmp_path / "0001-a-b")
    for name in ("findings.json", "mistakes.json", "model.json", "environment.json"):
        (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    (folder / "config.toml").write_text("epochs = [" if len(content) % 2 else f"epochs = {10**400}")
    runs = Runs(tmp_path)
    json.dumps(runs.look(), allow_nan=False)
    whole = runs.whole(one(runs)["id"])
    json.dumps(whole, allow_nan=False)
    assert len(whole["curves"]["epochs"]) == 2
