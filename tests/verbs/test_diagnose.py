"""The doctor beside a run: it changes nothing, writes what it saw, and goes on where a run goes on."""

import io
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

import yisheng
from yisheng.core.errors import DataError, FindingsError, NonFiniteError, StoppedError, UsageError
from yisheng.diagnose.page import PROBES
from yisheng.report.findings import Findings
from yisheng.train import checkpoint
from yisheng.verbs import diagnose
from yisheng.verbs.train import resume
from yisheng.verbs.train import train as train_live

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
    assert set(page["unchecked"]) == {PROBES}  # a check with a defect would stand here
    assert page["curves"]["steps"][:10] == list(range(1, 11))
    assert [line["name"] for line in page["curves"]["gradients"]][-1] == "output.weight"
    assert page["probes"] == {}
    assert "Nothing was found wrong" in (runs["passive"] / "report.html").read_text()


def test_full_writes_down_its_experiments(runs):
    probes = said(runs["full"])["probes"]
    assert {"as it is", "inputs standardised", "lr x 0.1", "lr x 10"} <= set(probes)
    assert probes["one batch, at best"] < probes["one batch, at first"]
    assert "Experiments before training" in (runs["full"] / "report.html").read_text()


def test_steps_that_are_too_short_are_said(tmp_path):
    stream = io.StringIO()
    from yisheng.core.recipe import resolve

    settings = {"data": "digits", "model": "mlp", "lr": 1e-6, "epochs": 3, "doctor": "full"}
    recipe = resolve([(key, value, "command line") for key, value in settings.items()]).recipe
    folder = train_live(recipe, out=tmp_path, stream=stream)
    (one,) = said(folder)["findings"]
    assert one["check"] == "low-learning-rate"
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
    assert diagnose.diagnose(folder).worst() == "error"


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
    resume(folder, stream=io.StringIO())
    after, whole = said(folder), said(runs[doctor])
    assert (folder / "model.safetensors").read_bytes() == (runs["off"] / "model.safetensors").read_bytes()
    assert events(folder) == events(runs["off"])
    assert after["steps"] == whole["steps"]
    assert after["probes"] == whole["probes"]
    kept = dict(zip(after["curves"]["steps"], after["curves"]["updates"][0]["values"], strict=True))
    for step, value in zip(whole["curves"]["steps"], whole["curves"]["updates"][0]["values"], strict=True):
        assert kept[step] == value


def test_a_memory_that_is_damaged_costs_nothing_but_itself(runs, tmp_path, monkeypatch):
    folder = stopped(monkeypatch, tmp_path, 25)
    (folder / "checkpoint" / "watch.safetensors").write_bytes(b"no memory")
    resume(folder, stream=io.StringIO())
    assert (folder / "model.safetensors").read_bytes() == (runs["off"] / "model.safetensors").read_bytes()
    assert said(folder)["findings"] == []


def test_findings_of_the_data_are_part_of_the_page(tmp_path):
    rows = "\n".join(f"{i % 7},{i % 5},same,{'yes' if i % 7 > 3 else 'no'}" for i in range(150))
    (tmp_path / "t.csv").write_text(f"a,b,c,answer\n{rows}\n")
    folder = train(tmp_path / "runs", data=str(tmp_path / "t.csv"), target="answer", epochs=2, boosting=False)
    data = yisheng.data.load("table", path=str(tmp_path / "t.csv"), target="answer")
    assert data.findings
    assert {f.cause for f in data.findings} <= {one["cause"] for one in said(folder)["findings"]}


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
