"""Layouts of text files: blanks between columns, lines above the table, names, files of any suffix."""

import pytest

from tests.data.tables.text_tables import ROWS, read, write
from yisheng.core.errors import DataError, UsageError
from yisheng.core.paths import find_data_reader
from yisheng.data import tables
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.separators import Separator, choose_separator, find_preamble
from yisheng.data.tables.sniff import is_text_table, sniff_layout
from yisheng.inference.rows import read_rows

AUTO_MPG = "".join(f'{18 + n}.0   {n % 5}   {300 + n}.    {n}.5\t"chevy {n % 3} x"\n' for n in range(30))
HOUSING = "".join(f" {n}.5  {n % 3:4d}   {n * 2}.25\n" for n in range(20))


@pytest.mark.parametrize(
    ("text", "mark", "blanks"),
    [
        ("a,b\n1,2\n", ",", False),
        ("1,5;2,5;3,5\n4,5;5,5;6,5\n", ";", False),  # decimal commas, not five columns
        ("1,5\t2,5\n4,5\t5,5\n", "\t", False),
        ("1,5 2,5\n4,5 5,5\n", "\t", True),
        ("1, 2, 3\n4, 5, 6\n", ",", False),
        (AUTO_MPG, "\t", True),
        (HOUSING, "\t", True),
        ("New York\tOhio\nSan Diego\tUtah\n", "\t", False),
        ("1  2  3\n4  5  6\n", "\t", True),
    ],
)
def test_separators_are_chosen(text, mark, blanks):
    lines = text.splitlines(keepends=True)
    assert choose_separator(lines, allow_blanks=True) == Separator(mark, blanks)


def test_words_in_a_csv_are_not_separated_by_blanks(tmp_path):
    assert sniff_layout(write(tmp_path, "name\nAnna Smith\nBob Jones\n")).names == ("name",)


def test_aligned_files_are_read_with_the_names_that_the_user_gives(tmp_path):
    path = write(tmp_path, AUTO_MPG, "auto-mpg.data")
    data = tables.from_file(path, target="mpg", names=("mpg", "cylinders", "displacement", "weight", "name"))
    assert len(data) == 30
    assert data.spec.columns[-1].categories == ("chevy 0 x", "chevy 1 x", "chevy 2 x")
    assert data.x[:2, 1].tolist() == [300, 301]
    assert data.spec.reading.names[0] == "mpg"
    assert read_rows(path, data.spec).x.tolist() == data.x.tolist()
    without_target = write(tmp_path, "".join(line.partition("   ")[2] for line in AUTO_MPG.splitlines(True)), "p.data")
    assert read_rows(without_target, data.spec).x.tolist() == data.x.tolist()
    with pytest.raises(DataError, match="has 5 columns, names= has 2"):
        tables.from_file(path, names=("a", "b"), target="a")
    with pytest.raises(UsageError, match="name twice"):
        tables.from_file(path, names=("a", "a", "b", "c", "d"), target="a")
    with pytest.raises(DataError, match="row 1 has 3 values"):
        read_rows(write(tmp_path, HOUSING, "h.data"), data.spec)


@pytest.mark.parametrize(
    ("above", "skip"),
    [
        ("sep=;\n", 1),
        ('"sep=;"\n', 1),
        ("Report of 2024\n", 1),
        ("Report\n\nby me\n", 3),
        ("# made by a program\n# on a day\n", 2),
        ("Report;;\n", 1),
        ("\n\n", 2),
        ("", 0),
    ],
)
def test_lines_above_the_table_are_skipped(tmp_path, above, skip):
    plain = read(tmp_path, f"a;b;y\n{ROWS}".replace(",", ";"))
    text = above + f"a;b;y\n{ROWS}".replace(",", ";")
    data = read(tmp_path, text)
    assert data.x.tolist() == plain.x.tolist()
    assert sniff_layout(write(tmp_path, text)).skip in (skip, 0 if not above.strip() else skip)
    assert read(tmp_path, text, skip=above.count("\n")).x.tolist() == plain.x.tolist()
    assert read_rows(write(tmp_path, text), plain.spec).x.tolist() == plain.x.tolist()
    noted = {finding.check for finding in data.findings}
    assert ("lines above" in noted) == (bool(above.strip()) and "sep=" not in above)


def test_names_in_a_comment_are_the_header(tmp_path):
    path = write(tmp_path, "# x y z\n" + HOUSING, "h.txt")
    layout = sniff_layout(path)
    assert (layout.names, layout.has_header, layout.skip) == (("x", "y", "z"), False, 1)
    assert len(tables.from_file(path, target="z")) == 20


def test_names_replace_a_header(tmp_path):
    data = tables.from_file(write(tmp_path, f"a,b,y\n{ROWS}"), names=("first", "second", "third"), target="third")
    assert [column.name for column in data.spec.columns] == ["first", "second"]
    assert len(data) == 20
    assert read_rows(write(tmp_path, "first,second\n0.5,red\n"), data.spec).x.shape == (1, 2)


def test_a_title_of_words_above_aligned_columns_is_skipped(tmp_path):
    path = write(tmp_path, "Measured in May 2024\n\nx  y   z\n" + HOUSING, "h.txt")
    assert sniff_layout(path).names == ("x", "y", "z")


def test_known_names_find_the_header():
    lines = ["some words\n", "a,b,y\n", "1,2,3\n", "4,5,6\n", "7,8,9\n"]
    assert find_preamble(lines, ["a", "y"], allow_blanks=False).skip == 1


def test_a_damaged_header_is_still_an_error(tmp_path):
    with pytest.raises(DataError, match="line 2 has 3 values, the first line has 2"):
        read(tmp_path, "a,b\n1,2,\n3,4,\n")


@pytest.mark.parametrize(
    ("name", "text", "is_table"),
    [
        ("a.data", "1,2\n3,4\n", True),
        ("a.dat", HOUSING, True),
        ("a.txt", "a\tb\n1\t2\n3\t4\n", True),
        ("a", "1;2\n3;4\n", True),
        ("a.txt", "This is a text.\nIt has lines of different length, as texts have.\nThe end.\n", False),
        ("a.txt", "", False),
        ("a.py", "1,2\n3,4\n", False),
        ("a.json", '{"a": 1,\n"b": 2}\n', False),
        ("a.data.gz", None, True),
    ],
)
def test_text_tables_of_any_suffix_are_recognized_by_looking(tmp_path, name, text, is_table):
    import gzip

    path = write(tmp_path, gzip.compress(b"1,2\n3,4\n") if text is None else text, name)
    if is_table:
        assert find_data_reader(str(path)) == ("table", str(path))
        assert is_text_table(path)
    else:
        with pytest.raises(DataError, match="cannot be opened as data"):
            find_data_reader(str(path))


def test_a_format_can_be_given(tmp_path):
    path = write(tmp_path, f"a,b,y\n{ROWS}", "table.log")
    assert len(tables.from_file(path, target="y", format="csv")) == 20
    with pytest.raises(UsageError, match="format must be one of"):
        ReadingOptions.parse({"format": "xml"})


def test_reading_options_are_checked():
    parsed = ReadingOptions.parse({"header": "true", "skip": "2", "names": "a, b", "missing": ["x"]})
    assert (parsed.header, parsed.skip, parsed.names, parsed.missing) == (True, 2, ("a", "b"), ("x",))
    for wrong in ({"skip": "-1"}, {"skip": "x"}, {"header": "perhaps"}, {"colour": "x"}, {"prior_encoding": "x"}):
        with pytest.raises(UsageError):
            ReadingOptions.parse(wrong)
