"""The doctor of a run: it changes nothing, writes its findings, and continues when a run is resumed."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import yisheng
from yisheng.core.errors import DataError, FindingsError, NonFiniteError, StoppedError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.diagnosis.data_findings import NEEDS_TRAININGS
from yisheng.diagnosis.run_diagnosis import EXPERIMENTS
from yisheng.experiments import diagnose
from yisheng.experiments.dispatch import resume
from yisheng.experiments.dispatch import train as train_by_config
from yisheng.reporting.findings_schema import Findings
from yisheng.training import checkpoint

IRIS = {"data": "iris", "model": "mlp", "hidden": [16], "dropout": 0.2, "epochs": 8, "quiet": True}


def train(out, **settings):
    return yisheng.train(**{**IRIS, **settings}, out=out).path


def read_events(folder):
    return [re.sub(r', "seconds": [\d.]+', "", line) for line in (folder / "events.jsonl").read_text().splitlines()]


def read_findings(folder):
    return json.loads((folder / "findings.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return {doctor: train(out, doctor=doctor) for doctor in ("off", "passive", "full")}


@pytest.mark.parametrize("doctor", ["passive", "full"])
def test_the_doctor_changes_no_bit_of_the_training(runs, doctor):
    for name in ("model.safetensors", "scores.json"):
        assert (runs[doctor] / name).read_bytes() == (runs["off"] / name).read_bytes()
    assert read_events(runs[doctor]) == read_events(runs["off"])


def test_without_doctor_there_are_no_findings(runs):
    assert not (runs["off"] / "findings.json").exists()
    assert not (runs["off"] / "checkpoint" / "watch.safetensors").exists()
    assert 'id="findings"' not in (runs["off"] / "report.html").read_text()


def test_a_healthy_run_has_no_findings(runs):
    content = read_findings(runs["passive"])
    assert content["findings"] == []
    assert content["steps"] == 8 * 6
    assert EXPERIMENTS in content["unchecked"]
    assert "all training checks" not in content["unchecked"]  # a check with a defect is listed under this name
    assert content["curves"]["steps"] == [1, 2, 3, 4, 5, 10, 20, 40]
    assert [line["name"] for line in content["curves"]["gradients"]][-1] == "output.weight"
    assert content["probes"] == {}
    assert "No problems found" in (runs["passive"] / "report.html").read_text()


def test_the_results_of_the_experiments_are_written(runs):
    probes = read_findings(runs["full"])["probes"]
    assert {"as it is", "standardized inputs", "lr x 0.1", "lr x 10"} <= set(probes)
    assert probes["one batch, at best"] < probes["one batch, at first"]
    assert "Experiments before training" in (runs["full"] / "report.html").read_text()


def test_a_low_learning_rate_is_reported(tmp_path, caplog):
    settings = {"data": "digits", "model": "mlp", "lr": 1e-6, "epochs": 3, "doctor": "full"}
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    folder = train_by_config(config, out=tmp_path)
    warning, *notes = read_findings(folder)["findings"]
    assert warning["check"] == "low-learning-rate"
    assert [note["check"] for note in notes] == ["learning-curve"]
    assert "the network" not in notes[0]["evidence"]  # the size of the network is not the problem
    assert warning["evidence"]["tried"]["loss with"] < warning["evidence"]["tried"]["loss without"]
    assert f"{warning['severity']}: {warning['cause']}; {warning['remedy']}" in caplog.text
    assert warning["cause"] in (folder / "report.html").read_text()


def test_a_run_that_breaks_off_has_findings(tmp_path):
    with pytest.raises(NonFiniteError) as raised:
        train(tmp_path, data="diabetes", lr=1e6, dropout=0)
    (folder,) = tmp_path.iterdir()
    content = read_findings(folder)
    causes = [finding["cause"] for finding in content["findings"]]
    causes += [symptom["cause"] for finding in content["findings"] for symptom in finding["symptoms"]]
    assert raised.value.problem in causes
    assert content["findings"][0]["severity"] == "error"
    assert 'id="findings"' in (folder / "report.html").read_text()
    assert diagnose.diagnose(folder).worst_severity() == "error"


def stop_training(monkeypatch, tmp_path, step, **settings):
    """Return a run that SIGTERM stopped after a step."""

    def save(folder, state, save_checkpoint=checkpoint.save):
        path = save_checkpoint(folder, state)
        if state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return path

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save)
        with pytest.raises(StoppedError):
            train(tmp_path, checkpoint_every=0, **settings)
    (folder,) = tmp_path.iterdir()
    return folder


@pytest.mark.parametrize("doctor", ["passive", "full"])
def test_the_findings_of_a_resumed_run_are_those_of_an_uninterrupted_one(runs, tmp_path, monkeypatch, doctor):
    folder = stop_training(monkeypatch, tmp_path, 25, doctor=doctor)
    assert 25 <= read_findings(folder)["steps"] <= 27
    resume(folder)
    resumed, uninterrupted = read_findings(folder), read_findings(runs[doctor])
    assert (folder / "model.safetensors").read_bytes() == (runs["off"] / "model.safetensors").read_bytes()
    assert read_events(folder) == read_events(runs["off"])
    assert resumed["steps"] == uninterrupted["steps"]
    assert resumed["probes"] == uninterrupted["probes"]
    for part in ("curves", "unchecked", "findings"):
        assert resumed[part] == uninterrupted[part]


def test_a_damaged_record_of_the_doctor_does_not_affect_the_run(runs, tmp_path, monkeypatch):
    folder = stop_training(monkeypatch, tmp_path, 25)
    (folder / "checkpoint" / "watch.safetensors").write_bytes(b"damaged")
    resume(folder)
    assert (folder / "model.safetensors").read_bytes() == (runs["off"] / "model.safetensors").read_bytes()
    assert read_findings(folder)["findings"] == []


def test_findings_about_the_data_are_written(tmp_path):
    rows = "\n".join(f"{i % 7},{i % 5},same,{'yes' if i % 7 > 3 else 'no'}" for i in range(150))
    (tmp_path / "t.csv").write_text(f"a,b,c,answer\n{rows}\n")
    folder = train(tmp_path / "runs", data=str(tmp_path / "t.csv"), target="answer", epochs=2, boosting=False)
    data = yisheng.data.load("table", path=str(tmp_path / "t.csv"), target="answer")
    assert data.findings
    assert {f.cause for f in data.findings} <= {finding["cause"] for finding in read_findings(folder)["findings"]}


def make_leaking_table(tmp_path, seed=0):
    """Write a table whose test rows are training rows, with wrong labels; return the settings for it."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(300, 4)).round(4), draw.integers(0, 2, 300)
    x[:, 0] += 4 * y
    rows = np.concatenate([np.arange(300), draw.integers(0, 300, 100)])
    wrong = draw.random(400) < 0.15
    lines = [f"{','.join(map(str, x[i]))},{'yes' if y[i] != w else 'no'}" for i, w in zip(rows, wrong, strict=True)]
    (tmp_path / "t.csv").write_text("a,b,c,d,answer\n" + "\n".join(lines) + "\n")
    return {"data": str(tmp_path / "t.csv"), "target": "answer", "boosting": False, "dropout": 0}


def test_leaking_rows_are_reported(tmp_path, caplog):
    settings = {**make_leaking_table(tmp_path), "model": "mlp", "epochs": 3}
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    folder = train_by_config(config, out=tmp_path / "runs")
    content = read_findings(folder)
    (leak,) = [finding for finding in content["findings"] if finding["check"] == "leaking-rows"]
    assert leak["evidence"]["part"] == "test"
    assert leak["evidence"]["rows of the validation part"] >= 10
    assert "test rows" in leak["cause"]
    assert "validation rows" in leak["cause"]
    assert f"{leak['severity']}: {leak['cause']}" in caplog.text
    assert content["unchecked"]["label-noise"] == NEEDS_TRAININGS
    assert leak["cause"] in (folder / "report.html").read_text()


def test_the_data_of_a_run_is_checked_afterwards(tmp_path, caplog):
    settings = make_leaking_table(tmp_path)
    folder = train(tmp_path / "off", **settings, doctor="off", epochs=3)
    assert {"leaking-rows", "label-noise"} <= set(diagnose.diagnose(folder).unchecked)
    findings = diagnose.diagnose(folder, data=True)
    assert "leaking-rows" in {finding.check for finding in findings.findings}
    assert not {"leaking-rows", "label-noise"} & set(findings.unchecked)
    assert "checking the data: label-noise" in caplog.text
    assert not (folder / "findings.json").exists()
    watched = train(tmp_path / "passive", **settings, epochs=3)
    findings = diagnose.diagnose(watched, data=True)
    (leak,) = [finding for finding in findings.findings if finding.check == "leaking-rows"]
    assert leak.evidence["rows of the validation part"] >= 10
    assert "test rows" in leak.cause
    (tmp_path / "t.csv").write_text("a,b,c,d,answer\n" + "1,2,3,4,yes\n2,3,4,5,no\n" * 30)
    with pytest.raises(DataError, match="is not what it was"):
        diagnose.diagnose(watched, data=True)


def test_data_in_memory_must_be_given_again_for_its_checks(tmp_path):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(250, 6)).astype(np.float32)
    spec = yisheng.Spec("classification", (6,), ("a", "b"))
    data = yisheng.Dataset("noise", spec, x, draw.permutation(np.arange(250) % 2))
    folder = yisheng.train(data=data, model="mlp", hidden=[8], epochs=8, doctor="full", quiet=True, out=tmp_path).path
    content = read_findings(folder)
    (no_signal,) = [finding for finding in content["findings"] if finding["check"] == "no-signal"]
    assert no_signal["evidence"]["p"] > 0.05
    findings = diagnose.diagnose(folder)
    assert [f.check for f in findings.findings] == [f["check"] for f in content["findings"]]
    with pytest.raises(DataError, match="given in memory"):
        diagnose.diagnose(folder, data=True)
    assert "no-signal" in {finding.check for finding in diagnose.diagnose(folder, data=data).findings}


def test_each_fold_has_findings(tmp_path):
    runs = diagnose.list_runs(train(tmp_path, folds=2, epochs=3))
    assert len(runs) == 2
    assert all(isinstance(diagnose.diagnose(path), Findings) and read_findings(path)["steps"] for path in runs.values())


def test_fail_on_refuses_findings_of_its_severity(runs, tmp_path):
    folder = Path(shutil.copytree(runs["passive"], tmp_path / "run"))
    diagnose.require_healthy(folder, "warning")
    content = read_findings(folder)
    finding = {"check": "mode", "severity": "warning", "cause": "it is wrong", "remedy": "fix it"}
    (folder / "findings.json").write_text(json.dumps({**content, "findings": [finding]}))
    diagnose.require_healthy(folder, "error")
    with pytest.raises(FindingsError, match="warning: it is wrong"):
        diagnose.require_healthy(folder, "warning")
    with pytest.raises(UsageError, match="fail_on must be"):
        diagnose.require_healthy(folder, "note")


def test_the_history_of_a_run_without_doctor_is_checked(runs):
    findings = diagnose.diagnose(runs["off"])
    assert findings.findings == []
    assert "did not watch" in findings.unchecked["training"]


def test_damaged_findings_are_reported(runs, tmp_path):
    folder = Path(shutil.copytree(runs["passive"], tmp_path / "run"))
    (folder / "findings.json").write_text('{"findings": [{"check": 3}]}')
    with pytest.raises(DataError, match="damaged"):
        diagnose.diagnose(folder)


def test_a_trained_run_has_a_method_diagnose(runs):
    assert yisheng.load(runs["passive"]).diagnose() == diagnose.diagnose(runs["passive"])
