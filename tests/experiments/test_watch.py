"""The live page of a training: it starts, follows the training, and stops with it however that ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main
from yisheng.experiments import watch

IRIS = {"data": "iris", "model": "linear", "epochs": 2}


def parse_port(text):
    return int(re.search(r"http://127\.0\.0\.1:(\d+)/", text)[1])


def is_up(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def stops_soon(port):
    for _ in range(300):
        if not is_up(port):
            return True
        time.sleep(0.1)
    return False


def test_the_page_is_served_during_the_block_only(tmp_path, caplog):
    with watch.watch_training(tmp_path / "runs = a=b"):
        port = parse_port(caplog.text)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/runs") as response:
            assert json.load(response) == {"runs": [], "omitted": 0}
    assert not is_up(port)


def test_the_page_stops_when_the_training_fails(tmp_path, caplog):
    with pytest.raises(RuntimeError, match="training"), watch.watch_training(tmp_path):
        raise RuntimeError("training")
    assert not is_up(parse_port(caplog.text))


@pytest.mark.skipif(os.name == "nt", reason="no kill -9")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_page_stops_when_the_training_is_killed(tmp_path, number):
    code = (
        "import time\nfrom pathlib import Path\nfrom yisheng.core.logging import show_on_stderr\n"
        "from yisheng.experiments import watch\n"
        f"with show_on_stderr(), watch.watch_training(Path({str(tmp_path)!r})): time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    with parent:
        port = parse_port(parent.stderr.readline())
        assert is_up(port)
        parent.send_signal(number)
    assert stops_soon(port)


@pytest.mark.slow
def test_train_and_resume_with_watch_serve_the_page_and_write_mistakes(tmp_path, capfd):
    assert main(["train", "data=digits", "model=linear", "epochs=1", "watch=true", f"out={tmp_path}"]) == 0
    out, err = capfd.readouterr()
    folder = Path(out.strip().splitlines()[-1])
    assert not is_up(parse_port(err))
    mistakes = json.loads((folder / "mistakes.json").read_text())
    assert (mistakes["epoch"], len(mistakes["worst"])) == (1, 12)
    assert main(["resume", str(folder), "epochs=2"]) == 0
    assert not is_up(parse_port(capfd.readouterr().err))
    assert json.loads((folder / "mistakes.json").read_text())["epoch"] == 2


@pytest.mark.slow
def test_watching_changes_no_bit_of_a_run(tmp_path):
    plain, watched = (
        yisheng.train(**IRIS, watch=is_watched, out=tmp_path / str(is_watched), quiet=True).path
        for is_watched in (False, True)
    )
    assert (plain / "model.safetensors").read_bytes() == (watched / "model.safetensors").read_bytes()
    assert (plain / "findings.json").read_text() == (watched / "findings.json").read_text()
    resumed = yisheng.resume(watched, epochs=3, quiet=True)
    assert json.loads((resumed.path / "mistakes.json").read_text())["epoch"] == 3


def test_a_run_without_watch_is_resumed_without_a_page(tmp_path, caplog):
    (tmp_path / "config.toml").write_text("watch = false\n")
    for folder in (tmp_path, tmp_path / "not there"):
        with watch.watch_resumed(folder):
            pass
    assert caplog.text == ""


@pytest.mark.parametrize(("words", "code"), [(["nowhere"], 3), (["port=70000", "."], 2), (["a", "b"], 2), (["x=1"], 2)])
def test_the_command_refuses_wrong_arguments(words, code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words]) == code
    assert "Traceback" not in capsys.readouterr().err
