"""``groups=``: the scores by a column, of a training, an evaluation, other data and a cross-validation."""

import json

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.reporting.run_page import render_run_page

pytestmark = pytest.mark.usefixtures("without_reports")


def draw_patients(n=500, seed=0):
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(50, 10, n).round(1), rng.choice(["f", "m"], n, p=[0.8, 0.2])
    noise = np.where(sex == "m", 12, 2)
    return pd.DataFrame({"age": age, "sex": sex, "ill": np.where(age + noise * rng.normal(size=n) > 50, "yes", "no")})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "patients.csv"
    draw_patients().to_csv(path, index=False)
    return path


def train(table, out, **settings):
    settings = {"target": "ill", "model": "logistic", "boosting": False, "importance": False, **settings}
    return yisheng.train(data=str(table), out=out, quiet=True, **settings)


def read_groups(path):
    return json.loads((path / RunFolder.EVALUATION).read_text()).get("groups")


@pytest.mark.slow
def test_a_training_reports_the_groups_and_which_is_worse(table, tmp_path):
    run = train(table, tmp_path, groups="sex", test=0.4)
    groups = {group["group"]: group for group in read_groups(run.path)["groups"]}
    assert set(groups) == {"f", "m"}
    assert sum(group["rows"] for group in groups.values()) == 200
    total = sum(group["rows"] * group["scores"]["accuracy"]["value"] for group in groups.values())
    assert total / 200 == pytest.approx(run.scores["test"]["accuracy"].value)
    page = render_run_page(run.path)
    assert "Scores by group" in page
    assert "Worse than all rows together beyond their interval, by accuracy: m." in page


def test_an_evaluation_reports_any_column_the_model_uses(table, tmp_path, capsys):
    run = train(table, tmp_path)
    assert read_groups(run.path) is None
    evaluation = run.evaluate(groups="age")
    assert len(evaluation.groups["groups"]) == 4
    assert main(["evaluate", str(run.path), "groups=sex"]) == 0
    printed = capsys.readouterr().out
    assert "note: fewer than 30 rows, little is known: m" in printed
    assert main(["evaluate", str(run.path), "groups=sex", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"]["column"] == "sex"
    assert main(["evaluate", str(run.path), "groups=gender"]) == 2
    assert "no column 'gender'" in capsys.readouterr().err
    run.evaluate()
    assert read_groups(run.path) is None


@pytest.mark.slow
def test_other_data_has_groups_too(table, tmp_path, capsys):
    run = train(table, tmp_path)
    draw_patients(300, seed=1).to_csv(tmp_path / "other.csv", index=False)
    evaluation = run.evaluate(str(tmp_path / "other.csv"), groups="sex", name="other")
    assert sum(group["rows"] for group in evaluation.groups["groups"]) == 300
    command = ["evaluate", str(run.path), f"data={tmp_path / 'other.csv'}", "groups=sex", "name=other"]
    assert main(command) == 0
    assert "sex" in capsys.readouterr().out


@pytest.mark.slow
def test_a_cross_validation_reports_the_rows_of_all_folds(table, tmp_path):
    folds = train(table, tmp_path, groups="sex", folds=3, test=0)
    assert sum(group["rows"] for group in read_groups(folds.path)["groups"]) == 500
    assert len(folds.evaluate(groups="age").groups["groups"]) == 4


@pytest.mark.parametrize("settings", [{}, {"folds": 3}], ids=["run", "folds"])
def test_a_wrong_column_is_refused_before_the_training(table, tmp_path, settings):
    with pytest.raises(UsageError, match="no column 'gender'"):
        train(table, tmp_path, groups="gender", **settings)
    assert not list(tmp_path.iterdir())
