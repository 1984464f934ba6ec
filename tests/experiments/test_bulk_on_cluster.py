"""Predictions on a cluster: the same file as on one machine, whatever is lost on the way."""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import yisheng
from tests.experiments.conftest import skip_reports
from tests.ray_nodes import start_two_nodes
from yisheng.cli import main
from yisheng.core.errors import DataError, ProcessError, StoppedError, UsageError
from yisheng.experiments.bulk_prediction import predict_to_file
from yisheng.experiments.submission import submit
from yisheng.inference.bulk import images as image_files
from yisheng.inference.bulk import rows as stream_rows
from yisheng.inference.bulk.images import ImageFiles
from yisheng.inference.bulk.kept_chunks import KeptChunks
from yisheng.inference.bulk.predicted_chunk import PredictedChunk
from yisheng.inference.predictor import Predictor
from yisheng.search.executors.cluster import is_installed

needs_ray = pytest.mark.skipif(not is_installed(), reason="Ray is not installed")


class ClusterInThisProcess:
    """Calls functions as `yisheng.search.executors.cluster.Cluster` does, in random order.

    Args:
        fails_after: it is lost after this number of tasks.
        loses_first: the first task does not end before the others.
    """

    def __init__(self, fails_after=None, *, loses_first=False):
        self.calls, self._fails_after, self._loses_first = [], fails_after, loses_first

    def run(self, function, shared, next_arguments):
        rng, running = random.Random(0), []
        while True:
            while len(running) < 4 and (arguments := next_arguments(2)) is not None:
                running.append(arguments)
            if not running:
                return
            if len(self.calls) == self._fails_after:
                raise ProcessError("a task was lost", "resume")
            candidates = [task for task in running if not self._loses_first or task.first_row] or running
            task = rng.choice(candidates)
            running.remove(task)
            self.calls.append(task.first_row)
            yield function(shared, task)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return runs on images and on rows of a table, and their folder."""
    out = tmp_path_factory.mktemp("runs")
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"size": draw.uniform(1, 9, 90).round(3), "town": draw.choice(["a", "b"], 90)})
    table["price"] = table["size"] * 2 + (table["town"] == "a")
    table.to_csv(out / "train.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        skip_reports(patch)
        common = {"model": "mlp", "hidden": [4], "epochs": 2, "quiet": True, "out": out}
        return {
            "folder": out,
            "images": yisheng.train(data="digits", **common).path,
            "table": yisheng.train(data=str(out / "train.csv"), target="price", folds=2, **common).path,
        }


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return a table of 12 chunks with values that were never seen."""
    monkeypatch.setattr(stream_rows, "ROWS_PER_CHUNK", 5)
    return write_table(tmp_path / "test.csv", 58)


def write_table(path, rows):
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"size": draw.uniform(-40, 40, rows).round(3), "town": draw.choice(["a", "b", "new"], rows)})
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Return a folder of images of several sizes, some of them damaged, for chunks of 4."""
    monkeypatch.setattr(image_files, "MAX_CHUNK_IMAGES", 4)
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(30):
        path = folder / f"{n}.png"
        Image.fromarray(np.tri(8 + n % 3, k=n % 5, dtype=np.uint8) * 200).save(path)
        if n % 7 == 3:
            path.write_bytes(path.read_bytes()[:40])
    return folder


def open_source(run, inputs):
    predictor = Predictor(run)
    if inputs.is_dir():
        return predictor, ImageFiles([inputs], predictor.spec)
    return predictor, stream_rows.open_table(inputs, predictor.spec)


def predict(run, inputs, out, cluster=None, **options):
    """Predict into a file; return its facts but for the path."""
    predictor, source = open_source(run, inputs)
    written = predict_to_file(predictor, source, out, cluster=cluster, **options)
    assert not [path.name for path in out.parent.iterdir() if ".part" in path.name]
    return written.rows, written.damaged, written.out_of_distribution, written.notes


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("kind", ["table", "images"])
def test_the_file_is_that_of_one_machine(runs, tmp_path, request, kind, suffix):
    inputs = request.getfixturevalue(kind)
    run = runs["table" if kind == "table" else "images"]
    options = {"interval": 0.8} if kind == "table" else {}
    alone, shared = tmp_path / f"alone{suffix}", tmp_path / f"shared{suffix}"
    cluster = ClusterInThisProcess(loses_first=True)
    assert predict(run, inputs, alone, **options) == predict(run, inputs, shared, cluster, **options)
    assert alone.read_bytes() == shared.read_bytes()
    assert sorted(cluster.calls) != cluster.calls, "the chunks should have ended in another order"


def test_images_that_are_too_large_to_be_sent_are_read_where_they_are(runs, tmp_path, images, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_SENT_BYTES", 100)
    alone, shared = tmp_path / "alone.csv", tmp_path / "shared.csv"
    expected = predict(runs["images"], images, alone)
    assert predict(runs["images"], images, shared, ClusterInThisProcess()) == expected
    assert alone.read_bytes() == shared.read_bytes()
    encoded = next(ImageFiles([images], Predictor(runs["images"]).spec).encoded_chunks(image_files.Tally()))
    assert all(isinstance(content, str) for content in encoded.contents)
    (images / "0.png").write_bytes((images / "1.png").read_bytes())
    with pytest.raises(DataError, match="does not have the same"):
        encoded.decode()


@pytest.mark.parametrize("goes_on", ["here", "on the cluster"])
@pytest.mark.parametrize("fails_after", [0, 1, 3, 7])
def test_a_lost_cluster_costs_the_running_chunks(runs, tmp_path, table, fails_after, goes_on):
    out, expected = tmp_path / "out.csv", tmp_path / "expected.csv"
    facts = predict(runs["table"], table, expected)
    broken = ClusterInThisProcess(fails_after, loses_first=True)
    with pytest.raises(ProcessError):
        predict(runs["table"], table, out, broken)
    assert len(broken.calls) == fails_after
    again = ClusterInThisProcess()
    assert predict(runs["table"], table, out, None if goes_on == "here" else again) == facts
    assert out.read_bytes() == expected.read_bytes()
    if goes_on != "here":
        assert not set(broken.calls) & set(again.calls) - lost_after_the_state(broken.calls)


def lost_after_the_state(calls):
    """Return the chunks at the beginning of the file: the state is written once a second only."""
    return {row for row in calls if all(earlier in calls for earlier in range(0, row, 5))}


def test_a_signal_stops_the_wait_for_the_cluster(runs, tmp_path, table):
    class Waiting(ClusterInThisProcess):
        def run(self, function, shared, next_arguments):
            for number, result in enumerate(super().run(function, shared, next_arguments)):
                if number == 6:
                    signal.raise_signal(signal.SIGTERM)
                yield result

    out, expected = tmp_path / "out.csv", tmp_path / "expected.csv"
    facts = predict(runs["table"], table, expected)
    with pytest.raises(StoppedError, match="stopped by SIGTERM after"):
        predict(runs["table"], table, out, Waiting())
    assert predict(runs["table"], table, out) == facts
    assert out.read_bytes() == expected.read_bytes()


def test_a_kept_chunk_that_was_changed_is_not_used(tmp_path):
    chunks = KeptChunks(tmp_path / "parts")
    predicted = PredictedChunk("a,b\n", 1, (("note",), ()), {2: "damaged"})
    chunks.keep(5, predicted)
    assert chunks.find(5) == predicted
    assert chunks.find(4) is None
    (path,) = (tmp_path / "parts").iterdir()
    path.write_bytes(path.read_bytes().replace(b"a,b", b"a,c"))
    assert chunks.find(5) is None
    chunks.remove_before(6)
    assert not list((tmp_path / "parts").iterdir())


def test_an_error_of_a_chunk_is_the_error_of_the_command(runs, tmp_path, table):
    text = table.read_text().splitlines()
    table.write_text("\n".join([*text[:30], "1,2,3,4", *text[30:]]))
    with pytest.raises(DataError):
        predict(runs["table"], table, tmp_path / "out.csv", ClusterInThisProcess())
    assert not list(tmp_path.glob("out*"))


def test_what_is_refused(runs, tmp_path, table, capsys):
    with pytest.raises(UsageError, match="does not name a cluster"):
        submit(runs["table"], [table], tmp_path / "out.csv", cluster="somewhere")
    assert main(["predict", str(runs["table"]), str(table), "cluster=local:2"]) == 2
    assert "out=" in capsys.readouterr().err
    words = ["predict", str(runs["table"]), str(table), "cluster=local:2", "model=net.py:Net", "out=out.csv"]
    assert main(words) == 2
    assert "leave cluster= out" in capsys.readouterr().err


@needs_ray
@pytest.mark.slow
def test_a_killed_driver_and_a_lost_node(runs, tmp_path):
    table, expected, out = write_table(tmp_path / "test.csv", 300_000), tmp_path / "expected.csv", tmp_path / "out.csv"
    submit(runs["table"], [table], expected)
    words = ["predict", str(runs["table"]), str(table), f"out={out}"]
    with start_two_nodes() as nodes:
        with start([*words, f"cluster={nodes.address}"]) as driver:
            rows = wait_for_rows(out, driver, 1)
            driver.kill()
            driver.communicate()
        assert not out.exists()
        with start([*words, f"cluster={nodes.address}"]) as driver:
            wait_for_rows(out, driver, rows + 1)
            nodes.remove_node(nodes.second, allow_graceful=False)
            errors = driver.communicate()[1]
        assert driver.returncode == 0, errors
    assert out.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.glob("out.csv.*"))


def start(words):
    """Start a command in a process of its own, which writes its state after every chunk."""
    code = (
        "import sys\nfrom yisheng.cli import main\nfrom yisheng.inference.bulk import partial_output\n"
        f"partial_output.SECONDS_BETWEEN_STATES = 0\nsys.exit(main({words!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def wait_for_rows(out, driver, count):
    """Return the number of predictions in the file when there are some."""
    state = out.with_name(f"{out.name}.part.json")
    while True:
        assert driver.poll() is None, driver.stderr.read()
        if state.exists() and (rows := json.loads(state.read_text())["tally"]["rows"]) >= count:
            return rows
        time.sleep(0.01)
