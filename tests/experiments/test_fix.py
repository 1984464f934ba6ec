"""fix=true: the doctor's first remedy is applied, the run trained again, and the better one given."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import datasets

import yisheng
from yisheng.cli import main
from yisheng.core import registry, run_folder
from yisheng.core.errors import NonFiniteError, StoppedError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.evaluation.paired_difference import paired_difference
from yisheng.experiments import fix, remedies
from yisheng.experiments import run as single
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Findings, Cause

IRIS = {"data": "iris", "model": "mlp", "hidden": [16], "optimizer": "sgd", "lr": 0.1, "epochs": 12}


def config(**settings):
    return merge_settings((key, value, "command line") for key, value in settings.items()).config


def mended(out, **settings):
    stream = io.StringIO()
    return fix.train(config(**settings), out=out, stream=stream), stream.getvalue()


def written(folder):
    return json.loads((folder / "fix.json").read_text())


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """Weights that begin alike."""
    out = tmp_path_factory.mktemp("runs")
    return *mended(out, **IRIS, init="constant", value=0.1), out


def test_the_first_remedy_is_applied_and_the_better_run_given(spoiled):
    folder, said, out = spoiled
    first, second = sorted(out.iterdir())[:2]
    assert folder == second
    assert RunFolder(first).config.init.name == "constant"
    assert RunFolder(second).config.init.name == "xavier-uniform"
    (one, *_) = written(folder)["rounds"]
    assert (one["before"]["run"], one["after"]["run"]) == (first.name, second.name)
    assert one["check"] == run_facts.read_run_facts(first).findings.findings[0].check == "symmetric-weights"
    assert (one["was"], one["change"]) == ({"init": "constant"}, {"init": "xavier-uniform"})
    assert one["outcome"] == "better"
    assert "fix: symmetric-weights: init=constant -> init=xavier-uniform" in said
    assert f"the best run is {second}" in said


def test_nothing_else_differs(spoiled):
    """Same seed, same parts, same data, and what was not said to change."""
    _, _, out = spoiled
    first, second = (RunFolder(path).config.to_dict() for path in sorted(out.iterdir())[:2])
    assert {key for key in first if first[key] != second[key]} == {"init"}
    hashes = {run_folder.data_hash(run_folder.environment(path)) for path in sorted(out.iterdir())}
    assert len(hashes) == 1


def test_the_scores_are_those_of_the_runs(spoiled):
    folder, said, out = spoiled
    done = written(folder)
    assert done["score"] == "accuracy"
    (one, *_) = done["rounds"]
    for end in (one["before"], one["after"]):
        of_run = json.loads((out / end["run"] / "scores.json").read_text())["validation"]["accuracy"]
        assert end["score"] == pytest.approx(of_run)
    gained = one["after"]["score"]["value"] - one["before"]["score"]["value"]
    assert one["difference"]["value"] == pytest.approx(gained)
    assert one["difference"]["low"] > 0
    assert "fix: validation accuracy" in said


def test_the_report_shows_it(spoiled):
    folder, _, out = spoiled
    assert 'id="fix"' in (folder / "report.html").read_text()
    first = sorted(out.iterdir())[0]
    assert first != folder
    assert not (first / "fix.json").exists()


def test_a_healthy_run_is_trained_once(tmp_path):
    folder, said = mended(tmp_path, **IRIS)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert written(folder)["rounds"] == []
    assert "the doctor found nothing that a setting can mend" in said


def test_a_remedy_that_does_not_help_is_not_kept(tmp_path, monkeypatch):
    """The first run is given where the second is worse; the doctor is made to say nonsense."""
    nonsense = Cause(check="symmetric-weights", severity="error", cause="none", remedy="none", change={"lr": 1e-7})

    def read(folder, of=run_facts.read_run_facts):
        return replace(of(folder), findings=Findings(findings=[nonsense]))

    monkeypatch.setattr(remedies.facts, "read", read)
    folder, said = mended(tmp_path, **IRIS)
    first, second = sorted(tmp_path.iterdir())
    assert folder == first
    assert RunFolder(second).config.optimizer.options["lr"] == 1e-7
    assert written(first)["rounds"][0]["outcome"] == "worse"
    assert not (second / "fix.json").exists()
    assert "the last remedy did not help" in said


@pytest.mark.parametrize(
    ("severity", "change"),
    [
        ("note", {"lr": 0.01}),
        ("warning", {}),
        ("warning", {"lr": 0.1, "activation": "relu"}),
        ("warning", {"style": "modern", "class_weight": "wrong"}),
    ],
    ids=["a note", "no setting", "as it is already", "settings of other networks"],
)
def test_there_is_nothing_to_do(tmp_path, monkeypatch, severity, change):
    one = Cause(check="inputs", severity=severity, cause="none", remedy="none", change=change)

    def read(folder, of=run_facts.read_run_facts):
        return replace(of(folder), findings=Findings(findings=[one]))

    monkeypatch.setattr(remedies.facts, "read", read)
    folder, _ = mended(tmp_path, **{**IRIS, "epochs": 1})
    assert written(folder)["rounds"] == []
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_run_that_breaks_off_is_mended(tmp_path):
    folder, said = mended(tmp_path, data="linear", model="linear", optimizer="sgd", lr=20.0, epochs=2)
    done = written(folder)["rounds"]
    assert done[0]["before"]["score"] is None
    assert done[0]["difference"] is None
    assert done[0]["outcome"] == "better"
    assert done[0]["was"] == {"lr": 20.0}
    assert done[0]["change"]["lr"] < 1
    assert "broke off" in said
    assert json.loads((folder / "scores.json").read_text())["validation"]


def test_the_rate_is_the_one_that_experiments_prefer(tmp_path):
    """They are made before training with doctor=full, else when a remedy needs them: with the same result."""
    changes = []
    for doctor in ("passive", "full"):
        folder, _ = mended(tmp_path / doctor, **{**IRIS, "lr": 1e-5}, doctor=doctor)
        (one, *_) = written(folder)["rounds"]
        changes.append(one["change"])
    tried = run_facts.read_run_facts(tmp_path / "full" / one["before"]["run"]).findings.findings[0].evidence["tried"]["change"]
    assert changes[0] == changes[1] == {"lr": pytest.approx(1e-5 * float(tried.removeprefix("lr x ")))}
    assert changes[0]["lr"] > 1e-4  # further than the factor of ten that is said without them


def test_a_run_that_cannot_be_mended_raises_its_own_error(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
    spec = yisheng.Spec("regression", (3,))
    data = yisheng.Dataset("far", spec, x, np.full((200, 1), 1e30, np.float32) * x[:, :1])
    settings = {"model": "linear", "optimizer": "sgd", "lr": 0.1, "epochs": 2, "target_scale": "none", "clip_norm": 1}
    stream = io.StringIO()
    with pytest.raises(NonFiniteError):
        fix.train(config(data="in-memory", **settings), data=data, out=tmp_path, stream=stream)
    first = sorted(tmp_path.iterdir())[0]
    assert (first / "fix.json").is_file()


@pytest.mark.slow
def test_python_and_shell_give_the_same(tmp_path, capsys):
    words = ["train", *(f"{key}={_typed(value)}" for key, value in IRIS.items()), "init=constant", "value=0.1"]
    assert main([*words, "fix=true", f"out={tmp_path / 'a'}"]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    run = yisheng.train(**IRIS, init="constant", value=0.1, fix=True, out=tmp_path / "b", quiet=True)
    assert folder == str(tmp_path / "a" / run.path.name)
    assert written(run.path) == written(tmp_path / "a" / run.path.name)


def _typed(value):
    return ",".join(map(str, value)) if isinstance(value, list) else value


def test_data_in_memory_is_mended(tmp_path):
    iris = datasets.load_iris()
    spec = yisheng.Spec("classification", (4,), classes=tuple(iris.target_names))
    data = yisheng.Dataset("flowers", spec, iris.data.astype("float32"), iris.target.astype("int64"))
    settings = {key: value for key, value in IRIS.items() if key != "data"}
    run = yisheng.train(data=data, **settings, init="constant", value=0.1, fix=True, out=tmp_path, quiet=True)
    assert written(run.path)["rounds"][0]["outcome"] == "better"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"folds": 3}, "folds=3"),
        ({"doctor": "off"}, "fix=true needs the doctor"),
        ({"validation": 0}, "no validation part"),
    ],
)
def test_what_cannot_be_mended_is_refused(tmp_path, settings, words):
    with pytest.raises(UsageError, match=words):
        mended(tmp_path, **IRIS, **settings)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_leaves_no_folder(tmp_path):
    with pytest.raises(UsageError):
        mended(tmp_path, data="iris", model="lenet")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_passes_through(tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise StoppedError(15, "stopped", "go on")

    monkeypatch.setattr(single, "_live", stopped)
    with pytest.raises(StoppedError):
        mended(tmp_path, **IRIS)


def test_init_of_one_kind_of_layers_does_not_stand_against_it(tmp_path):
    folder, _ = mended(tmp_path, **IRIS, init_linear="constant")
    (one, *_) = written(folder)["rounds"]
    assert one["change"] == {"init": "xavier-uniform", "init_linear": "none"}
    assert one["was"] == {"init": "default", "init_linear": "constant"}
    assert RunFolder(folder).config.init_linear is None


def test_the_paired_difference_knows_more_than_two_intervals():
    """Two models that are wrong on nearly the same rows: their scores overlap, the difference is known."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 400)
    first = np.where(draw.random(400) < 0.2, 1 - y, y)
    second = np.where((first != y) & (draw.random(400) < 0.3), y, first)
    accuracy = registry.find("metrics", "accuracy")
    found = paired_difference(accuracy, y, np.eye(2)[first], np.eye(2)[second])
    assert found.value == pytest.approx(np.mean(second == y) - np.mean(first == y))
    spread = np.std((second == y).astype(float) - (first == y), ddof=1) / 20
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert found.low > 0
    same = paired_difference(accuracy, y, np.eye(2)[first], np.eye(2)[first])
    assert (same.value, same.low, same.high) == (0, 0, 0)
