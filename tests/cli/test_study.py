"""Studies of k folds on the command line: what is printed, and damaged ones at the door."""

import json
import shutil
from pathlib import Path

import pytest

from yisheng.cli import main

WORDS = ["data=iris", "model=mlp", "hidden=4", "epochs=1", "folds=2"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", *WORDS, f"out={out}", "--quiet"]) == 0
    (folder,) = out.glob("0001-*")
    return folder


@pytest.fixture
def study(world, done):
    return Path(shutil.copytree(done, world / "study"))


def test_train_ends_with_the_folder(tmp_path, capsys):
    assert main(["train", *WORDS, f"out={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == str(tmp_path / "0001-iris-mlp-2-folds")
    assert "2 models, 2 folds" in said
    assert "baseline" in said


def test_json_is_one_object(tmp_path, capsys):
    assert main(["train", *WORDS, f"out={tmp_path}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["run"] == str(tmp_path / "0001-iris-mlp-2-folds")
    assert [one["folder"] for one in said["folds"]["each"]] == ["fold-01", "fold-02"]
    assert said["scores"]["validation"]["accuracy"]["value"] == pytest.approx(said["folds"]["mean"]["accuracy"])


def test_resume_evaluate_and_report(study, capsys):
    scores = json.loads((study / "scores.json").read_text())
    assert main(["resume", str(study), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == scores
    assert main(["evaluate", str(study), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == scores
    assert main(["report", str(study)]) == 0
    assert 'id="folds"' in (study / "report.html").read_text(encoding="utf-8")


def test_a_study_cannot_be_made_longer(refused, study):
    refused(["resume", study, "epochs=5"], 2, "cannot be made longer")


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "JSON of another kind": lambda path: path.write_text("[1, 2, 3]"),
    "deep nesting": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "null": lambda path: path.write_text("null"),
}
NEEDED = {
    "predict": {"model.json"},
    "evaluate": {"config.toml", "model.json", "fold-02/model.json", "fold-02/config.toml"},
    "compare": {"config.toml", "model.json", "folds.json", "scores.json", "environment.json"},
    "resume": {"config.toml", "environment.json"},
}
CASES = [(verb, name, damage) for verb, names in NEEDED.items() for name in sorted(names) for damage in DAMAGES]


@pytest.mark.parametrize(("verb", "name", "damage"), CASES)
def test_a_damaged_study_is_told_in_two_lines(study, done, capsys, verb, name, damage):
    DAMAGES[damage](study / name)
    more = {"predict": ["rows=5,3,1,0"], "compare": [str(done)]}.get(verb, [])
    code = main([verb, str(study), *more])
    said = capsys.readouterr()
    assert code in (2, 3), said.err
    assert "Traceback" not in said.err
    problem, remedy = said.err.rstrip("\n").split("\n")[-2:]
    assert problem.startswith("yisheng: ")
    assert remedy.startswith("  ")
    assert "should not happen" not in remedy
