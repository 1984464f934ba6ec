"""Where there is nothing to learn, nothing is found: no path lets a target leak into what is scored."""

from dataclasses import replace

import numpy as np
import pytest

import yisheng
from yisheng.core.types import Column, Dataset, Spec
from yisheng.data.split import hold_out, make_folds
from yisheng.evaluation.corrected_intervals import corrected_interval
from yisheng.reporting.formatting import is_higher_better

SEEDS = 6
COLUMNS = (
    *(Column(f"x{n}") for n in range(5)),
    Column("kind", "category", categories=("a", "b", "c")),
)


def noise(task, seed, *, leak=False, n=120):
    """Rows of numbers, a category and missing values, and targets that have nothing to do with them."""
    draw = np.random.default_rng(seed)
    x = np.c_[draw.normal(size=(n, 5)), draw.integers(0, 3, n)].astype(np.float32)
    x[draw.random((n, 6)) < 0.1] = np.nan
    y = draw.permutation(np.arange(n) % 2) if task == "classification" else draw.lognormal(size=(n, 1))
    if leak:
        x[:, 0] = y.ravel()
    if task == "classification":
        return Dataset("noise", Spec(task, (6,), classes=("no", "yes"), columns=COLUMNS), x, y.astype(np.int64))
    return Dataset("noise", Spec(task, (6,), columns=COLUMNS), x, y.astype(np.float32))


def gain(tmp_path, task, score, part, *, leak=False, n=120, **settings):
    """How much better than the baseline models are, over several draws of everything: the mean with its interval."""
    found = []
    settings = {"model": "mlp", "hidden": [16], "epochs": 15, "lr": 0.01, **settings}
    for seed in range(SEEDS):
        data = noise(task, seed, leak=leak, n=n)
        scores = yisheng.train(data=data, seed=seed, out=tmp_path, quiet=True, **settings).scores
        better = scores[part][score].value - scores["baseline"][score].value
        found.append(better if is_higher_better(score) else -better)
    return corrected_interval(found, 0.0)  # each draw is of rows of its own


PATHS = {
    "hold-out": ("classification", "accuracy", "test", {}),
    "hold-out, log-loss": ("classification", "log_loss", "test", {}),
    "early stopping": ("classification", "accuracy", "test", {"epochs": 40, "patience": 3}),
    "regression": ("regression", "mae", "test", {"target_scale": "standard", "loss": "mse"}),
    "k-fold, the averaged model": ("classification", "accuracy", "test", {"folds": 3}),
    "k-fold, regression": ("regression", "rmse", "test", {"folds": 3}),
}


@pytest.mark.parametrize("path", PATHS)
def test_shuffled_targets_are_no_better_than_the_baseline(tmp_path, path):
    task, score, part, settings = PATHS[path]
    found = gain(tmp_path, task, score, part, **settings)
    assert found.low < 0, f"{path}: {found}"


def test_shuffled_targets_are_no_better_than_the_baseline_out_of_fold(tmp_path):
    settings = {"folds": 4, "test": 0, "epochs": 20, "schedule": "constant", "batch": 16}
    found = gain(tmp_path, "classification", "accuracy", "out_of_fold", n=48, **settings)
    assert found.low < 0, found


@pytest.mark.parametrize("path", ["hold-out", "regression", "k-fold, the averaged model"])
def test_a_leak_would_be_seen(tmp_path, path):
    """The target among the features: the same measure must then speak."""
    task, score, part, settings = PATHS[path]
    assert gain(tmp_path, task, score, part, leak=True, **settings).low > 0


@pytest.mark.parametrize("fold", [None, "2/3"])
def test_what_is_fitted_is_fitted_on_the_training_part_alone(tmp_path, fold):
    """Wild values in the other parts change no transform, and in the test part no weight."""
    data = noise("regression", 0)
    split = hold_out(data) if fold is None else make_folds(data, 3)[1]
    settings = {"model": "mlp", "hidden": [8], "epochs": 2, "target_scale": "standard", "quiet": True, "fold": fold}

    def trained(*parts):
        x, y = data.x.copy(), data.y.copy()
        for part in parts:
            x[getattr(split, part), :5] = x[getattr(split, part), :5] * 1000 + 7
            y[getattr(split, part)] *= 50
        run = yisheng.train(data=replace(data, x=x, y=y), out=tmp_path, **settings)
        return run.run.transforms, (run.path / "model.safetensors").read_bytes()

    transforms, weights = trained()
    assert trained("test") == (transforms, weights)
    assert trained("validation", "test")[0] == transforms
    assert trained("train")[0] != transforms
