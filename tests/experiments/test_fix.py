"""``fix=true``: the doctor's first remedy is applied, the run is trained again, and the better one is returned."""

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import datasets

import yisheng
from yisheng.cli import main
from yisheng.core import registry
from yisheng.core.errors import NonFiniteError, StoppedError, UsageError
from yisheng.core.logging import show_on_stderr
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings
from yisheng.evaluation.paired_difference import paired_difference
from yisheng.experiments import complete_run, fix, remedies
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Cause, Findings

IRIS = {"data": "iris", "model": "mlp", "hidden": [16], "optimizer": "sgd", "lr": 0.1, "epochs": 12}


def make_config(**settings):
    return merge_settings((key, value, "command line") for key, value in settings.items()).config


def train_and_fix(out, **settings):
    """Return the folder of the better run, and the messages."""
    with contextlib.redirect_stderr(io.StringIO()) as messages, show_on_stderr():
        folder = fix.train(make_config(**settings), out=out)
    return folder, messages.getvalue()


def read_fix(folder):
    return json.loads((folder / "fix.json").read_text())


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A run that begins with equal weights, and its fix: folder, messages and folder of runs."""
    out = tmp_path_factory.mktemp("runs")
    return *train_and_fix(out, **IRIS, init="constant", value=0.1), out


def test_the_first_remedy_is_applied_and_the_better_run_is_returned(fixed):
    folder, messages, out = fixed
    first, second = sorted(out.iterdir())[:2]
    assert folder == second
    assert RunFolder(first).config.init.name == "constant"
    assert RunFolder(second).config.init.name == "xavier-uniform"
    (first_round, *_) = read_fix(folder)["rounds"]
    assert (first_round["run_before"]["run"], first_round["run_after"]["run"]) == (first.name, second.name)
    assert first_round["check"] == run_facts.read_run_facts(first).findings.findings[0].check == "symmetric-weights"
    assert (first_round["previous"], first_round["change"]) == ({"init": "constant"}, {"init": "xavier-uniform"})
    assert first_round["outcome"] == "better"
    assert "fix: symmetric-weights: init=constant -> init=xavier-uniform" in messages
    assert f"the best run is {second}" in messages


def test_only_the_remedy_differs_between_the_runs(fixed):
    """Seed, parts, data and all other settings are the same."""
    _, _, out = fixed
    first, second = (RunFolder(path).config.to_dict() for path in sorted(out.iterdir())[:2])
    assert {key for key in first if first[key] != second[key]} == {"init"}
    hashes = {RunFolder(path).data_sha256 for path in sorted(out.iterdir())}
    assert len(hashes) == 1


def test_the_scores_are_those_of_the_runs(fixed):
    folder, messages, out = fixed
    content = read_fix(folder)
    assert content["score"] == "accuracy"
    (first_round, *_) = content["rounds"]
    for run in (first_round["run_before"], first_round["run_after"]):
        score = json.loads((out / run["run"] / "scores.json").read_text())["validation"]["accuracy"]
        assert run["score"] == pytest.approx(score)
    gain = first_round["run_after"]["score"]["value"] - first_round["run_before"]["score"]["value"]
    assert first_round["difference"]["value"] == pytest.approx(gain)
    assert first_round["difference"]["low"] > 0
    assert "fix: validation accuracy" in messages


def test_the_report_of_the_better_run_has_a_section_about_the_fix(fixed):
    folder, _, out = fixed
    assert 'id="fix"' in (folder / "report.html").read_text()
    first = sorted(out.iterdir())[0]
    assert first != folder
    assert not (first / "fix.json").exists()


def test_a_healthy_run_is_trained_once(tmp_path):
    folder, messages = train_and_fix(tmp_path, **IRIS)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert read_fix(folder)["rounds"] == []
    assert "the doctor found nothing that a setting can fix" in messages


def test_a_remedy_that_does_not_help_is_not_kept(tmp_path, monkeypatch):
    """The first run is returned if the second is worse; here the doctor proposes a wrong remedy."""
    wrong_finding = Cause(check="symmetric-weights", severity="error", cause="none", remedy="none", change={"lr": 1e-7})

    def read(folder, read_facts=run_facts.read_run_facts):
        return replace(read_facts(folder), findings=Findings(findings=[wrong_finding]))

    monkeypatch.setattr(remedies, "read_run_facts", read)
    folder, messages = train_and_fix(tmp_path, **IRIS)
    first, second = sorted(tmp_path.iterdir())
    assert folder == first
    assert RunFolder(second).config.optimizer.options["lr"] == 1e-7
    assert read_fix(first)["rounds"][0]["outcome"] == "worse"
    assert not (second / "fix.json").exists()
    assert "the last remedy did not help" in messages


def test_every_strength_of_a_remedy_is_tried_and_it_is_said_if_none_helps(tmp_path, monkeypatch):
    """The weights of the best epoch are used already: neither dropout nor a decay is better on iris."""
    cause = Cause(check="overfitting", severity="warning", cause="none", remedy="none", change={"dropout": 0.3})

    def read(folder, read_facts=run_facts.read_run_facts):
        return replace(read_facts(folder), findings=Findings(findings=[cause]))

    monkeypatch.setattr(remedies, "read_run_facts", read)
    folder, messages = train_and_fix(tmp_path, **IRIS, weight_decay=0.05)
    rounds = read_fix(folder)["rounds"]
    assert [round_["change"] for round_ in rounds] == [
        {"dropout": 0.3},
        {"weight_decay": 0.1},
        {"weight_decay": 1.0},
        {"weight_decay": 10.0},
    ]
    assert {round_["run_before"]["run"] for round_ in rounds} == {sorted(tmp_path.iterdir())[0].name}
    assert "none of dropout=0.3, weight_decay=0.1, weight_decay=1, weight_decay=10 is shown to help" in messages


@pytest.mark.slow
def test_the_right_weight_decay_is_found_for_fewer_rows_than_columns(tmp_path):
    """20 rows cannot determine 200 weights: a decay a hundred times the first one is shown to be better."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(140, 200)).astype("float32")
    y = (0.05 + 0.01 * x.sum(1, keepdims=True) + 0.01 * draw.normal(size=(140, 1))).astype("float32")
    settings = {"model": "linear", "optimizer": "sgd", "lr": 0.003, "batch": 5, "epochs": 100, "quiet": True}
    run = yisheng.train(data=(x[:20], y[:20]), validation=(x[20:], y[20:]), fix=True, out=tmp_path, **settings)
    rounds = read_fix(run.path)["rounds"]
    assert {round_["check"] for round_ in rounds} == {"overfitting"}
    assert rounds[0]["outcome"] == "unclear"
    assert "better" in {round_["outcome"] for round_ in rounds}
    assert RunFolder(run.path).config.optimizer.options["weight_decay"] >= 1


@pytest.mark.slow
def test_class_weights_are_compared_by_recall(tmp_path):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(2400, 6)).astype("float32")
    score = x[:, 0] + x[:, 1] + 0.3 * draw.normal(size=2400)
    y = (score > np.quantile(score, 0.97)).astype("int64")
    settings = {"model": "mlp", "hidden": [8], "optimizer": "sgd", "lr": 0.02, "epochs": 4, "quiet": True}
    run = yisheng.train(data=(x, y), fix=True, out=tmp_path, **settings)
    content = read_fix(run.path)
    assert content["score"] == "recall_macro"
    assert (content["rounds"][0]["check"], content["rounds"][0]["outcome"]) == ("missed-classes", "better")


@pytest.mark.parametrize(
    ("severity", "change"),
    [
        ("note", {"lr": 0.01}),
        ("warning", {}),
        ("warning", {"lr": 0.1, "activation": "relu"}),
        ("warning", {"style": "modern", "class_weight": "wrong"}),
    ],
    ids=["a note", "no setting", "the current value", "settings of other networks"],
)
def test_findings_without_a_remedy_change_nothing(tmp_path, monkeypatch, severity, change):
    finding = Cause(check="inputs", severity=severity, cause="none", remedy="none", change=change)

    def read(folder, read_facts=run_facts.read_run_facts):
        return replace(read_facts(folder), findings=Findings(findings=[finding]))

    monkeypatch.setattr(remedies, "read_run_facts", read)
    folder, _ = train_and_fix(tmp_path, **{**IRIS, "epochs": 1})
    assert read_fix(folder)["rounds"] == []
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_run_that_breaks_off_is_fixed(tmp_path):
    folder, messages = train_and_fix(tmp_path, data="linear", model="linear", optimizer="sgd", lr=20.0, epochs=2)
    first_round = read_fix(folder)["rounds"][0]
    assert first_round["run_before"]["score"] is None
    assert first_round["difference"] is None
    assert first_round["outcome"] == "better"
    assert first_round["previous"] == {"lr": 20.0}
    assert first_round["change"]["lr"] < 1
    assert "broke off" in messages
    assert json.loads((folder / "scores.json").read_text())["validation"]


def test_the_new_learning_rate_is_the_best_one_of_the_experiments(tmp_path):
    """They run before training with ``doctor=full``, else when a remedy needs them, with the same result."""
    changes = []
    for doctor in ("passive", "full"):
        folder, _ = train_and_fix(tmp_path / doctor, **{**IRIS, "lr": 1e-5}, doctor=doctor)
        (first_round, *_) = read_fix(folder)["rounds"]
        changes.append(first_round["change"])
    tried = (
        run_facts.read_run_facts(tmp_path / "full" / first_round["run_before"]["run"])
        .findings.findings[0]
        .evidence["tried"]["change"]
    )
    assert changes[0] == changes[1] == {"lr": pytest.approx(1e-5 * float(tried.removeprefix("lr x ")))}
    assert changes[0]["lr"] > 1e-4  # more than the factor of ten that the finding proposes


def test_a_run_that_cannot_be_fixed_raises_its_error(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
    spec = yisheng.Spec("regression", (3,))
    data = yisheng.Dataset("far", spec, x, np.full((200, 1), 1e30, np.float32) * x[:, :1])
    settings = {"model": "linear", "optimizer": "sgd", "lr": 0.1, "epochs": 2, "target_scale": "none", "clip_norm": 1}
    with pytest.raises(NonFiniteError):
        fix.train(make_config(data="in-memory", **settings), data=data, out=tmp_path)
    first = sorted(tmp_path.iterdir())[0]
    assert (first / "fix.json").is_file()


@pytest.mark.slow
def test_python_and_shell_give_the_same_fix(tmp_path, capsys):
    words = ["train", *(f"{key}={_as_argument(value)}" for key, value in IRIS.items()), "init=constant", "value=0.1"]
    assert main([*words, "fix=true", f"out={tmp_path / 'a'}"]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    run = yisheng.train(**IRIS, init="constant", value=0.1, fix=True, out=tmp_path / "b", quiet=True)
    assert folder == str(tmp_path / "a" / run.path.name)
    assert read_fix(run.path) == read_fix(tmp_path / "a" / run.path.name)


def _as_argument(value):
    return ",".join(map(str, value)) if isinstance(value, list) else value


def test_a_run_on_data_in_memory_is_fixed(tmp_path):
    iris = datasets.load_iris()
    spec = yisheng.Spec("classification", (4,), classes=tuple(iris.target_names))
    data = yisheng.Dataset("flowers", spec, iris.data.astype("float32"), iris.target.astype("int64"))
    settings = {key: value for key, value in IRIS.items() if key != "data"}
    run = yisheng.train(data=data, **settings, init="constant", value=0.1, fix=True, out=tmp_path, quiet=True)
    assert read_fix(run.path)["rounds"][0]["outcome"] == "better"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 3}, "folds=3"),
        ({"doctor": "off"}, "fix=true needs the doctor"),
        ({"validation": 0}, "no validation part"),
    ],
)
def test_a_config_that_cannot_be_fixed_is_refused(tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        train_and_fix(tmp_path, **IRIS, **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_does_not_fit_leaves_no_folder(tmp_path):
    with pytest.raises(UsageError):
        train_and_fix(tmp_path, data="iris", model="lenet")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_stops_the_fix(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise StoppedError(15, "stopped", "resume it")

    monkeypatch.setattr(complete_run, "train", stop)
    with pytest.raises(StoppedError):
        train_and_fix(tmp_path, **IRIS)


def test_a_remedy_for_init_resets_the_init_of_single_kinds_of_layers(tmp_path):
    folder, _ = train_and_fix(tmp_path, **IRIS, init_linear="constant")
    (first_round, *_) = read_fix(folder)["rounds"]
    assert first_round["change"] == {"init": "xavier-uniform", "init_linear": "none"}
    assert first_round["previous"] == {"init": "default", "init_linear": "constant"}
    assert RunFolder(folder).config.init_linear is None


def test_the_paired_difference_is_more_precise_than_two_intervals():
    """Two models are wrong on nearly the same rows: the intervals of their scores overlap, the difference is clear."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 400)
    first = np.where(draw.random(400) < 0.2, 1 - y, y)
    second = np.where((first != y) & (draw.random(400) < 0.3), y, first)
    accuracy = registry.find("metrics", "accuracy")
    difference = paired_difference(accuracy, y, np.eye(2)[first], np.eye(2)[second])
    assert difference.value == pytest.approx(np.mean(second == y) - np.mean(first == y))
    standard_error = np.std((second == y).astype(float) - (first == y), ddof=1) / 20
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert difference.low > 0
    zero = paired_difference(accuracy, y, np.eye(2)[first], np.eye(2)[first])
    assert (zero.value, zero.low, zero.high) == (0, 0, 0)
