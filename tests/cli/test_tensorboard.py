"""``yisheng tensorboard``: its server in a real process, asked over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main
from yisheng.experiments.tensorboard_server import serving

pytest.importorskip("tensorboard")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run for TensorBoard, one without its files, and a search."""
    out = tmp_path_factory.mktemp("runs")
    settings = {"data": "digits", "model": "mlp", "hidden": [16], "epochs": 2, "out": out, "quiet": True}
    yisheng.train(**settings, tensorboard=True)
    yisheng.train(**settings)
    yisheng.tune(data="iris", model="linear", lr=[0.01, 0.1], epochs=1, out=out, quiet=True)
    return out


def start(*words):
    """The command in a process of its own, and what it says first."""
    command = [sys.executable, "-m", "yisheng", "tensorboard", *map(str, words), "--json"]
    own = subprocess.CREATE_NEW_PROCESS_GROUP if os.name == "nt" else 0
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, creationflags=own)
    return child, json.loads(child.stdout.readline() or "{}")


def stop(child):
    child.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
    with child:
        return child.wait(60)


def fetch(address, path, body=None):
    """What the server answers, without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, content, {"Content-Type": "application/json"})
    with opener.open(request, timeout=60) as answer:
        return answer.read()


def asked(address, path, enough, body=None):
    """The JSON at a path, when the server has read all files."""
    for _ in range(300):
        found = json.loads(fetch(address, path, body))
        if enough(found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


@pytest.mark.slow
def test_the_server_shows_all_that_is_there_and_ends_on_ctrl_c(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    child, said = start(runs, "port=0")
    try:
        address = said["address"]
        assert address.startswith("http://127.0.0.1:")
        assert (said["written"], said["converted"]) == (1, 3)  # the search, and its chosen run
        one, other = "0001-digits-mlp/tensorboard", "0002-digits-mlp"
        wanted = {one, f"{one}/hparams", other, f"{other}/hparams"}
        scalars = asked(address, "data/plugin/scalars/tags", lambda found: wanted <= set(found))
        for run in (one, other):
            assert {"loss/batch", "loss/training", "loss/validation", "score/accuracy", "lr"} <= set(scalars[run])
        assert any("trial-0001" in run for run in scalars)
        curve = json.loads(fetch(address, f"data/plugin/scalars/scalars?run={one}&tag=loss/training".replace(" ", "+")))
        events = [json.loads(line) for line in (runs / "0001-digits-mlp" / "events.jsonl").read_text().splitlines()]
        losses = [(e["step"], e["loss"]) for e in events if e["event"] == "epoch"]
        assert [(step, value) for _, step, value in curve] == [(s, pytest.approx(v, rel=1e-6)) for s, v in losses]
        images = json.loads(fetch(address, "data/plugin/images/tags"))
        assert set(images[one]) == {"images/training", "images/worst test mistakes"}
        (about,) = json.loads(fetch(address, f"data/plugin/images/images?run={one}&tag=images/training&sample=0"))
        image = fetch(address, f"data/plugin/images/individualImage?{about['query']}")
        assert image.startswith(b"\x89PNG")
        graph = fetch(address, f"data/plugin/graphs/graph?run={one}&conceptual=false")
        assert b"Linear" in graph
        assert "weights/output.weight" in json.loads(fetch(address, "data/plugin/histograms/tags"))[one]
        body = {"allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "sliceSize": 20, "startIndex": 0}
        groups = json.loads(fetch(address, "data/plugin/hparams/session_groups", body))["sessionGroups"]
        assert {f"{one}/hparams", f"{other}/hparams"} <= {group["name"] for group in groups}
        assert b"<html" in fetch(address, "")
    finally:
        assert stop(child) == 0
    assert not list(tmp_path.iterdir())
    assert not (runs / "0002-digits-mlp" / "tensorboard").exists()


@pytest.mark.slow
def test_two_runs_are_two_sessions_with_their_own_settings_and_scores(tmp_path):
    for batch in (16, 32):
        yisheng.train(data="iris", model="linear", epochs=1, batch=batch, tensorboard=True, out=tmp_path, quiet=True)
    with serving(tmp_path, port=0) as found:
        body = {"allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "sliceSize": 20, "startIndex": 0}
        path = "data/plugin/hparams/session_groups"
        groups = asked(found.address, path, lambda answer: len(answer.get("sessionGroups", ())) == 2, body)
        assert sorted(group["hparams"]["batch"] for group in groups["sessionGroups"]) == [16, 32]
        for group in groups["sessionGroups"]:
            assert {metric["name"]["tag"] for metric in group["metricValues"]} >= {
                "test/accuracy",
                "validation/accuracy",
            }
    with pytest.raises(urllib.error.URLError):  # the server is gone
        fetch(found.address, "")


def test_a_single_run_and_a_taken_port(runs, tmp_path, refused):
    run = shutil.copytree(runs / "0002-digits-mlp", tmp_path / "a,b")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(["tensorboard", str(runs / "0001-digits-mlp"), f"port={port}"], 2, f"port {port} cannot be used")
    refused(["tensorboard", str(run), "port=0"], 2, "comma")
    with serving(runs / "0001-digits-mlp", port=0) as found:
        assert (found.written, found.converted) == (1, 0)


def test_mistakes_are_told(refused, tmp_path):
    refused(["tensorboard"], 2, "one run folder")
    refused(["tensorboard", "nowhere"], 3, "is not a folder")
    refused(["tensorboard", "."], 3, "there is no run in")
    refused(["tensorboard", ".", "port=70000"], 2, "from 0 to 65535")
    refused(["tensorboard", ".", "port=x"], 2, "whole number")
    refused(["tensorboard", ".", "logdir=x"], 2, "unknown key 'logdir'")


def test_without_tensorboard(runs, monkeypatch, capsys):
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["tensorboard", str(runs)]) == 5
    assert "yisheng[tensorboard]" in capsys.readouterr().err
    assert main(["train", "data=iris", "tensorboard=true", f"out={runs / 'new'}"]) == 5
    assert not Path(runs / "new").exists()
