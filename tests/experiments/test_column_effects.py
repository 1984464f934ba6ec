"""Importance, effects and reasons of runs on tables: in the report, in the shell and in Python."""

import json

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.run_page import render_run_page

pytestmark = pytest.mark.usefixtures("without_reports")


def draw_frame(n=240, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": rng.normal(80, 20, n).round(1),
            "town": rng.choice(["Ulm", "Bonn", "Köln"], n),
            "noise": rng.normal(size=n).round(3),
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, n), "D"),
        }
    )
    years = (frame.sold - pd.Timestamp("2020-01-01")).dt.days / 365
    frame["price"] = (3 * frame.area + 60 * (frame.town == "Ulm") + 20 * years + rng.normal(0, 2, n)).round(1)
    frame["sold"] = frame.sold.dt.strftime("%Y-%m-%d")
    frame.loc[rng.random(n) < 0.05, "town"] = None
    return frame


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "homes.csv"
    draw_frame().to_csv(path, index=False)
    return path


def train_on(table, out, **settings):
    settings = {"target": "price", "model": "ridge", "boosting": False, **settings}
    return yisheng.train(data=str(table), out=out, quiet=True, **settings)


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    return train_on(table, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def classes(table, tmp_path_factory):
    settings = {"target": "town", "drop": "price", "model": "logistic"}
    return train_on(table, tmp_path_factory.mktemp("runs"), **settings)


def test_the_importance_finds_what_the_target_is_made_of(run):
    table = run.importance()
    names = [column.column for column in table]
    assert set(names) == {"area", "town", "noise", "sold"}
    assert names[0] == "area"
    assert names[-1] == "noise"
    assert table[0].importance.low > 0
    noise = table[-1].importance
    assert noise.low <= 0.5
    assert (table.part, table.score) == ("test", "rmse")
    assert table.value == pytest.approx(run.scores["test"]["rmse"].value, rel=1e-5)


def test_the_report_has_the_importance_and_the_effect_of_the_first_columns(run, tmp_path):
    facts = json.loads((run.path / RunFolder.EVALUATION).read_text())["importance"]
    assert facts["columns"][0]["column"] == "area"
    assert facts["dependence"][0]["column"] == "area"
    assert "sold" not in [effect["column"] for effect in facts["dependence"]]  # a date is several inputs
    page = render_run_page(run.path)
    assert "Importance of the columns" in page
    assert page.count("Mean prediction of price by") == len(facts["dependence"])


def test_the_effect_of_a_column_is_its_slope(run):
    effect = run.dependence("area").to_frame()
    rise, run_length = (effect[name].iloc[-1] - effect[name].iloc[0] for name in ("price mean", "area"))
    assert rise / run_length == pytest.approx(3, rel=0.15)
    assert (np.diff(effect["price mean"]) > 0).all()
    towns = run.dependence("town").to_frame().set_index("town")["price mean"]
    assert towns["Ulm"] - towns["Bonn"] == pytest.approx(60, abs=8)
    assert "missing" in towns.index
    assert "Ulm" in repr(run.dependence("town"))


def test_the_reasons_add_up_and_name_the_values(run):
    reasons = run.reasons(3, pairs=50)
    frame = reasons.to_frame()
    data = draw_frame()
    predicted = run.predict(data.iloc[[3]].drop(columns="price"))[0].prediction
    assert frame["contribution"].sum() + reasons.shapley.base[0] == pytest.approx(predicted, rel=1e-6)
    row = frame.set_index("column")
    assert row.loc["area", "value"] == f"{data.area[3]:.6g}"
    average = 3 * (data.area[3] - data.area.mean())
    assert row.loc["area", "contribution"] == pytest.approx(average, abs=12)
    same = run.reasons(data.iloc[[3]].drop(columns="price"), pairs=50)
    assert same.to_frame().equals(frame)
    assert "price" in repr(reasons)
    assert "standard error" in reasons._repr_html_()


@pytest.mark.slow
def test_the_reasons_of_a_class_are_about_its_probability(classes):
    reasons = classes.reasons(0, pairs=20)
    probability = classes.predict(draw_frame().iloc[[0]])[0]
    assert reasons.output == probability.prediction
    total = reasons.to_frame()["contribution"].sum()
    number = reasons.outputs.index(reasons.output)
    assert total + reasons.shapley.base[number] == pytest.approx(probability.probabilities[reasons.output], abs=1e-5)
    plain = reasons.to_json()
    assert set(plain["outputs"]) == set(reasons.outputs)
    assert f"probability of {reasons.output}" in repr(reasons)


@pytest.mark.slow
def test_folds_without_a_test_part_measure_each_model_on_its_fold(table, tmp_path):
    folds = train_on(table, tmp_path, folds=3, test=0)
    importance = folds.importance()
    assert (importance.part, importance.rows) == ("validation", 240)
    assert importance[0].column == "area"
    assert importance.value == pytest.approx(folds.scores["out_of_fold"]["rmse"].value, rel=1e-5)
    facts = json.loads((folds.path / RunFolder.EVALUATION).read_text())
    assert facts["importance"]["rows"] == 240
    assert not json.loads((sorted(folds.path.glob("fold-*"))[0] / RunFolder.EVALUATION).read_text()).get("importance")
    tested = train_on(table, tmp_path, folds=3, test=0.2)
    assert tested.importance().part == "test"
    assert tested.reasons(0, pairs=5).shapley.pairs == 5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["importance=true"], "importance (rmse)"),
        (["column=town"], "10% to 90%"),
        (["row=5", "pairs=10"], "standard error"),
        (["row=70,Ulm,0.5,2021-03-04"], "contribution"),
    ],
)
def test_the_command_prints_text_or_json(run, capsys, words, text):
    assert main(["look", str(run.path), *words]) == 0
    assert text in capsys.readouterr().out
    assert main(["look", str(run.path), *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == str(run.path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["row=240"], "the data has the rows 0 to 239"),
        (["column=aera"], "no column 'aera'"),
        (["column=sold"], "sold is a date"),
        (["row=1", "importance=true"], "three questions"),
        (["pairs=3"], "three questions"),
        (["row=1", "layer=x"], "three questions"),
        (["row=1,2"], "4"),
        (["row=1", "smaples=3"], "unknown key"),
    ],
)
def test_wrong_questions_are_refused(run, capsys, words, problem):
    assert main(["look", str(run.path), *words]) in (2, 3)
    assert problem in capsys.readouterr().err


@pytest.mark.slow
def test_models_of_images_and_changed_data_are_refused(table, tmp_path, capsys):
    images = yisheng.train(data="digits", model="linear", epochs=1, out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="explained of models of tables"):
        images.importance()
    copy = tmp_path / "copy.csv"
    copy.write_bytes(table.read_bytes())
    run = train_on(copy, tmp_path)
    copy.write_text(copy.read_text().replace("Ulm", "Uhm"))
    with pytest.raises(DataError, match="not what it was in training"):
        run.reasons(0)


@pytest.mark.slow
def test_data_in_memory_is_given_again(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3)).astype(np.float32)
    y = x[:, :1] * 2
    run = yisheng.train(data=(x, y), model="ridge", out=tmp_path, quiet=True, task="regression")
    assert run.importance()[0].column == "x1"
    loaded = yisheng.load(run.path)
    with pytest.raises(DataError, match="given in memory"):
        loaded.importance()
    assert loaded.importance(data=(x, y))[0].column == "x1"
    assert loaded.reasons([1.0, 0.0, 0.0], data=(x, y), pairs=4).to_frame()["column"][0] == "x1"


@pytest.mark.slow
def test_it_can_be_left_out_and_is_refused_for_images(table, tmp_path):
    run = train_on(table, tmp_path, importance=False)
    assert "importance" not in json.loads((run.path / RunFolder.EVALUATION).read_text())
    with pytest.raises(UsageError, match="importance=true needs rows"):
        yisheng.train(data="digits", model="linear", epochs=1, importance=True, out=tmp_path, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["boosting", "mlp", "tabm", "forest", "neighbors"])
def test_every_kind_of_model_is_explained(table, tmp_path, model):
    settings = {"boosting": {"rounds": 20}, "forest": {"trees": 10}, "neighbors": {}}.get(model, {"epochs": 2})
    settings = {"model": model, **settings}
    run = train_on(table, tmp_path, **settings)
    assert len(run.importance(repeats=1)) == 4
    reasons = run.reasons(0, pairs=3)
    assert reasons.shapley.base[0] + reasons.shapley.values.sum() == pytest.approx(reasons.shapley.output[0], rel=1e-5)
