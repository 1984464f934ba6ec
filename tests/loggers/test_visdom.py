"""Curves in a Visdom server. ``YISHENG_VISDOM=http://localhost:8097`` names a running server to test with."""

import json
import os
import urllib.request

import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.experiments.dispatch import resume

SETTINGS = {"data": "iris", "model": "linear", "epochs": 3, "log_every": 1}


def test_a_missing_server_costs_one_note(tmp_path, capsys):
    words = [f"{key}={value}" for key, value in SETTINGS.items()]
    assert main(["train", *words, "visdom=http://127.0.0.1:9", f"out={tmp_path / 'a'}"]) == 0  # nobody listens there
    assert capsys.readouterr().err.count("Visdom at http://127.0.0.1:9 does not respond") == 1
    plain = yisheng.train(**SETTINGS, out=tmp_path / "b", quiet=True).path
    run = tmp_path / "a" / plain.name
    assert (run / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()


@pytest.mark.parametrize("address", ["localhost", "localhost:8097", "ftp://localhost", "http://", "http:///x", "a b"])
def test_an_address_must_be_an_http_url(tmp_path, address):
    with pytest.raises(UsageError, match="visdom"):
        yisheng.train(**SETTINGS, visdom=address, out=tmp_path, quiet=True)


@pytest.mark.skipif("YISHENG_VISDOM" not in os.environ, reason="no Visdom server is named by YISHENG_VISDOM")
def test_a_real_server_shows_the_curves_of_a_resumed_run(tmp_path):
    address = os.environ["YISHENG_VISDOM"]
    run = yisheng.train(**SETTINGS, visdom=address, out=tmp_path / "visdom", quiet=True).path
    resume(run, epochs=4, force=True)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    steps = [(e["step"], e["loss"]) for e in events if e["event"] == "step"]
    epochs = [(e["step"], e) for e in events if e["event"] == "epoch"]
    curves = {
        ("loss", "batch"): steps,
        ("loss", "training"): [(step, e["loss"]) for step, e in epochs],
        ("loss", "validation"): [(step, e["scores"]["loss"]) for step, e in epochs],
        ("accuracy", "validation"): [(step, e["scores"]["accuracy"]) for step, e in epochs],
        ("lr", "lr"): [(e["step"], e["lr"]) for e in events if e["event"] == "step"],
    }
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for (window, name), points in curves.items():
        content = json.dumps({"eid": run.name, "win": window}).encode()
        window_data = json.loads(opener.open(urllib.request.Request(f"{address}/win_data", content)).read())
        (trace,) = [trace for trace in window_data["content"]["data"] if trace["name"] == name]
        assert list(zip(trace["x"], trace["y"], strict=True)) == points
