"""Tables with thousands of columns: no embeddings by default, and an end in time."""

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.core.choice import Choice
from yisheng.core.columns import Column
from yisheng.core.config import Config
from yisheng.core.spec import Spec
from yisheng.training.wide_tables import MAX_EMBEDDED_COLUMNS, choose_for_wide_tables


def make_spec(numbers, others=0, source="x"):
    columns = [Column(f"n{i}", source=source) for i in range(numbers)]
    columns += [Column(f"c{i}", "category", ("a", "b"), source=source) for i in range(others)]
    return Spec("regression", (len(columns),), columns=tuple(columns))


@pytest.mark.parametrize("model", ["auto", "tabm", "embedded-mlp"])
def test_only_wide_tables_lose_their_embeddings(model):
    config = Config(model=Choice(name=model, options={"width": 32} if model != "auto" else {}))
    assert choose_for_wide_tables(config, make_spec(MAX_EMBEDDED_COLUMNS, 500)) == (config, ())
    resolved, notes = choose_for_wide_tables(config, make_spec(MAX_EMBEDDED_COLUMNS + 1))
    assert resolved.model.options == {**config.model.options, "embeddings": "none"}
    assert f"{MAX_EMBEDDED_COLUMNS + 1:,} columns" in notes[0]
    assert "embeddings=piecewise-linear" in notes[0]


@pytest.mark.parametrize(
    "choice",
    [
        Choice(name="tabm", options={"embeddings": "piecewise-linear"}),
        Choice(name="mlp"),
        Choice(name="linear"),
        Choice(name="net.py:Net"),
    ],
)
def test_what_the_user_chose_stays(choice):
    config = Config(model=choice)
    assert choose_for_wide_tables(config, make_spec(5000)) == (config, ())


def test_other_data_is_not_a_table():
    config = Config(model=Choice(name="lenet"))
    assert choose_for_wide_tables(config, Spec("regression", (1, 64, 64))) == (config, ())
    assert choose_for_wide_tables(Config(), make_spec(5000, source=""))[1] == ()  # the default is then an MLP


@pytest.mark.slow
def test_a_table_of_60_rows_and_5_000_columns_has_no_embeddings(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 5000)).round(3)
    frame = pd.DataFrame(x, columns=[f"g{i}" for i in range(x.shape[1])])
    frame["y"] = x[:, 0] + 0.1 * generator.normal(size=60)
    frame.to_csv(tmp_path / "wide.csv", index=False)
    run = yisheng.train(data=tmp_path / "wide.csv", target="y", model="tabm", out=tmp_path, quiet=True)
    assert run.config["model"]["embeddings"] == "none"
    assert len(run.predict(frame.drop(columns="y").head(2))) == 2
