"""k-fold: a study is what a hand-written loop over single runs gives, and its parts are what they say."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.types import Dataset, Spec
from yisheng.data.datasets.wine import wine
from yisheng.data.split import make_folds
from yisheng.evaluation.corrected_intervals import corrected_interval
from yisheng.inference.predictor import Predictor
from yisheng.metrics.accuracy import accuracy
from yisheng.metrics.rmse import rmse

TINY = {"model": "mlp", "hidden": [8], "epochs": 3, "lr": 0.01, "quiet": True}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study of three folds on the wine data, with a test part."""
    return yisheng.train(data="wine", folds=3, seed=4, out=tmp_path_factory.mktemp("study"), **TINY).path


@pytest.fixture
def copy(done, tmp_path):
    return Path(shutil.copytree(done, tmp_path / done.name))


def told(folder, name="cv.json"):
    return json.loads((folder / name).read_text())


def table(folder):
    with (folder / "out-of-fold.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_fold_is_the_run_that_a_loop_would_train(done, tmp_path):
    each = told(done)["each"]
    assert [one["fold"] for one in each] == ["1/3", "2/3", "3/3"]
    for one in each:
        alone = yisheng.train(data="wine", fold=one["fold"], seed=4, out=tmp_path, **TINY)
        member = done / one["folder"]
        assert (member / "model.safetensors").read_bytes() == (alone.path / "model.safetensors").read_bytes()
        assert (member / "scores.json").read_bytes() == (alone.path / "scores.json").read_bytes()
        assert one["scores"] == {name: s.value for name, s in alone.scores["validation"].items()}
        config = (member / "config.toml").read_text()
        assert config == (alone.path / "config.toml").read_text()
        assert (member / "report.html").exists()


def test_the_scores_are_means_over_the_folds_with_their_interval(done):
    about, scores = told(done), told(done, "scores.json")
    assert list(scores) == ["test", "validation", "out_of_fold", "baseline"]
    sizes = [one["rows"] for one in about["each"]]
    ratio = np.mean([rows["validation"] / rows["train"] for rows in sizes])
    for name, score in scores["validation"].items():
        values = [one["scores"][name] for one in about["each"]]
        wanted = corrected_interval(values, ratio)
        assert (score["value"], score["low"], score["high"]) == (wanted.value, wanted.low, wanted.high)
        assert about["mean"][name] == pytest.approx(np.mean(values))
        assert about["sd"][name] == pytest.approx(np.std(values, ddof=1))


def test_out_of_fold_predictions_are_each_rows_own_members(done):
    data, rows = wine(), table(done)
    splits = make_folds(data, 3, seed=4)
    assert sorted(int(row["row"]) for row in rows) == sorted(np.concatenate([s.validation for s in splits]).tolist())
    assert not {int(row["row"]) for row in rows} & set(splits[0].test.tolist())
    for number, split in enumerate(splits, 1):
        own = [row for row in rows if row["fold"] == str(number)]
        assert [int(row["row"]) for row in own] == split.validation.tolist()
        wanted = Predictor(done / f"fold-{number:02d}").compute_outputs(data.x[split.validation])
        got = np.array([[row[f"probability_{name}"] for name in data.spec.classes] for row in own], np.float32)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
        assert [row["true"] for row in own] == [data.spec.classes[n] for n in data.y[split.validation]]
        assert [row["predicted"] for row in own] == [data.spec.classes[n] for n in wanted.argmax(1)]
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert told(done, "scores.json")["out_of_fold"]["accuracy"]["value"] == pytest.approx(right)
    assert told(done, "evaluation.json")["rows"] == len(rows)


def test_the_study_answers_with_the_mean_of_its_members(done):
    data = wine()
    test = make_folds(data, 3, seed=4)[0].test
    each = [Predictor(done / f"fold-{n:02d}").compute_outputs(data.x) for n in (1, 2, 3)]
    outputs = Predictor(done).compute_outputs(data.x)
    np.testing.assert_allclose(outputs, np.mean(each, axis=0), rtol=1e-6)
    found = yisheng.load(done)
    assert found.scores["test"]["accuracy"].value == pytest.approx(accuracy(data.y[test], outputs[test]))
    answer = found.predict(data.x[:1])[0]
    assert answer.probabilities == pytest.approx(dict(zip(data.spec.classes, outputs[0].tolist(), strict=True)))
    assert yisheng.predict(done, data.x[:1])[0].prediction == data.spec.classes[outputs[0].argmax()]


def test_evaluate_and_report_give_what_training_gave(copy):
    before = {name: (copy / name).read_bytes() for name in ("scores.json", "out-of-fold.csv", "evaluation.json")}
    files = {name: told(copy, name) for name in ("cv.json", "model.json")}
    for name in before:
        (copy / name).unlink()
    (copy / "report.html").unlink()
    yisheng.evaluate(copy)
    assert {name: (copy / name).read_bytes() for name in before} == before
    assert {name: told(copy, name) for name in files} == files
    assert "3 models of 3" in " ".join(yisheng.report(copy).read_text().split())


def test_repeats_draw_the_folds_again_and_are_averaged(tmp_path, without_reports):
    data = wine()
    path = yisheng.train(data="wine", folds=2, repeats=2, test=0, out=tmp_path, **TINY).path
    about, rows = told(path), table(path)
    assert [(one["fold"], one["repeat"]) for one in about["each"]] == [("1/2", 1), ("2/2", 1), ("1/2", 2), ("2/2", 2)]
    assert [(int(row["repeat"]), int(row["row"])) for row in rows] == [(r, n) for r in (1, 2) for n in range(178)]
    alone = yisheng.train(data="wine", fold="2/2", repeat=2, test=0, out=tmp_path, **TINY).path
    assert (alone / "model.safetensors").read_bytes() == (path / "fold-04" / "model.safetensors").read_bytes()
    said = np.array([[row[f"probability_{name}"] for name in data.spec.classes] for row in rows], float)
    mean = (said[:178] + said[178:]) / 2
    scores = told(path, "scores.json")
    assert "test" not in scores
    assert scores["out_of_fold"]["accuracy"]["value"] == pytest.approx(accuracy(data.y, mean))
    assert scores["baseline"]["accuracy"]["low"] is not None


def test_the_same_seed_gives_the_same_folds_for_every_model(tmp_path, without_reports):
    def made(model, seed):
        settings = {"epochs": 1, "folds": 3, "quiet": True, "out": tmp_path}
        about = told(yisheng.train(data="iris", model=model, seed=seed, **settings).path)
        return [one["sha256"] for one in about["each"]]

    first = made("linear", 1)
    assert made("mlp", 1) == first
    assert len(set(first)) == 3
    assert not set(made("linear", 2)) & set(first)


def rows_of(n=60, *, task="regression", seed=0, **more):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 3)).astype(np.float32)
    if task == "multilabel":
        y = (x[:, :2] > 0).astype(np.float32)
        return Dataset("labels", Spec("multilabel", (3,), classes=("a", "b")), x, y, **more)
    y = (x @ [[3.0, 1], [-2, 0], [0, 5]] + 40).astype(np.float32)
    return Dataset("numbers", Spec("regression", (3,), outputs=2), x, y, **more)


def test_numbers_are_averaged_in_their_own_units(tmp_path, without_reports):
    data = rows_of()
    path = yisheng.train(data=data, folds=3, test=0, target_scale="standard", out=tmp_path, **TINY).path
    rows = table(path)
    assert list(rows[0]) == ["row", "name", "fold", "repeat", "true_1", "true_2", "predicted_1", "predicted_2"]
    assert [float(row["true_2"]) for row in rows] == pytest.approx(data.y[:, 1].tolist())
    each = [Predictor(path / f"fold-{n:02d}").compute_outputs(data.x) for n in (1, 2, 3)]
    np.testing.assert_allclose(Predictor(path).compute_outputs(data.x), np.mean(each, axis=0), rtol=1e-6)
    predicted = np.array([[row["predicted_1"], row["predicted_2"]] for row in rows], float)
    wanted = rmse(data.y, predicted)
    assert told(path, "scores.json")["out_of_fold"]["rmse"]["value"] == pytest.approx(wanted, rel=1e-5)


def test_labels_have_a_probability_each(tmp_path, without_reports):
    data = rows_of(task="multilabel", rows=tuple(f"row {n}" for n in range(60)))
    rows = table(yisheng.train(data=data, folds=2, test=0, out=tmp_path, **TINY).path)
    assert rows[7]["name"] == "row 7"
    assert {row["true"] for row in rows} == {"", "a", "b", "a; b"}
    for row in rows:
        said = [name for name in "ab" if float(row[f"probability_{name}"]) >= 0.5]
        assert row["predicted"] == "; ".join(said)


def test_groups_stay_together_and_folds_in_time_look_forward(tmp_path, without_reports):
    group = np.repeat(np.arange(12), 5)
    path = yisheng.train(data=rows_of(group=group), folds=4, test=0, out=tmp_path, **TINY).path
    of_fold = {int(row["row"]): row["fold"] for row in table(path)}
    assert all(len({of_fold[n] for n in np.flatnonzero(group == g)}) == 1 for g in range(12))

    timed = rows_of(time=np.random.default_rng(1).permutation(60).astype(float))
    settings = {**TINY, "epochs": "auto"}
    path = yisheng.train(data=timed, folds=3, test=0, out=tmp_path, **settings).path
    assert [one["rows"] for one in told(path)["each"]] == [
        {"train": 15, "validation": 15},
        {"train": 30, "validation": 15},
        {"train": 45, "validation": 15},
    ]
    seen = sorted(timed.time[int(row["row"])] for row in table(path))
    assert seen == list(range(15, 60))  # the first block is in no validation part
    assert 'epochs = "auto"' not in (path / "fold-01" / "config.toml").read_text()


def test_what_differs_between_the_folds_stays_auto_in_the_studys_config(tmp_path, without_reports):
    timed = rows_of(3000, time=np.arange(3000.0))
    settings = {**TINY, "epochs": 1, "batch": "auto"}
    path = yisheng.train(data=timed, folds=2, test=0, out=tmp_path, **settings).path
    batches = [merge_settings(yisheng.core.config.read(path / f"fold-0{n}" / "config.toml")).config.batch for n in (1, 2)]
    assert batches == [32, 64]
    assert study.config_of(path).batch == "auto"
    assert study.config_of(path).epochs == 1
    assert yisheng.load(path).run.config["batch"] == "auto"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"fold": "1/3"}, "folds=3 and fold=1/3 contradict"),
        ({"validation": 0.2}, "folds=3 and validation=0.2 contradict"),
        ({"folds": 200}, "folds must be from 2 to 142"),
        ({"split": "contiguous", "repeats": 2}, "repeats must be 1 or more"),
        ({"split": "time"}, "no time"),
        ({"model": "lenet"}, "lenet"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(tmp_path, more, error):
    with pytest.raises(UsageError, match=error):
        yisheng.train(**{"data": "wine", "folds": 3, "out": tmp_path / "runs", "quiet": True, **more})
    assert not (tmp_path / "runs").exists()


def test_progress_is_a_line_for_each_fold(tmp_path, without_reports, capsys):
    yisheng.train(data="iris", folds=2, **{**TINY, "quiet": False}, out=tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("mlp on iris: 2 folds, 2 models (120 rows, 30 test rows) on ")
    assert said[1].startswith("fold 1 of 2  accuracy ")
    assert said[1].endswith(" left")
    assert said[2].startswith("fold 2 of 2  accuracy ")
    assert "mean of 2" in said[2]
    assert len(said) == 3


def test_a_bar_goes_through_and_lines_do_not():
    stream = io.StringIO()
    inner = study._Bars(stream)
    print("a line of a member", file=inner, flush=True)
    inner.write("\r1/3 |###   | 50%")
    assert stream.getvalue() == "\r1/3 |###   | 50%"
    assert not inner.isatty()


def test_a_study_is_not_a_run_and_a_run_is_not_a_study(done, tmp_path):
    with pytest.raises(DataError, match="not a study"):
        study.config_of(done / "fold-01")
    with pytest.raises(DataError, match="not a study"):
        study.config_of(tmp_path)
    assert study.is_study(done)
    assert not study.is_study(done / "fold-01")
    assert not study.is_study(Path("a" * 5000))


def test_the_averaged_model_is_never_in_training_mode(done):
    for member in Predictor(done).artifacts:
        assert not any(module.training for module in member.model.modules())
        assert all(parameter.device == torch.device("cpu") for parameter in member.model.parameters())
