"""Cross-validation gives the results of a loop over single runs, and its files hold what they promise."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings, read_settings
from yisheng.core.spec import Spec
from yisheng.data.datasets.wine import wine
from yisheng.data.split import make_folds
from yisheng.evaluation.corrected_intervals import corrected_interval
from yisheng.inference.predictor import Predictor
from yisheng.metrics.accuracy import accuracy
from yisheng.metrics.rmse import rmse

TINY = {"model": "mlp", "hidden": [8], "epochs": 3, "lr": 0.01, "quiet": True}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A cross-validation of three folds on the wine data, with a test part."""
    return yisheng.train(data="wine", folds=3, seed=4, out=tmp_path_factory.mktemp("cv"), **TINY).path


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def read_json(folder, name="cv.json"):
    return json.loads((folder / name).read_text())


def read_out_of_fold(folder):
    with (folder / "out-of-fold.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_fold_is_the_same_as_a_single_run(finished, tmp_path):
    folds = read_json(finished)["models"]
    assert [fold["fold"] for fold in folds] == ["1/3", "2/3", "3/3"]
    for fold in folds:
        single = yisheng.train(data="wine", fold=fold["fold"], seed=4, out=tmp_path, **TINY)
        folder = finished / fold["folder"]
        assert (folder / "model.safetensors").read_bytes() == (single.path / "model.safetensors").read_bytes()
        assert (folder / "scores.json").read_bytes() == (single.path / "scores.json").read_bytes()
        assert fold["scores"] == {name: s.value for name, s in single.scores["validation"].items()}
        config = (folder / "config.toml").read_text()
        assert config == (single.path / "config.toml").read_text()
        assert (folder / "report.html").exists()


def test_the_scores_are_means_over_the_folds_with_their_interval(finished):
    content, scores = read_json(finished), read_json(finished, "scores.json")
    assert list(scores) == ["test", "validation", "out_of_fold", "baseline"]
    sizes = [fold["rows"] for fold in content["models"]]
    ratio = np.mean([rows["validation"] / rows["train"] for rows in sizes])
    for name, score in scores["validation"].items():
        values = [fold["scores"][name] for fold in content["models"]]
        expected = corrected_interval(values, ratio)
        assert (score["value"], score["low"], score["high"]) == (expected.value, expected.low, expected.high)
        assert content["mean"][name] == pytest.approx(np.mean(values))
        assert content["sd"][name] == pytest.approx(np.std(values, ddof=1))


def test_out_of_fold_predictions_are_those_of_the_model_that_was_not_trained_on_the_row(finished):
    data, rows = wine(), read_out_of_fold(finished)
    splits = make_folds(data, 3, seed=4)
    assert sorted(int(row["row"]) for row in rows) == sorted(np.concatenate([s.validation for s in splits]).tolist())
    assert not {int(row["row"]) for row in rows} & set(splits[0].test.tolist())
    for number, split in enumerate(splits, 1):
        fold_rows = [row for row in rows if row["fold"] == str(number)]
        assert [int(row["row"]) for row in fold_rows] == split.validation.tolist()
        expected = Predictor(finished / f"fold-{number:02d}").compute_outputs(data.x[split.validation])
        actual = np.array([[row[f"probability_{name}"] for name in data.spec.classes] for row in fold_rows], np.float32)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)
        assert [row["true"] for row in fold_rows] == [data.spec.classes[n] for n in data.y[split.validation]]
        assert [row["predicted"] for row in fold_rows] == [data.spec.classes[n] for n in expected.argmax(1)]
    accuracy_of_rows = np.mean([row["true"] == row["predicted"] for row in rows])
    assert read_json(finished, "scores.json")["out_of_fold"]["accuracy"]["value"] == pytest.approx(accuracy_of_rows)
    assert read_json(finished, "evaluation.json")["rows"] == len(rows)


def test_the_prediction_is_the_mean_of_the_fold_models(finished):
    data = wine()
    test = make_folds(data, 3, seed=4)[0].test
    by_model = [Predictor(finished / f"fold-{n:02d}").compute_outputs(data.x) for n in (1, 2, 3)]
    outputs = Predictor(finished).compute_outputs(data.x)
    np.testing.assert_allclose(outputs, np.mean(by_model, axis=0), rtol=1e-6)
    run = yisheng.load(finished)
    assert run.scores["test"]["accuracy"].value == pytest.approx(accuracy(data.y[test], outputs[test]))
    prediction = run.predict(data.x[:1])[0]
    assert prediction.probabilities == pytest.approx(dict(zip(data.spec.classes, outputs[0].tolist(), strict=True)))
    assert yisheng.predict(finished, data.x[:1])[0].prediction == data.spec.classes[outputs[0].argmax()]


def test_evaluate_and_report_write_the_same_files_again(copy):
    contents = {name: (copy / name).read_bytes() for name in ("scores.json", "out-of-fold.csv", "evaluation.json")}
    files = {name: read_json(copy, name) for name in ("cv.json", "model.json")}
    for name in contents:
        (copy / name).unlink()
    (copy / "report.html").unlink()
    yisheng.evaluate(copy)
    assert {name: (copy / name).read_bytes() for name in contents} == contents
    assert {name: read_json(copy, name) for name in files} == files
    assert "3 models of 3" in " ".join(yisheng.report(copy).read_text().split())


def test_repeats_draw_the_folds_again_and_are_averaged(tmp_path, without_reports):
    data = wine()
    path = yisheng.train(data="wine", folds=2, repeats=2, test=0, out=tmp_path, **TINY).path
    content, rows = read_json(path), read_out_of_fold(path)
    assert [(fold["fold"], fold["repeat"]) for fold in content["models"]] == [
        ("1/2", 1),
        ("2/2", 1),
        ("1/2", 2),
        ("2/2", 2),
    ]
    assert [(int(row["repeat"]), int(row["row"])) for row in rows] == [(r, n) for r in (1, 2) for n in range(178)]
    single = yisheng.train(data="wine", fold="2/2", repeat=2, test=0, out=tmp_path, **TINY).path
    assert (single / "model.safetensors").read_bytes() == (path / "fold-04" / "model.safetensors").read_bytes()
    probabilities = np.array([[row[f"probability_{name}"] for name in data.spec.classes] for row in rows], float)
    mean = (probabilities[:178] + probabilities[178:]) / 2
    scores = read_json(path, "scores.json")
    assert "test" not in scores
    assert scores["out_of_fold"]["accuracy"]["value"] == pytest.approx(accuracy(data.y, mean))
    assert scores["baseline"]["accuracy"]["low"] is not None


def test_the_same_seed_gives_the_same_folds_for_every_model(tmp_path, without_reports):
    def fold_hashes(model, seed):
        settings = {"epochs": 1, "folds": 3, "quiet": True, "out": tmp_path}
        content = read_json(yisheng.train(data="iris", model=model, seed=seed, **settings).path)
        return [fold["sha256"] for fold in content["models"]]

    hashes = fold_hashes("linear", 1)
    assert fold_hashes("mlp", 1) == hashes
    assert len(set(hashes)) == 3
    assert not set(fold_hashes("linear", 2)) & set(hashes)


def make_dataset(n=60, *, task="regression", seed=0, **arrays):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 3)).astype(np.float32)
    if task == "multilabel":
        y = (x[:, :2] > 0).astype(np.float32)
        return Dataset("labels", Spec("multilabel", (3,), classes=("a", "b")), x, y, **arrays)
    y = (x @ [[3.0, 1], [-2, 0], [0, 5]] + 40).astype(np.float32)
    return Dataset("numbers", Spec("regression", (3,), outputs=2), x, y, **arrays)


def test_regression_predictions_are_averaged_in_original_units(tmp_path, without_reports):
    data = make_dataset()
    path = yisheng.train(data=data, folds=3, test=0, target_scale="standard", out=tmp_path, **TINY).path
    rows = read_out_of_fold(path)
    targets = ["target-1", "target-2"]
    columns = [f"{name}_{target}" for name in ("true", "predicted") for target in targets]
    assert list(rows[0]) == ["row", "name", "fold", "repeat", *columns]
    assert [float(row["true_target-2"]) for row in rows] == pytest.approx(data.y[:, 1].tolist())
    by_model = [Predictor(path / f"fold-{n:02d}").compute_outputs(data.x) for n in (1, 2, 3)]
    np.testing.assert_allclose(Predictor(path).compute_outputs(data.x), np.mean(by_model, axis=0), rtol=1e-6)
    predicted = np.array([[row[f"predicted_{target}"] for target in targets] for row in rows], float)
    scores = read_json(path, "scores.json")["out_of_fold"]
    for n, target in enumerate(targets):
        expected = rmse(data.y[:, [n]], predicted[:, [n]])
        assert scores[f"rmse[{target}]"]["value"] == pytest.approx(expected, rel=1e-5)


def test_each_label_has_a_probability(tmp_path, without_reports):
    data = make_dataset(task="multilabel", rows=tuple(f"row {n}" for n in range(60)))
    rows = read_out_of_fold(yisheng.train(data=data, folds=2, test=0, out=tmp_path, **TINY).path)
    assert rows[7]["name"] == "row 7"
    assert {row["true"] for row in rows} == {"", "a", "b", "a; b"}
    for row in rows:
        labels = [name for name in "ab" if float(row[f"probability_{name}"]) >= 0.5]
        assert row["predicted"] == "; ".join(labels)


def test_groups_stay_together_and_folds_in_time_are_validated_on_later_rows(tmp_path, without_reports):
    group = np.repeat(np.arange(12), 5)
    path = yisheng.train(data=make_dataset(group=group), folds=4, test=0, out=tmp_path, **TINY).path
    fold_of_row = {int(row["row"]): row["fold"] for row in read_out_of_fold(path)}
    assert all(len({fold_of_row[n] for n in np.flatnonzero(group == g)}) == 1 for g in range(12))

    timed = make_dataset(time=np.random.default_rng(1).permutation(60).astype(float))
    settings = {**TINY, "epochs": "auto"}
    path = yisheng.train(data=timed, folds=3, test=0, out=tmp_path, **settings).path
    assert [fold["rows"] for fold in read_json(path)["models"]] == [
        {"train": 15, "validation": 15},
        {"train": 30, "validation": 15},
        {"train": 45, "validation": 15},
    ]
    times = sorted(timed.time[int(row["row"])] for row in read_out_of_fold(path))
    assert times == list(range(15, 60))  # the first block is in no validation part
    assert 'epochs = "auto"' not in (path / "fold-01" / "config.toml").read_text()


def test_values_that_differ_between_folds_stay_auto_in_the_config(tmp_path, without_reports):
    timed = make_dataset(3000, time=np.arange(3000.0))
    settings = {**TINY, "epochs": 1, "batch": "auto"}
    path = yisheng.train(data=timed, folds=2, test=0, out=tmp_path, **settings).path
    batches = [merge_settings(read_settings(path / f"fold-0{n}" / "config.toml")).config.batch for n in (1, 2)]
    assert batches == [32, 64]
    assert RunFolder(path).cross_validation_config.batch == "auto"
    assert RunFolder(path).cross_validation_config.epochs == 1
    assert yisheng.load(path).run.config["batch"] == "auto"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"fold": "1/3"}, "folds=3 and fold=1/3 contradict"),
        ({"validation": 0.2}, "folds=3 and validation=0.2 contradict"),
        ({"folds": 200}, "folds must be from 2 to 142"),
        ({"split": "contiguous", "repeats": 2}, "repeats must be 1 or more"),
        ({"split": "time"}, "no time"),
        ({"model": "lenet"}, "lenet"),
    ],
)
def test_contradictions_are_refused_before_a_folder_is_created(tmp_path, settings, error):
    with pytest.raises(UsageError, match=error):
        yisheng.train(**{"data": "wine", "folds": 3, "out": tmp_path / "runs", "quiet": True, **settings})
    assert not (tmp_path / "runs").exists()


def test_progress_is_a_line_for_each_fold(tmp_path, without_reports, capsys):
    yisheng.train(data="iris", folds=2, **{**TINY, "quiet": False}, out=tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert "rarely enough" in lines.pop(1)  # a note on the first model, as for all
    assert lines[0].startswith("mlp on iris: 2 folds, 2 models (120 rows, 30 test rows) on ")
    assert lines[1].startswith("fold 1 of 2  accuracy ")
    assert lines[1].endswith(" left")
    assert lines[2].startswith("fold 2 of 2  accuracy ")
    assert "mean of 2" in lines[2]
    assert len(lines) == 3


def test_folds_show_progress_bars_on_a_terminal_and_no_lines(tmp_path, without_reports, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    yisheng.train(data="iris", folds=2, **{**TINY, "quiet": False}, out=tmp_path)
    lines = [line for line in re.split(r"[\r\n]", stream.getvalue()) if line.strip()]
    bars = [line for line in lines if re.search(r"\|.*\| +\d+%", line)]
    assert len(bars) >= 2
    messages = [line for line in lines if line.startswith(("mlp on iris", "fold "))]
    assert len(messages) == 3
    assert not any("parameters" in line for line in lines)  # the first message of a single run


def test_a_run_is_not_a_cross_validation(finished, tmp_path):
    for folder in (finished / "fold-01", tmp_path):
        with pytest.raises(DataError, match="not a cross-validation"):
            _ = RunFolder(folder).cross_validation_config
    assert RunFolder(finished).is_cross_validation
    assert not RunFolder(finished / "fold-01").is_cross_validation
    assert not RunFolder("a" * 5000).is_cross_validation


def test_the_fold_models_are_in_evaluation_mode_on_the_cpu(finished):
    for member in Predictor(finished).artifacts:
        assert not any(module.training for module in member.model.modules())
        assert all(parameter.device == torch.device("cpu") for parameter in member.model.parameters())
