"""An ensemble of a table: trained within its time, resumed, loaded, exported, and no better than chance on noise."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import yisheng
from tests.experiments.test_fitted_models import assert_equal_weights, draw_frame
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.dispatch import resume

SMALL_ENSEMBLE = {"model": "ensemble", "candidates": ("linear", "extra-trees", "neighbors"), "bag_folds": 2}
TARGETS = ("price", "sold", "town")


def draw_table(target, n=300, seed=0):
    others = {"price", "sold"} - {target}
    return draw_frame(n, seed).drop(columns=sorted(others))


def train(out, target="sold", *, frame=None, **settings):
    frame = draw_table(target) if frame is None else frame
    return yisheng.train(data=frame, target=target, out=out, quiet=True, **{**SMALL_ENSEMBLE, **settings})


def read_leaderboard(run):
    return json.loads((run.path / RunFolder.LEADERBOARD).read_text())


@pytest.mark.usefixtures("without_reports")
def test_the_best_candidates_share_the_weight_and_are_loaded_to_the_bit(tmp_path):
    run = train(tmp_path)
    board = read_leaderboard(run)
    assert [candidate["name"] for candidate in board["candidates"]] == ["linear", "extra-trees", "neighbors"]
    weights = [candidate["weight"] for candidate in board["candidates"]]
    assert sum(weights) == pytest.approx(1)
    values = [candidate["value"] for candidate in board["candidates"]]
    assert board["ensemble"]["value"] >= min(values)
    assert all(c["low"] <= c["value"] <= c["high"] and c["status"] == "trained" for c in board["candidates"])
    assert run.scores["test"]["accuracy"].value > 0.8
    rows = draw_frame(40, seed=1).drop(columns=["price", "sold"])
    loaded = yisheng.load(run.path)
    assert loaded.predict(rows) == run.predict(rows)
    np.testing.assert_array_equal(loaded.predictor.predict_outputs(rows), run.predictor.predict_outputs(rows))
    stored = load_file(run.path / RunFolder.WEIGHTS)
    assert not [name for name, value in stored.items() if name.endswith("out_of_fold") and value.size]
    assert len({name.split(".")[1] for name in stored if name.startswith("candidates.")}) == sum(w > 0 for w in weights)
    before = run.scores["test"]
    run.evaluate()
    assert yisheng.load(run.path).scores["test"] == before


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("target", TARGETS)
def test_networks_and_neighbors_are_members_too(tmp_path, target):
    names = ("linear", "tabm", "embedded-mlp", "neighbors", "random-forest")
    run = train(tmp_path, target, candidates=names, bag_folds=2)
    assert {candidate["status"] for candidate in read_leaderboard(run)["candidates"]} == {"trained"}
    assert not [finding.id for finding in run.findings.findings if finding.severity == "error"]
    rows = draw_frame(30, seed=1).drop(columns=["price", "sold"] + ["town"] * (target == "town"))
    np.testing.assert_array_equal(
        yisheng.load(run.path).predictor.predict_outputs(rows), run.predictor.predict_outputs(rows)
    )


def test_several_numbers_and_labels_are_predicted(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    numbers = np.stack([x[:, 0], 100 * x[:, 1]], 1).astype(np.float32)
    settings = {**SMALL_ENSEMBLE, "candidates": ("linear",), "out": tmp_path, "quiet": True}
    run = yisheng.train(data=(x, numbers), **settings)
    assert run.scores["test"]["r2"].value > 0.9
    run = yisheng.train(data=(x, (x > 0).astype(np.float32)), task="multilabel", **settings)
    assert run.predictor.predict_outputs(x[:4]).shape == (4, 3)


def train_with_stop(tmp_path, step, settings):
    """Train to the end, and again with a stop after a step; return the first run and the folder of the second."""
    finished = train(tmp_path / "finished", **settings)

    def stop(events):
        for event in events:
            yield event
            if event.step == step:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError):
        train(tmp_path / "stopped", callbacks=[stop], **settings)
    (folder,) = (tmp_path / "stopped").iterdir()
    from yisheng.data.tables import from_frame

    resume(folder, data=from_frame(draw_table("sold"), target="sold"))
    return finished, folder


@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_run_ends_as_if_it_had_not_stopped(tmp_path, step):
    settings = {"candidates": ("linear", "neighbors"), "checkpoint_every": 0}
    finished, folder = train_with_stop(tmp_path, step, settings)
    assert_equal_weights(*map(without_times, (folder, finished.path)))
    assert read_leaderboard(finished)["ensemble"] == json.loads((folder / "leaderboard.json").read_text())["ensemble"]


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_model(tmp_path):
    """SIGKILL between two checkpoints; the budget is long enough for all candidates."""
    draw_table("sold").to_csv(tmp_path / "table.csv", index=False)
    words = ["model=ensemble", "candidates=linear,neighbors,extra-trees", "bag_folds=3", "budget=10m"]
    words += [f"data={tmp_path / 'table.csv'}", "target=sold", "checkpoint_every=0"]
    command = [sys.executable, "-m", "yisheng", "train", *words]
    subprocess.run([*command, f"out={tmp_path / 'finished'}"], check=True, capture_output=True)
    with subprocess.Popen([*command, f"out={tmp_path / 'killed'}"], stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("neighbors"):  # its folds are trained, those of the last candidate are not
                break
        process.kill()
        process.communicate()
    (finished,), (killed,) = (list((tmp_path / name).iterdir()) for name in ("finished", "killed"))
    assert not (killed / RunFolder.WEIGHTS).exists()
    subprocess.run([sys.executable, "-m", "yisheng", "resume", str(killed)], check=True, capture_output=True)
    assert_equal_weights(*map(without_times, (finished, killed)))
    rows = draw_frame(40, seed=1).drop(columns=["price", "sold"])
    predictions = [yisheng.load(folder).predictor.predict_outputs(rows) for folder in (finished, killed)]
    np.testing.assert_array_equal(*predictions)


def without_times(folder):
    """Return the tensors of a model; how long anything took is not part of them here."""
    tensors = load_file(folder / RunFolder.WEIGHTS)
    plain = json.loads(tensors["description"].tobytes())
    for entry in plain["tried"]:
        entry.pop("seconds")
    plain.pop("rows_per_second")
    plain.get("student", {"about": {}})["about"].pop("rows_per_second", None)
    return {**tensors, "description": np.array(json.dumps(plain))}


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_no_candidate_begins_when_the_time_is_over(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(1500, 6)), columns=[f"c{i}" for i in range(6)])
    frame["y"] = np.sin(frame.c0) + frame.c1 * frame.c2 + 0.1 * rng.normal(size=len(frame))
    run = yisheng.train(data=frame, target="y", budget="3s", out=tmp_path, quiet=True)
    candidates = read_leaderboard(run)["candidates"]
    assert candidates[0]["status"] == "trained"
    assert candidates[-1]["status"] == "skipped: no time was left"


@pytest.mark.usefixtures("without_reports")
def test_without_lightgbm_the_trees_are_those_of_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    run = train(tmp_path, candidates=("boosting-small",), bag_folds=2)
    assert [candidate["model"] for candidate in read_leaderboard(run)["candidates"]] == ["boosting"]


def test_a_plain_budget_trains_an_ensemble_and_reports_it(tmp_path):
    frame = draw_table("price", 60)
    run = yisheng.train(data=frame, target="price", budget="4s", out=tmp_path, quiet=True)
    assert run.config["model"]["name"] == "ensemble"
    page = (run.path / RunFolder.REPORT).read_text()
    assert "Candidates of the ensemble" in page
    assert "boosting-small" in page


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("target", ["price", "sold"])
@pytest.mark.parametrize(
    "names", [SMALL_ENSEMBLE["candidates"], ("boosting", "boosting-extra")], ids=["others", "trees"]
)
def test_shuffled_targets_are_not_predicted(tmp_path, target, names):
    """Neither weights, temperature nor offsets find anything where there is nothing: on rows that nobody saw."""
    gains = []
    for seed in range(3):
        frame = draw_table(target, 400, seed)
        frame[target] = np.random.default_rng(seed).permutation(frame[target])
        run = train(tmp_path / str(seed), target, frame=frame, test=0.5, seed=seed, candidates=names)
        test, baseline = run.scores["test"], run.scores["baseline"]
        name, sign = ("rmse", -1) if target == "price" else ("log_loss", -1)
        gains.append(sign * (test[name].value - baseline[name].value) / baseline[name].value)
        interval = test["accuracy"] if target == "sold" else test["r2"]
        assert interval.low <= (0.55 if target == "sold" else 0.02)
    assert np.mean(gains) < 0.01 or target == "sold"


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("target", ["price", "sold"])
def test_an_onnx_file_predicts_the_same(tmp_path, target):
    pytest.importorskip("onnxruntime")
    import onnx

    from yisheng.inference.export import onnx_file

    frame = draw_table(target, 400)
    run = train(tmp_path, target, frame=frame, candidates=("boosting", "linear", "tabm"), bag_folds=2)
    path = yisheng.export(run.path, format="onnx", data=frame).path
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert operators.count("TreeEnsemble") == 2  # the boosted trees of two folds
    rows = draw_frame(1000, seed=1).drop(columns=["price", "sold"])
    block = run.predictor.read_inputs(rows).x
    expected, outputs = run.predictor.compute_outputs(block), onnx_file.load(path)(block)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"lr": 0.1}, {"target_scale": "log"}, {"scale": "standard"}, {"batch": 8}, {"candidates": ()}, {"bag_folds": 1}],
    ids=lambda settings: next(iter(settings)),
)
def test_what_does_not_apply_is_refused(tmp_path, settings):
    with pytest.raises(UsageError):
        train(tmp_path, **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_reports")
def test_a_damaged_description_is_reported(tmp_path):
    import hashlib

    from safetensors.numpy import save_file

    from yisheng.inference import model_files

    run = train(tmp_path, candidates=("linear",), bag_folds=2)
    tensors = load_file(run.path / RunFolder.WEIGHTS)
    tensors["description"] = tensors["description"][:-9]
    save_file(tensors, run.path / RunFolder.WEIGHTS)
    description = json.loads((run.path / RunFolder.MODEL).read_text())
    description["sha256"] = hashlib.sha256((run.path / RunFolder.WEIGHTS).read_bytes()).hexdigest()
    (run.path / RunFolder.MODEL).write_text(json.dumps(description))
    model_files.write_checksums(run.path)
    with pytest.raises(DataError, match="cannot be rebuilt"):
        yisheng.load(run.path)


@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("kind", ["time", "group"])
def test_folds_keep_times_in_order_and_groups_together(tmp_path, kind, monkeypatch):
    from yisheng.core.dataset import Dataset
    from yisheng.core.spec import Spec
    from yisheng.training.portfolio import step

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2)).astype(np.float32)
    labels = {"time": np.arange(120.0), "group": np.repeat(np.arange(12), 10)}[kind]
    data = Dataset("rows", Spec("regression", (2,)), x, (x @ [[1.0], [2.0]]).astype(np.float32), **{kind: labels})
    splits = []
    make = step.make_fold_data

    def record(assembly, folds):
        rows = make(assembly, folds)
        splits.extend((getattr(rows.data, kind), fold) for fold in rows.folds)
        return rows

    monkeypatch.setattr(step, "make_fold_data", record)
    settings = {**SMALL_ENSEMBLE, "candidates": ("linear", "neighbors"), "bag_folds": 3}
    run = yisheng.train(data=data, out=tmp_path, quiet=True, **settings)
    assert run.scores["test"]["r2"].value > 0.9
    assert len(splits) == 3
    for values, fold in splits:
        if kind == "time":
            assert values[fold.train].max() < values[fold.validation].min()
        else:
            assert not set(values[fold.train]) & set(values[fold.validation])


@pytest.mark.usefixtures("without_reports")
def test_a_leaderboard_of_the_loss_has_no_scores(tmp_path, capsys):
    from yisheng.cli._arguments import Arguments
    from yisheng.cli._summary import print_summary

    run = train(tmp_path, candidates=("linear",), score="loss")
    print_summary(run.path, Arguments("train", [], {}))
    assert "linear" in capsys.readouterr().out
