"""Predictions for a table in several files: those of the files one after the other."""

import csv

import numpy as np
import pandas as pd
import pytest

import yisheng
from tests.experiments.conftest import skip_reports
from tests.experiments.test_bulk_on_cluster import ClusterInThisProcess
from yisheng.cli import main
from yisheng.core.errors import DataError, ProcessError, UsageError
from yisheng.experiments import submission
from yisheng.inference.bulk import rows as stream_rows
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.shard_rows import ShardRows

SIZES = (17, 5, 23)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run on a table."""
    out = tmp_path_factory.mktemp("runs")
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"size": draw.uniform(1, 9, 90).round(3), "town": draw.choice(["a", "b"], 90)})
    table["price"] = table["size"] * 2 + (table["town"] == "a")
    table.to_csv(out / "train.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        skip_reports(patch)
        settings = {"target": "price", "model": "mlp", "hidden": [4], "epochs": 2, "ood": False, "boosting": False}
        return yisheng.train(data=str(out / "train.csv"), **settings, quiet=True, out=out).path


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Return a folder with three files, of which the last one sorts before the second as text."""
    monkeypatch.setattr(stream_rows, "ROWS_PER_CHUNK", 4)
    folder, draw = tmp_path / "rows", np.random.default_rng(1)
    folder.mkdir()
    for number, rows in zip((1, 9, 10), SIZES, strict=True):
        frame = pd.DataFrame({"size": draw.uniform(-4, 9, rows).round(3), "town": draw.choice(["a", "b", "new"], rows)})
        frame.insert(0, "Id", [f"r{number}-{row}" for row in range(rows)])
        frame.to_csv(folder / f"part-{number}.csv", index=False)
    return folder


def list_files(folder):
    return [folder / f"part-{number}.csv" for number in (1, 9, 10)]


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def predict_one_by_one(run, folder, tmp_path):
    """Return the rows of the files of predictions of each file, without headers."""
    rows = []
    for number, path in enumerate(list_files(folder)):
        submission.submit(run, [path], tmp_path / f"single-{number}.csv")
        rows += read(tmp_path / f"single-{number}.csv")[1:]
    return rows


@pytest.mark.parametrize("form", ["pattern", "folder", "names", "data="])
def test_the_rows_are_those_of_the_files_in_their_order(run, shards, tmp_path, form):
    out = tmp_path / "out.csv"
    words = {
        "pattern": [f"{shards}/part-*.csv"],
        "folder": [str(shards)],
        "names": [str(path) for path in list_files(shards)],
        "data=": [f"data={shards}/*.csv"],
    }[form]
    assert main(["predict", str(run), *words, f"out={out}", "--quiet"]) == 0
    rows = read(out)
    assert rows[0] == ["Id", "price"]
    assert rows[1:] == predict_one_by_one(run, shards, tmp_path)
    assert len(rows) == 1 + sum(SIZES)


def test_rows_without_names_are_numbered_through(run, shards, tmp_path):
    for path in list_files(shards):
        pd.read_csv(path).drop(columns="Id").to_csv(path, index=False)
    submission.submit(run, [shards], tmp_path / "out.csv")
    rows, single = read(tmp_path / "out.csv")[1:], predict_one_by_one(run, shards, tmp_path)
    first = int(single[0][0])
    assert [int(row[0]) for row in rows] == list(range(first, first + sum(SIZES)))
    assert [row[1] for row in rows] == [row[1] for row in single]


def test_columns_that_turn_out_to_be_text_in_several_files(run, shards, tmp_path):
    """Each such file begins the predictions again, once."""
    for path, rows in ((list_files(shards)[0], 17), (list_files(shards)[2], 23)):
        frame = pd.read_csv(path)
        frame["town"] = [str(row) for row in range(rows - 1)] + ["a"]
        frame.to_csv(path, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_rows, "CHECKED_CHUNKS", 1)
        submission.submit(run, [shards], tmp_path / "out.csv")
        assert read(tmp_path / "out.csv")[1:] == predict_one_by_one(run, shards, tmp_path)


@pytest.mark.parametrize("fails_after", [None, 2, 6])
def test_a_cluster_writes_the_same_file(run, shards, tmp_path, monkeypatch, fails_after):
    from yisheng.experiments.bulk_prediction import predict_to_file
    from yisheng.inference.predictor import Predictor

    def predict(out, cluster=None):
        predictor = Predictor(run)
        source = ShardRows(list_files(shards), lambda path, id: stream_rows.open_table(path, predictor.spec, id))
        return predict_to_file(predictor, source, tmp_path / out, cluster=cluster)

    expected = predict("alone.csv")
    if fails_after is not None:
        with pytest.raises(ProcessError):
            predict("shared.csv", ClusterInThisProcess(fails_after, loses_first=True))
    facts = predict("shared.csv", ClusterInThisProcess(loses_first=True))
    assert (facts.rows, facts.notes) == (expected.rows, expected.notes)
    assert (tmp_path / "shared.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_one_file_is_open_at_a_time_and_a_position_skips_files(run, shards):
    from yisheng.inference.predictor import Predictor

    spec, opened = Predictor(run).spec, []

    def open_file(path, id):
        opened.append(path.name)
        return stream_rows.open_table(path, spec, id)

    source = ShardRows(list_files(shards), open_file)
    chunks = source.chunks(Tally())
    for _ in range(5):  # 17 rows in chunks of 4
        next(chunks)
    assert opened == ["part-1.csv"]
    next(chunks)
    assert opened == ["part-1.csv", "part-9.csv"]
    rows = [name for chunk in source.chunks(Tally()) for name in chunk.ids]
    assert [name for chunk in source.chunks(Tally(rows=21)) for name in chunk.ids] == rows[21:]
    assert source.total is None


def test_a_change_of_any_file_changes_the_fingerprint(run, shards):
    from yisheng.inference.predictor import Predictor

    spec = Predictor(run).spec

    def fingerprint():
        return ShardRows(list_files(shards), lambda path, id: stream_rows.open_table(path, spec, id)).fingerprint

    before = fingerprint()
    assert fingerprint() == before
    last = list_files(shards)[2]
    last.write_text(last.read_text() + "r,1,a\n")
    assert fingerprint() != before


def test_what_is_refused(run, shards, tmp_path):
    first, _, last = list_files(shards)
    with pytest.raises(UsageError, match="one of the inputs"):
        submission.submit(run, [shards], first)
    frame = pd.read_csv(last)
    frame.drop(columns="town").to_csv(last, index=False)
    with pytest.raises(DataError, match=r"part-10\.csv.*lacks the column town"):
        submission.submit(run, [shards], tmp_path / "out.csv")
    frame.drop(columns="Id").to_csv(last, index=False)
    with pytest.raises(DataError, match=r"part-10\.csv.*lacks the column Id"):
        submission.submit(run, [shards], tmp_path / "out.csv")
    assert not list(tmp_path.glob("out*"))
