"""Raw tables at prediction: matched with the columns of the training data, the same values as in training."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.core.spec import Spec
from yisheng.data import hub, tables
from yisheng.inference.rows import parse_rows, read_rows

FRAME = pd.DataFrame(
    {
        "user_id": [f"u{n}" for n in range(8)],
        "price": ["$1,200", "$3", "$7.50", "$5"] * 2,
        "size": [1.5, 2.0, np.nan, 4.0] * 2,
        "zip": ["007", "010", "100", "007"] * 2,
        "paid": ["yes", "no", "no", None] * 2,
        "day": ["31/12/2020", "01/02/2021", None, "13/02/2021"] * 2,
        "stars": [3, 1, 2, 3] * 2,
        "y": np.arange(8) * 1.5,
    }
)
KINDS = {"stars": "category", "user_id": "identifier"}


@pytest.fixture(scope="module")
def training():
    """The inputs and the contract of a training on the table."""
    data = tables.from_frame(FRAME, target="y", kinds=KINDS)
    return data.x, Spec.from_json(data.spec.to_json())


def write(folder, text, name="rows.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_the_training_table_becomes_the_training_inputs(tmp_path, training):
    x, spec = training
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    rows = read_rows(tmp_path / "a.csv", spec)
    np.testing.assert_array_equal(rows.x, x)
    assert (rows.id_name, rows.ids, rows.notes) == ("user_id", tuple(FRAME["user_id"]), ())
    FRAME.sample(frac=1, axis=1, random_state=0).to_csv(tmp_path / "b.csv.gz", index=False, sep=";", encoding="utf-16")
    np.testing.assert_array_equal(read_rows(tmp_path / "b.csv.gz", spec).x, x)
    sources = list(dict.fromkeys(column.source for column in spec.columns))
    FRAME[sources].to_csv(tmp_path / "c.tsv", index=False, header=False, sep="\t")
    np.testing.assert_array_equal(read_rows(tmp_path / "c.tsv", spec).x, x)


def test_values_that_training_has_not_seen_are_missing_or_unknown(tmp_path, training):
    _, spec = training
    text = "price,size,zip,paid,day,stars\n$2,,999,maybe,01/01/2022,7\n,inf,7,NO,,3.0\n"
    rows = read_rows(write(tmp_path, text), spec)
    names = [column.name for column in spec.columns]
    values = {name: rows.x[:, names.index(name)].tolist() for name in ("price", "size", "zip", "paid", "stars")}
    nan = pytest.approx(np.nan, nan_ok=True)
    assert values["price"] == [2, nan]
    assert values["size"] == [nan, nan]
    assert values["zip"] == [-1, -1]  # 7 is not 007
    assert values["paid"] == [nan, 0]
    assert values["stars"] == [-1, 2]
    assert np.isnan(rows.x[1, names.index("day.year")])
    assert rows.ids is None
    notes = " ".join(rows.notes)
    for text in ("'999' was never seen", "'maybe' was never seen", "'7' was never seen", "infinite"):
        assert text in notes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("size,zip,paid,day,stars\n1,007,yes,,3\n", "lacks the column price that"),
        ("a,b\n1,2\n", "lacks the columns price, size"),
        ("price,size,zip,paid,day,stars\n", "no rows"),
        ("price,size,zip,paid,day,stars\n$1,big,007,yes,,3\n", "row 1, size: 'big' is not a number"),
        ("price,size,zip,paid,day,stars\n$1,1,007,yes,,3\n€1,1,007,yes,,3\n", "row 2, price: '€1' is not a number"),
        ("price,size,zip,paid,day,stars\n$1,1,007,yes,31.12.2020,3\n", "row 1, day: '31.12.2020' is not a date like"),
        ("1,2,3\n", "row 1 has 3 values, the model takes 6"),
        ("", "is empty"),
        ("price,size,zip,paid,day,stars\n$1,1,007\n", "line 2 has 3 values"),
    ],
)
def test_invalid_tables_are_refused(tmp_path, training, text, problem):
    with pytest.raises(DataError, match=problem):
        read_rows(write(tmp_path, text), training[1])


def test_a_missing_file_is_reported(tmp_path, training):
    with pytest.raises(DataError, match="does not exist"):
        read_rows(tmp_path / "nowhere.csv", training[1])


def test_rows_are_named_by_an_id_column(tmp_path, training):
    _, spec = training
    text = "Id,name,price,size,zip,paid,day,stars\n007,a,$1,1,007,yes,,3\n08,b,$1,1,007,yes,,3\n"
    path = write(tmp_path, text)
    assert read_rows(path, spec).ids == ("007", "08")  # as they are written
    named = read_rows(path, spec, id="name")
    assert (named.id_name, named.ids) == ("name", ("a", "b"))
    with pytest.raises(DataError, match="lacks the column who"):
        read_rows(path, spec, id="who")
    assert read_rows(write(tmp_path, text.replace("08,b", "007,b")), spec).ids is None  # the same id twice


def test_a_model_without_a_header_takes_a_table_without_one(tmp_path):
    text = "".join(f"{n}.5,{n % 3},{'ab'[n % 2]},{n % 2}\n" for n in range(20))
    data = tables.from_file(write(tmp_path, text), target="last")
    without_target = "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())
    for content in (text, without_target):
        np.testing.assert_array_equal(read_rows(write(tmp_path, content, "new.csv"), data.spec).x, data.x)
    np.savez(tmp_path / "a.npz", x=data.x[:, :2], y=data.y)
    from_arrays = tables.from_file(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=data.x[:, :2])
    np.testing.assert_array_equal(read_rows(tmp_path / "b.npz", from_arrays.spec).x, data.x[:, :2])


def test_the_numbers_that_pandas_gives_columns_without_names_are_a_header(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(6.0))
    spec = tables.from_file(tmp_path / "a.npz").spec
    text = pd.DataFrame(x).to_csv(index=False)
    assert text.startswith("0,1,2,3\n")
    np.testing.assert_allclose(read_rows(write(tmp_path, text), spec).x, x)
    np.testing.assert_allclose(read_rows(write(tmp_path, text.partition("\n")[2]), spec).x, x)


def test_words_that_were_missing_in_training_are_missing_in_prediction(tmp_path):
    frame = pd.DataFrame(
        {"a": [*map(str, range(60)), "broken"], "b": ["x", "y", "z"] * 20 + ["x"], "y": np.arange(61) / 2}
    )
    data = tables.from_frame(frame)
    x = read_rows(write(tmp_path, "a,b\nbroken,x\n5,y\n"), data.spec).x
    assert np.isnan(x[0, 0])
    with pytest.raises(DataError, match="'ruined' is not a number"):
        read_rows(write(tmp_path, "a,b\nruined,x\n"), data.spec)


def test_rows_on_the_command_line_are_parsed(training):
    x, spec = training
    rows = [["$1,200", "1.5", "007", "yes", "31/12/2020", "3"], ["$3", "2", "010", "no", "01/02/2021", "1"]]
    np.testing.assert_array_equal(parse_rows(rows, spec, "rows="), x[:2])
    assert np.isnan(parse_rows([["", "", "", "", "", ""]], spec, "rows=")).all()
    with pytest.raises(DataError, match="row 1 has 2 values, the model takes 6"):
        parse_rows([["1", "2"]], spec, "rows=")
    with pytest.raises(DataError, match="'x' is not a number"):
        parse_rows([["x", "1", "", "", "", ""]], spec, "rows=")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "train", "test", "row_count"),
    [
        ("house-prices", "kaggle_house_pred_train.csv", "kaggle_house_pred_test.csv", 1459),
        ("titanic", "train.csv", "test.csv", 418),
    ],
)
def test_tables_of_competitions_are_read(name, train, test, row_count):
    data = tables.from_file(hub.fetch_file(name, train), target="last" if name == "house-prices" else "Survived")
    np.testing.assert_array_equal(read_rows(hub.fetch_file(name, train), data.spec).x, data.x)
    rows = read_rows(hub.fetch_file(name, test), data.spec)
    assert rows.x.shape == (row_count, data.x.shape[1])
    frame = pd.read_csv(hub.fetch_file(name, test))
    assert rows.id_name == frame.columns[0]
    assert rows.ids is not None
    assert list(map(int, rows.ids)) == frame.iloc[:, 0].tolist()


TEXT = st.text("0123456789.,-$% /yesno\n\"'\tabé", max_size=60)


@given(
    st.binary(max_size=80) | TEXT.map(str.encode) | TEXT.map(lambda t: f"price,size,zip,paid,day,stars\n{t}\n".encode())
)
def test_any_bytes_are_rows_or_a_data_error(tmp_path_factory, training, content):
    path = tmp_path_factory.getbasetemp() / "any table.csv"
    path.write_bytes(content)
    try:
        x = read_rows(path, training[1]).x
    except DataError:
        return
    assert x.dtype == np.float32
    assert x.shape[1] == training[1].shape[0]
    assert not np.isinf(x).any()


@given(st.lists(st.lists(st.text(max_size=6), min_size=6, max_size=6), min_size=1, max_size=3))
def test_any_words_are_rows_or_a_data_error(training, rows):
    try:
        x = parse_rows(rows, training[1], "rows=")
    except DataError:
        return
    assert x.shape == (len(rows), training[1].shape[0])
