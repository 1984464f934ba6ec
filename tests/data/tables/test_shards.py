"""A table in many files is the table of all its rows; what is larger than memory is trained on to the same bits."""

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.paths import find_data_reader
from yisheng.data import batches
from yisheng.data.batches import BLOCKS_TOGETHER, shuffle_blocks
from yisheng.data.objects import _blocks
from yisheng.data.tables import from_file, shards
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.reading_options import ReadingOptions

FILES = 7


def make_frame(rows=3000, seed=0):
    """Return columns of all kinds; a category, a class and a missing word occur at the end only."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": random.normal(50, 9, rows).round(2),
            "count": random.integers(0, 1000, rows),
            "town": random.choice(["Ulm", "Bonn", "Köln"], rows),
            "garden": random.choice(["yes", "no"], rows),
            "built": pd.date_range("2001-01-01", periods=rows, freq="D").strftime("%Y-%m-%d"),
            "code": random.choice(["007", "010", "100"], rows),
        }
    )
    frame.loc[random.random(rows) < 0.1, "size"] = None
    frame.loc[rows - 1, "town"] = "Jena"
    frame["price"] = frame["count"] * 2.0 + random.normal(size=rows).round(3)
    frame["level"] = np.where(frame["count"] > 500, "high", "low")
    frame.loc[rows - 1, "level"] = "unknown"
    frame.loc[5, ["level", "price"]] = None
    return frame


def write_shards(frame, folder, suffix=".csv"):
    folder.mkdir(parents=True)
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), FILES), 1):
        part = frame.iloc[rows]
        path = folder / f"part-{number}{suffix}"  # part-10 would come after part-9
        part.to_csv(path, index=False) if suffix == ".csv" else part.to_parquet(path, index=False)
    (folder / "_SUCCESS").touch()
    return folder


def read(folder, **roles):
    return shards.read_shards("rows", shards.list_shards(folder), Roles.parse(**roles), ReadingOptions())


def require_equal(first, second):
    assert first.spec == second.spec
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)


@pytest.mark.parametrize("target", ["price", "level"])
@pytest.mark.parametrize("limit", [200_000, 100])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_shards_are_the_table_of_all_rows(tmp_path, monkeypatch, target, limit, suffix):
    """Whether all rows decide what the columns are, or a sample."""
    monkeypatch.setattr(shards, "MAX_SAMPLE_ROWS", limit)
    frame = make_frame().drop(columns="level" if target == "price" else "price")
    folder = write_shards(frame, tmp_path / "rows", suffix)
    single = tmp_path / f"all{suffix}"
    frame.to_csv(single, index=False) if suffix == ".csv" else frame.to_parquet(single, index=False)
    data = read(folder, target=target)
    require_equal(data, from_file(single, target=target))
    notes = [str(finding.cause) for finding in data.findings if finding.check == "sample"]
    assert len(notes) == (limit == 100)
    if notes:
        assert "of 3,000 rows, spread over all files; 1 rows have no target" in notes[0]


def test_folders_and_patterns_are_found(tmp_path):
    folder = write_shards(make_frame(50), tmp_path / "rows")
    assert find_data_reader(str(folder)) == ("shards", str(folder))
    pattern = str(folder / "part-[12].csv")
    assert find_data_reader(pattern) == ("shards", pattern)
    assert [path.name for path in shards.list_shards(Path(pattern))] == ["part-1.csv", "part-2.csv"]
    assert len(read(Path(pattern), target="price", drop="level")) == 14  # a row has no target
    (folder / "photo.png").touch()
    assert not shards.list_shards(folder)
    with pytest.raises(DataError, match="does not exist"):
        find_data_reader(str(tmp_path / "none-*.csv"))


def test_names_of_rows_do_not_fill_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_SAMPLE_ROWS", 100)
    monkeypatch.setattr(shards, "MAX_VALUES", 50)
    frame = make_frame(2000).assign(name=[f"row {number}" for number in range(2000)])
    data = read(write_shards(frame, tmp_path / "rows"), target="price", drop="level")
    (sample,) = [finding for finding in data.findings if finding.check == "sample"]
    assert sample.evidence["rows"] < 700
    assert len(data) == 1999


def test_what_does_not_fit_is_refused(tmp_path, monkeypatch):
    folder = write_shards(make_frame(200), tmp_path / "rows")
    pd.DataFrame({"size": [1.0], "price": [2.0]}).to_csv(folder / "part-8.csv", index=False)
    with pytest.raises(DataError, match=r"part-8.csv lacks the column count of the first file"):
        read(folder, target="price")
    (folder / "part-8.csv").unlink()
    monkeypatch.setattr(shards, "MAX_SAMPLE_ROWS", 20)
    for key in ("time", "group"):
        with pytest.raises(UsageError, match=f"{key}= is for tables of up to 20 rows, rows has 200 in 7 files"):
            read(folder, target="price", **{key: "built"})


def train(data, monkeypatch, **settings):
    return yisheng.train(
        data=str(data),
        target="price",
        model="mlp",
        hidden=[8],
        epochs=2,
        batch=32,
        doctor="off",
        quiet=True,
        **settings,
    )


def hash_weights(run):
    return hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_training_from_a_file_is_that_in_memory(tmp_path, monkeypatch):
    """The block is mapped from a file, read in blocks, and resumed in the middle of an epoch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batches, "MIN_WINDOW_ROWS", 256)
    monkeypatch.setattr(batches, "WINDOW_BYTES", 0)
    frame = make_frame(1500).drop(columns="level")
    frame.to_csv("all.csv", index=False)
    folder = write_shards(frame, tmp_path / "rows")
    expected = hash_weights(train("all.csv", monkeypatch, shuffle="blocks"))
    assert expected != hash_weights(train("all.csv", monkeypatch))
    monkeypatch.setattr(_blocks, "MAX_BYTES_IN_MEMORY", 1)
    monkeypatch.setattr(shards, "MAX_SAMPLE_ROWS", 100)
    assert isinstance(read(folder, target="price").x, np.memmap)
    assert hash_weights(train(folder, monkeypatch, shuffle="blocks")) == expected

    def stop(events):
        for number, event in enumerate(events):
            if number == 13:
                raise KeyboardInterrupt
            yield event

    with pytest.raises(KeyboardInterrupt):
        train(folder, monkeypatch, shuffle="blocks", callbacks=[stop], checkpoint_every=0, out="stopped")
    (stopped,) = Path("stopped").iterdir()
    run = yisheng.resume(stopped, quiet=True)
    assert hash_weights(run) == expected
    assert run.evaluate() == run.scores
    frame.assign(price=frame["price"] + 1).to_csv("other.csv", index=False)
    others = write_shards(pd.read_csv("other.csv", dtype=str), tmp_path / "others")
    assert run.evaluate(str(others), name="shards") == run.evaluate("other.csv", name="single")


@pytest.mark.slow
def test_memory_is_that_of_a_file_and_the_sample(tmp_path, monkeypatch):
    """Thirty files of 0.8 MB each: the peak of NumPy's memory is measured, the least of three.

    What an earlier training of this process still imports in its thread is counted, too.
    """
    random = np.random.default_rng(0)
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(30):
        values = random.normal(size=(10_000, 10)).astype(np.float32)
        frame = pd.DataFrame(values, columns=list("abcdefghij")).assign(y=values.sum(1))
        frame.to_parquet(folder / f"{number}.parquet", index=False)
    monkeypatch.setattr(shards, "MAX_SAMPLE_ROWS", 10_000)
    monkeypatch.setattr(shards, "MAX_VALUES", 100)
    peaks = []
    for limit in (1 << 20, 1 << 30):
        monkeypatch.setattr(_blocks, "MAX_BYTES_IN_MEMORY", limit)
        measured = []
        for _ in range(3):
            tracemalloc.start()
            data = read(folder, target="y")
            measured.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        peaks.append(min(measured))
    assert data.x.nbytes == 300_000 * 10 * 4
    assert peaks[0] < data.x.nbytes < peaks[1]


@settings(max_examples=30)
@given(st.integers(1, 5000), st.integers(1, 1 << 20), st.integers(0, 9))
def test_an_order_of_blocks_has_each_row_once_and_neighbors_together(rows, row_bytes, seed):
    order = shuffle_blocks(rows, row_bytes, torch.Generator().manual_seed(seed)).numpy()
    assert np.array_equal(np.sort(order), np.arange(rows))
    size = max(batches.MIN_WINDOW_ROWS, batches.WINDOW_BYTES // row_bytes) // BLOCKS_TOGETHER
    window = size * BLOCKS_TOGETHER
    for start in range(0, rows, window):
        assert len(np.unique(order[start : start + window] // size)) <= BLOCKS_TOGETHER + 1
    again = shuffle_blocks(rows, row_bytes, torch.Generator().manual_seed(seed)).numpy()
    assert np.array_equal(order, again)
