"""Nothing is learned from noise: on no path does a target leak into the scored rows."""

from dataclasses import replace

import numpy as np
import pytest

import yisheng
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.data.split import hold_out, make_folds
from yisheng.evaluation.corrected_intervals import corrected_interval
from yisheng.reporting.formatting import is_higher_better

pytestmark = pytest.mark.usefixtures("without_reports")

SEEDS = 6
COLUMNS = (
    *(Column(f"x{n}") for n in range(5)),
    Column("kind", "category", categories=("a", "b", "c")),
)


def make_noise(task, seed, *, leak=False, n=120):
    """Return rows of numbers, a category and missing values, and targets that are independent of them."""
    draw = np.random.default_rng(seed)
    x = np.c_[draw.normal(size=(n, 5)), draw.integers(0, 3, n)].astype(np.float32)
    x[draw.random((n, 6)) < 0.1] = np.nan
    y = draw.permutation(np.arange(n) % 2) if task == "classification" else draw.lognormal(size=(n, 1))
    if leak:
        x[:, 0] = y.ravel()
    if task == "classification":
        return Dataset("noise", Spec(task, (6,), classes=("no", "yes"), columns=COLUMNS), x, y.astype(np.int64))
    return Dataset("noise", Spec(task, (6,), columns=COLUMNS), x, y.astype(np.float32))


def mean_gain(tmp_path, task, score, part, *, leak=False, n=120, **settings):
    """Return the mean gain over the baseline, with its interval over several draws of data and models."""
    gains = []
    settings = {"model": "mlp", "hidden": [16], "epochs": 15, "lr": 0.01, **settings}
    for seed in range(SEEDS):
        data = make_noise(task, seed, leak=leak, n=n)
        scores = yisheng.train(data=data, seed=seed, out=tmp_path, quiet=True, **settings).scores
        difference = scores[part][score].value - scores["baseline"][score].value
        gains.append(difference if is_higher_better(score) else -difference)
    return corrected_interval(gains, 0.0)  # each draw has its own rows


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
    gain = mean_gain(tmp_path, task, score, part, **settings)
    assert gain.low < 0, f"{path}: {gain}"


def test_shuffled_targets_are_no_better_than_the_baseline_out_of_fold(tmp_path):
    settings = {"folds": 4, "test": 0, "epochs": 20, "schedule": "constant", "batch": 16}
    gain = mean_gain(tmp_path, "classification", "accuracy", "out_of_fold", n=48, **settings)
    assert gain.low < 0, gain


@pytest.mark.parametrize("path", ["hold-out", "regression", "k-fold, the averaged model"])
def test_a_leak_would_be_detected(tmp_path, path):
    """With the target among the features the gain is significant."""
    task, score, part, settings = PATHS[path]
    assert mean_gain(tmp_path, task, score, part, leak=True, **settings).low > 0


@pytest.mark.parametrize("fold", [None, "2/3"])
def test_transforms_are_fitted_on_the_training_part_alone(tmp_path, fold):
    """Extreme values in the other parts change no transform, and those in the test part no weight."""
    data = make_noise("regression", 0)
    split = hold_out(data) if fold is None else make_folds(data, 3)[1]
    settings = {"model": "mlp", "hidden": [8], "epochs": 2, "target_scale": "standard", "quiet": True, "fold": fold}

    def train(*parts):
        x, y = data.x.copy(), data.y.copy()
        for part in parts:
            x[getattr(split, part), :5] = x[getattr(split, part), :5] * 1000 + 7
            y[getattr(split, part)] *= 50
        run = yisheng.train(data=replace(data, x=x, y=y), out=tmp_path, **settings)
        return run.run.transforms, (run.path / "model.safetensors").read_bytes()

    transforms, weights = train()
    assert train("test") == (transforms, weights)
    assert train("validation", "test")[0] == transforms
    assert train("train")[0] != transforms
