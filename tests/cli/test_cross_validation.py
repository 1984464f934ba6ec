"""Cross-validations on the command line: what is printed, and damaged folders."""

import json
import shutil
from pathlib import Path

import pytest

from yisheng.cli import main

WORDS = ["data=iris", "model=mlp", "hidden=4", "epochs=1", "folds=2"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert main(["train", *WORDS, f"out={out}", "--quiet"]) == 0
    (path,) = out.glob("0001-*")
    return path


@pytest.fixture
def folder(workdir, finished):
    return Path(shutil.copytree(finished, workdir / "folds"))


def test_train_ends_with_the_folder(tmp_path, capsys):
    assert main(["train", *WORDS, f"out={tmp_path}"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == str(tmp_path / "0001-iris-mlp-2-folds")
    assert "2 models, 2 folds" in text
    assert "baseline" in text


def test_json_is_one_object(tmp_path, capsys):
    assert main(["train", *WORDS, f"out={tmp_path}", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["run"] == str(tmp_path / "0001-iris-mlp-2-folds")
    assert [fold["folder"] for fold in printed["folds"]["models"]] == ["fold-01", "fold-02"]
    assert printed["scores"]["validation"]["accuracy"]["value"] == pytest.approx(printed["folds"]["mean"]["accuracy"])


def test_resume_evaluate_and_report(folder, capsys):
    scores = json.loads((folder / "scores.json").read_text())
    assert main(["resume", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == scores
    assert main(["evaluate", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"evaluation": str(folder), "scores": scores}
    assert main(["report", str(folder)]) == 0
    assert 'id="folds"' in (folder / "report.html").read_text(encoding="utf-8")


def test_a_cross_validation_cannot_be_made_longer(assert_error, folder):
    assert_error(["resume", folder, "epochs=5"], 2, "cannot be made longer")


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "JSON of another kind": lambda path: path.write_text("[1, 2, 3]"),
    "deep nesting": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "null": lambda path: path.write_text("null"),
}
REQUIRED = {
    "predict": {"model.json"},
    "evaluate": {"config.toml", "model.json", "fold-02/model.json", "fold-02/config.toml"},
    "compare": {"config.toml", "model.json", "cv.json", "scores.json", "environment.json"},
    "resume": {"config.toml", "environment.json"},
}
CASES = [(command, name, damage) for command, names in REQUIRED.items() for name in sorted(names) for damage in DAMAGES]


@pytest.mark.parametrize(("command", "name", "damage"), CASES)
def test_a_damaged_folder_is_two_lines(folder, finished, capsys, command, name, damage):
    DAMAGES[damage](folder / name)
    words = {"predict": ["rows=5,3,1,0"], "compare": [str(finished)]}.get(command, [])
    code = main([command, str(folder), *words])
    printed = capsys.readouterr()
    assert code in (2, 3), printed.err
    assert "Traceback" not in printed.err
    problem, remedy = printed.err.rstrip("\n").split("\n")[-2:]
    assert problem.startswith("yisheng: ")
    assert remedy.startswith("  ")
    assert "defect" not in remedy
