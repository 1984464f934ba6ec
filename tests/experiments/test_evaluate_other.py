"""Evaluation on other data: all rows by the run's own rules, in a folder of its own; the run stays as it is."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import yisheng
from yisheng import DataError, UsageError
from yisheng.data.datasets.digits import digits

RANDOM = np.random.default_rng(0)


def make_table(n, seed=0):
    """Return rows whose class depends on a number and a category."""
    random = np.random.default_rng(seed)
    size, town = random.normal(size=n), random.choice(["ulm", "bonn", "kiel"], n)
    income = np.where(size + (town == "ulm") > 0.3, ">50K", "<=50K")
    day = pd.date_range("2020-01-01", periods=n).strftime("%d/%m/%Y")
    return pd.DataFrame({"size": size, "town": town, "day": day, "income": income})


def list_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    make_table(400).to_csv(folder / "train.csv", index=False)
    return yisheng.train(
        data=str(folder / "train.csv"), target="income", model="mlp", epochs=12, out=folder / "runs", quiet=True
    )


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits")
    return yisheng.train(data="digits", model="mlp", hidden=[32], epochs=3, out=out, quiet=True)


def test_all_rows_are_scored_by_the_columns_and_classes_of_the_run(table_run, tmp_path):
    table = make_table(100, seed=1)[["income", "town", "size", "day"]]
    table.assign(note="x").to_csv(tmp_path / "hospital-b.csv", index=False)
    before = list_files(table_run.path)
    evaluation = table_run.evaluate(tmp_path / "hospital-b.csv")
    assert evaluation.path == table_run.path / "evaluations" / "hospital-b"
    after = list_files(table_run.path)
    assert {name: content for name, content in after.items() if name in before} == before
    predicted = [prediction.prediction for prediction in table_run.predict(table.drop(columns="income"))]
    accuracy = np.mean(np.array(predicted) == table["income"].to_numpy())
    assert evaluation["test"]["accuracy"].value == accuracy > 0.8
    about = evaluation.other_data
    assert about["data"]["rows"] == about["data"]["scored"] == 100
    assert about["run"]["scores"]["accuracy"] == table_run.scores["test"]["accuracy"].value
    assert about["notes"] == []
    assert "hospital-b" in evaluation.report.read_text(encoding="utf-8")


def test_a_frame_gives_the_scores_of_the_file(table_run, tmp_path):
    table = make_table(60, seed=2)
    table.to_csv(tmp_path / "rows.csv", index=False)
    by_file, by_frame = table_run.evaluate(str(tmp_path / "rows.csv")), table_run.evaluate(table)
    assert dict(by_file) == dict(by_frame)


def test_labels_of_another_form_are_refused_and_the_form_is_named(table_run):
    table = make_table(50, seed=3)
    table["income"] += "."
    with pytest.raises(DataError, match="the run has '<=50K', '>50K'; table has '.*50K.', '.*50K.'") as error:
        table_run.evaluate(table)
    assert "labels=strip-dot" in error.value.remedy
    assert table_run.evaluate(table, labels="strip-dot", name="dots")["test"]["accuracy"].value > 0.8


def test_labels_of_another_coding_are_renamed(table_run):
    table = make_table(50, seed=9)
    table["income"] = (table["income"] == ">50K").astype(int)
    with pytest.raises(DataError) as error:
        table_run.evaluate(table)
    assert "labels=0:<=50K,1:>50K" in error.value.remedy
    assert table_run.evaluate(table, labels="0:<=50K,1:>50K", name="coded")["test"]["accuracy"].value > 0.8


def test_rows_of_unknown_classes_are_counted_and_left_out(table_run, caplog):
    table = make_table(50, seed=4)
    table.loc[:4, "income"] = "unknown"
    evaluation = table_run.evaluate(table, name="unknown")
    assert evaluation.other_data["classes"] == {
        "matched": ["<=50K", ">50K"],
        "absent": [],
        "unknown": {"unknown": 5},
    }
    assert (evaluation.details["rows"], evaluation.other_data["data"]["rows"]) == (45, 50)
    assert "'unknown' (5 in all)" in caplog.text


def test_classes_that_no_row_has_are_named(table_run):
    table = make_table(50, seed=5)
    evaluation = table_run.evaluate(table[table["income"] == ">50K"], name="rich")
    assert evaluation.other_data["classes"]["absent"] == ["<=50K"]
    assert "roc_auc_ovr_macro" not in evaluation["test"]  # no rows of the other class


@pytest.mark.parametrize(
    ("change", "options", "error", "cause"),
    [
        (lambda t: t.drop(columns="size"), {}, DataError, "lacks the column size"),
        (lambda t: t.rename(columns={"income": "Income"}), {}, DataError, "no column income"),
        (lambda t: t.assign(income=t["town"]), {}, DataError, "no class of table is a class of the run"),
        (lambda t: t.assign(size="big"), {}, DataError, "not a number"),
        (lambda t: t, {"part": "test"}, UsageError, "no official test part"),
        (lambda t: t, {"part": "half"}, UsageError, "part must be one of"),
        (lambda t: t, {"name": "../up"}, UsageError, "name must be"),
        (lambda t: t, {"labels": "dots"}, UsageError, "no such form"),
    ],
)
def test_data_that_does_not_fit_is_refused(table_run, change, options, error, cause):
    before = list_files(table_run.path)
    with pytest.raises(error, match=cause):
        table_run.evaluate(change(make_table(50)), **options)
    assert list_files(table_run.path) == before


def test_a_renamed_target_is_named(table_run):
    table = make_table(40, seed=6).rename(columns={"income": "salary"})
    evaluation = table_run.evaluate(table, target="salary", name="salary")
    assert "the target is salary here, income in the run" in evaluation.other_data["notes"][0]


def test_a_test_table_is_a_part(table_run, tmp_path):
    make_table(40, seed=7).to_csv(tmp_path / "a.csv", index=False)
    make_table(30, seed=8).to_csv(tmp_path / "b.csv", index=False)
    all_rows = table_run.evaluate(tmp_path / "a.csv", test="b.csv")
    second = table_run.evaluate(tmp_path / "a.csv", test="b.csv", part="test")
    assert (all_rows.details["rows"], second.details["rows"]) == (70, 30)
    assert second.path.name == "a-2"  # other rows than the evaluation a


def test_the_same_content_has_one_folder_and_other_content_a_number(table_run):
    first, same, other = (table_run.evaluate(make_table(20, seed=seed)) for seed in (11, 11, 12))
    assert first.path == same.path != other.path
    named = table_run.evaluate(make_table(20, seed=11), name="mine")
    assert named.path.name == "mine"
    with pytest.raises(UsageError, match="other data"):
        table_run.evaluate(make_table(20, seed=12), name="mine")
    assert {evaluation.name for evaluation in table_run.evaluations} >= {first.name, other.name, "mine"}


def test_predictions_can_be_written(table_run):
    table = make_table(20, seed=13)
    evaluation = table_run.evaluate(table, name="with-predictions", predictions=True)
    rows = pd.read_csv(evaluation.path / "predictions.csv")
    assert rows["true"].tolist() == table["income"].tolist()
    assert (rows["true"] == rows["predicted"]).mean() == evaluation["test"]["accuracy"].value


def test_the_data_of_the_training_scores_the_own_parts_again(table_run, digits_run, caplog):
    caplog.set_level("INFO", "yisheng")
    for run, data in ((digits_run, "digits"), (digits_run, digits())):
        scores = (run.path / "scores.json").read_bytes()
        evaluation = run.evaluate(data)
        assert evaluation.path == run.path
        assert (run.path / "scores.json").read_bytes() == scores
    assert "this is the data of the training" in caplog.text
    path = table_run.config["data"]["path"]
    evaluation = table_run.evaluate(path, target="income", separator=",")  # the same file, read in another way
    assert "rows that it has seen" in evaluation.other_data["notes"][0]


def test_images_get_the_size_and_colors_of_the_run(digits_run):
    data = digits()
    x = np.repeat(np.repeat(np.repeat(data.x[:200], 2, axis=2), 2, axis=3), 3, axis=1)
    spec = replace(data.spec, shape=(3, 16, 16), drawing=None)
    large = yisheng.Dataset("large", spec, np.ascontiguousarray(x), data.y[:200])
    evaluation = digits_run.evaluate(large)
    assert evaluation["test"]["accuracy"].value > 0.8
    assert "from 16x16 RGB to 8x8 gray" in " ".join(evaluation.other_data["notes"])
    assert evaluation.details["worst"][0]["image"]


def write_photos(folder, labels):
    """Write an image of one color for each label."""
    colors = {"red": (200, 20, 20), "Red": (200, 20, 20), "blue": (20, 20, 200), "green": (20, 200, 20)}
    for number, label in enumerate(labels):
        noise = RANDOM.integers(0, 40, (24, 30, 3))
        path = folder / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.array(colors[label]) + noise).clip(0, 255).astype(np.uint8)).save(path)


def test_folders_are_matched_by_class_name(tmp_path):
    write_photos(tmp_path / "train", ["red", "blue"] * 15)
    run = yisheng.train(data=str(tmp_path / "train"), size=16, model="mlp", epochs=5, out=tmp_path / "runs", quiet=True)
    write_photos(tmp_path / "clinic", ["green", "red", "red"])
    evaluation = run.evaluate(str(tmp_path / "clinic"))
    assert evaluation["test"]["accuracy"].value == 1
    assert evaluation.other_data["classes"] == {"matched": ["red"], "absent": ["blue"], "unknown": {"green": 1}}
    write_photos(tmp_path / "upper", ["Red"] * 2)
    with pytest.raises(DataError, match="'blue', 'red'; upper has 'Red'") as error:
        run.evaluate(str(tmp_path / "upper"))
    assert "labels=casefold" in error.value.remedy
    assert run.evaluate(str(tmp_path / "upper"), labels="casefold")["test"]["accuracy"].value == 1


def test_drawings_are_fitted_as_in_prediction(digits_run, tmp_path):
    data = digits()
    for row in range(40):
        path = tmp_path / "photos" / data.spec.classes[data.y[row]] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        ink = np.asarray(Image.fromarray(data.x[row, 0]).resize((60, 60)))
        Image.fromarray(255 - np.pad(ink, 20)).save(path)  # dark on light, with a margin
    evaluation = digits_run.evaluate(str(tmp_path / "photos"), predictions=True)
    rows = pd.read_csv(evaluation.path / "predictions.csv", dtype=str)
    predicted = digits_run.predict([tmp_path / "photos" / name for name in rows["row"]])
    assert [prediction.prediction for prediction in predicted] == rows["predicted"].tolist()


def test_a_regression_is_read_in_the_number_format_of_training(tmp_path):
    table = make_table(120)
    price = (table["size"] * 100 + 1000).round(1)
    table = table.drop(columns="income").assign(price=[f"{value:.1f}".replace(".", ",") for value in price])
    table.to_csv(tmp_path / "train.csv", index=False, sep=";")
    run = yisheng.train(data=str(tmp_path / "train.csv"), target="price", epochs=3, out=tmp_path / "runs", quiet=True)
    table[:30].assign(price=["1.234"] * 15 + ["2.500"] * 15).to_csv(tmp_path / "b.csv", index=False, sep=";")
    evaluation = run.evaluate(tmp_path / "b.csv", name="thousands")
    assert sorted(set(evaluation.details["pairs"]["true"])) == [1234.0, 2500.0]


def test_labels_that_are_not_exclusive_are_matched_by_name(tmp_path):
    x = RANDOM.normal(size=(200, 3)).astype(np.float32)
    spec = yisheng.Spec("multilabel", (3,), classes=("sea", "sky"))
    y = (x[:, :2] > 0).astype(np.float32)
    run = yisheng.train(
        data=yisheng.Dataset("photos", spec, x, y), model="mlp", epochs=20, lr=0.01, out=tmp_path, quiet=True
    )
    swapped = replace(spec, classes=("boat", "sky", "sea"), outputs=3)
    columns = np.stack([np.ones(50, np.float32), y[:50, 1], y[:50, 0]], axis=1)
    evaluation = run.evaluate(yisheng.Dataset("harbor", swapped, x[:50], columns))
    assert evaluation["test"]["subset_accuracy"].value > 0.7
    assert "'boat'" in evaluation.other_data["notes"][0]


def test_columns_in_memory_are_matched_by_name_and_category(table_run):
    table = make_table(400, seed=20)
    data = yisheng.data.tables.from_frame(table.assign(town=table["town"].str.replace("kiel", "köln")), target="income")
    evaluation = table_run.evaluate(data, name="in-memory")
    frame = table_run.evaluate(table.assign(town=table["town"].str.replace("kiel", "köln")), name="frame")
    assert evaluation["test"]["accuracy"] == frame["test"]["accuracy"]


@pytest.mark.parametrize("settings", [{}, {"folds": 2}])
def test_test_labels_without_training_rows_are_refused_before_training(tmp_path, settings):
    spec = yisheng.Spec("classification", (2,), classes=("<=50K", ">50K", "<=50K.", ">50K."))
    y = np.array([0, 1] * 20 + [2, 3] * 5)
    part = np.repeat(np.array([0, 2], np.int8), [40, 10])
    data = yisheng.Dataset("adult", spec, RANDOM.normal(size=(50, 2)).astype(np.float32), y, part)
    with pytest.raises(DataError, match="no label of the test rows"):
        yisheng.train(data=data, model="linear", epochs=1, out=tmp_path, quiet=True, **settings)
    assert not list(tmp_path.iterdir())


def test_arrays_are_read_as_in_training(tmp_path):
    x = RANDOM.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    run = yisheng.train(data=(x, y), model="linear", epochs=10, out=tmp_path, quiet=True)
    assert run.evaluate((x[:40], y[:40]))["test"]["accuracy"].value > 0.9
    positive = run.evaluate((x[y == 1], y[y == 1]), name="positive")  # one class is enough
    assert positive.other_data["classes"]["absent"] == ["0"]
    assert run.evaluate((x, y)).path == run.path  # the data of the training


def test_a_cross_validation_is_evaluated_by_the_mean_of_its_models(tmp_path):
    run = yisheng.train(data="iris", model="mlp", hidden=[8], epochs=2, folds=3, out=tmp_path, quiet=True)
    iris = yisheng.data.datasets.iris.iris()
    half = replace(iris, name="half", x=iris.x[::2], y=iris.y[::2])
    before = list_files(run.path)
    evaluation = run.evaluate(half)
    correct = run.outputs(half.x).argmax(1) == half.y
    assert evaluation["test"]["accuracy"].value == correct.mean()
    assert {name: content for name, content in list_files(run.path).items() if name in before} == before


def test_the_best_run_of_a_search_is_evaluated(tmp_path):
    search = yisheng.tune(data="iris", model="linear", lr=[0.1, 0.01], epochs=1, out=tmp_path, quiet=True)
    iris = yisheng.data.datasets.iris.iris()
    evaluation = yisheng.evaluate(search.path, replace(iris, name="half", x=iris.x[::2], y=iris.y[::2]))
    assert evaluation.path == search.path / "best" / "evaluations" / "half"


def test_a_folder_with_only_the_files_of_a_model_is_enough(table_run, tmp_path):
    from yisheng.inference.model_files import ARTIFACT_FILES

    for name in ARTIFACT_FILES:
        (tmp_path / name).write_bytes((table_run.path / name).read_bytes())
    table = make_table(50, seed=30)
    evaluation = yisheng.evaluate(tmp_path, table)
    assert evaluation["test"] == table_run.evaluate(table)["test"]
    assert evaluation.other_data["run"]["scores"] == {}


def test_evaluations_of_two_groups_of_seeds_are_compared(tmp_path):
    from yisheng.experiments.compare import compare

    iris = yisheng.data.datasets.iris.iris()
    half = replace(iris, name="half", x=iris.x[::2], y=iris.y[::2])
    groups = []
    for lr in (0.0001, 0.1):
        settings = {"data": "iris", "model": "linear", "lr": lr, "epochs": 5, "out": tmp_path, "quiet": True}
        runs = [yisheng.train(seed=seed, **settings) for seed in range(3)]
        groups.append([run.evaluate(half).path for run in runs])
    (test,) = compare(groups).tests
    assert (test.outcome, test.part, test.paired) == ("better", "test", True)


def test_out_of_distribution_rows_are_counted(table_run):
    table = make_table(100, seed=40)
    table.loc[:29, "size"] = 1000.0
    about = table_run.evaluate(table, name="shifted").other_data["out_of_distribution"]
    assert 30 <= about["rows"] <= 35
    page = (table_run.path / "evaluations" / "shifted" / "report.html").read_text(encoding="utf-8")
    assert "differs from the training data" in page


def test_evaluation_json_is_plain_and_documented(table_run):
    evaluation = table_run.evaluate(make_table(30, seed=50), name="plain")
    content = json.loads((evaluation.path / "evaluation.json").read_text())
    assert set(content["other_data"]) == {
        *("data", "labels", "model", "run", "classes", "out_of_distribution"),
        *("notes", "evaluated", "versions", "seconds"),
    }
