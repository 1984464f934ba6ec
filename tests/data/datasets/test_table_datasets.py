"""Data sets whose file is a table."""

import numpy as np
import pandas as pd
import pytest

from yisheng.core import registry
from yisheng.core.errors import DataError
from yisheng.core.settings import merge_settings
from yisheng.data import hub, tables
from yisheng.data.datasets import airfoil

SETS = ("house-prices", "titanic", "california-housing", "pima", "ohlc")


def build(name, **options):
    return registry.find("data.datasets", name).build(**options)


@pytest.mark.realdata
@pytest.mark.parametrize("name", SETS)
def test_table_datasets_are_complete(name):
    data = build(name)
    assert data.name == name
    assert data.x.dtype == np.float32
    assert data.x.flags.c_contiguous
    assert len(data.spec.columns) == data.x.shape[1]
    assert {column.kind for column in data.spec.columns} <= {"number", "category", "yes/no"}
    assert all(column.source for column in data.spec.columns)
    for n, column in enumerate(data.spec.columns):
        values = data.x[:, n][~np.isnan(data.x[:, n])]
        if column.kind != "number":
            assert set(values.tolist()) == set(range(len(column.categories)))
    assert data.about
    assert data.source
    assert data.license
    assert [finding.severity for finding in data.findings] == ["note"]
    assert data.x.tobytes() == build(name).x.tobytes()


@pytest.mark.realdata
def test_house_prices_equal_the_complete_table():
    data = build("house-prices")
    table = pd.read_csv(hub.fetch_file("house-prices", "kaggle_house_pred_train.csv"))
    assert data.x.shape == (1460, 79)
    assert data.rows is not None
    assert [int(row) for row in data.rows] == table["Id"].tolist()
    np.testing.assert_array_equal(data.y[:, 0], table["SalePrice"])
    assert [column.name for column in data.spec.columns] == list(table.columns[1:-1])
    for n, column in enumerate(data.spec.columns):
        expected = table[column.name]
        if column.kind == "number":
            np.testing.assert_array_equal(data.x[:, n], expected.astype(np.float32))
        else:
            texts = [None if np.isnan(value) else column.categories[int(value)] for value in data.x[:, n]]
            assert texts == [None if pd.isna(value) else str(value) for value in expected]
    kinds = [column.kind for column in data.spec.columns]
    assert (kinds.count("number"), kinds.count("category") + kinds.count("yes/no")) == (36, 43)


@pytest.mark.realdata
def test_titanic_reads_names_and_tickets():
    data = build("titanic")
    assert data.spec.classes == ("0", "1")
    assert np.bincount(data.y).tolist() == [549, 342]
    names = [column.name for column in data.spec.columns]
    plain = ["Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Cabin", "Embarked"]
    assert [column.name for column in data.spec.columns if not column.text_part] == plain
    table = pd.read_csv(hub.fetch_file("titanic", "train.csv"))
    missing = np.isnan(data.x[:, [names.index(name) for name in plain]]).sum()
    assert missing == table[["Age", "Cabin", "Embarked"]].isna().sum().sum()
    for word in ("mr", "mrs", "miss", "master"):
        expected = table["Name"].str.lower().str.contains(rf"\b{word}\b")
        np.testing.assert_array_equal(data.x[:, names.index(f"Name has {word}")], expected.astype(np.float32))


@pytest.mark.realdata
def test_california_housing_equals_the_raw_table():
    data = build("california-housing")
    assert data.x.shape == (20_640, 9)
    assert data.spec.columns[8].categories == ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")
    assert np.isnan(data.x).sum() == 207
    table = pd.read_csv(hub.fetch_file("california-housing", "housing.csv"))
    np.testing.assert_allclose(data.y[:, 0], table["median_house_value"] / 1e5, rtol=1e-6)
    np.testing.assert_array_equal(data.x[:, :8], table.iloc[:, :8].astype(np.float32))


@pytest.mark.realdata
def test_pima_is_read_without_a_header():
    data = build("pima")
    expected = pd.read_csv(hub.fetch_file("pima", "diabetes.csv.gz"), header=None)
    np.testing.assert_array_equal(data.x, expected.iloc[:, :8].astype(np.float32))
    assert np.bincount(data.y).tolist() == [263, 496]
    by_path = tables.from_file(hub.fetch_file("pima", "diabetes.csv.gz"), target="last")
    np.testing.assert_array_equal(data.x, by_path.x)
    np.testing.assert_array_equal(data.y, by_path.y)


@pytest.mark.realdata
@pytest.mark.parametrize("days_ahead", [1, 5])
def test_returns_of_prices_use_only_past_prices(days_ahead):
    data = build("ohlc", ahead=days_ahead)
    table = pd.read_csv(hub.fetch_file("ohlc", "yahoofinance-AAPL-20040819-20180120.csv"))
    assert len(data) == len(table) - 1 - days_ahead
    assert data.time is not None
    days = pd.to_datetime(table["Date"]).astype("datetime64[s]").astype("int64") / 86400
    np.testing.assert_array_equal(data.time, days[1:-days_ahead])
    close = table["Close"].to_numpy()
    np.testing.assert_allclose(data.y[:, 0], 100 * (close[1 + days_ahead :] / close[1:-days_ahead] - 1), atol=1e-4)
    column = [c.name for c in data.spec.columns].index("High")
    np.testing.assert_allclose(
        data.x[:, column], (100 * (table["High"].to_numpy()[1:] / close[:-1] - 1))[:-days_ahead], atol=1e-4
    )


def test_airfoil_is_read_without_a_header(tmp_path, monkeypatch):
    """The original file is not among the test data; this one has its format."""
    draw = np.random.default_rng(0).normal(size=(30, 6)).round(4)
    content = "\n".join("\t".join(map(str, row)) for row in draw).encode() + b"\n"
    (tmp_path / "airfoil_self_noise.dat").write_bytes(content)
    with pytest.raises(DataError, match="is not the file of airfoil"):
        build("airfoil", folder=tmp_path)
    monkeypatch.setattr(hub, "fetch_file", lambda _, file, folder: folder / file)
    data = airfoil.airfoil(folder=tmp_path)
    np.testing.assert_array_equal(data.x, draw[:, :5].astype(np.float32))
    assert [column.name for column in data.spec.columns] == list(airfoil.COLUMNS[:5])


@pytest.mark.realdata
def test_options_of_a_table_are_settings():
    path = str(hub.fetch_file("house-prices", "kaggle_house_pred_train.csv"))
    settings = {
        "data": path,
        "target": "SalePrice",
        "id": "Id",
        "drop": "PoolQC,MiscFeature",
        "kinds": "MSSubClass:category,YrSold:category",
        "task": "regression",
    }
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    data = registry.find("data.datasets", config.data.name).build(**config.data.options)
    assert data.x.shape == (1460, 77)
    kinds = {column.name: column.kind for column in data.spec.columns}
    assert (kinds["MSSubClass"], kinds["YrSold"], kinds["MoSold"]) == ("category", "category", "number")
    assert data.spec.columns[0].categories[:3] == ("20", "30", "40")
