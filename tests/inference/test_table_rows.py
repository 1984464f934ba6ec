"""Raw tables at prediction: read by the columns of the training data, the same values as in training."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.data import hub, tables
from yisheng.inference import rows

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
def data():
    found = tables.from_frame(FRAME, target="y", kinds=KINDS)
    spec = Spec.from_json(found.spec.to_json())
    return found.x, spec


def write(folder, text, name="rows.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_the_training_table_gives_the_training_values(tmp_path, data):
    x, spec = data
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    found = rows.read_rows(tmp_path / "a.csv", spec)
    np.testing.assert_array_equal(found.x, x)
    assert (found.id_name, found.ids, found.notes) == ("user_id", tuple(FRAME["user_id"]), ())
    FRAME.sample(frac=1, axis=1, random_state=0).to_csv(tmp_path / "b.csv.gz", index=False, sep=";", encoding="utf-16")
    np.testing.assert_array_equal(rows.read(tmp_path / "b.csv.gz", spec), x)
    sources = list(dict.fromkeys(column.source for column in spec.columns))
    FRAME[sources].to_csv(tmp_path / "c.tsv", index=False, header=False, sep="\t")
    np.testing.assert_array_equal(rows.read(tmp_path / "c.tsv", spec), x)


def test_what_training_never_saw(tmp_path, data):
    _, spec = data
    text = "price,size,zip,paid,day,stars\n$2,,999,maybe,01/01/2022,7\n,inf,7,NO,,3.0\n"
    found = rows.read_rows(write(tmp_path, text), spec)
    names = [column.name for column in spec.columns]
    values = {name: found.x[:, names.index(name)].tolist() for name in ("price", "size", "zip", "paid", "stars")}
    nan = pytest.approx(np.nan, nan_ok=True)
    assert values["price"] == [2, nan]
    assert values["size"] == [nan, nan]
    assert values["zip"] == [-1, -1]  # 7 is not 007
    assert values["paid"] == [nan, 0]
    assert values["stars"] == [-1, 2]
    assert np.isnan(found.x[1, names.index("day.year")])
    assert found.ids is None
    said = " ".join(found.notes)
    for what in ("'999' was never seen", "'maybe' was never seen", "'7' was never seen", "infinite"):
        assert what in said


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("size,zip,paid,day,stars\n1,007,yes,,3\n", "lacks the column price that"),
        ("a,b\n1,2\n", "lacks the columns price, size"),
        ("price,size,zip,paid,day,stars\n", "no rows"),
        ("price,size,zip,paid,day,stars\n$1,big,007,yes,,3\n", "row 1, size: 'big' is not a number"),
        ("price,size,zip,paid,day,stars\n$1,1,007,yes,,3\n€1,1,007,yes,,3\n", "row 2, price: '€1' is not a number"),
        ("price,size,zip,paid,day,stars\n$1,1,007,yes,2020-12-31,3\n", "row 1, day: '2020-12-31' is not a date like"),
        ("1,2,3\n", "row 1 has 3 values, the model wants 6"),
        ("", "is empty"),
        ("price,size,zip,paid,day,stars\n$1,1,007\n", "line 2 has 3 values"),
    ],
)
def test_tables_that_are_refused(tmp_path, data, text, cause):
    with pytest.raises(DataError, match=cause):
        rows.read(write(tmp_path, text), data[1])
    with pytest.raises(DataError, match="does not exist"):
        rows.read(tmp_path / "nowhere.csv", data[1])


def test_the_names_of_the_rows(tmp_path, data):
    _, spec = data
    text = "Id,name,price,size,zip,paid,day,stars\n007,a,$1,1,007,yes,,3\n08,b,$1,1,007,yes,,3\n"
    path = write(tmp_path, text)
    assert rows.read_rows(path, spec).ids == ("007", "08")  # as they are written
    named = rows.read_rows(path, spec, id="name")
    assert (named.id_name, named.ids) == ("name", ("a", "b"))
    with pytest.raises(DataError, match="lacks the column who"):
        rows.read_rows(path, spec, id="who")
    assert rows.read_rows(write(tmp_path, text.replace("08,b", "007,b")), spec).ids is None  # the same name twice


def test_a_model_without_a_header_takes_a_table_without_one(tmp_path):
    text = "".join(f"{n}.5,{n % 3},{'ab'[n % 2]},{n % 2}\n" for n in range(20))
    data = tables.from_file(write(tmp_path, text), target="last")
    without_target = "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())
    for new in (text, without_target):
        np.testing.assert_array_equal(rows.read(write(tmp_path, new, "new.csv"), data.spec), data.x)
    np.savez(tmp_path / "a.npz", x=data.x[:, :2], y=data.y)
    from_arrays = tables.from_file(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=data.x[:, :2])
    np.testing.assert_array_equal(rows.read(tmp_path / "b.npz", from_arrays.spec), data.x[:, :2])


def test_words_that_were_missing_in_training_are_missing_in_prediction(tmp_path):
    frame = pd.DataFrame(
        {"a": [*map(str, range(60)), "broken"], "b": ["x", "y", "z"] * 20 + ["x"], "y": np.arange(61) / 2}
    )
    data = tables.from_frame(frame)
    found = rows.read(write(tmp_path, "a,b\nbroken,x\n5,y\n"), data.spec)
    assert np.isnan(found[0, 0])
    with pytest.raises(DataError, match="'ruined' is not a number"):
        rows.read(write(tmp_path, "a,b\nruined,x\n"), data.spec)


def test_rows_on_the_command_line(data):
    x, spec = data
    given = [["$1,200", "1.5", "007", "yes", "31/12/2020", "3"], ["$3", "2", "010", "no", "01/02/2021", "1"]]
    np.testing.assert_array_equal(rows.parse_rows(given, spec, "rows="), x[:2])
    assert np.isnan(rows.parse_rows([["", "", "", "", "", ""]], spec, "rows=")).all()
    with pytest.raises(DataError, match="row 1 has 2 values, the model wants 6"):
        rows.parse_rows([["1", "2"]], spec, "rows=")
    with pytest.raises(DataError, match="'x' is not a number"):
        rows.parse_rows([["x", "1", "", "", "", ""]], spec, "rows=")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "train", "test", "count"),
    [
        ("house-prices", "kaggle_house_pred_train.csv", "kaggle_house_pred_test.csv", 1459),
        ("titanic", "train.csv", "test.csv", 418),
    ],
)
def test_competitions(name, train, test, count):
    data = tables.from_file(hub.fetch_file(name, train), target="last" if name == "house-prices" else "Survived")
    np.testing.assert_array_equal(rows.read(hub.fetch_file(name, train), data.spec), data.x)
    found = rows.read_rows(hub.fetch_file(name, test), data.spec)
    assert found.x.shape == (count, data.x.shape[1])
    theirs = pd.read_csv(hub.fetch_file(name, test))
    assert found.id_name == theirs.columns[0]
    assert found.ids is not None
    assert list(map(int, found.ids)) == theirs.iloc[:, 0].tolist()


TEXT = st.text("0123456789.,-$% /yesno\n\"'\tabé", max_size=60)


@given(
    st.binary(max_size=80) | TEXT.map(str.encode) | TEXT.map(lambda t: f"price,size,zip,paid,day,stars\n{t}\n".encode())
)
def test_any_bytes_give_rows_or_a_data_error(tmp_path_factory, data, content):
    path = tmp_path_factory.getbasetemp() / "any table.csv"
    path.write_bytes(content)
    try:
        found = rows.read_rows(path, data[1])
    except DataError:
        return
    assert found.x.dtype == np.float32
    assert found.x.shape[1] == data[1].shape[0]
    assert not np.isinf(found.x).any()


@given(st.lists(st.lists(st.text(max_size=6), min_size=6, max_size=6), min_size=1, max_size=3))
def test_any_words_give_rows_or_a_data_error(data, given_rows):
    try:
        found = rows.parse_rows(given_rows, data[1], "rows=")
    except DataError:
        return
    assert found.shape == (len(given_rows), data[1].shape[0])
