"""Files to predict whose numbers are of another size than in training, or whose rows are empty."""

import numpy as np
import pytest

from tests.foreign.tables import REFUSED, assert_value, learn, read_later, write_rows
from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.data import tables
from yisheng.data.tables.value_ranges import find_outside, record_ranges
from yisheng.inference.bulk import rows as bulk_rows
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.rows import read_rows

COUNT = 60
WEIGHTS = [f"{70 + n * 7 % 37} kg" for n in range(COUNT)]
AMOUNTS = [10_000 + 1_000 * (n * 7 % 80) for n in range(COUNT)]


def predict_notes(folder, data, columns):
    """Return the notes on a later file, the same for one read at once and as a stream."""
    path = write_rows(folder / "later.csv", [list(columns), *zip(*columns.values(), strict=True)])
    notes = list(read_rows(path, data.spec).notes)
    source, tally = bulk_rows.open_table(path, data.spec), Tally()
    for chunk in source.chunks(tally):
        tally.count_chunk(chunk)
    assert tally.describe() == notes
    return notes


@pytest.fixture
def data(tmp_path):
    return learn(tmp_path, {"amount": list(map(str, AMOUNTS)), "kg": WEIGHTS})


@pytest.mark.parametrize(
    ("column", "write"),
    [
        ("amount", lambda n: f"{AMOUNTS[n] / 1000:.3f}"),
        ("amount", lambda n: str(AMOUNTS[n] * 100)),
        ("amount", lambda n: "-9999999" if n == 7 else str(AMOUNTS[n])),
        ("kg", lambda n: f"{1000 * int(WEIGHTS[n][:-3])} g"),
        ("kg", lambda n: WEIGHTS[n][:-3]),
    ],
)
def test_other_quantities_are_named(tmp_path, data, column, write):
    columns = {"amount": list(map(str, AMOUNTS)), "kg": WEIGHTS}
    assert predict_notes(tmp_path, data, columns) == []
    columns[column] = [write(n) for n in range(COUNT)]
    notes = predict_notes(tmp_path, data, columns)
    assert notes
    assert all(note.startswith(f"{column}: ") for note in notes)


def test_empty_rows_are_named(tmp_path, data):
    columns = {"amount": ["10000", "", "", "20000"], "kg": ["80 kg", "", "", ""]}
    assert predict_notes(tmp_path, data, columns) == ["every column: empty (row 2 and 1 more such row)"]


def test_a_test_table_of_another_size_is_a_warning(tmp_path):
    rows = [(str(n), str(n * 7 % 59)) for n in range(COUNT)]
    paths = [write_rows(tmp_path / "train.csv", [("a", "y"), *rows])]
    paths.append(write_rows(tmp_path / "test.csv", [("a", "y"), *((f"{a}000", y) for a, y in rows)]))
    dataset = tables.from_file(paths[0], target="y", test=paths[1], task="regression")
    (finding,) = [finding for finding in dataset.findings if finding.check == "test table"]
    assert finding.evidence["column"] == "a"


@pytest.mark.parametrize("seed", range(10))
def test_rows_like_those_of_training_are_not_reported(seed):
    draw = np.random.default_rng(seed)
    values = np.exp(draw.normal(size=(400, 3)) * [0.1, 0.5, 1.0])
    columns = record_ranges([Column(name) for name in "abc"], values[:200])
    for index, column in enumerate(columns):
        assert column.value_range == (values[:200, index].min(), values[:200, index].max())
        assert not find_outside(column, values[200:, index]).any()
        assert find_outside(column, values[200:, index] * 1000).all()


def test_ranges_are_saved_and_compared_with_nothing():
    column = Column("a", source="a", value_range=(1.0, 3.0))
    spec = Spec("regression", (1,), columns=(column,))
    assert Spec.from_json(spec.to_json()).columns[0].value_range == (1.0, 3.0)
    assert spec == Spec("regression", (1,), columns=(Column("a", source="a"),))
    assert repr(column) == repr(Column("a", source="a"))


def test_times_with_seconds_are_not_read_without_them(tmp_path):
    data = learn(tmp_path, {"t": [f"{n % 3}:{n:02d}:30" for n in range(COUNT)], "w": ["1", "2", "4"]})
    assert_value(read_later(tmp_path, data, "t", "1:02:30"), 3750)
    assert_value(read_later(tmp_path, data, "t", "62:30"), REFUSED)
    data = learn(tmp_path, {"t": [f"{n % 20 + 1}:{n:02d}" for n in range(COUNT)], "w": ["1", "2", "4"]})
    assert_value(read_later(tmp_path, data, "t", "1:02:30"), 3750)
