"""Runs that are served, and real servers on a free port of this machine."""

import contextlib
import threading

import numpy as np
import pytest

from tests.inference.conftest import train
from tests.serving.running_server import RunningServer


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A LeNet for 8 x 8 digits, trained enough to be right."""
    return train(data="digits", model="lenet", epochs=3, out=tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def iris_run(tmp_path_factory):
    """A network for rows of numbers that were never in a file."""
    return train(data="iris", model="mlp", hidden=[4], epochs=1, out=tmp_path_factory.mktemp("iris"))


@pytest.fixture(scope="session")
def people_run(tmp_path_factory):
    """A network for a table with numbers, yes/no, a category, a date and missing values; it predicts a number."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    lines = ["age,smoker,town,joined,price"]
    for n in range(200):
        age = "" if n % 17 == 0 else str(rng.integers(18, 90))
        town = rng.choice(["Aden", "Brest", "Cork"])
        date = f"20{rng.integers(10, 25)}-0{rng.integers(1, 10)}-1{rng.integers(0, 10)}"
        lines.append(f"{age},{rng.choice(['no', 'yes'])},{town},{date},{rng.normal():.3f}")
    (folder / "people.csv").write_text("\n".join(lines) + "\n")
    settings = {"model": "mlp", "hidden": [4], "epochs": 1, "target": "price"}
    return train(data=str(folder / "people.csv"), out=folder / "runs", **settings)


@pytest.fixture(scope="session")
def start_server():
    """``with start_server(app) as server``: the application behind uvicorn on a free port."""
    from yisheng.serving import server

    @contextlib.contextmanager
    def start(app):
        listening = server.listen("127.0.0.1", 0)
        uvicorn_server = server.make_server(app)
        thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield RunningServer(listening.getsockname()[1])
        finally:
            uvicorn_server.should_exit = True
            thread.join()
            listening.close()

    return start
