"""What a run, a cross-validation and a search give back in Python, as values, as text and in a notebook."""

import json
import pickle
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch

import yisheng
from yisheng.cli import main
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.score import Score
from yisheng.core.score_table import ScoreTable
from yisheng.inference.prediction import Prediction, PredictionList
from yisheng.reporting.findings_schema import Findings
from yisheng.results.report_path import ReportPath


class Balanced(HTMLParser):
    """Collects the text of HTML, and refuses tags that are not closed in order."""

    VOID = ("br", "img", "wbr")

    def __init__(self):
        super().__init__()
        self.open_tags, self.texts, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


class Recurrent(torch.nn.Module):
    """An LSTM over sequences ``(T, D)``."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
        self.output = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.output(self.lstm(x)[0][:, -1])


def parse(html):
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert not parser.open_tags
    return parser


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="digits", model="mlp", hidden=[16], epochs=3, lr=0.1, out=out, quiet=True)


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="iris", model="mlp", hidden=[4], epochs=2, folds=2, out=out, quiet=True)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    settings = {"model": "mlp", "lr": [0.01, 0.1], "hidden": [[4], [8, 4]], "folds": 2, "epochs": 2}
    return yisheng.tune(data="iris", **settings, out=out, quiet=True)


def test_history_has_a_row_for_each_epoch(run):
    history = run.history
    assert history["epoch"].tolist() == [1, 2, 3]
    assert set(history.columns) >= {"lr", "training_loss", "validation_loss", "validation_accuracy", "seconds", "step"}
    assert history["seconds"].is_monotonic_increasing
    assert (history["lr"] > 0).all()
    best = run.run.best
    assert history.set_index("epoch")["validation_accuracy"][best["epoch"]] == pytest.approx(best["value"])
    assert pd.read_csv(run.path / "history.csv").columns.tolist() == history.columns.tolist()


def test_config_is_a_mapping_that_prints_as_its_file(run):
    assert run.config["hidden"] if "hidden" in run.config else run.config["model"]["hidden"] == [16]
    assert run.config["epochs"] == 3
    assert repr(run.config) == (run.path / "config.toml").read_text().rstrip()
    assert json.loads(json.dumps(run.config)) == dict(run.config)


def test_scores_are_a_mapping_that_prints_as_the_shell_does(run, capsys):
    scores = run.scores
    plain = json.loads((run.path / "scores.json").read_text())
    assert {part: set(scores[part]) for part in scores} == {part: set(plain[part]) for part in plain}
    assert scores["test"]["accuracy"].value == plain["test"]["accuracy"]["value"]
    assert isinstance(scores, dict)
    assert pickle.loads(pickle.dumps(scores)) == scores
    assert main(["evaluate", str(run.path), "--quiet"]) == 0
    assert str(scores) in capsys.readouterr().out
    assert "accuracy" in repr(scores["test"])


def test_scores_of_other_parts_are_columns():
    text = repr(ScoreTable({"out_of_fold": {"r2": Score(0.5)}, "test": {"r2": Score(0.4, 0.3, 0.5)}}))
    assert text.splitlines()[0].split() == [
        "test",
        "95%",
        "interval",
        "out",
        "of",
        "fold",
        "95%",
        "interval",
        "baseline",
    ]
    assert repr(ScoreTable({})) == "no scores"


def test_scores_are_found_by_the_names_that_are_printed():
    scores = ScoreTable({"out_of_fold": {"log_rmse": Score(0.5), "rmse[body_height]": Score(0.2)}, "test": {}})
    assert scores["out of fold"]["log-rmse"] is scores["out_of_fold"]["log_rmse"]
    assert scores["out-of-fold"]["rmse[body_height]"].value == 0.2
    with pytest.raises(KeyError, match=r"no 'auc' among log-rmse, rmse\[body_height\]"):
        scores["out_of_fold"]["auc"]
    with pytest.raises(KeyError, match="among out-of-fold, test"):
        scores["training"]
    assert "log-rmse" not in dict(scores["out_of_fold"])  # the stored names are those of scores.json


def test_findings_print_as_the_shell_does(run, capsys):
    assert main(["diagnose", str(run.path)]) == 0
    shell = capsys.readouterr().out.rstrip("\n")
    assert str(run.findings) == repr(run.findings) == str(run.diagnose()) == shell


def test_confusion_matrix_has_class_names(run):
    matrix = run.confusion_matrix()
    assert matrix.index.tolist() == matrix.columns.tolist() == [str(n) for n in range(10)]
    assert matrix.to_numpy().sum() == json.loads((run.path / "evaluation.json").read_text())["rows"]
    correct = np.trace(matrix.to_numpy()) / matrix.to_numpy().sum()
    assert correct == pytest.approx(run.scores["test"]["accuracy"].value)


def test_model_is_in_eval_mode_and_separate_from_the_predictor(run):
    x = np.array(yisheng.data.load("digits").x[:5])
    assert not run.model.training
    assert {parameter.device.type for parameter in run.model.parameters()} == {"cpu"}
    with torch.no_grad():
        outputs = run.model(run.prepare(x)).softmax(1).numpy()
    assert np.allclose(outputs, run.outputs(x), atol=1e-6)
    fresh = yisheng.load(run.path)
    with torch.no_grad():
        for parameter in fresh.model.parameters():
            parameter.zero_()
    assert np.allclose(fresh.outputs(x), outputs, atol=1e-6)


def test_weights_are_arrays_by_layer_name(run):
    weights, state = run.weights, run.model.state_dict()
    assert set(weights) == set(state)
    for name, value in weights.items():
        assert isinstance(value, np.ndarray)
        assert np.array_equal(value, state[name].numpy())
    assert f"{len(weights)}" in str(len(weights))
    assert all(name in repr(weights) for name in weights)
    with pytest.raises(KeyError):
        weights["nothing"]


def test_weights_of_a_damaged_file_are_refused(run, tmp_path):
    copy = yisheng.TrainedRun(shutil.copytree(run.path, tmp_path / "run"))
    (copy.path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match="SHA-256"):
        _ = copy.weights


def test_a_run_prints_as_a_summary(run):
    text = repr(run)
    assert text.startswith(f"{run.path.name}: mlp on digits, 3 epochs")
    assert str(run.scores) in text
    assert text.endswith(str(run.path))


def test_a_folder_of_model_files_prints_its_path(run, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "model.safetensors", "ood.safetensors", "SHA256SUMS"):
        shutil.copy(run.path / name, folder)
    loaded = yisheng.load(folder)
    assert "model" in repr(loaded)
    assert loaded.weights
    assert loaded.predict(np.eye(8, dtype=np.uint8) * 255)
    with pytest.raises(DataError, match=r"config\.toml"):
        _ = loaded.scores
    (folder / "model.json").write_text("damaged")
    assert repr(yisheng.TrainedRun(folder)).startswith("TrainedRun(")


def test_notebooks_show_tables(run, folds, search):
    shown = [run, run.scores, run.scores["test"], run.findings, run.config, run.weights, folds, folds.findings, search]
    for value in shown:
        parser = parse(value._repr_html_())
        assert "style" not in parser.tags
        assert "script" not in parser.tags
        assert "".join(parser.texts).strip()
    assert "accuracy" in parse(run._repr_html_()).texts
    assert "best" in " ".join(parse(search._repr_html_()).texts)


def test_html_of_hostile_names_is_escaped():
    hostile = '<script>alert("x")</script>\x1b[2J'
    predictions = PredictionList([Prediction(hostile, hostile, {hostile: 0.9, "b": 0.1}, (hostile,))])
    finding = {
        "check": hostile,
        "severity": "error",
        "cause": hostile,
        "remedy": hostile,
        "evidence": {hostile: hostile},
    }
    findings = Findings(findings=[finding], unchecked={hostile: hostile})
    scores = ScoreTable({hostile: {hostile: Score(0.5)}})
    for value in (predictions, predictions[0], findings, scores):
        parser = parse(value._repr_html_())
        assert "script" not in parser.tags
        assert any("<script>" in text for text in parser.texts)
        assert "\x1b" not in repr(value)


def test_predictions_print_as_a_table(run):
    x = np.array(yisheng.data.load("digits").x[:30])
    predictions = run.predict(x)
    lines = repr(predictions).splitlines()
    assert lines[0].split() == ["input", "prediction", "probabilities"]
    assert len([line for line in lines if line[:1].isdigit()]) == 20
    assert "... and 10 more" in lines
    assert len(predictions[:3]) == 3
    assert "3" in repr(predictions[3:4])
    assert isinstance(predictions[0], Prediction)
    frame = predictions.to_frame()
    assert len(frame) == 30
    assert frame[[str(n) for n in range(10)]].sum(axis=1).round(4).eq(1).all()
    assert repr(PredictionList()) == "no predictions"


def test_predictions_of_a_regression_have_their_unit(tmp_path):
    run = yisheng.train(data="diabetes", model="linear", epochs=1, out=tmp_path, quiet=True)
    predictions = run.predict(np.array(yisheng.data.load("diabetes").x[:2]))
    assert "points" in repr(predictions)
    assert predictions.to_frame().columns.tolist() == ["input", "prediction", "ood_score", "notes"]
    with pytest.raises(UsageError, match="it is a regression"):
        run.confusion_matrix()


def test_a_cross_validation_has_the_runs_of_its_folds(folds):
    assert [run.path.name for run in folds.folds] == ["fold-01", "fold-02"]
    assert set(folds.history["fold"]) == {"fold-01", "fold-02"}
    assert list(folds.findings) == ["fold-01", "fold-02"]
    assert str(folds.findings).count("not checked:") == 2
    assert "2 models of a cross-validation" in repr(folds)
    assert folds.folds[0].folds == []
    for attribute in ("model", "weights"):
        with pytest.raises(UsageError, match=rf"own {attribute}") as error:
            getattr(folds, attribute)
        assert error.value.remedy == f"use run.folds[0].{attribute}"
    with pytest.raises(UsageError):
        folds.prepare([1, 2, 3, 4])
    assert folds.folds[0].weights


def test_a_search_prints_its_best_trials(search):
    text = repr(search)
    assert text.splitlines()[0] == f"{search.path.name}: 4 trials by grid, score accuracy"
    assert "best" in text
    assert "8,4" in text
    assert search.scores["test"]


class Branching(torch.nn.Module):
    """A network whose program cannot be saved without its code."""

    def __init__(self):
        super().__init__()
        self.output = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.output(x) * (2 if float(x.sum()) > 1e9 else 1)


def test_a_search_keeps_a_network_that_cannot_be_saved_without_its_code(tmp_path):
    result = yisheng.tune(data="iris", model=Branching, lr=[0.01, 0.1], epochs=1, out=tmp_path, quiet=True)
    assert result.predict([5.1, 3.5, 1.4, 0.2])
    assert result.run.model.output.weight.shape == (3, 4)
    assert result.plot("confusion-matrix").axes


def test_report_is_a_path_that_a_notebook_shows(run):
    path = run.report()
    assert path == run.path / "report.html"
    html = path._repr_html_()
    parser = parse(html)
    assert parser.tags == ["iframe"]
    assert "sandbox" in html
    assert path.parent._repr_html_() is None
    assert ReportPath("missing.html")._repr_html_() is None


def test_data_in_memory_is_kept_for_later(tmp_path):
    data = yisheng.data.load("digits")
    data = Dataset("mine", data.spec, data.x[:200], data.y[:200])
    run = yisheng.train(data=data, model="linear", epochs=1, out=tmp_path, quiet=True)
    assert run.evaluate()["test"]["accuracy"].value == pytest.approx(run.scores["test"]["accuracy"].value)
    assert run.plot("images", n=4).axes
    assert run.diagnose(data=True)
    loaded = yisheng.load(run.path)
    with pytest.raises(DataError, match="data in memory") as error:
        loaded.plot("images")
    assert "data=" in error.value.remedy
    assert loaded.plot("images", data=data).axes
    with pytest.raises(DataError, match="SHA-256"):
        loaded.plot("images", data=yisheng.data.load("digits"))


def test_a_network_and_data_of_ones_own(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 5, 3)).astype(np.float32)
    y = np.where(x.sum((1, 2)) > 0, "up", "down")
    run = yisheng.train(data=(x, y), model=Recurrent(), epochs=1, notes="a first try", out=tmp_path, quiet=True)
    assert repr(run).startswith(f"{run.path.name}: Recurrent on ")
    assert "a first try" in repr(run)
    loaded = yisheng.load(run.path)
    for inputs in (x[0], x[:1], torch.from_numpy(x[:1]), x[:1].tolist()):
        assert loaded.predict(inputs)[0].prediction == run.predict(x)[0].prediction
    with torch.no_grad():
        assert np.allclose(run.model(run.prepare(x)).softmax(1), run.outputs(x), atol=1e-6)
    assert set(run.weights) == set(run.model.state_dict())
    assert run.confusion_matrix().columns.tolist() == ["down", "up"]
    for kind in ("curves", "confusion-matrix", "calibration"):
        assert run.plot(kind).axes
