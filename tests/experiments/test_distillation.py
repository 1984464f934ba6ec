"""A distilled ensemble: one model that predicts nearly as well, and learns nothing from noise."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

import yisheng
from tests.experiments.test_ensemble import draw_table, read_leaderboard, train, train_with_stop, without_times
from tests.experiments.test_fitted_models import assert_equal_weights, draw_frame
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.training.portfolio.student_data import make_student_data, swap_values

DISTILLED = {"candidates": ("linear", "extra-trees"), "bag_folds": 2, "distill": True}
pytestmark = pytest.mark.usefixtures("without_reports")


@pytest.mark.parametrize(
    ("target", "score"),
    [
        ("sold", "accuracy"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("price", "r2"), ("town", "accuracy"))),
    ],
)
def test_one_model_predicts_nearly_as_well(tmp_path, target, score):
    frame = draw_table(target, 300)
    if target == "town":  # something to learn
        frame["area"] += 60 * frame.town.map({"Ulm": 0, "Bonn": 1, "Köln": 2})
    ensemble = train(tmp_path / "ensemble", target, frame=frame, **{**DISTILLED, "distill": False})
    run = train(tmp_path / "student", target, frame=frame, **DISTILLED)
    assert run.scores["test"][score].value > ensemble.scores["test"][score].value - 0.07
    board = read_leaderboard(run)
    assert board["student"]["name"] in ("boosting", "linear")
    assert board["student"]["low"] <= board["student"]["value"] <= board["student"]["high"]
    assert board["student"]["rows_per_second"] > 0
    assert board["rows_per_second"] > 0
    stored = load_file(run.path / RunFolder.WEIGHTS)
    assert not [name for name in stored if name.startswith("candidates.")]
    rows = draw_frame(40, seed=1).drop(columns=["price", "sold"] + ["town"] * (target == "town"))
    np.testing.assert_array_equal(
        yisheng.load(run.path).predictor.predict_outputs(rows), run.predictor.predict_outputs(rows)
    )


@pytest.mark.slow
def test_intervals_are_those_of_the_student(tmp_path):
    frame = draw_table("price", 900)
    run = train(tmp_path, "price", frame=frame, **DISTILLED)
    prediction = run.predict(draw_frame(300, seed=5), interval=0.9)
    bounds = np.array([row.interval for row in prediction])
    truth = draw_frame(300, seed=5).price.to_numpy()
    assert np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])) > 0.83


@pytest.mark.parametrize("is_linear", [True, False])
def test_the_better_student_is_taken(tmp_path, is_linear):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    signal = x @ [[1.0], [2.0], [-1.0]] if is_linear else 3 * np.abs(x[:, :1])
    y = (signal + 0.5 * rng.normal(size=(200, 1))).astype(np.float32)
    settings = {"candidates": ("linear", "extra-trees"), "bag_folds": 2, "distill": True, "quiet": True}
    run = yisheng.train(data=(x, y), model="ensemble", out=tmp_path, **settings)
    student = read_leaderboard(run)["student"]["name"]
    assert student == ("linear" if is_linear else "boosting")
    assert run.scores["test"]["r2"].value > 0.7


@pytest.mark.slow
def test_a_network_can_be_the_student(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = np.sin(2 * x[:, :1]) + x[:, 1:2]
    settings = {"model": "ensemble", "candidates": ("tabm",), "bag_folds": 2, "distill": True, "quiet": True}
    run = yisheng.train(data=(x, y.astype(np.float32)), out=tmp_path, **settings)
    assert read_leaderboard(run)["student"]["name"] == "tabm"
    assert run.scores["test"]["r2"].value > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 4])
def test_a_stopped_run_ends_as_if_it_had_not_stopped(tmp_path, step):
    finished, folder = train_with_stop(tmp_path, step, {**DISTILLED, "checkpoint_every": 0})
    assert_equal_weights(*map(without_times, (folder, finished.path)))
    boards = [json.loads((path / RunFolder.LEADERBOARD).read_text()) for path in (folder, finished.path)]
    assert boards[0]["student"]["value"] == boards[1]["student"]["value"]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["price", "sold"])
def test_shuffled_targets_are_not_predicted(tmp_path, target):
    """Neither the student nor its score finds anything where there is nothing."""
    scores = []
    for seed in range(3):
        frame = draw_table(target, 400, seed)
        frame[target] = np.random.default_rng(seed).permutation(frame[target])
        run = train(tmp_path / str(seed), target, frame=frame, test=0.5, seed=seed, **DISTILLED)
        score = run.scores["test"]["accuracy" if target == "sold" else "r2"]
        scores.append((score.low, read_leaderboard(run)["student"]["low"], read_leaderboard(run)["student"]["high"]))
    limit = 0.55 if target == "sold" else 0.02
    assert max(low for low, _, _ in scores) <= limit
    if target == "sold":
        assert np.median([low for _, low, _ in scores]) <= limit


@given(seed=st.integers(0, 1000), count=st.integers(0, 30), n=st.integers(1, 10))
def test_altered_rows_have_values_of_their_columns(seed, count, n):
    x = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    altered = swap_values(x, count, np.random.default_rng(seed))
    assert altered.shape == (count, 4)
    assert altered.dtype == np.float32
    for column in range(4):
        assert np.isin(altered[:, column], x[:, column]).all()


@pytest.mark.parametrize(("outputs", "columns"), [(1, 1), (2, 2)])
def test_logits_give_back_the_probabilities(outputs, columns):
    spec = Spec("classification", (2,), classes=("no", "yes")).with_outputs(outputs)
    p = np.array([[0.2, 0.8], [0.9, 0.1]])
    data = make_student_data(spec, np.zeros((2, 2), np.float32), p)
    assert data.y.shape == (2, columns)
    logits = np.concatenate([np.zeros((2, 1)), data.y], 1) if outputs == 1 else data.y
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), p, atol=1e-6)
