"""Train from Python on any data and choice, with the results that the textbook promises."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import yisheng
from yisheng.core.settings import merge_settings
from yisheng.experiments.load_data import load_dataset, split_dataset

ROOT = Path(__file__).parents[2]


def read_epochs(run):
    lines = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch"]


def train(tmp_path, **settings):
    return yisheng.train(out=tmp_path / "runs", quiet=True, **settings)


@pytest.mark.parametrize("data", ["iris", "wine", "breast-cancer", "diabetes", "linear", "polynomial", "xor", "digits"])
def test_every_small_data_set_is_trained_better_than_its_baseline(tmp_path, data):
    run = train(tmp_path, data=data, **({"epochs": 15} if data == "digits" else {}))
    test, baseline = run.scores["test"], run.scores["baseline"]
    name, is_better = ("rmse", np.less) if "rmse" in test else ("accuracy", np.greater)
    assert is_better(test[name].value, baseline[name].value)
    assert test[name].low <= test[name].value <= test[name].high
    assert (run.path / "report.html").exists()


def test_linear_regression_finds_the_true_weights(tmp_path):
    run = train(
        tmp_path,
        data="linear",
        model="linear",
        scale="none",
        target_scale="none",
        optimizer="sgd",
        lr=0.03,
        schedule="constant",
        epochs=20,
        batch=10,
    )
    from safetensors.torch import load_file

    weights = load_file(run.path / "model.safetensors")
    values = {tuple(v.shape): v.flatten() for v in weights.values()}
    torch.testing.assert_close(values[1, 2], torch.tensor([2.0, -3.4]), atol=0.01, rtol=0)
    torch.testing.assert_close(values[1,], torch.tensor([4.2]), atol=0.01, rtol=0)


@pytest.mark.slow
def test_polynomials_underfit_and_overfit_as_in_the_textbook(tmp_path):
    gaps = {}
    for lesson in ("underfitting", "fitting", "overfitting"):
        run = train(tmp_path, config=f"{ROOT}/configs/polynomial-{lesson}.toml")
        last = read_epochs(run)[-1]
        gaps[lesson] = (last["loss"], last["scores"]["loss"])
    for lesson, (train_loss, validation_loss) in gaps.items():
        assert (validation_loss > 5 * train_loss) == (lesson == "overfitting"), gaps
    assert gaps["underfitting"][0] > 100 * gaps["fitting"][0]  # a line cannot follow a cubic
    assert gaps["fitting"][0] == pytest.approx(0.1**2, rel=0.5)  # the loss of the noise


def test_units_with_equal_initial_weights_stay_equal(tmp_path):
    from safetensors.torch import load_file

    losses = {}
    for init, options in (("constant", {"value": 0.01}), ("normal", {"std": 0.01})):
        run = train(
            tmp_path,
            data="digits",
            model={"name": "mlp", "hidden": [32]},
            init={"name": init, **options},
            optimizer="sgd",
            lr=0.1,
            schedule="constant",
            epochs=20,
            scale="unit",
        )
        losses[init] = read_epochs(run)[-1]["loss"]
        first = next(v for v in load_file(run.path / "model.safetensors").values() if v.shape == (32, 64))
        rows_equal = bool((first == first[:1]).all())
        assert rows_equal == (init == "constant")
    assert losses["constant"] > 2 * losses["normal"]


def test_equal_configs_and_seeds_give_equal_bytes(tmp_path):
    settings = {"data": "digits", "model": "mlp", "dropout": 0.2, "epochs": 3}
    runs = [train(tmp_path, seed=seed, **settings) for seed in (1, 1, 2)]
    weights = [(run.path / "model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1] != weights[2]


def test_data_in_memory_is_trained_and_must_be_given_again(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    data = yisheng.Dataset("mine", yisheng.Spec("classification", (4,), classes=("no", "yes")), x, y)
    run = train(tmp_path, data=data, epochs=60, lr=0.01)
    assert run.path.name == "0001-mine-mlp"
    assert run.scores["test"]["accuracy"].value > 0.8
    correct = sum(a.prediction == ("no", "yes")[c] for a, c in zip(run.predict(x), y, strict=True))
    assert correct > 240
    loaded = yisheng.load(run.path)
    with pytest.raises(yisheng.DataError, match="in memory"):
        loaded.evaluate()
    assert loaded.evaluate(data)["test"]["accuracy"].value == run.scores["test"]["accuracy"].value
    negated = yisheng.Dataset("negated", data.spec, -x, y)  # other data: all rows, in a folder of its own
    assert loaded.evaluate(negated).path == run.path / "evaluations" / "negated"


def test_accumulation_clipping_and_early_stopping_work_together(tmp_path):
    run = train(
        tmp_path, data="digits", model="mlp", batch=16, accumulate=4, clip_norm=1, clip_value=0.5, patience=2, epochs=60
    )
    epochs = read_epochs(run)
    assert len(epochs) - run.run.best["epoch"] == 2
    assert epochs[0]["step"] == -(
        -len(split_dataset(merge_settings([]).config, load_dataset(merge_settings([]).config)).train) // 64
    )


def test_folds_share_the_test_part_and_cover_the_rest(tmp_path):
    data = load_dataset(merge_settings([]).config)
    splits = [split_dataset(merge_settings([("fold", f"{n}/5", "command line")]).config, data) for n in range(1, 6)]
    assert all(np.array_equal(s.test, splits[0].test) for s in splits)
    rows = np.concatenate([s.validation for s in splits])
    assert len(set(rows)) == len(rows) == len(data) - len(splits[0].test)


def test_without_a_validation_part_the_last_epoch_is_kept(tmp_path):
    run = train(tmp_path, data="iris", validation=0, epochs=3)
    assert run.run.best["epoch"] == 3
    assert set(run.scores) == {"test", "baseline"}


def test_runs_are_numbered_and_not_overwritten(tmp_path):
    runs = [train(tmp_path, data="iris", epochs=1) for _ in range(3)]
    assert [run.path.name for run in runs] == [f"000{n}-iris-mlp" for n in (1, 2, 3)]


def test_best_weights_are_those_of_the_best_epoch(tmp_path):
    run = train(tmp_path, data="digits", epochs=8)
    values = [e["scores"]["accuracy"] for e in read_epochs(run)]
    assert run.run.best["epoch"] == 1 + int(np.argmax(values))
    assert run.scores["validation"]["accuracy"].value == pytest.approx(max(values), abs=1e-9)


def test_a_nonfinite_loss_raises_and_keeps_the_folder(tmp_path):
    with pytest.raises(yisheng.NonFiniteError, match="at step"):
        train(tmp_path, data="diabetes", target_scale="none", optimizer="sgd", lr=1e6, schedule="constant")
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "events.jsonl").exists()


def test_an_undefined_score_keeps_the_last_epoch(tmp_path):
    run = train(tmp_path, data="iris", epochs=3, validation=1, score="roc-auc-ovr-macro")
    assert run.run.best["epoch"] == 3
    assert run.run.best["value"] is None


def test_batch_norm_on_single_rows_is_refused_before_a_folder_is_created(tmp_path):
    with pytest.raises(yisheng.UsageError, match="two rows or more"):
        train(tmp_path, data="iris", model="mlp", batch_norm=True, batch=1)
    assert not (tmp_path / "runs").exists()


def test_without_a_test_part_there_are_no_test_scores(tmp_path):
    run = train(tmp_path, data="iris", test=0, epochs=2)
    assert set(run.scores) == {"validation", "baseline"}
