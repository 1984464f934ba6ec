"""The doctor beside a run: it changes nothing, writes what it saw, and goes on where a run goes on."""

import io
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
from yisheng.diagnosis.data_findings import NEEDS_TRAININGS
from yisheng.diagnosis.run_diagnosis import EXPERIMENTS
from yisheng.experiments import diagnose
from yisheng.experiments.dispatch import resume
from yisheng.experiments.run import train as train_live
from yisheng.reporting.findings_schema import Findings
from yisheng.training import checkpoint

KIND = {"data": "iris", "model": "mlp", "hidden": [16], "dropout": 0.2, "epochs": 8, "quiet": True}


def train(out, **settings):
    return yisheng.train(**{**KIND, **settings}, out=out).path


def events(folder):
    return [re.sub(r', "seconds": [\d.]+', "", line) for line in (folder / "events.jsonl").read_text().splitlines()]


def said(folder):
    return json.loads((folder / "findings.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return {doctor: train(out, doctor=doctor) for doctor in ("off", "passive", "full")}


@pytest.mark.parametrize("doctor", ["passive", "full"])
def test_what_is_trained_is_the_same_to_the_bit(runs, doctor):
    for name in ("model.safetensors", "scores.json"):
        assert (runs[doctor] / name).read_bytes() == (runs["off"] / name).read_bytes()
    assert events(runs[doctor]) == events(runs["off"])


def test_off_means_off(runs):
    assert not (runs["off"] / "findings.json").exists()
    assert not (runs["off"] / "checkpoint" / "watch.safetensors").exists()
    assert 'id="findings"' not in (runs["off"] / "report.html").read_text()


def test_a_healthy_run_has_a_page_without_findings(runs):
    page = said(runs["passive"])
    assert page["findings"] == []
    assert page["steps"] == 8 * 6
    assert EXPERIMENTS in page["unchecked"]
    assert "all training checks" not in page["unchecked"]  # a check with a defect is listed under this name
    assert page["curves"]["steps"] == [1, 2, 3, 4, 5, 10, 20, 40]
    assert [line["name"] for line in page["curves"]["gradients"]][-1] == "output.weight"
    assert page["probes"] == {}
    assert "Nothing was found wrong" in (runs["passive"] / "report.html").read_text()


def test_full_writes_down_its_experiments(runs):
    probes = said(runs["full"])["probes"]
    assert {"as it is", "standardized inputs", "lr x 0.1", "lr x 10"} <= set(probes)
    assert probes["one batch, at best"] < probes["one batch, at first"]
    assert "Experiments before training" in (runs["full"] / "report.html").read_text()


def test_steps_that_are_too_short_are_said(tmp_path):
    stream = io.StringIO()
    from yisheng.core.settings import merge_settings

    settings = {"data": "digits", "model": "mlp", "lr": 1e-6, "epochs": 3, "doctor": "full"}
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    folder = train_live(config, out=tmp_path, stream=stream)
    one, *notes = said(folder)["findings"]
    assert one["check"] == "low-learning-rate"
    assert [note["check"] for note in notes] == ["learning-curve"]
    assert "the network" not in notes[0]["evidence"]  # its size is not what it is hindered by
    assert one["evidence"]["tried"]["loss with"] < one["evidence"]["tried"]["loss without"]
    assert f"{one['severity']}: {one['cause']}; {one['remedy']}" in stream.getvalue()
    assert one["cause"] in (folder / "report.html").read_text()


def test_a_run_that_breaks_off_has_a_page(tmp_path):
    with pytest.raises(NonFiniteError) as broken:
        train(tmp_path, data="diabetes", lr=1e6, dropout=0)
    (folder,) = tmp_path.iterdir()
    page = said(folder)
    causes = [one["cause"] for one in page["findings"]] + [s["cause"] for f in page["findings"] for s in f["symptoms"]]
    assert broken.value.problem in causes
    assert page["findings"][0]["severity"] == "error"
    assert 'id="findings"' in (folder / "report.html").read_text()
    assert diagnose.diagnose(folder).worst_severity() == "error"


def stopped(monkeypatch, tmp_path, step, **settings):
    """A run to which SIGTERM came after a step."""

    def save(folder, state, of=checkpoint.save):
        path = of(folder, state)
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
def test_a_run_that_is_continued_is_seen_as_a_whole(runs, tmp_path, monkeypatch, doctor):
    folder = stopped(monkeypatch, tmp_path, 25, doctor=doctor)
    before = said(folder)
    assert 25 <= before["steps"] <= 27
    resume(folder)
    after, whole = said(folder), said(runs[doctor])
    assert (folder / "model.safetensors").read_bytes() == (runs["off"] / "model.safetensors").read_bytes()
    assert events(folder) == events(runs["off"])
    assert after["steps"] == whole["steps"]
    assert after["probes"] == whole["probes"]
    for part in ("curves", "unchecked", "findings"):
        assert after[part] == whole[part]


def test_a_memory_that_is_damaged_costs_nothing_but_itself(runs, tmp_path, monkeypatch):
    folder = stopped(monkeypatch, tmp_path, 25)
    (folder / "checkpoint" / "watch.safetensors").write_bytes(b"no memory")
    resume(folder)
    assert (folder / "model.safetensors").read_bytes() == (runs["off"] / "model.safetensors").read_bytes()
    assert said(folder)["findings"] == []


def test_findings_of_the_data_are_part_of_the_page(tmp_path):
    rows = "\n".join(f"{i % 7},{i % 5},same,{'yes' if i % 7 > 3 else 'no'}" for i in range(150))
    (tmp_path / "t.csv").write_text(f"a,b,c,answer\n{rows}\n")
    folder = train(tmp_path / "runs", data=str(tmp_path / "t.csv"), target="answer", epochs=2, boosting=False)
    data = yisheng.data.load("table", path=str(tmp_path / "t.csv"), target="answer")
    assert data.findings
    assert {f.cause for f in data.findings} <= {one["cause"] for one in said(folder)["findings"]}


def leaking(tmp_path, seed=0):
    """A table whose test rows are training rows, a third of its labels at random."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(300, 4)).round(4), draw.integers(0, 2, 300)
    x[:, 0] += 4 * y
    twice = np.concatenate([np.arange(300), draw.integers(0, 300, 100)])
    wrong = draw.random(400) < 0.15
    lines = [f"{','.join(map(str, x[i]))},{'yes' if y[i] != w else 'no'}" for i, w in zip(twice, wrong, strict=True)]
    (tmp_path / "t.csv").write_text("a,b,c,d,answer\n" + "\n".join(lines) + "\n")
    return {"data": str(tmp_path / "t.csv"), "target": "answer", "boosting": False, "dropout": 0}


def test_what_is_wrong_with_the_data_is_said_and_written(tmp_path):
    stream = io.StringIO()
    from yisheng.core.settings import merge_settings

    settings = {**leaking(tmp_path), "model": "mlp", "epochs": 3}
    config = merge_settings([(key, value, "command line") for key, value in settings.items()]).config
    folder = train_live(config, out=tmp_path / "runs", stream=stream)
    page = said(folder)
    leaks = [one for one in page["findings"] if one["check"] == "leaking-rows"]
    assert {one["evidence"]["part"] for one in leaks} == {"test", "validation"}
    assert all(f"{one['severity']}: {one['cause']}" in stream.getvalue() for one in leaks)
    assert page["unchecked"]["label-noise"] == NEEDS_TRAININGS
    assert leaks[0]["cause"] in (folder / "report.html").read_text()


def test_the_data_of_a_run_is_looked_at_afterwards(tmp_path):
    kind = leaking(tmp_path)
    folder = train(tmp_path / "off", **kind, doctor="off", epochs=3)
    assert {"leaking-rows", "label-noise"} <= set(diagnose.diagnose(folder).unchecked)
    stream = io.StringIO()
    found = diagnose.diagnose(folder, data=True, stream=stream)
    assert "leaking-rows" in {one.check for one in found.findings}
    assert not {"leaking-rows", "label-noise"} & set(found.unchecked)
    assert "checking the data: label-noise" in stream.getvalue()
    assert not (folder / "findings.json").exists()
    watched = train(tmp_path / "passive", **kind, epochs=3)
    again = diagnose.diagnose(watched, data=True)
    assert [one.check for one in again.findings].count("leaking-rows") == 2
    (tmp_path / "t.csv").write_text("a,b,c,d,answer\n" + "1,2,3,4,yes\n2,3,4,5,no\n" * 30)
    with pytest.raises(DataError, match="is not what it was"):
        diagnose.diagnose(watched, data=True)


def test_data_given_in_memory_is_given_again_to_be_looked_at(tmp_path):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(250, 6)).astype(np.float32)
    spec = yisheng.Spec("classification", (6,), ("a", "b"))
    data = yisheng.Dataset("noise", spec, x, draw.permutation(np.arange(250) % 2))
    folder = yisheng.train(data=data, model="mlp", hidden=[8], epochs=8, doctor="full", quiet=True, out=tmp_path).path
    page = said(folder)
    (one,) = [one for one in page["findings"] if one["check"] == "no-signal"]
    assert one["evidence"]["p"] > 0.05
    again = diagnose.diagnose(folder)
    assert [f.check for f in again.findings] == [f["check"] for f in page["findings"]]
    with pytest.raises(DataError, match="given in memory"):
        diagnose.diagnose(folder, data=True)
    assert "no-signal" in {one.check for one in diagnose.diagnose(folder, data=data).findings}


def test_members_of_a_study_are_watched(tmp_path):
    study = train(tmp_path, folds=2, epochs=3)
    found = diagnose.members(study)
    assert len(found) == 2
    assert all(isinstance(diagnose.diagnose(path), Findings) and said(path)["steps"] for path in found.values())


def test_fail_on(runs, tmp_path):
    folder = Path(shutil.copytree(runs["passive"], tmp_path / "run"))
    diagnose.require_healthy(folder, "warning")
    page = said(folder)
    one = {"check": "mode", "severity": "warning", "cause": "it is wrong", "remedy": "mend it"}
    (folder / "findings.json").write_text(json.dumps({**page, "findings": [one]}))
    diagnose.require_healthy(folder, "error")
    with pytest.raises(FindingsError, match="warning: it is wrong"):
        diagnose.require_healthy(folder, "warning")
    with pytest.raises(UsageError, match="fail_on must be"):
        diagnose.require_healthy(folder, "note")


def test_a_run_without_doctor_is_asked_about_its_course(runs):
    found = diagnose.diagnose(runs["off"])
    assert found.findings == []
    assert "was not there" in found.unchecked["training"]


def test_damage_is_told(runs, tmp_path):
    folder = Path(shutil.copytree(runs["passive"], tmp_path / "run"))
    (folder / "findings.json").write_text('{"findings": [{"check": 3}]}')
    with pytest.raises(DataError, match="damaged"):
        diagnose.diagnose(folder)


def test_the_run_tells_too(runs):
    assert yisheng.load(runs["passive"]).diagnose() == diagnose.diagnose(runs["passive"])
