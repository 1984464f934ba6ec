"""``yisheng serve`` as it is used: in its own process, with its address, its token and its end."""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from sklearn.datasets import load_iris

from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.experiments.serve import allowed_hosts, require_token
from yisheng.inference.predictor import Predictor
from yisheng.serving import server

TOKEN = "a-token-of-some-length"


@contextlib.contextmanager
def serve_run(run, *words):
    """Start a process that serves a run; yield the process and its address."""
    command = [sys.executable, "-m", "yisheng", "serve", str(run), "port=0", "engine=torch", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)["address"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (getattr(signal, "SIGHUP", None), 129)]
)
@pytest.mark.skipif(os.name == "nt", reason="Windows does not have these signals")
def test_it_serves_until_a_signal_comes(iris_run, number, code):
    with serve_run(iris_run) as (process, address), httpx.Client(base_url=address, timeout=60) as client:
        row = load_iris().data[:1]
        (prediction,) = client.post("/predict", json={"rows": row.tolist()}).json()["predictions"]
        assert prediction["prediction"] == Predictor(iris_run).predict(row.astype("float32"))[0].prediction
        assert client.get("/health", headers={"host": "evil.example"}).status_code == 403
        process.send_signal(number)
        process.wait(timeout=60)
        messages = process.stderr.read()
    assert process.returncode == code
    assert messages.startswith(f"serving {iris_run} at {address}\n")
    assert "Traceback" not in messages
    assert f"stopped by {signal.Signals(number).name}" in messages


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not have these signals")
def test_requests_in_progress_are_completed_before_it_ends(iris_run):
    with serve_run(iris_run) as (process, address):
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            body = json.dumps({"rows": load_iris().data[:1].tolist()}).encode()
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            client.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:5]))
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            client.sendall(body[5:])
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        assert process.wait(timeout=60) == 130


@pytest.mark.slow
def test_with_a_token_the_address_opens_the_page(iris_run):
    with serve_run(iris_run, "host=0.0.0.0", f"token={TOKEN}", "hosts=models.example") as (_, address):
        assert address.endswith(f"/?token={TOKEN}")
        base = address.partition("?")[0]
        with httpx.Client(base_url=base, timeout=60) as client:
            assert client.get("/health").status_code == 401
            assert client.get(address).status_code == 303
            assert client.get("/health").status_code == 200  # with the cookie
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{base}health", headers=bearer | {"host": "models.example"}).status_code == 200
        assert httpx.get(f"{base}health", headers=bearer | {"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "models.example"])
@pytest.mark.parametrize("token", [None, "short"])
def test_a_host_that_others_can_reach_requires_a_token(host, token, capsys, tmp_path):
    words = ["serve", str(tmp_path), f"host={host}", *([f"token={token}"] if token else [])]
    assert main(words) == 2
    message = capsys.readouterr().err
    assert f"host={host} can be reached from other machines" in message
    suggested_token = message.partition("token=")[2].partition(",")[0]
    require_token(host, suggested_token)


@pytest.mark.parametrize("token", ["", "a b\n", "tökentökentökentöken", " padded-to-be-long-enough "])
def test_a_token_that_a_header_cannot_hold_is_refused(token):
    with pytest.raises(UsageError):
        require_token("127.0.0.1", token)


def test_allowed_hosts_include_this_machine():
    assert allowed_hosts("127.0.0.1", ["a.example"]) == {"127.0.0.1", "::1", "localhost", "a.example"}
    assert socket.gethostname() in allowed_hosts("0.0.0.0", [])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["port=70000"], 2, "port must be from 0 to 65535"),
        (["port=x"], 2, "port"),
        (["port=0", "batch=0"], 2, "batch"),
        (["prot=1"], 2, "did you mean port"),
        (["port=0"], 3, "does not exist"),
    ],
)
def test_invalid_arguments_are_reported(words, code, message, capsys, tmp_path):
    assert main(["serve", str(tmp_path), *words]) == code
    assert message in capsys.readouterr().err


def test_without_a_run_it_is_an_error_of_usage(capsys):
    assert main(["serve"]) == 2


def test_a_port_in_use_is_reported(iris_run, capsys):
    with server.listen("127.0.0.1", 0) as listening:
        assert main(["serve", str(iris_run), f"port={listening.getsockname()[1]}"]) == 2
    assert "cannot be listened at" in capsys.readouterr().err


@pytest.mark.parametrize("name", server.PACKAGES)
def test_a_missing_package_is_reported(iris_run, capsys, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["serve", str(iris_run), "port=0"]) == 5
    assert 'pip install "yisheng[serve]"' in capsys.readouterr().err


def test_urls_and_unknown_hosts():
    with server.listen("localhost", 0) as listening:
        assert server.format_url(listening).startswith("http://")
    with pytest.raises(UsageError, match="not a name or address of this machine"):
        server.listen("no-such-host.invalid", 0)


def test_garbage_collection_leaves_out_what_was_loaded_before(monkeypatch):
    counts = []

    class Server:
        def run(self, sockets):
            counts.append(gc.get_freeze_count())

    monkeypatch.setattr(server, "make_server", lambda app: Server())
    server.serve_app(None, server.listen("127.0.0.1", 0), ready=lambda url: None)
    assert counts[0] > 10_000
    assert gc.get_freeze_count() == 0
