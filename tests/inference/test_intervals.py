"""Prediction intervals of runs and cross-validations: what they are made of, and everything that writes them."""

import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import yisheng
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.evaluation.conformal import HeldOutErrors, compute_bounds
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.submission import submit
from yisheng.inference.predictor import Predictor
from yisheng.reporting.run_page import render_run_page

LEVEL = 0.8


def draw_table(path, n=240, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"area": rng.normal(80, 20, n).round(1), "town": rng.choice(["Ulm", "Bonn"], n)})
    frame["price"] = (frame.area * (1 + (frame.town == "Ulm")) * np.exp(rng.normal(0, 0.1, n))).round(2)
    frame["rent"] = (frame.price / 100 + rng.normal(0, 0.1, n)).round(3)
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "homes.csv"
    draw_table(path)
    return path


def train_on(table, tmp_path_factory, **settings):
    settings = {"target": "price", "boosting": False, "seed": 3, "drop": "rent", **settings}
    return train(data=str(table), out=tmp_path_factory.mktemp("runs"), **settings)


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    return train_on(table, tmp_path_factory, model="ridge")


@pytest.fixture(scope="module")
def folds(table, tmp_path_factory):
    return train_on(table, tmp_path_factory, model="ridge", folds=4, repeats=2)


@pytest.fixture(scope="module")
def two_targets(table, tmp_path_factory):
    settings = {"target": ["price", "rent"], "drop": [], "model": "mlp", "hidden": [8], "epochs": 3}
    return train_on(table, tmp_path_factory, **settings)


def held_out_errors(path):
    """Return the errors of a run on its validation rows, computed by its predictor."""
    config = RunFolder(path).config
    data = load_dataset(config)
    rows, predictor = split_dataset(config, data).validation, Predictor(path)
    errors = HeldOutErrors(np.zeros((1, 1)), predictor.artifacts[0].target_scale)
    difference = errors.scale(data.y[rows]) - errors.scale(predictor.compute_outputs(data.x[rows]))
    return np.sort(abs(difference), axis=0)


def new_rows(n=50):
    rng = np.random.default_rng(9)
    return pd.DataFrame({"area": rng.normal(80, 20, n).round(1), "town": rng.choice(["Ulm", "Bonn"], n)})


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "ridge"},
        pytest.param({"model": "boosting", "rounds": 20}, marks=pytest.mark.slow),
        {"model": "mlp", "hidden": [4], "epochs": 2},
        pytest.param({"model": "forest", "trees": 10}, marks=pytest.mark.slow),
        pytest.param({"model": "neighbors"}, marks=pytest.mark.slow),
        pytest.param({"model": "tabm", "epochs": 2}, marks=pytest.mark.slow),
    ],
    ids=["ridge", "boosting", "mlp", "forest", "neighbors", "tabm"],
)
def test_the_errors_are_those_of_the_validation_rows(table, tmp_path_factory, settings):
    path = train_on(table, tmp_path_factory, **settings)
    saved = load_file(path / RunFolder.RESIDUALS)["errors"]
    np.testing.assert_allclose(saved, held_out_errors(path), atol=1e-5)
    predictor = Predictor(path)
    prediction = predictor.predict(new_rows(), interval=LEVEL)
    outputs = predictor.predict_outputs(new_rows())
    expected = compute_bounds([outputs], [HeldOutErrors(saved, predictor.artifacts[0].target_scale)], LEVEL)
    np.testing.assert_array_equal([p.interval for p in prediction], np.stack([expected.low, expected.high], 2)[:, 0])


def test_a_cross_validation_has_the_errors_of_its_folds(folds):
    predictor = Predictor(folds)
    rows = new_rows()
    x = predictor.read_inputs(rows).x
    outputs = predictor.compute_model_outputs(x)[0]
    held_out = [
        HeldOutErrors(held_out_errors(path), artifact.target_scale)
        for path, artifact in zip(sorted(folds.glob("fold-*")), predictor.artifacts, strict=True)
    ]
    assert predictor.intervals.rows * 2 == sum(map(len, held_out))
    expected = compute_bounds(outputs, held_out, LEVEL, repeats=2)
    predictions = predictor.predict(rows, interval=LEVEL)
    actual = np.array([p.interval for p in predictions])
    np.testing.assert_allclose(actual, np.stack([expected.low, expected.high], 2)[:, 0], rtol=1e-5)
    assert all(low <= p.prediction <= high for p, (low, high) in zip(predictions, actual, strict=True))


@pytest.mark.parametrize("name", ["run", "folds"])
def test_most_new_rows_are_in_their_intervals_and_the_report_says_how_many(request, tmp_path, name):
    path = request.getfixturevalue(name)
    frame = draw_table(tmp_path / "new.csv", 600, seed=5)
    predictions = yisheng.predict(path, frame, interval=LEVEL)
    inside = [low <= y <= high for y, (low, high) in zip(frame.price, (p.interval for p in predictions), strict=True)]
    assert 0.7 < np.mean(inside) < 0.95
    facts = json.loads((path / RunFolder.EVALUATION).read_text())["intervals"]
    level = next(level for level in facts["levels"] if level["level"] == LEVEL)
    (target,) = level["targets"]
    assert target["low"] <= target["value"] <= target["high"]
    data = load_dataset(RunFolder(path).config if name == "run" else RunFolder(path).cross_validation_config)
    config = RunFolder(path if name == "run" else path / "fold-01").config
    test = split_dataset(config, data).test
    bounds = Predictor(path).compute(data.x[test], LEVEL)[2]
    assert target["value"] == pytest.approx(bounds.covers(data.y[test]).mean(), abs=1.1 / len(test))
    page = render_run_page(path)
    assert "Prediction intervals" in page
    assert ("CV+" in page) == (name == "folds")
    assert ("also chose the epoch" in page) == (name == "run")


def test_predictions_print_and_become_a_frame_with_their_bounds(run, two_targets):
    predictions = yisheng.load(run).predict(new_rows(3), interval=LEVEL)
    low, high = predictions[0].interval
    assert f"({low:.4f} to {high:.4f})" in repr(predictions[0])
    assert "0.8 interval" in repr(predictions)
    assert "0.8 interval" in predictions._repr_html_()
    assert predictions.to_frame()[["low", "high"]].to_numpy().tolist() == [list(p.interval) for p in predictions]
    assert predictions[:2].level == LEVEL
    several = yisheng.load(two_targets).predict(new_rows(3), interval=LEVEL)
    assert list(several[0].interval) == ["price", "rent"]
    assert {"price low", "rent high"} <= set(several.to_frame().columns)
    assert "0.8 interval" not in repr(yisheng.load(run).predict(new_rows(3)))


@pytest.mark.parametrize("name", ["run", "folds", "two_targets"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_files_have_the_bounds_of_every_row(request, tmp_path, capsys, name, suffix):
    path = request.getfixturevalue(name)
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    new_rows().to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / f"out{suffix}"
    assert main(["predict", str(path), str(tmp_path / "rows.csv"), "interval=0.8", f"out={out}", "--quiet"]) == 0
    capsys.readouterr()
    expected = [p.interval for p in yisheng.predict(path, tmp_path / "rows.csv", interval=0.8)]
    if suffix == ".jsonl":
        written = [json.loads(line)["interval"] for line in out.read_text().splitlines()]
        pairs = [list(map(list, i.values())) if isinstance(i, dict) else list(i) for i in expected]
        assert [list(i.values()) if isinstance(i, dict) else i for i in written] == pairs
        return
    frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    targets = ["price", "rent"] if name == "two_targets" else ["price"]
    assert list(frame.columns) == ["row", *(f"{t}{end}" for t in targets for end in ("", "_low", "_high"))]
    for target in targets:
        pairs = [i[target] if isinstance(i, dict) else i for i in expected]
        np.testing.assert_allclose(frame[[f"{target}_low", f"{target}_high"]], pairs, rtol=1e-8)


def test_columns_of_bounds_are_named_as_no_other_target():
    from yisheng.core.spec import Spec
    from yisheng.inference.prediction_file import PredictionTable

    spec = Spec("regression", (1,), target="a, a_low", outputs=2)
    columns = PredictionTable(spec, has_intervals=True).columns
    assert len(set(columns)) == len(columns)


def test_the_command_prints_the_bounds_as_json(run, capsys):
    assert main(["predict", str(run), "rows=70,Ulm;90,Bonn", "interval=0.8", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = yisheng.predict(run, [["70", "Ulm"], ["90", "Bonn"]], interval=0.8)
    assert printed["interval"] == 0.8
    assert [p["interval"] for p in printed["predictions"]] == [list(p.interval) for p in expected]


def test_a_file_that_was_begun_with_another_level_is_not_continued(run, tmp_path, monkeypatch):
    new_rows().to_csv(tmp_path / "rows.csv", index=False)
    compute = Predictor.compute

    def compute_and_stop(self, x, level=None):
        os.kill(os.getpid(), signal.SIGTERM)
        return compute(self, x, level)

    monkeypatch.setattr(Predictor, "compute", compute_and_stop)
    with pytest.raises(StoppedError):
        submit(run, [tmp_path / "rows.csv"], tmp_path / "out.csv", interval=0.8)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="interval"):
        submit(run, [tmp_path / "rows.csv"], tmp_path / "out.csv", interval=0.7)
    submit(run, [tmp_path / "rows.csv"], tmp_path / "out.csv", interval=0.8)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 50


@pytest.mark.parametrize("level", ["1.5", "nine", "0"])
def test_a_wrong_level_is_a_usage_error(run, capsys, level):
    assert main(["predict", str(run), "rows=70,Ulm", f"interval={level}"]) == 2
    assert "interval must be a fraction" in capsys.readouterr().err


def test_a_level_that_needs_more_rows_is_refused(run, capsys):
    assert main(["predict", str(run), "rows=70,Ulm", "interval=0.999"]) == 2
    assert "held-out rows or more" in capsys.readouterr().err


def test_models_without_intervals_say_why(table, tmp_path_factory, tmp_path):
    classes = train(data="iris", model="linear", epochs=1, out=tmp_path)
    with pytest.raises(UsageError, match="predicts classes"):
        yisheng.predict(classes, [[5.1, 3.5, 1.4, 0.2]], interval=0.5)
    assert not (classes / RunFolder.RESIDUALS).exists()
    path = train_on(table, tmp_path_factory, model="ridge", validation=0)
    with pytest.raises(UsageError, match="no errors on held-out rows"):
        yisheng.predict(path, new_rows(2), interval=0.5)


def test_damaged_errors_are_refused_only_for_intervals(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    errors = load_file(copy / RunFolder.RESIDUALS)["errors"]
    save_file({"errors": errors / 2}, copy / RunFolder.RESIDUALS)
    assert len(yisheng.predict(copy, new_rows(2))) == 2
    with pytest.raises(DataError, match="SHA-256"):
        yisheng.predict(copy, new_rows(2), interval=0.5)
    (copy / RunFolder.RESIDUALS).unlink()
    with pytest.raises(UsageError, match="no errors"):
        yisheng.predict(copy, new_rows(2), interval=0.5)
    yisheng.load(copy).evaluate()
    np.testing.assert_allclose(load_file(copy / RunFolder.RESIDUALS)["errors"], errors, atol=1e-5)
    assert yisheng.predict(copy, new_rows(2), interval=0.5)[0].interval[0] > 0


@pytest.mark.parametrize("change", [lambda e: e[::-1], lambda e: -e, lambda e: e * np.nan, lambda e: e[:0]])
def test_errors_that_cannot_be_are_refused(run, tmp_path, change):
    from yisheng.inference.model_files import write_checksums

    copy = shutil.copytree(run, tmp_path / "run")
    errors = load_file(copy / RunFolder.RESIDUALS)["errors"]
    save_file({"errors": np.ascontiguousarray(change(errors))}, copy / RunFolder.RESIDUALS)
    write_checksums(copy)
    with pytest.raises(DataError, match="damaged"):
        yisheng.predict(copy, new_rows(2), interval=0.5)


def test_an_exported_model_keeps_its_intervals(folds, tmp_path, capsys):
    import zipfile

    archive = tmp_path / "model.zip"
    assert main(["runs", "export", str(folds), f"out={archive}", "model=true"]) == 0, capsys.readouterr().err
    zipfile.ZipFile(archive).extractall(tmp_path / "elsewhere")
    (copy,) = (tmp_path / "elsewhere").iterdir()
    assert yisheng.predict(copy, new_rows(5), interval=LEVEL) == yisheng.predict(folds, new_rows(5), interval=LEVEL)


def test_an_ensemble_has_the_errors_of_its_out_of_fold_predictions(table, tmp_path_factory, tmp_path):
    settings = {"model": "ensemble", "candidates": ["linear", "neighbors"], "bag_folds": 3}
    path = train_on(table, tmp_path_factory, **settings)
    errors = load_file(path / RunFolder.RESIDUALS)["errors"]
    config = RunFolder(path).config
    split = split_dataset(config, load_dataset(config))
    assert errors.shape == (len(split.train), 1)
    facts = json.loads((path / RunFolder.EVALUATION).read_text())["intervals"]
    assert (facts["source"], facts["rows"], facts["chose_epoch"]) == ("ensemble", len(split.train), False)
    frame = draw_table(tmp_path / "new.csv", 500, seed=6)
    predictions = yisheng.predict(path, frame, interval=LEVEL)
    inside = [low <= y <= high for y, (low, high) in zip(frame.price, (p.interval for p in predictions), strict=True)]
    assert 0.7 < np.mean(inside) < 0.95
    assert "chose the weights of the ensemble" in render_run_page(path)
    (path / RunFolder.RESIDUALS).unlink()
    assert yisheng.predict(path, frame, interval=LEVEL) == predictions


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "ridge"},
        {"model": "ridge", "folds": 5},
        {"model": "ensemble", "candidates": ("linear", "extra-trees"), "bag_folds": 2, "target_scale": "auto"},
    ],
    ids=["run", "folds", "ensemble"],
)
def test_shuffled_targets_have_the_same_coverage_and_intervals_as_wide_as_the_target(tmp_path, settings):
    frame = draw_table(tmp_path / "table.csv", 1500)
    frame["price"] = np.random.default_rng(1).permutation(frame.price)
    frame.to_csv(tmp_path / "table.csv", index=False)
    settings = {"target": "price", "drop": "rent", "boosting": False, "target_scale": "standard", **settings}
    run = yisheng.train(data=str(tmp_path / "table.csv"), out=tmp_path, quiet=True, test=0.4, **settings)
    levels = json.loads((run.path / RunFolder.EVALUATION).read_text())["intervals"]["levels"]
    for level in levels:
        (target,) = level["targets"]
        assert target["value"] == pytest.approx(level["level"], abs=0.06)
        outer = (1 - level["level"]) / 2
        width = np.quantile(frame.price, 1 - outer) - np.quantile(frame.price, outer)
        assert target["median_width"] > 0.85 * width


@pytest.mark.parametrize("name", ["run", "folds"])
def test_an_evaluation_on_other_data_has_the_coverage_there(request, tmp_path, name):
    path = request.getfixturevalue(name)
    frame = draw_table(tmp_path / "other.csv", 400, seed=7)
    shutil.copytree(path, tmp_path / "run")
    evaluation = yisheng.load(tmp_path / "run").evaluate(str(tmp_path / "other.csv"), target="price", name="other")
    facts = evaluation.details["intervals"]
    assert facts["scored"] == 400
    predictions = yisheng.predict(path, frame, interval=LEVEL)
    inside = [low <= y <= high for y, (low, high) in zip(frame.price, (p.interval for p in predictions), strict=True)]
    level = next(level for level in facts["levels"] if level["level"] == LEVEL)
    assert level["targets"][0]["value"] == pytest.approx(np.mean(inside), abs=0.003)
    assert "Prediction intervals" in evaluation.report.read_text()
