"""Other causes that remain possible, and a network compared with least squares."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import yisheng
from yisheng.core.dataset import Dataset, Split
from yisheng.core.findings import Finding
from yisheng.core.score import Score
from yisheng.core.spec import Spec
from yisheng.diagnosis.alternatives import CANDIDATES, add_alternatives, add_alternatives_to_run
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.data_checks.least_squares import least_squares
from yisheng.diagnosis.experiments import ONE_BATCH, ONE_BATCH_START, STANDARDIZED_INPUTS, UNCHANGED, ExperimentResults
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.sample import Sample
from yisheng.reporting.findings_schema import Findings


def record_training(scale=1.0):
    """Return the case of a training on inputs of this standard deviation."""
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x, y = scale * torch.randn(32, 4), torch.arange(32) % 3
    with Recorder(net, optimizer) as recorder:
        for _ in range(6):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return Case.from_recorder(recorder)


def list_causes(check, case, results=None, **diagnosis):
    finding = Finding(check, "warning", {}, "cause", "remedy")
    (result,) = add_alternatives(Diagnosis((finding,), {}, {}, **diagnosis), case, results).findings
    return {other.cause: other.result for other in result.alternatives}


def test_what_the_training_allows_is_listed():
    assert list_causes("high-learning-rate", record_training(100.0)) == {"the inputs are not scaled": ""}
    assert list_causes("high-learning-rate", record_training(1.0)) == {}


def test_experiments_decide():
    """The result of an experiment is shown, and a cause whose experiment changed nothing is left out."""
    case = record_training(100.0)
    helpful = ExperimentResults({UNCHANGED: 2.0, STANDARDIZED_INPUTS: 1.0})
    useless = ExperimentResults({UNCHANGED: 2.0, STANDARDIZED_INPUTS: 2.0})
    result = list_causes("high-learning-rate", case, helpful)["the inputs are not scaled"]
    assert result == "standardized inputs: loss 1 instead of 2"
    assert list_causes("high-learning-rate", case, useless) == {}
    fitted = ExperimentResults({UNCHANGED: 2.0, ONE_BATCH_START: 2.0, ONE_BATCH: 0.1})
    assert "the network is too small" in list_causes("plateau", case)
    assert "the network is too small" not in list_causes("plateau", case, fitted)


def test_checks_of_the_data_decide():
    case = record_training()
    assert len(list_causes("overfitting", case)) == 2
    assert list_causes("overfitting", case, examined=("training", "data")) == {}


def test_causes_of_a_run():
    cause = {"check": "overfitting", "severity": "warning", "cause": "it overfits", "remedy": "more rows"}
    unchecked = {"label-noise": "doctor=full", "shifted-rows": "doctor=full"}
    findings = add_alternatives_to_run(Findings(findings=[cause], unchecked=unchecked), ExperimentResults())
    assert findings.findings[0].alternatives[0].cause == "labels are wrong"
    assert "also possible: labels are wrong (to find out:" in " ".join(str(findings).split())
    checked = add_alternatives_to_run(Findings(findings=[cause]), ExperimentResults())
    assert checked.findings[0].alternatives == []


def test_every_candidate_has_an_experiment():
    assert all(other.cause and other.experiment for others in CANDIDATES.values() for other in others)


def make_line(n=400):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, 5)).astype(np.float32)
    y = (x @ draw.normal(size=(5, 1)) + 0.1 * draw.normal(size=(n, 1))).astype(np.float32)
    data = Dataset("line", Spec("regression", (5,)), x, y)
    return Sample.from_dataset(data, Split(*np.split(np.arange(n), [300, 340])))


@pytest.mark.parametrize(("score", "is_worse"), [(Score(0.75, 0.7, 0.8), True), (Score(0.99, 0.98, 0.999), False)])
def test_network_is_compared_with_least_squares(score, is_worse):
    findings = list(least_squares(replace(make_line(), test_score=score)))
    assert bool(findings) == is_worse
    if findings:
        x, y = make_line().x, make_line().y
        weights = np.linalg.lstsq(np.c_[x[:300], np.ones(300)], y[:300], rcond=None)[0]
        residuals = y[340:] - np.c_[x[340:], np.ones(60)] @ weights
        expected = 1 - (residuals**2).sum() / ((y[340:] - y[340:].mean()) ** 2).sum()
        assert findings[0].evidence["least squares"] == pytest.approx(float(expected), abs=1e-4)


def make_curve(n=200, terms=(1.2, -1.7, 0.93)):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, 1)).astype(np.float32)
    y = 5 + sum(w * x ** (i + 1) for i, w in enumerate(terms)) + 0.1 * draw.normal(size=(n, 1))
    data = Dataset("curve", Spec("regression", (1,)), x, y.astype(np.float32))
    return data, Sample.from_dataset(data, Split(*np.split(np.arange(n), [n // 2, n // 2 + 20])))


@pytest.mark.parametrize(("terms", "degree"), [((2.0,), None), ((1.0, 3.0), 2), ((1.2, -1.7, 0.93), 3)])
def test_curved_target_of_a_linear_model_is_named_with_its_degree(terms, degree):
    data, sample = make_curve(terms=terms)
    train, test = sample.rows("train"), sample.rows("test")
    x, y = data.x[:, 0].astype(float), data.y[:, 0].astype(float)
    line = np.polyval(np.polyfit(x[train], y[train], 1), x[test])
    score = 1 - ((y[test] - line) ** 2).sum() / ((y[test] - y[test].mean()) ** 2).sum()
    findings = list(least_squares(replace(sample, test_score=Score(score, score - 0.05, min(1.0, score + 0.02)))))
    assert [finding.evidence["degree"] for finding in findings] == ([] if degree is None else [degree])
    if degree is not None:
        curve = np.polyval(np.polyfit(x[train], y[train], degree), x[test])
        expected = 1 - ((y[test] - curve) ** 2).sum() / ((y[test] - y[test].mean()) ** 2).sum()
        assert findings[0].evidence["least squares"] == pytest.approx(expected, abs=1e-6)
        assert findings[0].change == {"model": "mlp"}


@pytest.mark.parametrize(("accuracy", "degree"), [(0.55, 2), (0.95, None)])
def test_line_between_classes_that_no_line_separates(accuracy, degree):
    """XOR: the product of the columns tells the classes apart."""
    x = np.random.default_rng(0).uniform(-1, 1, (400, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    data = Dataset("corners", Spec("classification", (2,), classes=("a", "b")), x, y)
    sample = Sample.from_dataset(data, Split(*np.split(np.arange(400), [250, 300])))
    findings = list(least_squares(replace(sample, test_score=Score(accuracy, accuracy - 0.05, accuracy + 0.02))))
    assert [finding.evidence["degree"] for finding in findings] == ([] if degree is None else [degree])
    if findings:
        assert findings[0].evidence["least squares"] > 0.85
        assert findings[0].change == {"model": "mlp"}


@pytest.mark.slow
def test_a_line_that_underfits_a_curve_is_replaced_by_a_network(tmp_path):
    data, _ = make_curve(600)
    run = yisheng.train(data=data, model="linear", fix=True, seed=0, out=tmp_path, quiet=True)
    fix = json.loads((run.path / "fix.json").read_text())
    assert fix["rounds"][0]["check"] == "least-squares"
    assert fix["rounds"][0]["outcome"] == "better"


@pytest.mark.slow
def test_remedy_of_an_undertrained_linear_model_wins(tmp_path):
    sample = make_line()
    data = Dataset("line", sample.spec, sample.x, sample.y)
    run = yisheng.train(
        data=data,
        model="linear",
        optimizer="sgd",
        lr=1e-3,
        epochs=5,
        fix=True,
        out=tmp_path,
        quiet=True,
        boosting=False,
    )
    assert run.scores["test"]["r2"].value > 0.99
