"""Text files of tables: encodings, separators, headers, uneven rows, sizes."""

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.data.tables.text_tables import PLAIN, ROWS, read, write
from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.paths import find_data_reader
from yisheng.data import tables
from yisheng.data.tables import column_builder, decoded_text, delimited, files, scan
from yisheng.data.tables.sniff import lists_images, sniff_layout
from yisheng.data.tables.table import ColumnChoices


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be", "latin-1", "cp1252", "gb18030"]
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, ending):
    word = "größe" if encoding in ("latin-1", "cp1252") else "中文"
    text = PLAIN.replace("red", word).replace("a,", f"{word},", 1).replace("\n", ending)
    data = read(tmp_path, text.encode(encoding))
    plain = read(tmp_path, PLAIN)
    assert data.spec.columns[0].name == word
    assert data.spec.columns[1].categories == ("blue", word)
    np.testing.assert_array_equal(data.x, plain.x)
    guessed = [finding for finding in data.findings if finding.check == "encoding"]
    assert bool(guessed) == (encoding in ("latin-1", "cp1252", "gb18030"))
    assert data.spec.reading.encoding == {"latin-1": "cp1252"}.get(encoding, encoding) * bool(guessed)


def test_a_late_byte_that_is_not_utf8_changes_the_encoding(tmp_path, monkeypatch):
    monkeypatch.setattr(decoded_text, "CHUNK_BYTES", 1 << 10)
    text = "a,b,y\n" + "1.5,x,2\n2.5,y,3\n" * 500 + "4,é,5\n"
    data = read(tmp_path, text.encode("latin-1"))
    assert len(data) == 1001
    assert data.spec.columns[1].categories == ("x", "y", "é")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_are_inferred(tmp_path, mark):
    plain = read(tmp_path, PLAIN)
    data = read(tmp_path, PLAIN.replace(",", mark))
    np.testing.assert_array_equal(data.x, plain.x)
    with_commas = read(tmp_path, PLAIN.replace(",", mark).replace(".", ",")) if mark != "," else plain
    np.testing.assert_array_equal(with_commas.x, plain.x)
    assert with_commas.spec.columns[0].format == ("," if mark != "," else "")


def test_separators_can_be_given(tmp_path):
    plain = read(tmp_path, PLAIN)
    np.testing.assert_array_equal(read(tmp_path, PLAIN.replace(",", ":"), separator=":").x, plain.x)
    np.testing.assert_array_equal(read(tmp_path, PLAIN.replace(",", " "), separator=" ").x, plain.x)
    np.testing.assert_array_equal(read(tmp_path, PLAIN.replace(",", "\t"), separator="tab").x, plain.x)
    np.testing.assert_array_equal(read(tmp_path, PLAIN.replace(",", "\t"), name="t.tsv").x, plain.x)
    for wrong in ("", "ab", '"', "é", "\n"):
        with pytest.raises(UsageError, match="separator must be"):
            read(tmp_path, PLAIN, separator=wrong)
    with pytest.raises(UsageError, match="no encoding"):
        read(tmp_path, PLAIN, encoding="utf-9")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n", True),
        ("1,2\n3,4\n", False),
        ("country,2019,2020\nFrance,1,2\n", True),  # years in a row are names, other numbers a row
        ("country,20,30\nFrance,1,2\n", False),
        ("0,1,2\n5.5,6.1,7.2\n", True),  # what pandas writes for columns without names
        (",0,1\n0,5.5,6.1\n", True),
        ("name,colour\nAnna,red\nBob,blue\n", True),
        ("red,small\nblue,small\nred,big\n", False),
        ("a,,c\n1,2,3\n", True),
        ("x\n1\n2\n", True),
        ("1\n2\n", False),
        ("a,NA\n1,2\n", True),
    ],
)
def test_headers_are_distinguished_from_rows(tmp_path, text, header):
    layout = sniff_layout(write(tmp_path, text))
    assert layout.has_header is header
    assert len(layout.names) == len(set(layout.names))


def test_headers_can_be_given(tmp_path):
    path = write(tmp_path, "country,2019,2020\nFrance,1,2\nItaly,3,5\nSpain,4,5\n")
    assert sniff_layout(path, known_names=["2019"]).has_header
    assert tables.from_file(path, target="2020", header=True).spec.target == "2020"
    without = tables.from_file(write(tmp_path, ROWS), target="3", header=False)
    assert [column.name for column in without.spec.columns] == ["column-1", "column-2"]
    assert without.spec.target == "column-3"
    assert "header" in {finding.check for finding in without.findings}


def test_columns_with_the_same_or_no_name_are_renamed_with_a_warning(tmp_path):
    data = read(tmp_path, "a,a,,a.1,y\n" + "".join(f"{n},{n * n},{n % 3},{n % 4},{n / 2}\n" for n in range(9)))
    assert [column.name for column in data.spec.columns] == ["a", "a.2", "column-3", "a.1"]
    warning = next(finding for finding in data.findings if finding.check == "header")
    assert warning.severity == "warning"
    assert "a, column-3" in warning.cause


def test_quoted_values_may_hold_separators_line_ends_and_quotes(tmp_path):
    text = "a,b,y\n" + '"1","x, ""y""",2\n"2.5","two\nlines",3\n3, "spaced",4.5\n' * 4
    data = read(tmp_path, text)
    assert data.spec.columns[1].categories == ("spaced", "two\nlines", 'x, "y"')
    assert data.x[:3, 0].tolist() == [1, 2.5, 3]


def test_a_quote_inside_a_value_is_text(tmp_path):
    data = read(tmp_path, "a,b,y\n" + '5" pipe,x,1\n6" pipe,y,2\n7 pipe,z,2.5\n' * 3)
    assert data.spec.columns[0].categories == ('5" pipe', '6" pipe', "7 pipe")
    assert len(data) == 9


def test_codes_keep_their_leading_zeros(tmp_path, monkeypatch):
    monkeypatch.setattr(decoded_text, "CHUNK_BYTES", 1 << 8)
    monkeypatch.setattr(delimited, "CHUNK_VALUES", 60)
    monkeypatch.setattr(delimited, "MIN_CHUNK_ROWS", 1)
    text = "zip,n,y\n" + "".join(f"{n % 40 + 60},{n},{n / 2}\n" for n in range(100)) + "007,5,1\n010,6,2\n"
    zips = read(tmp_path, text).spec.columns[0]
    assert zips.kind == "category"
    assert {"007", "010", "60"} <= set(zips.categories)


def test_numbers_before_texts_are_read_again_as_written(tmp_path, monkeypatch):
    """With numbers first and words later, the numbers keep the way in which they are written."""
    monkeypatch.setattr(delimited, "CHUNK_VALUES", 60)
    monkeypatch.setattr(delimited, "MIN_CHUNK_ROWS", 1)
    text = "".join(f"{n % 5}.50,{n % 2},,{n % 3}\n" for n in range(100)) + "x,true,5,1.5\n"
    data = read(tmp_path, f"a,b,c,y\n{text}", kinds={"a": "category"})
    assert data.spec.columns[0].categories == ("0.50", "1.50", "2.50", "3.50", "4.50", "x")
    assert data.spec.columns[1].categories == ("0", "1", "true")
    assert data.spec.columns[2].categories == ("5",)
    assert np.isnan(data.x[:100, 2]).all()


def test_free_text_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "CHUNK_VALUES", 300)
    monkeypatch.setattr(delimited, "MIN_CHUNK_ROWS", 1)
    monkeypatch.setattr(column_builder, "MAX_UNCHECKED_TEXTS", 50)
    monkeypatch.setattr(column_builder, "MAX_TEXT_BYTES", 5000)
    moments = pd.date_range("2020-01-01", periods=300, freq="61s").astype(str)
    text = "t,when,n,y\n" + "".join(f"words {n} of text,{moments[n]},{n % 9},{n / 2}\n" for n in range(300))
    path = write(tmp_path, text)
    table = files.read_table(path)
    assert table.columns["t"].is_free_text
    assert not table.columns["t"].categories
    assert len(table.columns["when"].categories) == 300  # dates are kept
    assert {row["column"]: row["kind"] for row in tables.describe(path)}["t"] == "text"
    table = files.read_table(path, choose=lambda _: ColumnChoices(keep=["t"]))
    assert len(table.columns["t"].categories) == 300
    with pytest.raises(DataError, match="too many for classes"):
        tables.from_file(path, target="t")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "is empty"),
        ("\n\n\n", "is empty"),
        ("a,b,y\n", "no rows below its header"),
        ("a,b,y\n1,2,3\n1,2\n", "line 3 has 2 values, the first line has 3"),
        ("a,b,y\n1,2,3\n\n1,2,3,4\n", "line 4 has 4 values, the first line has 3"),
        ("a,b\n1,2,\n3,4,\n", "line 2 has 3 values, the first line has 2"),
        ('a,b,y\n1,"x\ny",3\n1,2\n', "line 4 has 2 values"),
        ('a,b,y\n1,"2,3\n4,5,6\n', "the quote that begins in line 2 never ends"),
        ("a,b,y\n1,2,3\0\n", "zero bytes"),
        (b"\xff\xfea\x00,", "is not in utf-16-le"),
        (gzip.compress(PLAIN.encode())[:60], "cannot be read"),
        ("a,y\n1,1\n", "in every row"),
        ("a,y\n1,5\n2,5\n", "5 in every row"),
    ],
)
def test_files_that_are_not_tables_are_refused(tmp_path, content, cause):
    with pytest.raises(DataError, match=cause):
        read(tmp_path, content)


def test_paths_that_are_not_files_are_refused(tmp_path):
    for path, cause in ((tmp_path / "nowhere.csv", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(DataError, match=cause):
            tables.from_file(path, target="last")
    with pytest.raises(UsageError, match="must be a path"):
        tables.from_file(tmp_path / ("a" * 300 + ".csv"), target="last")


def test_sizes_are_bounded(tmp_path, monkeypatch):
    path = write(tmp_path, PLAIN)
    monkeypatch.setattr(scan, "MAX_VALUES", 30)
    with pytest.raises(DataError, match="more than 30 values"):
        tables.from_file(path, target="y")
    monkeypatch.setattr(scan, "MAX_COLUMNS", 2)
    with pytest.raises(DataError, match="3 columns, more than the 2"):
        tables.from_file(path, target="y")
    monkeypatch.setattr(decoded_text, "MAX_TEXT_BYTES", 100)
    for packed in (path, write(tmp_path, gzip.compress(b"a,y\n" + b"0" * (1 << 20)), "bomb.csv.gz")):
        with pytest.raises(DataError, match="GiB of text"):
            tables.from_file(packed, target="y")


def test_an_endless_line_is_refused_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "_MAX_RECORD_BYTES", 1 << 10)
    monkeypatch.setattr(decoded_text, "CHUNK_BYTES", 1 << 10)
    with pytest.raises(DataError, match=r"line|value of more than|no rows|too many"):
        read(tmp_path, "a,y\n" + "1" * 5000)
    with pytest.raises(DataError, match="never ends|a line of more"):
        read(tmp_path, 'a,y\n1,2\n"' + "1\n" * 5000)


@pytest.mark.slow
def test_many_rows_are_read_in_bounded_memory(tmp_path):
    """300,000 rows of 20 columns are 24 MB of features: reading takes a few times that, whatever the file's size."""
    code = """
import resource, sys
import pandas
from yisheng.data import tables
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = tables.from_file(sys.argv[1], target="y")
print(len(data), data.x.nbytes >> 20, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    draw = np.random.default_rng(0)
    with (tmp_path / "big.csv").open("w") as file:
        file.write(",".join([*(f"n{n}" for n in range(18)), "text", "y"]) + "\n")
        for _ in range(300):
            block = draw.normal(size=(1000, 19)).round(5).astype(str)
            words = draw.integers(0, 2**40, 1000).astype(str)
            file.writelines(
                f"{','.join(row[:18])},some words {word},{row[18]}\n" for row, word in zip(block, words, strict=True)
            )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.csv")], capture_output=True, text=True, check=True
    )
    rows, data_size, peak = map(int, process.stdout.split())
    assert rows == 300_000
    assert peak < 8 * data_size + 80


def test_a_path_with_the_suffix_of_a_table_is_read_as_one(tmp_path):
    for name in ("a.csv", "a.TSV", "a.csv.gz", "a.npz", "a.parquet"):
        path = write(tmp_path, PLAIN, name)
        assert find_data_reader(str(path)) == ("table", str(path))
    data = registry.find("data.datasets", "table").build(path=str(tmp_path / "a.csv"), target=3)
    assert (data.name, data.spec.target) == ("a", "y")
    with pytest.raises(UsageError, match="needs a file"):
        registry.find("data.datasets", "table").build()


def test_a_test_file_may_be_named_relative_to_the_other(tmp_path):
    path = write(tmp_path, PLAIN)
    write(tmp_path, "a,b,y\n5,red,1\n", "test.csv")
    data = tables.from_file(path, target="y", test="test.csv")
    assert data.part is not None
    assert data.part.sum() == 2
    without_header = write(tmp_path, ROWS, "h.csv")
    write(tmp_path, "5.5,red,3\n", "htest.csv")
    assert len(tables.from_file(without_header, target="last", test="htest.csv")) == 21


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("file,label\na.jpg,cat\nb.jpg,dog\n", True),
        ("image_name,label\na.jpg,cat\nb.jpg,dog\n", True),
        ("a.jpg,cat\nb.jpg,dog\n", False),  # there are no such files
        ("x.png,cat\ny.png,dog\n", True),
        ("label,what\ncat,x.png\ndog,y.png\n", True),
        ("label,what\ncat,a.png\ndog,b.png\n", False),
        ("file,size\n1,2\n3,4\n", False),
        ("path,y\n1.5,2\n3.5,4\n", False),
        ("a,y\n1,2\n", False),
        ("", False),
        ('"', False),
        ("a\0b", False),
    ],
)
def test_lists_of_images_are_recognized(tmp_path, text, listed):
    (tmp_path / "x.png").touch()
    path = write(tmp_path, text)
    assert lists_images(path) is listed
