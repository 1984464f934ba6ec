"""Predictions piece by piece equal those of the complete file, continue after a kill, and need little memory."""

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import yisheng
from tests.experiments.conftest import skip_reports
from yisheng.cli import main
from yisheng.core import machine
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, MissingPartError, StoppedError, UsageError
from yisheng.core.spec import Spec
from yisheng.experiments import bulk_prediction
from yisheng.experiments.submission import submit
from yisheng.inference import forward_pass
from yisheng.inference import rows as complete
from yisheng.inference.bulk import chunk as chunks
from yisheng.inference.bulk import partial_output
from yisheng.inference.bulk import rows as stream_rows
from yisheng.inference.bulk.chunk import OtherColumnsError, Tally
from yisheng.inference.bulk.images import ImageFiles
from yisheng.inference.predictor import Predictor

COLUMNS = (
    Column("size", source="size"),
    Column("town", "category", ("Bonn", "Köln", "1"), source="town"),
    Column("price", source="price", format=".$"),
    Column("day.month", source="day", date_part="month", format="%d/%m/%Y"),
    Column("garden", "yes/no", ("no", "yes"), source="garden"),
)
SPEC = Spec("regression", (5,), columns=COLUMNS)
PLAIN = Spec("regression", (2,), columns=(Column("a"), Column("b")))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on images and on rows of a table."""
    out = tmp_path_factory.mktemp("runs")
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"size": draw.uniform(1, 9, 90).round(3), "town": draw.choice(["a", "b"], 90)})
    table["sold"] = np.where(table["size"] > 5, "yes", "no")
    table.to_csv(out / "train.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        skip_reports(patch)
        settings_of_model = {"model": "mlp", "hidden": [4], "epochs": 2, "quiet": True, "out": out}
        return {
            "images": yisheng.train(data="digits", **settings_of_model).path,
            "table": yisheng.train(data=str(out / "train.csv"), target="sold", **settings_of_model).path,
            "other": yisheng.train(data=str(out / "train.csv"), target="sold", seed=1, **settings_of_model).path,
        }


@pytest.fixture
def small_chunks(monkeypatch):
    """Tables are read four rows at a time."""
    monkeypatch.setattr(stream_rows, "ROWS_PER_CHUNK", 4)


def write_table(path, rows, seed=1):
    draw = np.random.default_rng(seed)
    table = pd.DataFrame({"Id": [f"{n:06d}" for n in range(rows)], "size": draw.uniform(1, 9, rows).round(3)})
    table["town"] = draw.choice(["a", "b", "new", ""], rows)
    table.loc[draw.random(rows) < 0.1, "size"] = np.nan
    table.to_csv(path, index=False)
    return path


def write_images(folder, count, size=8):
    for n in range(count):
        path = folder / f"part {n % 3}" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tri(size, k=n % 5, dtype=np.uint8) * 200).save(path)
    return folder


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


CELLS = {
    "size": st.sampled_from(["1", "2.5", "-3e4", "", "NA", "1e39", "007", " 4"]),
    "town": st.sampled_from(["Bonn", "Köln", "1", "1.0", "else", "", "?"]),
    "price": st.sampled_from(["1", "$2.50", "", "$1,200", "17"]),
    "day": st.sampled_from(["01/02/2020", "31/12/1999", "", "NULL"]),
    "garden": st.sampled_from(["yes", "no", "YES", "", "maybe"]),
    "Id": st.sampled_from(["a", "b", "c", "007", "8", ""]) | st.uuids().map(str),
    "other": st.sampled_from(["x", "1"]),
}


@st.composite
def tables(draw):
    names = draw(st.permutations(list(CELLS)))
    lines = draw(st.lists(st.tuples(*(CELLS[name] for name in names)), min_size=1, max_size=14))
    return [names, *lines]


@given(table=tables(), id_column=st.sampled_from(["", "Id"]))
@settings(max_examples=60)
def test_a_table_in_chunks_equals_the_complete_table(tmp_path_factory, table, id_column):
    path = tmp_path_factory.mktemp("t") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
    rows = complete.read_rows(path, SPEC, id_column)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_rows, "ROWS_PER_CHUNK", 3)
        source, tally = stream_rows.open_table(path, SPEC, id_column), Tally()
        parts = list(source.chunks(tally))
    for part in parts:
        tally.count_chunk(part)
    np.testing.assert_array_equal(np.concatenate([part.x for part in parts]), rows.x)
    ids = [id for part in parts for id in part.ids or ()]
    assert (tuple(ids) or None, source.id_name) == (rows.ids, rows.id_name)
    assert sorted([*source.notes, *tally.describe()]) == sorted(rows.notes)
    assert source.total == len(rows.x)


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n3,4\n5,6\n7,8\n9,1\n", "1,2\n3, 4\n5,6\n7,8\n9,1\n2,2\n", "x,b,a\nq,1,2\nr,3,4\n", "b,a\n1,2\n"],
)
def test_numeric_rows_in_chunks_equal_the_complete_file(tmp_path, small_chunks, text):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    source = stream_rows.open_table(path, PLAIN)
    x = np.concatenate([part.x for part in source.chunks(Tally())])
    np.testing.assert_array_equal(x, complete.read_rows(path, PLAIN).x)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a,b\n", "has no rows"),
        ("", "is empty"),
        ("a,c\n1,2\n", "lacks the column b"),
        ("1,2,3\n", "row 1 has 3 values, the model takes 2"),
        ("a,b\n" + "1,2\n" * 9 + "1,x\n", "row 10, b: 'x' is not a number"),
        ("a,b\n1,nan\n", "row 1, b: the value is missing"),
        ("a,b\n" + "1,2\n" * 9 + "1,1e99\n", "row 10, b: the value is missing or too large"),
        ("a,b\n1,1_0\n", "is not a number"),
        ("1,2\n3\n", "line 2 has 1 value"),
        ("1,2\n3,4,5\n", "line 2 has 3 values"),
        ("a,b\n1,\0\n", "zero bytes"),
    ],
)
def test_damaged_numeric_rows_are_refused(tmp_path, small_chunks, text, cause):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=cause):
        list(stream_rows.open_table(path, PLAIN).chunks(Tally()))
    with pytest.raises(DataError):
        complete.read_rows(path, PLAIN)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("size,town,price,day\n1,Bonn,2,\n", "lacks the column garden"),
        ("size,town,price,day,garden\n", "no rows"),
        ("1,Bonn,$2,01/01/2020,yes,more\n" * 3, "row 1 has 6 values, the model takes 5|lacks the columns"),
        ("size,town,price,day,garden\n" + "1,Bonn,2,,yes\n" * 7 + "1,Bonn,two,,no\n", "row 8, price: 'two'"),
        ("size,town,price,day,garden\n" + "1,Bonn,2,,yes\n" * 7 + "1,Bonn,2,soon,no\n", "row 8, day: 'soon'"),
        ("size,town,price,day,garden\n" + "1,Bonn,2,,yes\n" * 7 + "1,Bonn\n", "line 9 has 2 values"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, small_chunks, text, cause):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=cause):
        list(stream_rows.open_table(path, SPEC).chunks(Tally()))
    with pytest.raises(DataError, match=cause):
        complete.read_rows(path, SPEC)


def test_columns_without_a_header_are_taken_in_order(tmp_path, small_chunks):
    path = tmp_path / "rows.csv"
    path.write_text("1,Bonn,$2,01/02/2020,yes\n2,Bonn,$3,01/03/2020,no\n" * 3)
    x = np.concatenate([part.x for part in stream_rows.open_table(path, SPEC).chunks(Tally())])
    np.testing.assert_array_equal(x, complete.read_rows(path, SPEC).x)
    numbered = Spec("regression", (2,), columns=(Column("column-1", source="column-1"), Column("c", source="column-2")))
    for text in ("1,2\n3,4\n" * 5, "x,y\n1,2\n", "column-2,column-1\n1,2\n"):
        path.write_text(text)
        if text.startswith("x"):
            with pytest.raises(DataError):
                complete.read_rows(path, numbered)
            with pytest.raises(DataError):
                list(stream_rows.open_table(path, numbered).chunks(Tally()))
            continue
        x = np.concatenate([part.x for part in stream_rows.open_table(path, numbered).chunks(Tally())])
        np.testing.assert_array_equal(x, complete.read_rows(path, numbered).x)


@pytest.mark.parametrize("end", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_is_predicted_into_every_format(runs, tmp_path, small_chunks, end):
    path, out = write_table(tmp_path / "rows.csv", 50), tmp_path / f"predictions.{end}"
    written = submit(runs["table"], [path], out)
    assert (written.rows, written.damaged) == (50, 0)
    assert any("'new'" in note for note in written.notes)
    predictions, rows = Predictor(runs["table"]).predict_table(path)
    assert list(written.notes) == list(rows.notes)
    if end == "jsonl":
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert [line["id"] for line in lines] == list(rows.ids)
        assert [line["input"] for line in lines] == [prediction.input for prediction in predictions]
        assert [line["notes"] for line in lines[1:]] == [list(prediction.notes) for prediction in predictions[1:]]
        assert written.out_of_distribution == sum((p.ood_score or 0) > 0.995 for p in predictions)
        expected = [prediction.probabilities["yes"] for prediction in predictions]
        assert [line["probabilities"]["yes"] for line in lines] == pytest.approx(expected, rel=1e-5)
    else:
        table = (
            pd.read_parquet(out) if end == "parquet" else pd.read_csv(out, dtype=str, sep="\t" if end == "tsv" else ",")
        )
        assert list(table.columns) == ["Id", "sold"]
        assert table["Id"].tolist() == list(rows.ids)
        assert table["sold"].tolist() == [prediction.prediction for prediction in predictions]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, out.name])


def test_probabilities_in_parquet_are_not_rounded(runs, tmp_path):
    path = write_table(tmp_path / "rows.csv", 30)
    submit(runs["table"], [path], tmp_path / "a.parquet", format="probability")
    probabilities = pd.read_parquet(tmp_path / "a.parquet")["sold"]
    assert probabilities.dtype == np.float32
    predictor = Predictor(runs["table"])
    np.testing.assert_array_equal(
        probabilities, predictor.compute_outputs(complete.read_rows(path, predictor.spec).x)[:, 1]
    )


def test_tables_of_other_formats_are_predicted(runs, tmp_path):
    path = write_table(tmp_path / "rows.csv", 30)
    pd.read_csv(path, dtype={"Id": str}).to_parquet(tmp_path / "rows.parquet")
    shutil.copy(path, tmp_path / "rows.tsv")
    (tmp_path / "rows.tsv").write_text(path.read_text().replace(",", "\t"))
    for name in ("rows.csv", "rows.parquet", "rows.tsv"):
        submit(runs["table"], [tmp_path / name], tmp_path / f"{name}.predictions.csv")
    contents = [read(tmp_path / f"{name}.predictions.csv") for name in ("rows.csv", "rows.parquet", "rows.tsv")]
    assert contents == 3 * contents[:1]


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
def test_a_folder_is_predicted_in_natural_order_with_errors_for_damaged_images(runs, tmp_path, end, capsys):
    folder = write_images(tmp_path / "photos", 31)
    (folder / "part 1" / "4.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    out = tmp_path / f"a.{end}"
    assert main(["predict", str(runs["images"]), str(folder), f"out={out}"]) == 0
    output = capsys.readouterr()
    assert output.out == f"30 predictions in {out}\n"
    assert "1 of 31 images could not be read" in output.err
    assert "1 other files were ignored (notes.txt)" in output.err
    names = [str(folder / f"part {k}" / f"{n}.png") for k in range(3) for n in range(k, 31, 3)]
    damaged = names.index(str(folder / "part 1" / "4.png"))
    readable = [name for name in names if not name.endswith("/4.png")]
    expected = [prediction.prediction for prediction in Predictor(runs["images"]).predict(readable)]
    expected.insert(damaged, None)
    if end == "jsonl":
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        rows = [(line["input"], line["prediction"], line["error"]) for line in lines]
    elif end == "parquet":
        table = pd.read_parquet(out).astype(object)
        rows = [tuple(None if pd.isna(v) else v for v in row) for row in table.itertuples(index=False)]
    else:
        head, *lines = read(out)
        assert head == ["file", "class" if head[1] == "class" else head[1], "error"]
        rows = [tuple(value or None for value in line) for line in lines]
    assert [(name, predicted) for name, predicted, _ in rows] == list(zip(names, expected, strict=True))
    assert [bool(error) for _, _, error in rows] == [n == damaged for n in range(31)]
    assert "4.png is not an image" in rows[damaged][2]


def test_with_strict_a_damaged_image_is_an_error(runs, tmp_path, capsys):
    folder = write_images(tmp_path / "photos", 5)
    (folder / "part 0" / "3.png").write_bytes(b"no image")
    paths = sorted(tmp_path.rglob("*"))
    assert main(["predict", str(runs["images"]), str(folder), f"out={tmp_path / 'a.csv'}", "strict=true"]) == 3
    assert "3.png is not an image" in capsys.readouterr().err
    for words, code in [
        ([str(folder)], 2),
        ([str(folder / "part 9" / "1.png"), f"out={tmp_path / 'a.csv'}"], 3),
        ([str(tmp_path), str(write_table(tmp_path / "t.csv", 3)), f"out={tmp_path / 'a.csv'}"], 3),
        ([str(folder), "strict=true"], 2),
        ([str(folder), f"out={tmp_path / 'a.csv'}", "id=Id"], 2),
    ]:
        assert main(["predict", str(runs["images"]), *words]) == code, words
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(runs["images"]), str(tmp_path / "empty"), f"out={tmp_path / 'a.csv'}"]) == 3
    assert "holds no images" in capsys.readouterr().err
    (tmp_path / "t.csv").unlink()
    (tmp_path / "empty").rmdir()
    assert sorted(tmp_path.rglob("*")) == paths


def test_large_images_are_read_in_smaller_chunks(tmp_path):
    folder = write_images(tmp_path / "p", 7)
    source = ImageFiles([folder], Spec("regression", (3, 8, 8)))
    assert source.chunk_size == 256
    assert ImageFiles([folder], Spec("regression", (3, 4096, 4096))).chunk_size == 1
    source.chunk_size = 2
    parts = list(source.chunks(Tally()))
    assert [len(part.x) for part in parts] == [2, 2, 2, 1]
    assert [name for part in source.chunks(Tally(rows=4)) for name in part.names] == [
        name for part in parts[2:] for name in part.names
    ]


class InterruptedByTestError(Exception):
    """Interrupts a stream as a kill would."""


def interrupt(monkeypatch, chunk_count):
    """Let the network fail after some chunks; return the list of their sizes."""
    compute, sizes = Predictor.compute_outputs_and_ood_scores, []

    def compute_or_fail(self, x):
        sizes.append(len(x))
        if len(sizes) > chunk_count:
            raise InterruptedByTestError
        return compute(self, x)

    monkeypatch.setattr(Predictor, "compute_outputs_and_ood_scores", compute_or_fail)
    monkeypatch.setattr(partial_output, "SECONDS_BETWEEN_STATES", 0.0)
    return sizes


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["table", "images"])
def test_an_interrupted_file_is_continued_to_the_same_bytes(runs, tmp_path, small_chunks, end, kind):
    if kind == "table":
        inputs = write_table(tmp_path / "rows.csv", 50)
    else:
        inputs = write_images(tmp_path / "photos", 600)
        (inputs / "part 0" / "3.png").write_bytes(b"no image")
    uninterrupted = submit(runs[kind], [inputs], tmp_path / f"once.{end}")
    out = tmp_path / f"a.{end}"
    with pytest.MonkeyPatch.context() as patch:
        sizes = interrupt(patch, chunk_count=2)
        with pytest.raises(InterruptedByTestError):
            submit(runs[kind], [inputs], out)
    state = json.loads((tmp_path / f"a.{end}.part.json").read_text())
    assert state["tally"]["rows"] == sum(sizes[:2]) + state["tally"]["damaged"]
    with (tmp_path / f"a.{end}.part").open("ab") as file:
        file.write(b"half a li")  # written after the last state
    continued = submit(runs[kind], [inputs], out)
    assert out.read_bytes() == (tmp_path / f"once.{end}").read_bytes()
    assert continued == replace(uninterrupted, path=out)
    assert not list(tmp_path.glob("*.part*"))


def test_a_part_of_other_inputs_or_models_is_refused(runs, tmp_path, small_chunks, capsys):
    table, out = write_table(tmp_path / "rows.csv", 50), tmp_path / "a.csv"
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, chunk_count=2)
        with pytest.raises(InterruptedByTestError):
            submit(runs["table"], [table], out)
    content = (tmp_path / "a.csv.part").read_bytes()
    with pytest.raises(UsageError, match="begun with other values of form"):
        submit(runs["table"], [table], out, format="probability")
    os.utime(table, (1, 1))
    with pytest.raises(UsageError, match="begun with other values of inputs"):
        submit(runs["table"], [table], out)
    with pytest.raises(UsageError, match="other values of model and inputs"):
        submit(runs["other"], [table], out)
    assert (tmp_path / "a.csv.part").read_bytes() == content
    (tmp_path / "a.csv.part.json").write_text("{}")
    with pytest.raises(DataError, match="does not fit"):
        submit(runs["table"], [table], out)
    assert main(["predict", str(runs["table"]), str(table), f"out={out}", "force=true"]) == 0
    assert len(read(out)) == 51


def test_a_damaged_row_leaves_no_part(runs, tmp_path, small_chunks):
    table, out = write_table(tmp_path / "rows.csv", 50), tmp_path / "a.csv"
    out.write_text("old")
    with table.open("a") as file:
        file.write("50,large,a\n")
    with pytest.raises(DataError, match="row 51, size: 'large' is not a number"):
        submit(runs["table"], [table], out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "rows.csv"]
    assert out.read_text() == "old"


def test_a_signal_stops_between_two_chunks(runs, tmp_path, small_chunks):
    table, out = write_table(tmp_path / "rows.csv", 50), tmp_path / "a.csv"
    compute, signals = Predictor.compute_outputs_and_ood_scores, [signal.SIGTERM]

    def stop_and_compute(self, x):
        if signals:  # once: chunks are predicted ahead, and a second signal ends the process
            os.kill(os.getpid(), signals.pop())
        return compute(self, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "compute_outputs_and_ood_scores", stop_and_compute)
        with pytest.raises(StoppedError, match="stopped by SIGTERM after 4 predictions") as caught:
            submit(runs["table"], [table], out)
    assert caught.value.code == 143
    assert submit(runs["table"], [table], out).rows == 50


def test_two_processes_cannot_write_one_file(runs, tmp_path):
    from filelock import FileLock

    table = write_table(tmp_path / "rows.csv", 5)
    with FileLock(tmp_path / "a.csv.part.lock"), pytest.raises(UsageError, match="another process writes"):
        submit(runs["table"], [table], tmp_path / "a.csv")


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes with names")
def test_inputs_that_are_not_files_are_refused(runs, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    for name, cause in (("pipe.csv", "not a regular file"), (".", "a folder"), ("none.csv", "does not exist")):
        assert main(["predict", str(runs["table"]), str(tmp_path / name), f"out={tmp_path / 'a.csv'}"]) == 3
        assert cause in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_file_names_that_are_not_text_are_written_as_text(runs, tmp_path):
    folder = write_images(tmp_path / os.fsdecode(b"caf\xe9"), 3)
    for end in ("csv", "jsonl"):
        assert submit(runs["images"], [folder], tmp_path / f"a.{end}").rows == 3
    table = write_table(folder / "rows.csv", 3)
    assert submit(runs["table"], [table], tmp_path / "a.jsonl", force=True).rows == 3


def test_an_input_is_not_overwritten(runs, tmp_path):
    table = write_table(tmp_path / "rows.csv", 5)
    (tmp_path / "link.csv").symlink_to(table)
    for out in (table, tmp_path / "link.csv"):
        with pytest.raises(UsageError, match="one of the inputs"):
            submit(runs["table"], [table], out)
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(UsageError, match="a folder"):
        submit(runs["table"], [table], tmp_path / "b.csv")
    assert submit(runs["table"], [table], tmp_path / "a.csv").rows == 5


def test_progress_is_shown_after_some_seconds(runs, tmp_path, small_chunks, monkeypatch, capsys):
    table = write_table(tmp_path / "rows.csv", 10)
    words = ["predict", str(runs["table"]), str(table), f"out={tmp_path / 'a.csv'}", "--json"]
    assert main(words) == 0
    assert "predicted" not in capsys.readouterr().err
    monkeypatch.setattr(bulk_prediction, "SECONDS_BEFORE_PROGRESS", 0.0)
    monkeypatch.setattr(bulk_prediction, "SECONDS_BETWEEN_LINES", 0.0)
    assert main(words) == 0
    output = capsys.readouterr()
    assert "4 of 10 predicted\n8 of 10 predicted\n" in output.err
    assert json.loads(output.out)["rows"] == 10


def test_parquet_needs_pyarrow(runs, tmp_path, monkeypatch):
    table = write_table(tmp_path / "rows.csv", 5)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingPartError, match="pyarrow"):
        submit(runs["table"], [table], tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_the_column_of_row_names_is_searched_within_a_memory_limit(tmp_path, small_chunks, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_text("size,town,price,day,garden,Id\n" + "".join(f"1,Bonn,2,,yes,{n}\n" for n in range(9)))
    assert stream_rows.open_table(path, SPEC).id_name == "Id"
    monkeypatch.setattr(stream_rows, "MAX_ROWS_FOR_ID_COLUMN", 8)
    assert stream_rows.open_table(path, SPEC).id_name == ""
    assert stream_rows.open_table(path, SPEC, "Id").id_name == "Id"


@pytest.mark.parametrize("checked", [1, 4])
@pytest.mark.parametrize("last_lines", ["12,size", "x,a\n", "NA,b\n1_0,a\n"])
def test_columns_that_change_late_give_the_file_of_a_complete_reading(
    runs, tmp_path, small_chunks, last_lines, checked
):
    path = write_table(tmp_path / "rows.csv", 50)
    with path.open("a") as file:
        file.writelines(f"{50 + n:06d},{line}\n" for n, line in enumerate(last_lines.splitlines()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_rows, "CHECKED_CHUNKS", checked)
        errors = []
        for chunk_rows in (4, 1000):
            patch.setattr(stream_rows, "ROWS_PER_CHUNK", chunk_rows)
            try:
                submit(runs["table"], [path], tmp_path / f"{chunk_rows}.csv")
                errors.append("")
            except DataError as error:
                errors.append(str(error))
    assert errors[0] == errors[1]
    if not errors[0]:
        assert (tmp_path / "4.csv").read_bytes() == (tmp_path / "1000.csv").read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_a_late_text_among_numbers_begins_the_predictions_again(tmp_path, small_chunks, monkeypatch):
    monkeypatch.setattr(stream_rows, "CHECKED_CHUNKS", 1)
    path, columns = tmp_path / "rows.csv", (Column("a", source="a", missing_words=("lost",)), Column("b", source="b"))
    path.write_text("a,b\n" + "1,2\n" * 21 + "lost,3\n" + "4,5\n" * 3)
    spec = Spec("regression", (2,), columns=columns)
    source = stream_rows.open_table(path, spec)
    parts = source.chunks(Tally())
    read = list(itertools.islice(parts, 5))
    assert sum(len(part.x) for part in read) == 20
    with pytest.raises(OtherColumnsError):
        next(parts)
    x = np.concatenate([part.x for part in source.chunks(Tally())])
    np.testing.assert_array_equal(x, complete.read_rows(path, spec).x)
    np.testing.assert_array_equal(np.concatenate([part.x for part in source.chunks(Tally(rows=8))]), x[8:])


def test_a_file_whose_columns_change_late_is_predicted_completely(runs, tmp_path, small_chunks, monkeypatch):
    monkeypatch.setattr(stream_rows, "CHECKED_CHUNKS", 1)
    path = tmp_path / "rows.csv"
    path.write_text("size,town\n" + "1,a\n2.50,b\n" * 10 + " 3 ,a\n" + "٣,b\n")
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        chunks_of = stream_rows.TextRows.chunks
        patch.setattr(stream_rows.TextRows, "chunks", lambda self, tally: calls.append(1) or chunks_of(self, tally))
        assert submit(runs["table"], [path], tmp_path / "a.csv").rows == 22
    assert len(calls) == 2
    expected = [prediction.prediction for prediction in Predictor(runs["table"]).predict(path)]
    assert [row[1] for row in read(tmp_path / "a.csv")[1:]] == expected


@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_a_plain_file_is_parsed_alike_by_one_thread_and_several(tmp_path, small_chunks, monkeypatch, end):
    path = tmp_path / "rows.csv"
    lines = ["size,town,price,day,garden", *(f"{n / 7},Bonn,${n},0{n % 9 + 1}/02/2020,yes" for n in range(30)), ",,,,"]
    path.write_text("\n".join(lines) + end, newline="")
    blocks = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(machine, "count_cores", lambda cores=cores: cores)
        parts = list(stream_rows.open_table(path, SPEC).chunks(Tally()))
        assert [len(part.x) for part in parts] == [4] * 7 + [3]
        blocks.append(np.concatenate([part.x for part in parts]))
    for block in blocks[1:]:
        np.testing.assert_array_equal(block, blocks[0])


def test_a_chunk_is_a_multiple_of_the_predictors_batch():
    for size in (forward_pass.BATCH, forward_pass.ROW_BATCH, forward_pass.FITTED_BATCH):
        assert chunks.ROWS_PER_CHUNK % size == 0


KILLED = """
import sys, time
from yisheng.cli import main
from yisheng.inference.predictor import Predictor
from yisheng.inference.bulk import partial_output, rows
rows.ROWS_PER_CHUNK, partial_output.SECONDS_BETWEEN_STATES = 50, 0.0
compute = Predictor.compute_outputs_and_ood_scores
Predictor.compute_outputs_and_ood_scores = lambda self, x: time.sleep(0.05) or compute(self, x)
sys.exit(main(["predict", *sys.argv[1:]]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows kills otherwise")
def test_a_killed_process_is_continued_to_the_same_bytes(runs, tmp_path):
    table = write_table(tmp_path / "rows.csv", 3000)
    words = [sys.executable, "-c", KILLED, str(runs["table"]), str(table)]
    subprocess.run([*words, f"out={tmp_path / 'once.csv'}"], check=True, capture_output=True)
    out, state = tmp_path / "a.csv", tmp_path / "a.csv.part.json"
    kills, last_rows = 0, -1
    while not out.exists():
        process = subprocess.Popen([*words, f"out={out}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + 120
        while process.poll() is None and kills < 3 and time.monotonic() < end:
            rows = json.loads(state.read_text())["tally"]["rows"] if state.exists() else -1
            if rows > last_rows:
                process.kill()
                kills, last_rows = kills + 1, rows
            time.sleep(0.02)
        _, error = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), error
        assert not out.exists() or process.returncode == 0
    assert kills == 3
    assert out.read_bytes() == (tmp_path / "once.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "once.csv", "rows.csv"]


PEAK = """
import resource, sys
from yisheng.cli import main
code = main(["predict", *sys.argv[1:], "--json"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def peak_memory(run, inputs, out):
    """Return the largest memory of a process in MiB, and its output."""
    completed = subprocess.run(
        [sys.executable, "-c", PEAK, str(run), str(inputs), f"out={out}"], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    return int(completed.stderr.split()[-1]) / (1024 if sys.platform != "darwin" else 1 << 20), json.loads(
        completed.stdout
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no getrusage")
@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_200_000_rows_take_no_more_memory_than_20_000(runs, tmp_path, end):
    small_peak, _ = peak_memory(
        runs["table"], write_table(tmp_path / "few.csv", 20_000), tmp_path / f"few-predictions.{end}"
    )
    large_peak, output = peak_memory(
        runs["table"], write_table(tmp_path / "many.csv", 200_000), tmp_path / f"many-predictions.{end}"
    )
    assert output["rows"] == 200_000
    assert (tmp_path / f"many-predictions.{end}").stat().st_size > 100_000
    assert large_peak < small_peak + 64, f"{small_peak:.0f} MiB for 20,000 rows, {large_peak:.0f} MiB for 200,000"
