"""The file of predictions: from one command, in each format, by runs and by cross-validations."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import yisheng
from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.submission import predict_test_table, submit
from yisheng.inference.prediction_file import FORMATS
from yisheng.inference.predictor import Predictor

pytestmark = pytest.mark.usefixtures("without_reports")

TINY = {"model": "mlp", "hidden": [4], "epochs": 2, "quiet": True}


@pytest.fixture
def files(tmp_path):
    """A table to learn from and one to predict, with ids, a category and missing values."""
    draw = np.random.default_rng(0)
    for name, rows, start in (("train", 80, 0), ("test", 25, 1000)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["Id", "size", "town", *(["price", "sold"] if name == "train" else [])])
            for n in range(rows):
                size = round(float(draw.uniform(20, 90)), 2)
                town = draw.choice(["Ulm", "Köln", ""])
                targets = [round(size * 3 + 10, 2), "yes" if size > 50 else "no"] if name == "train" else []
                table.writerow([f"{start + n:05d}", "" if n % 7 == 3 else size, town, *targets])
    return tmp_path / "train.csv", tmp_path / "test.csv"


def train(files, target, out, **settings):
    drop = {"price": "sold", "sold": "price"}[target]
    columns = {"data.target": target, "data.id": "Id", "data.drop": drop}
    return yisheng.train(data=str(files[0]), out=out, **{**columns, **TINY, **settings}).path


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("folds", [None, 3])
def test_one_command_predicts_a_table(files, tmp_path, folds, capsys):
    run = train(files, "price", tmp_path / "runs", folds=folds)
    out = tmp_path / "submission.csv"
    assert main(["predict", str(run), str(files[1]), f"out={out}"]) == 0
    assert capsys.readouterr().out == f"25 predictions in {out}\n"
    head, *rows = read(out)
    assert head == ["Id", "price"]
    assert [row[0] for row in rows] == [f"{1000 + n:05d}" for n in range(25)]
    predictions, _ = Predictor(run).predict_table(files[1])
    assert [float(row[1]) for row in rows] == pytest.approx(
        [prediction.prediction for prediction in predictions], rel=1e-6
    )


def test_classes_are_written_by_name_or_by_probability(files, tmp_path):
    run = train(files, "sold", tmp_path / "runs")
    submit(run, [files[1]], tmp_path / "names.csv")
    predictions, _ = Predictor(run).predict_table(files[1])
    assert [row[1] for row in read(tmp_path / "names.csv")] == ["sold", *(p.prediction for p in predictions)]
    assert main(["predict", str(run), str(files[1]), f"out={tmp_path / 'p.csv'}", "format=probability"]) == 0
    probabilities = [float(row[1]) for row in read(tmp_path / "p.csv")[1:]]
    assert probabilities == pytest.approx([p.probabilities["yes"] for p in predictions], rel=1e-6)


def test_json_lines_hold_complete_predictions(files, tmp_path):
    run = train(files, "sold", tmp_path / "runs")
    written = submit(run, [files[1]], tmp_path / "predictions.jsonl")
    assert (written.rows, written.damaged) == (25, 0)
    predictions, _ = Predictor(run).predict_table(files[1])
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == [f"{1000 + n:05d}" for n in range(25)]
    assert lines[3]["probabilities"] == predictions[3].probabilities


@pytest.mark.parametrize("folds", [None, 2])
def test_a_test_table_without_target_is_predicted_after_training(files, tmp_path, folds, caplog):
    run = train(files, "price", tmp_path / "runs", folds=folds, **{"data.test": "test.csv"})
    if folds is None:
        assert predict_test_table(RunFolder(run), RunFolder(run).config) == run / "submission.csv"
        assert "predictions for the 25 rows of test.csv: " in caplog.text
    assert len(read(run / "submission.csv")) == 26
    assert not list(run.glob("fold-*/submission.csv"))
    submit(run, [files[1]], tmp_path / "second.csv")
    assert read(tmp_path / "second.csv") == read(run / "submission.csv")


def test_a_test_part_is_not_predicted_and_a_missing_table_is_a_warning(files, tmp_path, caplog):
    rows = read(files[0])
    with (tmp_path / "with_target.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows[:21])
    run = train(files, "price", tmp_path / "runs", **{"data.test": "with_target.csv"})
    assert predict_test_table(RunFolder(run), RunFolder(run).config) is None
    run = train(files, "price", tmp_path / "runs", **{"data.test": "test.csv"})
    files[1].unlink()
    assert predict_test_table(RunFolder(run), RunFolder(run).config) is None
    assert "warning: no submission.csv: " in caplog.text
    plain = yisheng.train(data="iris", out=tmp_path / "runs", **TINY).path
    assert predict_test_table(RunFolder(plain), RunFolder(plain).config) is None


def test_images_are_named_by_their_files(tmp_path):
    run = yisheng.train(data="digits", out=tmp_path / "runs", **TINY).path
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        Image.fromarray(np.tri(8, k=n, dtype=np.uint8) * 200).save(path)
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(run), *map(str, paths), f"out={out}"]) == 0
    rows = read(out)
    assert [row[0] for row in rows] == ["file", *map(str, paths)]
    assert [row[1] for row in rows[1:]] == [p.prediction for p in Predictor(run).predict(paths)]


def test_wrong_arguments_are_refused_and_nothing_is_written(files, tmp_path, capsys):
    run = train(files, "price", tmp_path / "runs")
    out = tmp_path / "out"
    out.mkdir()
    table = str(files[1])
    for words, message in [
        ([table, f"out={out}/a.xlsx"], "predictions are written to .csv"),
        ([f"out={out}/a.csv"], "the rows of one table, got 0"),
        ([table, table, f"out={out}/a.csv"], "is given twice"),
        ([f"{out}/*.csv", f"out={out}/a.csv"], "no table file matches"),
        ([f"data={files[1].parent}/*.csv"], "use out=predictions.csv too"),
        ([table, f"out={out}/a.csv", "format=odds"], f"format must be one of {', '.join(FORMATS)}"),
        ([table, f"out={out}/a.csv", "format=probability"], "probabilit"),
        (["rows=1,2", f"out={out}/a.csv"], "out= needs a table"),
        ([table, f"format={FORMATS[0]}"], "options of a file of predictions"),
        ([table, "id=Id"], "options of a file of predictions"),
    ]:
        assert main(["predict", str(run), *words]) == 2, words
        assert message in capsys.readouterr().err
    assert main(["predict", str(run), table, f"out={out}/a.csv", "id=Nr"]) == 3
    assert "lacks the column Nr" in capsys.readouterr().err
    assert main(["predict", str(run), table, f"out={out}/none/a.csv"]) == 1
    assert not list(out.iterdir())
    with pytest.raises(UsageError):
        Predictor(yisheng.train(data="digits", out=tmp_path / "runs", **TINY).path).predict_table(files[1])
