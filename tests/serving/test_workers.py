"""``yisheng serve workers=2``: processes at one port, a worker that is killed, and the end of all of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from sklearn.datasets import load_iris

from tests.serving.test_serve import serve_run
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.serving import server, workers
from yisheng.serving.correction_bodies import Correction
from yisheng.serving.corrections import Corrections
from yisheng.serving.workers import WorkerGroup, listen_for_workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has one process")
ACCEPT = """
import os, socket, sys
number, count, descriptor = map(int, os.environ["YISHENG_WORKER"].split())
listening = socket.socket(fileno=descriptor)
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    connection.sendall(f"{number} {os.getpid()}".encode())
    connection.close()
"""


def list_children(pid):
    """Return the workers of a service."""
    text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in text.split()]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        return client.recv(100).decode().split()


def test_a_worker_that_dies_is_restarted_and_its_connections_wait():
    sockets = listen_for_workers("127.0.0.1", 0, 2)
    port = sockets[0].getsockname()[1]
    assert {listening.getsockname()[1] for listening in sockets} == {port}
    group = WorkerGroup([sys.executable, "-c", ACCEPT], sockets)
    caught = []
    watcher = threading.Thread(target=group.watch, args=(caught,))
    try:
        group.start()
        processes = {}
        wait_for(lambda: processes.update([ask(port)]) or len(processes) == 2)
        os.kill(int(processes["1"]), signal.SIGKILL)
        watcher.start()
        answers = [ask(port) for _ in range(40)]  # none is refused
        wait_for(lambda: dict([ask(port)]).get("1", processes["1"]) != processes["1"])
        complete = [answer for answer in answers if answer]
        assert len(complete) >= 39  # the worker may have accepted one when it was killed
        assert processes["1"] not in [pid for _, pid in complete]
    finally:
        caught.append(signal.SIGTERM)
        watcher.join()
        group.stop()
        for listening in sockets:
            listening.close()
    for pid in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_a_worker_that_ends_before_it_is_ready_is_an_error():
    with server.listen("127.0.0.1", 0) as listening:
        group = WorkerGroup([sys.executable, "-c", "raise SystemExit(3)"], [listening, listening])
        with pytest.raises(DataError, match="worker 1 ended with code 3"):
            group.start()
        group.stop()


def test_a_port_in_use_is_refused():
    with server.listen("127.0.0.1", 0) as listening, pytest.raises(UsageError, match="cannot be listened at"):
        listen_for_workers("127.0.0.1", listening.getsockname()[1], 2)
    sockets = listen_for_workers("127.0.0.1", 0, 2)
    with pytest.raises(UsageError, match="cannot be listened at"):  # nor does a second service join the first one
        listen_for_workers("127.0.0.1", sockets[0].getsockname()[1], 2)
    for listening in sockets:
        listening.close()


def test_systems_and_numbers_that_cannot_work_are_refused(monkeypatch, capsys, iris_run):
    assert main(["serve", str(iris_run), "workers=65"]) == 2
    assert "workers must be at most 64" in capsys.readouterr().err
    monkeypatch.setattr(workers, "INHERITS_SOCKETS", False)
    with pytest.raises(UsageError, match="which Windows does not have"):
        workers.require_workers(2)


def test_corrections_of_two_processes_are_all_kept(tmp_path):
    """Two services of one run, each of which has counted the samples when it started."""
    spec = Spec("regression", (1,))
    services = [Corrections(tmp_path, spec, 3, 1 << 20, is_shared=True) for _ in range(2)]
    totals = [services[n % 2].save(Correction(float(n), b"", (str(n),))).total for n in range(3)]
    assert totals == [1, 2, 3]
    assert len((tmp_path / "corrections" / "rows.csv").read_text().splitlines()) == 4
    with pytest.raises(UsageError, match="3 corrections are kept"):
        services[0].save(Correction(9.0, b"", ("9",)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads the list of processes")
def test_the_service_survives_a_killed_worker_and_ends_completely(iris_run):
    with serve_run(iris_run, "workers=2") as (process, address):
        answering = set()

        def have_both_answered():
            answering.add(httpx.get(f"{address}health", timeout=60).json()["worker"])
            return answering == {1, 2}

        wait_for(have_both_answered)
        children = list_children(process.pid)
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)
        headers = {"content-type": "application/json"}
        body = json.dumps({"rows": load_iris().data[:1].tolist()})
        for _ in range(20):  # a connection to the dead worker waits for the next one
            response = httpx.post(f"{address}predict", content=body, headers=headers, timeout=60)
            assert response.status_code == 200
        wait_for(lambda: len(set(list_children(process.pid)) - {children[0]}) == 2)
        children = list_children(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        messages = process.stderr.read()
    assert "worker 1 ended with code -9" in messages or "worker 2 ended with code -9" in messages
    assert "Traceback" not in messages
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
