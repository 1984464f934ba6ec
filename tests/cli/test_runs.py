"""``yisheng runs`` and ``yisheng lr-find`` on the command line."""

import io
import json
import shutil
import sys
import zipfile

import pytest

import yisheng
from yisheng.cli import main


@pytest.fixture
def runs(run, workdir):
    """Return a folder with two runs, ``runs``."""
    folder = workdir / "runs"
    folder.mkdir()
    shutil.copytree(run, folder / "0002-second")
    run.rename(folder / "0001-first")
    return folder


def output(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_the_list(runs, capsys):
    text = output(capsys, "runs")
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["runs/0002-second", "runs/0001-first"]
    assert text.splitlines()[0].split()[:2] == ["run", "data"]
    assert "finished" in text
    assert output(capsys, "runs", "runs", "sort=number", "n=1").splitlines()[-1].startswith("runs/0001-first")
    assert output(capsys, "runs", "accuracy>2") == "no runs\n"
    plain = json.loads(output(capsys, "runs", "data=iri?", "state=finished", "--json"))
    assert [entry["number"] for entry in plain["runs"]] == [2, 1]
    assert set(plain["runs"][0]["scores"]) == {"test", "validation", "baseline"}


def test_the_list_fits_a_terminal(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("yisheng.core.printable.PrintedStream.isatty", lambda self: True)
    text = output(capsys, "runs")
    assert max(map(len, text.splitlines())) <= 60
    assert "accuracy" in text


def test_without_runs(workdir, capsys):
    assert output(capsys, "runs") == "no runs\n"
    assert json.loads(output(capsys, "runs", "--json")) == {"runs": []}


def test_rename(runs, capsys):
    assert output(capsys, "runs", "rename", runs / "0001-first", "größer 2") == f"{runs / '0001-größer-2'}\n"
    assert yisheng.runs(runs, name="größer 2")[0].number == 1


def test_deletion_asks_on_a_terminal(runs, capsys, monkeypatch, assert_error):
    assert_error(["runs", "delete", "runs/0001-first"], 2, "--yes")
    for answer, is_deleted in (("", False), ("n\n", False), ("y\n", True)):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stdin", terminal)
        assert main(["runs", "delete", "runs/0001-first"]) == (0 if is_deleted else 2)
        assert "Delete runs/0001-first (" in capsys.readouterr().err
        assert (runs / "0001-first").exists() is not is_deleted
    assert json.loads(output(capsys, "runs", "delete", "--yes", "runs/0002-second", "--json")) == {
        "deleted": ["runs/0002-second"]
    }
    assert list(runs.iterdir()) == []


def test_export(runs, capsys, workdir):
    text = output(capsys, "runs", "export", "runs/0001-first", "out=first.zip", "model=true")
    assert text.endswith("\nfirst.zip\n")
    with zipfile.ZipFile(workdir / "first.zip") as archive:
        assert "0001-first/model.safetensors" in archive.namelist()
    plain = json.loads(output(capsys, "runs", "export", "runs/0001-first", "out=all.zip", "--json"))
    assert (plain["path"], plain["count"] > 5) == ("all.zip", True)


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (["nowhere"], 3, "no folder nowhere"),
        (["color=red"], 2, "unknown key 'color'"),
        (["sort=acuracy"], 2, "did you mean accuracy"),
        (["accuracy>x"], 2, "not a comparison"),
        (["n=0"], 2, "n must be"),
        (["rename", "runs/0001-first"], 2, "new name"),
        (["rename", "runs/0001-first", "a/b"], 2, "slashes"),
        (["rename", "runs", "x"], 3, "not a run folder"),
        (["delete"], 2, "run folders"),
        (["delete", "precious.txt", "--yes"], 3, "not a run folder"),
        (["delete", "runs/0001-first", "runs", "--yes"], 3, "not a run folder"),
        (["delete", ".", "--yes"], 3, "not a run folder"),
        (["export", "runs/0001-first"], 2, "needs out="),
        (["export", "runs/0001-first", "out=x.tar"], 2, r"\.zip"),
        (["export", "runs/0001-first", "out=precious.txt"], 2, r"\.zip"),
    ],
)
def test_wrong_words_are_refused(runs, assert_error, words, code, cause):
    assert_error(["runs", *words], code, cause)


def test_lr_find(workdir, capsys):
    words = ["lr-find", "data=iris", "model=linear", "steps=30", "seeds=2"]
    lines = output(capsys, *words, "low=1e-4", "high=100").splitlines()
    assert lines[-1] == "runs/0001-iris-linear-lr-find"
    assert lines[-2] == "report: runs/0001-iris-linear-lr-find/report.html"
    plain = json.loads(output(capsys, *words, "--json"))
    assert plain["run"] == "runs/0002-iris-linear-lr-find"
    assert {"suggestion", "steepest", "minimum_tenth", "curves", "caveats", "report"} <= set(plain)
    assert output(capsys, *words, "--quiet") == "runs/0003-iris-linear-lr-find\n"


@pytest.mark.parametrize("word", ["low=0", "high=abc", "low=5 high=1", "steps=2", "lrr=1"])
def test_lr_find_refuses(assert_error, word):
    assert_error(["lr-find", "data=iris", *word.split()], 2, word.split("=")[0])
