"""``yisheng tensorboard``: its server in a real process, over HTTP."""

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
from yisheng.experiments.tensorboard_server import serve_tensorboard

pytest.importorskip("tensorboard")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a folder with a run for TensorBoard, one without its files, and a search."""
    out = tmp_path_factory.mktemp("runs")
    settings = {"data": "digits", "model": "mlp", "hidden": [16], "epochs": 2, "out": out, "quiet": True}
    yisheng.train(**settings, tensorboard=True)
    yisheng.train(**settings)
    yisheng.tune(data="iris", model="linear", lr=[0.01, 0.1], epochs=1, out=out, quiet=True)
    return out


def start(*words):
    """Start the command in a separate process; return it and the first object that it prints."""
    command = [sys.executable, "-m", "yisheng", "tensorboard", *map(str, words), "--json"]
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if os.name == "nt" else 0
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, creationflags=flags)
    return child, json.loads(child.stdout.readline() or "{}")


def stop(child):
    """Send Ctrl-C; return the exit code."""
    child.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
    with child:
        return child.wait(60)


def fetch(address, path, body=None):
    """Return the server's response, without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, content, {"Content-Type": "application/json"})
    with opener.open(request, timeout=60) as response:
        return response.read()


def fetch_when(is_complete, address, path, body=None):
    """Return the JSON at a path when it is complete: the server reads the files in the background."""
    for _ in range(300):
        response = json.loads(fetch(address, path, body))
        if is_complete(response):
            return response
        time.sleep(0.1)
    raise AssertionError(response)


@pytest.mark.slow
def test_the_server_shows_all_runs_and_ends_on_ctrl_c(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    child, started = start(runs, "port=0")
    try:
        address = started["address"]
        assert address.startswith("http://127.0.0.1:")
        assert (started["written"], started["converted"]) == (1, 3)  # the search, and its chosen run
        logged, converted = "0001-digits-mlp/tensorboard", "0002-digits-mlp"
        names = {logged, f"{logged}/hparams", converted, f"{converted}/hparams"}
        scalars = fetch_when(lambda tags: names <= set(tags), address, "data/plugin/scalars/tags")
        for run in (logged, converted):
            assert {"loss/batch", "loss/training", "loss/validation", "score/accuracy", "lr"} <= set(scalars[run])
        assert any("trial-0001" in run for run in scalars)
        curve = json.loads(
            fetch(address, f"data/plugin/scalars/scalars?run={logged}&tag=loss/training".replace(" ", "+"))
        )
        events = [json.loads(line) for line in (runs / "0001-digits-mlp" / "events.jsonl").read_text().splitlines()]
        losses = [(e["step"], e["loss"]) for e in events if e["event"] == "epoch"]
        assert [(step, value) for _, step, value in curve] == [(s, pytest.approx(v, rel=1e-6)) for s, v in losses]
        images = json.loads(fetch(address, "data/plugin/images/tags"))
        assert set(images[logged]) == {"images/training", "images/worst test mistakes"}
        (image_facts,) = json.loads(
            fetch(address, f"data/plugin/images/images?run={logged}&tag=images/training&sample=0")
        )
        image = fetch(address, f"data/plugin/images/individualImage?{image_facts['query']}")
        assert image.startswith(b"\x89PNG")
        graph = fetch(address, f"data/plugin/graphs/graph?run={logged}&conceptual=false")
        assert b"Linear" in graph
        assert "weights/output.weight" in json.loads(fetch(address, "data/plugin/histograms/tags"))[logged]
        body = {"allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "sliceSize": 20, "startIndex": 0}
        groups = json.loads(fetch(address, "data/plugin/hparams/session_groups", body))["sessionGroups"]
        assert {f"{logged}/hparams", f"{converted}/hparams"} <= {group["name"] for group in groups}
        assert b"<html" in fetch(address, "")
    finally:
        assert stop(child) == 0
    assert not list(tmp_path.iterdir())
    assert not (runs / "0002-digits-mlp" / "tensorboard").exists()


@pytest.mark.slow
def test_two_runs_are_two_sessions_with_their_own_settings_and_scores(tmp_path):
    for batch in (16, 32):
        yisheng.train(data="iris", model="linear", epochs=1, batch=batch, tensorboard=True, out=tmp_path, quiet=True)
    with serve_tensorboard(tmp_path, port=0) as server:
        body = {"allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "sliceSize": 20, "startIndex": 0}
        path = "data/plugin/hparams/session_groups"
        groups = fetch_when(lambda response: len(response.get("sessionGroups", ())) == 2, server.address, path, body)
        assert sorted(group["hparams"]["batch"] for group in groups["sessionGroups"]) == [16, 32]
        for group in groups["sessionGroups"]:
            assert {metric["name"]["tag"] for metric in group["metricValues"]} >= {
                "test/accuracy",
                "validation/accuracy",
            }
    with pytest.raises(urllib.error.URLError):  # the server has stopped
        fetch(server.address, "")


def test_a_single_run_and_a_port_in_use(runs, tmp_path, assert_error):
    run = shutil.copytree(runs / "0002-digits-mlp", tmp_path / "a,b")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert_error(["tensorboard", str(runs / "0001-digits-mlp"), f"port={port}"], 2, f"port {port} cannot be used")
    assert_error(["tensorboard", str(run), "port=0"], 2, "comma")
    with serve_tensorboard(runs / "0001-digits-mlp", port=0) as server:
        assert (server.written, server.converted) == (1, 0)


def test_wrong_words_are_refused(assert_error, tmp_path):
    assert_error(["tensorboard"], 2, "one run folder")
    assert_error(["tensorboard", "nowhere"], 3, "is not a folder")
    assert_error(["tensorboard", "."], 3, "there is no run in")
    assert_error(["tensorboard", ".", "port=70000"], 2, "from 0 to 65535")
    assert_error(["tensorboard", ".", "port=x"], 2, "whole number")
    assert_error(["tensorboard", ".", "logdir=x"], 2, "unknown key 'logdir'")


def test_without_tensorboard_the_extra_is_named(runs, monkeypatch, capsys):
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["tensorboard", str(runs)]) == 5
    assert "yisheng[tensorboard]" in capsys.readouterr().err
    assert main(["train", "data=iris", "tensorboard=true", f"out={runs / 'new'}"]) == 5
    assert not Path(runs / "new").exists()
