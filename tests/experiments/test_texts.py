"""Tables with texts and with many categories, from training to prediction."""

import json

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.data import tables
from yisheng.evaluation.corrected_intervals import corrected_interval

pytestmark = pytest.mark.usefixtures("without_reports")

N = 300
WORDS = ("red", "green", "blue", "dark", "light", "old")


def make_frame():
    """Return rows whose text tells the target by one word and by the letter of a code."""
    draw = np.random.default_rng(0)
    has = draw.random((N, len(WORDS))) < 0.4
    codes = [f"{draw.choice(list('ABC'))}{draw.integers(1000)}" for _ in range(N)]
    texts = [" ".join(np.array(WORDS)[row]) + " " + "".join(draw.choice(list("klmno"), 8)) for row in has]
    y = 2.0 * has[:, 0] + np.array([code[0] == "B" for code in codes]) + 0.1 * draw.normal(size=N)
    return pd.DataFrame({"note": texts, "code": codes, "size": draw.random(N), "y": y})


@pytest.mark.parametrize("model", ["ridge", "boosting"])
def test_a_run_learns_from_texts_and_codes(tmp_path, model):
    frame = make_frame()
    run = yisheng.train(data=frame, target="y", model=model, out=tmp_path, boosting=False, quiet=True)
    assert run.scores["test"]["rmse"].value < 0.5 * run.scores["baseline"]["rmse"].value
    rows = [{"note": note, "code": code, "size": 0.5} for note, code in (("old Red", "B7"), ("old", "B7"), (None, "A"))]
    values = [prediction.prediction for prediction in run.predict(rows)]
    assert values[0] > values[1] + 1 > values[2] + 1
    loaded = yisheng.load(run.path)
    assert [prediction.prediction for prediction in loaded.predict(pd.DataFrame(rows))] == values
    assert not any(path.suffix in (".pkl", ".pickle", ".joblib") for path in run.path.rglob("*"))


def make_categories(task, seed, *, is_noise=False, n=400, size=60):
    """Return rows with a category of many, whose effects are the target unless it is noise."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, size, n)
    effects = draw.permutation(size) / size
    y = draw.random(n) if is_noise else effects[codes] + 0.05 * draw.normal(size=n)
    x = np.c_[draw.normal(size=n), codes].astype(np.float32)
    towns = tuple(f"t{i}" for i in range(size))
    columns = (Column("a", source="a"), Column("town", "category", towns, source="town"))
    if task == "classification":
        spec = Spec(task, (2,), classes=("no", "yes"), columns=columns)
        return Dataset("towns", spec, x, (y > np.median(y)).astype(np.int64))
    return Dataset("towns", Spec(task, (2,), columns=columns), x, y[:, None].astype(np.float32))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_mean_targets_of_categories_are_part_of_the_model(tmp_path, task):
    settings = {"model": "ensemble", "candidates": ("boosting-encoded",), "bag_folds": 2}
    data = make_categories(task, 0)
    run = yisheng.train(data=data, out=tmp_path, quiet=True, **settings)
    score, sign = ("accuracy", 1) if task == "classification" else ("rmse", -1)
    assert sign * run.scores["test"][score].value > sign * run.scores["baseline"][score].value
    rows = data.x[:50].copy()
    rows[:3, 1] = [np.nan, -1, 70]
    assert yisheng.load(run.path).predict(rows) == run.predict(rows)


def test_tables_without_many_categories_have_no_mean_targets(tmp_path):
    data = make_categories("regression", 0, size=5, n=100)
    settings = {"model": "ensemble", "candidates": ("linear", "boosting-encoded"), "bag_folds": 2}
    run = yisheng.train(data=data, out=tmp_path, quiet=True, **settings)
    board = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    status = {entry["name"]: entry["status"] for entry in board}
    assert "no column has 10 categories or more" in status["boosting-encoded"]


def make_numbers(seed, *, is_noise=False, n=600, size=40):
    """Return rows with the number of a shop, whose effect has nothing to do with its order."""
    draw = np.random.default_rng(seed)
    shops = draw.integers(0, size, n)
    effects = draw.normal(size=size)[shops]
    y = draw.normal(size=n) if is_noise else effects + 0.1 * draw.normal(size=n)
    return pd.DataFrame({"shop": 1000 + 7 * shops, "size": draw.random(n), "y": y})


@pytest.mark.parametrize("is_class", [False, True], ids=["regression", "classes"])
def test_whole_numbers_are_tried_as_categories(tmp_path, is_class):
    frame = make_numbers(0)
    if is_class:
        frame["y"] = np.where(frame["y"] > 0, "yes", "no")
    settings = {"model": "ensemble", "candidates": ("linear", "linear-codes", "boosting-codes"), "bag_folds": 2}
    run = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    board = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    values = {entry["name"]: entry["value"] for entry in board}
    if is_class:
        assert min(values["linear-codes"], values["boosting-codes"]) > values["linear"] + 0.1
    else:
        assert max(values["linear-codes"], values["boosting-codes"]) < 0.8 * values["linear"]
    rows = frame.head(30).drop(columns="y")
    rows.loc[:3, "shop"] = [1001, 5, 10**7, 1000]
    assert yisheng.load(run.path).predict(rows) == run.predict(rows)


def test_categories_of_numbers_that_do_not_help_cost_one_fold(tmp_path):
    frame = make_numbers(0)
    frame["y"] = frame["shop"] / 100 + np.random.default_rng(0).normal(size=len(frame))
    settings = {"model": "ensemble", "candidates": ("linear", "linear-codes"), "bag_folds": 4}
    run = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    first, second = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    assert (first["status"], first["weight"]) == ("trained", 1)
    assert "not better than linear" in second["status"]
    assert yisheng.load(run.path).predict(frame[:20]) == run.predict(frame[:20])


def test_further_models_take_numbers_as_categories_if_that_helped_another(tmp_path):
    candidates = ("boosting", "linear", "kernel", "boosting-codes", "linear-codes", "kernel-codes")
    settings = {"model": "ensemble", "candidates": candidates, "bag_folds": 2}
    frame = make_numbers(0, n=240, size=20)
    helped = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    board = json.loads((helped.path / "leaderboard.json").read_text())["candidates"]
    values = {entry["name"]: entry["value"] for entry in board}
    assert values["kernel-codes"] < 0.8 * values["kernel"]
    frame["y"] = frame["shop"] / 100 + 0.1 * np.random.default_rng(0).normal(size=len(frame))
    did_not_help = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    board = json.loads((did_not_help.path / "leaderboard.json").read_text())["candidates"]
    statuses = {entry["name"]: entry["status"] for entry in board}
    assert "not better than boosting" in statuses["boosting-codes"]
    assert "helped none" in statuses["kernel-codes"]


@pytest.mark.slow
def test_an_onnx_file_has_the_codes_of_numbers(tmp_path):
    pytest.importorskip("onnxruntime")
    from yisheng.inference.export import onnx_file

    frame = make_numbers(0)
    settings = {"model": "ensemble", "candidates": ("linear-codes", "boosting-codes"), "bag_folds": 2}
    run = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    path = yisheng.export(run.path, format="onnx", data=frame).path
    rows = make_numbers(1).drop(columns="y")
    rows.loc[:2, "shop"] = [1001, 10**7, 1003]
    block = run.predictor.read_inputs(rows).x
    expected, outputs = run.predictor.compute_outputs(block), onnx_file.load(path)(block)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_tables_without_repeated_numbers_have_no_codes(tmp_path):
    frame = make_numbers(0)
    frame["shop"] = frame["shop"] / 3
    settings = {"model": "ensemble", "candidates": ("linear", "boosting-codes"), "bag_folds": 2}
    run = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    board = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    assert "whole numbers" in {entry["name"]: entry["status"] for entry in board}["boosting-codes"]


def test_an_ensemble_tries_trees_without_the_features_of_texts(tmp_path):
    candidates = ("boosting-without-texts", "lasso", "kernel")
    settings = {"model": "ensemble", "candidates": candidates, "bag_folds": 2}
    frame = make_frame()
    run = yisheng.train(data=frame, target="y", out=tmp_path, quiet=True, **settings)
    board = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    scores = {entry["name"]: entry["value"] for entry in board}
    assert scores["lasso"] < 0.5 * frame["y"].std() < 0.9 * frame["y"].std() < scores["boosting-without-texts"]
    assert yisheng.load(run.path).predict(frame[:20]) == run.predict(frame[:20])
    plain = frame[["size", "y"]]
    run = yisheng.train(data=plain, target="y", out=tmp_path, quiet=True, **settings)
    board = json.loads((run.path / "leaderboard.json").read_text())["candidates"]
    assert "no features of texts" in {entry["name"]: entry["status"] for entry in board}["boosting-without-texts"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["categories", "texts", "numbers"])
def test_nothing_is_learned_from_categories_and_texts_of_shuffled_targets(tmp_path, kind):
    gains, board_gains = [], []
    for seed in range(6):
        data = make_categories("regression", seed, is_noise=True)
        if kind == "texts":
            frame = make_frame()
            frame["y"] = np.random.default_rng(seed).permutation(frame["y"])
            data = tables.from_frame(frame, target="y")
        if kind == "numbers":
            data = tables.from_frame(make_numbers(seed, is_noise=True, n=400), target="y")
        candidates = ("linear-codes", "kernel-codes") if kind == "numbers" else ("boosting-encoded", "linear")
        settings = {"model": "ensemble", "candidates": candidates, "bag_folds": 3, "seed": seed}
        run = yisheng.train(data=data, out=tmp_path, quiet=True, score="rmse", **settings)
        baseline = run.scores["baseline"]["rmse"].value
        gains.append(baseline - run.scores["test"]["rmse"].value)
        board = json.loads((run.path / "leaderboard.json").read_text())
        board_gains.append(data.y.std() - board["ensemble"]["value"])
    assert corrected_interval(gains, 0.0).low < 0
    assert np.mean(board_gains) < 0.02 * data.y.std()  # out of fold, too
