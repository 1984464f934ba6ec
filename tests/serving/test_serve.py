"""``yisheng serve`` as it is used: a process of its own, its address, its token, its end."""

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


def started(run, *words):
    """A process that serves, and its address."""
    command = [sys.executable, "-m", "yisheng", "serve", str(run), "port=0", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    return process, json.loads(line)["address"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_it_serves_until_a_signal_comes(iris, number, code):
    process, address = started(iris)
    try:
        with httpx.Client(base_url=address, timeout=60) as client:
            row = load_iris().data[:1]
            answer = client.post("/predict", json={"rows": row.tolist()}).json()["answers"][0]
            assert answer["prediction"] == Predictor(iris).predict(row.astype("float32"))[0].prediction
            assert client.get("/health", headers={"host": "evil.example"}).status_code == 403
            process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert said.startswith(f"serving {iris} at {address}\n")
    assert "Traceback" not in said
    assert f"stopped by {signal.Signals(number).name}" in said


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_requests_under_way_are_answered_before_it_ends(iris):
    process, address = started(iris)
    try:
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
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_with_a_token_the_address_opens_the_page_once(iris):
    process, address = started(iris, "host=0.0.0.0", f"token={TOKEN}", "hosts=models.example")
    try:
        assert address.endswith(f"/?token={TOKEN}")
        base = address.partition("?")[0]
        with httpx.Client(base_url=base, timeout=60) as client:
            assert client.get("/health").status_code == 401
            assert client.get(address).status_code == 303
            assert client.get("/health").status_code == 200  # the cookie
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{base}health", headers=bearer | {"host": "models.example"}).status_code == 200
        assert httpx.get(f"{base}health", headers=bearer | {"host": "evil.example"}).status_code == 403
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "models.example"])
@pytest.mark.parametrize("token", [None, "short"])
def test_who_can_be_reached_from_elsewhere_asks_for_a_token(host, token, capsys, tmp_path):
    words = ["serve", str(tmp_path), f"host={host}", *([f"token={token}"] if token else [])]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"host={host} can be reached from other machines" in said
    suggested = said.partition("token=")[2].partition(",")[0]
    require_token(host, suggested)


@pytest.mark.parametrize("token", ["", "a b\n", "tökentökentökentöken", " padded-to-be-long-enough "])
def test_a_token_that_no_header_can_hold(token):
    with pytest.raises(UsageError):
        require_token("127.0.0.1", token)


def test_names():
    assert allowed_hosts("127.0.0.1", ["a.example"]) == {"127.0.0.1", "::1", "localhost", "a.example"}
    assert socket.gethostname() in allowed_hosts("0.0.0.0", [])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["port=70000"], 2, "port must be from 0 to 65535"),
        (["port=x"], 2, "port"),
        (["batch=0"], 2, "batch"),
        (["prot=1"], 2, "did you mean port"),
        ([], 3, "does not exist"),
    ],
)
def test_bad_words_are_told(words, code, said, capsys, tmp_path):
    assert (
        main(
            ["serve", str(tmp_path), "port=0", *words] if "port" not in str(words) else ["serve", str(tmp_path), *words]
        )
        == code
    )
    assert said in capsys.readouterr().err


def test_no_run_is_an_error_of_usage(capsys):
    assert main(["serve"]) == 2


def test_a_port_that_is_taken(iris, capsys):
    with server.listen("127.0.0.1", 0) as taken:
        assert main(["serve", str(iris), f"port={taken.getsockname()[1]}"]) == 2
    assert "cannot be listened at" in capsys.readouterr().err


def test_without_the_extra(iris, capsys, monkeypatch):
    for name in ("fastapi", "uvicorn", "uvicorn.protocols.http.h11_impl"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["serve", str(iris), "port=0"]) == 5
    assert 'pip install "yisheng[serve]"' in capsys.readouterr().err


def test_addresses():
    with server.listen("localhost", 0) as listening:
        assert server.address(listening).startswith("http://")
    with pytest.raises(UsageError, match="no name or address"):
        server.listen("no-such-host.invalid", 0)
