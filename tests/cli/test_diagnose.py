"""``yisheng diagnose``: text, JSON, exit codes."""

import json

import pytest

from yisheng.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", "data=iris", "model=mlp", "lr=1e-7", "epochs=12", f"out={out}", "--quiet"]) == 0
    (folder,) = out.iterdir()
    return folder


def test_findings_are_printed_as_text(run, capsys):
    assert main(["diagnose", str(run)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Found in 72 steps of training: 1 warning.")
    assert "1. warning: " in text
    assert "(low-learning-rate)" in text
    assert "   do: " in text
    assert "   seen: relative update" in text
    assert "not checked:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_findings_are_printed_as_json(run, capsys):
    assert main(["diagnose", str(run), "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["run"] == str(run)
    assert findings["findings"][0]["check"] == "low-learning-rate"


def test_data_true_runs_all_checks_of_the_data(run, capsys):
    assert main(["diagnose", str(run), "data=true"]) == 0
    printed = capsys.readouterr()
    assert "checking the data: label-noise" in printed.err
    assert "label-noise: it trains small models" not in printed.out
    assert main(["diagnose", str(run)]) == 0
    assert "label-noise: it trains small models" in capsys.readouterr().out
    assert main(["diagnose", str(run), "data=perhaps"]) == 2


def test_all_folds_are_diagnosed(tmp_path, capsys):
    out = tmp_path / "runs"
    assert main(["train", "data=iris", "model=mlp", "epochs=3", "folds=2", f"out={out}", "--quiet"]) == 0
    (folder,) = out.iterdir()
    capsys.readouterr()
    assert main(["diagnose", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["members"]) == 2
    assert main(["diagnose", str(folder)]) == 0
    assert capsys.readouterr().out.count("not checked:") == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["fail_on=error"], 0),
        (["fail_on=warning"], 6),
        (["fail_on=note"], 2),
        (["lr=1"], 2),
        (["another"], 2),
    ],
)
def test_exit_codes(run, capsys, words, code):
    assert main(["diagnose", str(run), *words]) == code


def test_a_folder_that_is_not_a_run_is_refused(tmp_path, capsys):
    assert main(["diagnose", str(tmp_path)]) == 3
    assert "is not a run folder" in capsys.readouterr().err


def test_training_with_findings_fails_after_the_run_is_written(tmp_path, capsys):
    words = ["train", "data=iris", "model=mlp", "epochs=12", f"out={tmp_path}", "--quiet"]
    assert main([*words, "lr=1e-7", "fail_on=warning"]) == 6
    printed = capsys.readouterr()
    assert "warning: " in printed.err
    assert (tmp_path / "0001-iris-mlp" / "report.html").exists()
    assert printed.out.splitlines()[-1].endswith("0001-iris-mlp")
    assert main([*words, "fail_on=warning", "doctor=off"]) == 2
    assert main([*words, "fail_on=never"]) == 2
    assert not (tmp_path / "0002-iris-mlp").exists()
