"""pandas as the book expects it, until `uninstall`."""

import numpy as np
import pandas as pd
import pytest
import torch

from yisheng import d2l

TABLE = "Rooms,Street\nNA,Pave\n2,NA\n4,NA\n"


@pytest.fixture(autouse=True)
def _restored():
    names = ("mean", "std", "var", "median", "sem", "skew", "kurt")
    before = (pd.get_dummies, *(getattr(pd.DataFrame, name) for name in names))
    yield
    d2l.uninstall()
    assert (pd.get_dummies, *(getattr(pd.DataFrame, name) for name in names)) == before


@pytest.fixture
def frame(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    return lambda: pd.read_csv(tmp_path / "table.csv")


def test_the_books_preprocessing_runs(frame, capsys):
    d2l.compat()
    assert "pandas" in capsys.readouterr().err
    table = frame()
    assert list(table.dtypes[table.dtypes != "object"].index) == ["Rooms"]
    filled = table.fillna(table.mean())
    assert "mean: not numbers, left out: Street" in capsys.readouterr().err
    numbers = pd.get_dummies(filled, dummy_na=True)
    expected = torch.tensor([[3.0, 1, 0], [2, 0, 1], [4, 0, 1]], dtype=torch.float64)
    assert torch.equal(torch.tensor(numbers.values), expected)


def test_none_is_a_category(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\nNone,1\nNA,2\n")
    assert pd.read_csv(tmp_path / "table.csv")["a"].isna().tolist() == [True, True]
    d2l.compat()
    assert pd.read_csv(tmp_path / "table.csv")["a"].isna().tolist() == [False, True]
    assert pd.read_csv(tmp_path / "table.csv", na_values=["1"])["a"].isna().tolist() == [True, True]


def test_explicit_arguments_are_respected(frame):
    d2l.compat()
    assert pd.get_dummies(pd.Series(["a"]), dtype=bool)["a"].tolist() == [True]
    with pytest.raises(TypeError):
        frame().mean(numeric_only=False)


def test_numbers_are_as_before(capsys):
    numbers = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=list("abc"))
    expected = [getattr(numbers, name)() for name in ("mean", "std", "var", "median", "sem", "skew", "kurt")]
    by_row = numbers.mean(axis=1)
    d2l.compat()
    capsys.readouterr()
    results = [getattr(numbers, name)() for name in ("mean", "std", "var", "median", "sem", "skew", "kurt")]
    for result, reference in zip(results, expected, strict=True):
        pd.testing.assert_series_equal(result, reference)
    pd.testing.assert_series_equal(numbers.mean(axis=1), by_row)
    assert capsys.readouterr().err == ""


def test_nothing_is_changed_without_the_explicit_call(frame, capsys):
    d2l.install()
    capsys.readouterr()
    assert pd.get_dummies(pd.Series(["a"]))["a"].dtype.kind == "b"
    with pytest.raises(TypeError):
        frame().mean()
    d2l.install(pandas=True)
    assert frame().mean()["Rooms"] == 3
    d2l.uninstall()
    assert pd.get_dummies(pd.Series(["a"]))["a"].dtype.kind == "b"
    assert frame()["Street"].dtype == pd.Series(["a"]).dtype


def test_a_second_call_does_nothing(capsys):
    d2l.compat()
    capsys.readouterr()
    d2l.compat()
    assert capsys.readouterr().err == ""
