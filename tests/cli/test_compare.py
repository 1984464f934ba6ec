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
    made = [yisheng.train(model=m, folds=2, **settings).path for m in ("linear", "mlp")]
    made += [yisheng.train(model="linear", seed=seed, **settings).path for seed in (0, 1)]
    return [str(path) for path in made]


def test_two_studies(runs, capsys):
    assert main(["compare", runs[0], runs[1]]) == 0
    said = capsys.readouterr().out
    assert said.startswith("accuracy (larger is better; intervals of 95%)\n")
    assert "what differs in the configs:" in said
    assert "paired over 2 folds" in said
    for path in runs[:2]:
        assert Path(path).name in said


def test_json_holds_all_of_it(runs, capsys):
    assert main(["compare", runs[0], runs[1], "score=log-loss", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["score"], found["higher_is_better"]) == ("log_loss", False)
    assert found["runs"][1]["scores"][0]["validation"]["log_loss"]["value"] > 0
    (verdict,) = found["comparisons"]
    assert verdict["difference"]["low"] < verdict["difference"]["value"] < verdict["difference"]["high"]
    assert verdict["outcome"] in ("better", "worse", "unclear")


def test_two_single_runs_and_what_to_run(runs, capsys):
    assert main(["compare", runs[2], runs[3]]) == 0
    said = capsys.readouterr().out
    assert "it cannot be said whether they differ" in said
    assert f"yisheng train config={runs[2]}/config.toml folds=5" in said
    assert f"yisheng train config={runs[3]}/config.toml folds=5 seed=0" in said


def test_groups_are_written_with_commas(runs, capsys, tmp_path):
    assert main(["compare", f"{runs[2]},{runs[3]}", runs[0]]) == 0
    assert "sd 0." in capsys.readouterr().out
    odd = shutil.copytree(runs[2], tmp_path / "a,b")
    assert main(["compare", str(odd), runs[3]]) == 0


def test_the_curves_are_drawn_where_asked(runs, capsys, tmp_path):
    page = tmp_path / "page.html"
    assert main(["compare", runs[0], runs[1], f"out={page}"]) == 0
    assert capsys.readouterr().out.endswith(f"\n\ncurves: {page}\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["compare", runs[0], runs[1], f"out={tmp_path / 'curves.png'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_told(refused, runs):
    refused(["compare", runs[0]], 2, "wants two run folders")
    refused(["compare", runs[0], runs[1], "score=accurate"], 2, "did you mean accuracy")
    refused(["compare", runs[0], "nowhere"], 3, "nowhere")
    refused(["compare", runs[0], runs[1], "out=curves.pdf"], 2, "must end in .html")
    refused(["compare", runs[0], runs[1], "out=nowhere/curves.png"], 1, "cannot be written")
    refused(["compare", runs[0], runs[1], "metric=f1"], 2, "unknown key 'metric'")
