"""Which trainings get a time in which models are tried, and which train one model."""

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.core.choice import Choice
from yisheng.core.columns import Column
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.experiments import dispatch
from yisheng.search.space import Space
from yisheng.training.portfolio import plan
from yisheng.training.portfolio.plan import plan_ensemble

TABLE = Spec("regression", (1,), columns=(Column("a", source="a"),))
ARRAYS = Spec("regression", (1,))
FILE = [("data", "table", "command line"), ("path", "a.csv", "command line")]
SIZES = [(20, 1), (150, 1), (10**6, 1), (900, 5), (900, 15)]


def merge(words):
    return merge_settings([*FILE, *((*word.split("="), "command line") for word in words)]).config


@pytest.mark.parametrize(
    ("words", "budget"),
    [
        ([], 60),
        (["target=y", "id=Id", "seed=3", "score=rmse", "metrics=mae", "test=0.3", "doctor=off"], 60),
        (["model=auto", "epochs=auto", "budget=auto"], 60),
        (["budget=90s"], 90),
        (["budget=auto", "schedule=one-cycle"], 60),  # as `yisheng config toml=true` writes it
        (["budget=none"], None),
        (["epochs=5"], None),
        (["lr=0.1"], None),
        (["schedule=one-cycle"], None),  # the default, but named
        (["hidden=8"], None),
        (["scale=columns"], None),
        (["loss=mse"], None),
        (["patience=3"], None),
        (["augment=none"], None),
        (["doctor=full"], None),
        (["budget=auto", "batch=8"], None),
    ],
    ids=str,
)
def test_a_table_of_the_user_gets_a_budget_unless_a_setting_is_for_one_training(words, budget):
    config = merge(words)
    planned, notes = plan_ensemble(config, TABLE, rows=900)
    assert planned.budget is None
    assert planned.model == (Choice(name="ensemble", options={"seconds": budget}) if budget else config.model)
    assert [f"budget={budget}" in note or "budget=1m" in note for note in notes] == [True] * (budget is not None)


@pytest.mark.parametrize("words", [[], ["lr=0.1"], ["budget=none"], ["budget=5m"], ["seed=3"]], ids=str)
def test_a_written_config_asks_for_the_same_training(words):
    config = merge(words)
    written = [(key, value, "file") for key, value in flatten(config.to_dict())]
    assert merge_settings(written).config.budget == config.budget


def flatten(plain):
    for key, value in plain.items():
        if isinstance(value, dict):
            yield from ((key if option == "name" else f"{key}.{option}", item) for option, item in value.items())
        else:
            yield key, value


@pytest.mark.parametrize(
    ("name", "spec"),
    [("house-prices", TABLE), ("shards", TABLE), ("in-memory", ARRAYS), ("diabetes", ARRAYS)],
    ids=["of the hub", "many files", "arrays", "of scikit-learn"],
)
def test_other_data_gets_no_budget(name, spec):
    config = Config(data=Choice(name=name))
    assert plan_ensemble(config, spec, rows=900) == (config.model_copy(update={"budget": None}), ())


def test_few_rows_and_folds_change_the_time():
    config = merge([])
    seconds = [plan_ensemble(config, TABLE, rows, models)[0].model.options["seconds"] for rows, models in SIZES]
    assert seconds == [15, 20, 60, 12, 10]
    assert plan_ensemble(config, TABLE, 19)[0] == config.model_copy(update={"budget": None})
    assert "budget=20s" in plan_ensemble(config, TABLE, 150)[1][0]
    assert plan_ensemble(Config(budget=30), TABLE, 150, models=3)[0].model.options["seconds"] == 10
    with pytest.raises(UsageError, match="less than a second"):
        plan_ensemble(Config(budget=3), TABLE, 150, models=5)


def test_a_search_trains_one_model_for_each_setting():
    assert Space(tuple(FILE), ()).config({}).budget is None


@pytest.fixture
def frame(monkeypatch):
    monkeypatch.setattr(plan, "choose_seconds", lambda rows: 1.0)
    monkeypatch.setattr(plan, "MIN_FOLD_SECONDS", 1.0)
    x = np.random.default_rng(0).normal(size=(60, 2))
    return pd.DataFrame(x, columns=["a", "b"]).assign(y=x[:, 0])


@pytest.mark.parametrize(
    ("settings", "budget"), [({}, "auto"), ({"fix": True}, None), ({"callbacks": [iter]}, None)], ids=str
)
def test_what_is_for_one_training_asks_for_one(frame, tmp_path, monkeypatch, settings, budget):
    budgets = []

    def record(config, **_):
        budgets.append(config.budget)
        return tmp_path

    monkeypatch.setattr(dispatch.complete_run, "train", record)
    monkeypatch.setattr(dispatch.fixing, "train", record)
    yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    assert budgets == [budget]


@pytest.mark.slow
def test_a_dataframe_and_its_folds_get_ensembles(frame, tmp_path, capsys):
    run = yisheng.train(data=frame, target="y", out=tmp_path)
    assert run.config["model"]["name"] == "ensemble"
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "trying models one after the other, for 1s at most (budget=1s); for one network use model=tabm"
    folds = yisheng.train(data=frame, target="y", folds=2, out=tmp_path)
    assert "1s at most for each of 2 folds (budget=2s)" in capsys.readouterr().err.splitlines()[0]
    assert len(folds.predict(frame[:3])) == 3
