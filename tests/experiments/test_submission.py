"""The answer file: from one command, in the asked form, by runs and by studies."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

import yisheng
from yisheng.cli import main
from yisheng.core import run_folder
from yisheng.core.errors import UsageError
from yisheng.experiments.submission import after_training, submit
from yisheng.inference.predictor import Predictor

TINY = {"model": "mlp", "hidden": [4], "epochs": 2, "quiet": True}


@pytest.fixture
def files(tmp_path):
    """A table to learn from and one to answer, with ids, a category and missing values."""
    draw = np.random.default_rng(0)
    for name, rows, start in (("train", 80, 0), ("test", 25, 1000)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["Id", "size", "town", *(["price", "sold"] if name == "train" else [])])
            for n in range(rows):
                size = round(float(draw.uniform(20, 90)), 2)
                town = draw.choice(["Ulm", "Köln", ""])
                answers = [round(size * 3 + 10, 2), "yes" if size > 50 else "no"] if name == "train" else []
                table.writerow([f"{start + n:05d}", "" if n % 7 == 3 else size, town, *answers])
    return tmp_path / "train.csv", tmp_path / "test.csv"


def train(files, target, out, **more):
    drop = {"price": "sold", "sold": "price"}[target]
    settings = {"data": str(files[0]), "data.target": target, "data.id": "Id", "data.drop": drop, **TINY, **more}
    return yisheng.train(out=out, **settings).path


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("folds", [None, 3])
def test_a_table_is_answered_from_one_command(files, tmp_path, folds, capsys):
    run = train(files, "price", tmp_path / "runs", folds=folds)
    out = tmp_path / "submission.csv"
    assert main(["predict", str(run), str(files[1]), f"out={out}"]) == 0
    assert capsys.readouterr().out == f"25 answers in {out}\n"
    head, *rows = read(out)
    assert head == ["Id", "price"]
    assert [row[0] for row in rows] == [f"{1000 + n:05d}" for n in range(25)]
    answers, _ = Predictor(run).predict_table(files[1])
    assert [float(row[1]) for row in rows] == pytest.approx([answer.prediction for answer in answers], rel=1e-6)


def test_classes_by_name_or_by_probability(files, tmp_path):
    run = train(files, "sold", tmp_path / "runs")
    submit(run, [files[1]], tmp_path / "names.csv")
    answers, _ = Predictor(run).predict_table(files[1])
    assert [row[1] for row in read(tmp_path / "names.csv")] == ["sold", *(a.prediction for a in answers)]
    assert main(["predict", str(run), str(files[1]), f"out={tmp_path / 'p.csv'}", "format=probability"]) == 0
    said = [float(row[1]) for row in read(tmp_path / "p.csv")[1:]]
    assert said == pytest.approx([a.probabilities["yes"] for a in answers], rel=1e-6)


def test_lines_of_json_hold_all(files, tmp_path):
    run = train(files, "sold", tmp_path / "runs")
    done = submit(run, [files[1]], tmp_path / "answers.jsonl")
    assert (done.rows, done.damaged) == (25, 0)
    answers, _ = Predictor(run).predict_table(files[1])
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == [f"{1000 + n:05d}" for n in range(25)]
    assert lines[3]["probabilities"] == answers[3].probabilities


@pytest.mark.parametrize("folds", [None, 2])
def test_a_test_table_without_its_target_is_answered_in_the_run(files, tmp_path, folds):
    run = train(files, "price", tmp_path / "runs", folds=folds, **{"data.test": "test.csv"})
    said = io.StringIO()
    if folds is None:
        assert after_training(run, RunFolder(run).config, said) == run / "submission.csv"
        assert said.getvalue().startswith("answers for the 25 rows of test.csv: ")
    assert len(read(run / "submission.csv")) == 26
    assert not list(run.glob("fold-*/submission.csv"))
    submit(run, [files[1]], tmp_path / "again.csv")
    assert read(tmp_path / "again.csv") == read(run / "submission.csv")


def test_a_test_part_is_not_answered_and_a_lost_table_is_told(files, tmp_path):
    rows = read(files[0])
    with (tmp_path / "known.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows[:21])
    known = train(files, "price", tmp_path / "runs", **{"data.test": "known.csv"})
    assert after_training(known, RunFolder(known).config, io.StringIO()) is None
    run = train(files, "price", tmp_path / "runs", **{"data.test": "test.csv"})
    files[1].unlink()
    said = io.StringIO()
    assert after_training(run, RunFolder(run).config, said) is None
    assert said.getvalue().startswith("warning: no submission.csv: ")
    plain = yisheng.train(data="iris", out=tmp_path / "runs", **TINY).path
    assert after_training(plain, RunFolder(plain).config, said) is None


def test_images_are_named_by_their_files(tmp_path):
    run = yisheng.train(data="digits", out=tmp_path / "runs", **TINY).path
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        Image.fromarray(np.tri(8, k=n, dtype=np.uint8) * 200).save(path)
    out = tmp_path / "answers.csv"
    assert main(["predict", str(run), *map(str, paths), f"out={out}"]) == 0
    rows = read(out)
    assert [row[0] for row in rows] == ["file", *map(str, paths)]
    assert [row[1] for row in rows[1:]] == [a.prediction for a in Predictor(run).predict(paths)]


def test_bad_questions_are_refused_and_nothing_is_written(files, tmp_path, capsys):
    run = train(files, "price", tmp_path / "runs")
    out = tmp_path / "out"
    out.mkdir()
    table = str(files[1])
    for words, cause in [
        ([table, f"out={out}/a.xlsx"], "answers are written to .csv"),
        ([table, table, f"out={out}/a.csv"], "the rows of one table, got 2"),
        ([table, f"out={out}/a.csv", "format=odds"], "format must be answer or probability"),
        ([table, f"out={out}/a.csv", "format=probability"], "only a model of classes"),
        (["rows=1,2", f"out={out}/a.csv"], "out= takes a table"),
        ([table, "format=answer"], "say how a file of answers is written"),
        ([table, "id=Id"], "say how a file of answers is written"),
    ]:
        assert main(["predict", str(run), *words]) == 2, words
        assert cause in capsys.readouterr().err
    assert main(["predict", str(run), table, f"out={out}/a.csv", "id=Nr"]) == 3
    assert "lacks the column Nr" in capsys.readouterr().err
    assert main(["predict", str(run), table, f"out={out}/none/a.csv"]) == 1
    assert not list(out.iterdir())
    with pytest.raises(UsageError):
        Predictor(yisheng.train(data="digits", out=tmp_path / "runs", **TINY).path).predict_table(files[1])
