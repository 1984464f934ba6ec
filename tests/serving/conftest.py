"""Runs that are served, and real servers on a free port of this machine."""

import contextlib
import socket
import threading
import time

import numpy as np
import pytest

import yisheng


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A LeNet for 8 x 8 digits, trained enough to be right."""
    settings = {"model": "lenet", "epochs": 3, "quiet": True}
    return yisheng.train(data="digits", out=tmp_path_factory.mktemp("digits"), **settings).path


@pytest.fixture(scope="session")
def iris(tmp_path_factory):
    """A network for rows of numbers that never stood in a file."""
    settings = {"model": "mlp", "hidden": [4], "epochs": 1, "quiet": True}
    return yisheng.train(data="iris", out=tmp_path_factory.mktemp("iris"), **settings).path


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A network for a table with numbers, yes/no, a category, a date and missing values; it predicts a number."""
    folder = tmp_path_factory.mktemp("people")
    draw = np.random.default_rng(0)
    lines = ["age,smoker,town,joined,price"]
    for n in range(200):
        age = "" if n % 17 == 0 else str(draw.integers(18, 90))
        town = draw.choice(["Aden", "Brest", "Cork"])
        date = f"20{draw.integers(10, 25)}-0{draw.integers(1, 10)}-1{draw.integers(0, 10)}"
        lines.append(f"{age},{draw.choice(['no', 'yes'])},{town},{date},{draw.normal():.3f}")
    (folder / "people.csv").write_text("\n".join(lines) + "\n")
    settings = {"model": "mlp", "hidden": [4], "epochs": 1, "quiet": True, "target": "price"}
    return yisheng.train(data=str(folder / "people.csv"), out=folder / "runs", **settings).path


class Served:
    """A server in a thread of this process.

    Args:
        port: where it listens.
    """

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def raw(self, sent, *, wait=5.0, more=()):
        """What the server says to these bytes until it closes the connection, or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as client:
            with contextlib.suppress(OSError):  # it may have closed already
                client.sendall(sent)
                for pause, piece in more:
                    time.sleep(pause)
                    client.sendall(piece)
            said = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := client.recv(1 << 16):
                    said += piece
                    client.settimeout(min(wait, 1.0))  # the rest follows at once, if there is one
            return said


@pytest.fixture(scope="session")
def serving():
    """``with serving(app) as served``: the application behind uvicorn on a free port."""
    from yisheng.serving import server

    @contextlib.contextmanager
    def run(app):
        listening = server.listen("127.0.0.1", 0)
        made = server.server(app)
        thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Served(listening.getsockname()[1])
        finally:
            made.should_exit = True
            thread.join()
            listening.close()

    return run
