"""The live page beside a training: it comes up, follows, and goes with the training however that ends."""

import io
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
from yisheng.experiments import watch as watching

IRIS = {"data": "iris", "model": "linear", "epochs": 2}


def port_of(text):
    return int(re.search(r"http://127\.0\.0\.1:(\d+)/", text)[1])


def is_up(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def is_gone_soon(port):
    for _ in range(300):
        if not is_up(port):
            return True
        time.sleep(0.1)
    return False


def test_the_page_is_there_while_something_happens_and_gone_afterwards(tmp_path):
    said = io.StringIO()
    with watching.beside(tmp_path / "runs = a=b", said):
        port = port_of(said.getvalue())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/runs") as answer:
            assert json.load(answer) == {"runs": [], "left_out": 0}
    assert not is_up(port)


def test_it_goes_when_the_training_fails(tmp_path):
    said = io.StringIO()
    with pytest.raises(RuntimeError, match="training"), watching.beside(tmp_path, said):
        raise RuntimeError("training")
    assert not is_up(port_of(said.getvalue()))


@pytest.mark.skipif(os.name == "nt", reason="no kill -9")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_no_orphan_when_the_training_is_killed(tmp_path, number):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom yisheng.experiments import watching\n"
        f"with watching.beside(Path({str(tmp_path)!r}), sys.stdout): time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with parent:
        port = port_of(parent.stdout.readline())
        assert is_up(port)
        parent.send_signal(number)
    assert is_gone_soon(port)


@pytest.mark.slow
def test_train_with_watch_says_the_address_and_notes_mistakes_and_so_does_resume(tmp_path, capfd):
    assert main(["train", "data=digits", "model=linear", "epochs=1", "watch=true", f"out={tmp_path}"]) == 0
    out, err = capfd.readouterr()
    folder = Path(out.strip().splitlines()[-1])
    assert not is_up(port_of(err))
    first = json.loads((folder / "mistakes.json").read_text())
    assert (first["epoch"], len(first["worst"])) == (1, 12)
    assert main(["resume", str(folder), "epochs=2"]) == 0
    assert not is_up(port_of(capfd.readouterr().err))
    assert json.loads((folder / "mistakes.json").read_text())["epoch"] == 2


@pytest.mark.slow
def test_watching_changes_no_bit_of_a_run(tmp_path):
    plain, watched = (
        yisheng.train(**IRIS, watch=watch, out=tmp_path / str(watch), quiet=True).path for watch in (False, True)
    )
    assert (plain / "model.safetensors").read_bytes() == (watched / "model.safetensors").read_bytes()
    assert (plain / "findings.json").read_text() == (watched / "findings.json").read_text()
    resumed = yisheng.resume(watched, epochs=3, quiet=True)
    assert json.loads((resumed.path / "mistakes.json").read_text())["epoch"] == 3


def test_a_run_that_does_not_watch_goes_on_without_a_page(tmp_path):
    said = io.StringIO()
    (tmp_path / "config.toml").write_text("watch = false\n")
    for folder in (tmp_path, tmp_path / "not there"):
        with watching.resumed(folder, said):
            pass
    assert said.getvalue() == ""


@pytest.mark.parametrize(("words", "code"), [(["nowhere"], 3), (["port=70000", "."], 2), (["a", "b"], 2), (["x=1"], 2)])
def test_the_command_refuses_what_it_cannot_do(words, code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words]) == code
    assert "Traceback" not in capsys.readouterr().err
