"""``yisheng compare`` on the command line."""

import json
import shutil
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    settings = {"data": "iris", "epochs": 2, "out": out, "quiet": True}
    paths = [yisheng.train(model=m, folds=2, **settings).path for m in ("linear", "mlp")]
    paths += [yisheng.train(model="linear", seed=seed, **settings).path for seed in (0, 1)]
    return [str(path) for path in paths]


def test_cross_validations_are_compared_fold_by_fold(runs, capsys):
    assert main(["compare", runs[0], runs[1]]) == 0
    text = capsys.readouterr().out
    assert text.startswith("accuracy (larger is better; intervals of 95%)\n")
    assert "what differs in the configs:" in text
    assert "paired over 2 folds" in text
    for path in runs[:2]:
        assert Path(path).name in text


def test_json_has_scores_and_tests(runs, capsys):
    assert main(["compare", runs[0], runs[1], "score=log-loss", "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert (comparison["score"], comparison["higher_is_better"]) == ("log_loss", False)
    assert comparison["runs"][1]["scores"][0]["validation"]["log_loss"]["value"] > 0
    (test,) = comparison["comparisons"]
    assert test["difference"]["low"] < test["difference"]["value"] < test["difference"]["high"]
    assert test["outcome"] in ("better", "worse", "unclear")


def test_single_runs_cannot_be_compared(runs, capsys):
    assert main(["compare", runs[2], runs[3]]) == 0
    text = capsys.readouterr().out
    assert "it is unknown whether they differ" in text
    assert f"yisheng train config={runs[2]}/config.toml folds=5" in text
    assert f"yisheng train config={runs[3]}/config.toml folds=5 seed=0" in text


def test_groups_are_written_with_commas(runs, capsys, tmp_path):
    assert main(["compare", f"{runs[2]},{runs[3]}", runs[0]]) == 0
    assert "sd 0." in capsys.readouterr().out
    odd = shutil.copytree(runs[2], tmp_path / "a,b")
    assert main(["compare", str(odd), runs[3]]) == 0


def test_curves_are_drawn_with_out(runs, capsys, tmp_path):
    page = tmp_path / "page.html"
    assert main(["compare", runs[0], runs[1], f"out={page}"]) == 0
    assert capsys.readouterr().out.endswith(f"\n\ncurves: {page}\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["compare", runs[0], runs[1], f"out={tmp_path / 'curves.png'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_words_are_refused(assert_error, runs):
    assert_error(["compare", runs[0]], 2, "needs two run folders")
    assert_error(["compare", runs[0], runs[1], "score=accurate"], 2, "did you mean accuracy")
    assert_error(["compare", runs[0], "nowhere"], 3, "nowhere")
    assert_error(["compare", runs[0], runs[1], "out=curves.pdf"], 2, "must end in .html")
    assert_error(["compare", runs[0], runs[1], "out=nowhere/curves.png"], 1, "cannot be written")
    assert_error(["compare", runs[0], runs[1], "metric=f1"], 2, "unknown key 'metric'")
