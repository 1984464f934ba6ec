"""Models without gradient steps through a whole life: trained, stopped, resumed, predicted with, refused."""

import importlib.util
import os
import signal

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import yisheng
from yisheng.core import registry
from yisheng.core.errors import StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.dispatch import resume

LIBRARIES = ("lightgbm", "catboost")
INSTALLED = [name for name in LIBRARIES if importlib.util.find_spec(name)]
FITTED = [entry.name for entry in registry.entries("models") if entry.meta.get("fitted")]
MODELS = [name for name in FITTED if name != "tabicl" and (name not in LIBRARIES or name in INSTALLED)]
"""For TabICL see test_tabicl.py."""
ONLY = {"ridge": ("price",), "lasso": ("price",), "logistic": ("sold", "town")}
"""Targets that a model is for, if not for all."""
SMALL_OPTIONS = {
    "boosting": {"rounds": 40},
    "lightgbm": {"rounds": 40},
    "catboost": {"rounds": 40},
    "forest": {"trees": 40},
    "ensemble": {"candidates": ("linear", "extra-trees"), "bag_folds": 3},
}
CASES = [(name, target) for name in MODELS for target in ONLY.get(name, ("price", "sold", "town"))]
all_cases = pytest.mark.parametrize(
    ("name", "target"),
    [pytest.param(*case, marks=[] if case == ("boosting", "sold") else [pytest.mark.slow]) for case in CASES],
)

pytestmark = pytest.mark.usefixtures("without_reports")


def draw_frame(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": rng.normal(80, 30, n).round(1),
            "town": rng.choice(["Ulm", "Bonn", "Köln"], n),
            "garden": rng.choice(["yes", "no"], n),
            "year": rng.integers(1900, 2024, n),
        }
    )
    frame["price"] = (frame.area * 3 + (frame.town == "Ulm") * 50 + rng.normal(0, 10, n)).round(1)
    frame["sold"] = np.where(frame.price > frame.price.median(), "sold", "open")
    frame.loc[rng.random(n) < 0.1, "area"] = np.nan
    return frame


def train(tmp_path, name, target, **settings):
    others = {"price", "sold", "town"} - {target}
    frame = draw_frame().drop(columns=list({"price", "sold"} & others))
    settings = {**SMALL_OPTIONS.get(name, {}), **settings}
    return yisheng.train(data=frame, target=target, model=name, out=tmp_path, quiet=True, **settings)


def read_weights(run):
    return load_file(run.path / RunFolder.WEIGHTS)


def assert_equal_weights(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


@all_cases
def test_it_beats_the_baseline_and_predicts_the_same_from_its_folder(tmp_path, name, target):
    run = train(tmp_path, name, target)
    if target != "town":  # the town cannot be known from the other columns
        score = "r2" if target == "price" else "accuracy"
        assert run.scores["test"][score].value > 0.6
    rows = draw_frame(40, seed=1).drop(columns=["price", "sold"])
    loaded = yisheng.load(run.path)
    assert loaded.predict(rows) == run.predict(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boosting", "forest", "logistic", *INSTALLED])
def test_a_stopped_run_ends_as_if_it_had_not_stopped(tmp_path, name):
    finished = train(tmp_path / "finished", name, "sold")

    def stop_in_third_epoch(events):
        for event in events:
            yield event
            if event.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError):
        train(tmp_path / "stopped", name, "sold", callbacks=[stop_in_third_epoch])
    (folder,) = (tmp_path / "stopped").iterdir()
    resume(folder, data=finished_data(finished))
    assert_equal_weights(load_file(folder / RunFolder.WEIGHTS), read_weights(finished))


def finished_data(run):  # the data is drawn again, as a user would read the table again
    from yisheng.data.tables import from_frame

    return from_frame(draw_frame().drop(columns="price"), target="sold")


def test_more_epochs_are_more_rounds(tmp_path):
    run = train(tmp_path / "a", "boosting", "price", epochs=4, validation=0, rounds=100)
    longer = train(tmp_path / "b", "boosting", "price", epochs=8, validation=0, rounds=100)
    assert [len(read_weights(r)["trees.root"]) for r in (run, longer)] == [20, 40]


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.1},
        {"optimizer": "sgd"},
        {"batch": 8},
        {"budget": "10s"},
        {"clip_norm": 1.0},
        {"l1": 0.1},
        {"init": "xavier"},
        {"schedule": "cosine"},
        {"loss": "l1"},
        {"smoothing": 0.1},
        {"precision": "bf16"},
        {"scratch": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_belongs_to_gradient_steps_is_refused(tmp_path, settings):
    with pytest.raises(UsageError):
        train(tmp_path, "boosting", "sold", **settings)
    assert not list(tmp_path.iterdir())


def test_a_network_cannot_be_trained_without_an_optimizer(tmp_path):
    with pytest.raises(UsageError, match="updates nothing"):
        train(tmp_path, "mlp", "sold", optimizer="none")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boosting", "logistic"])
def test_folds_average_their_models(tmp_path, name):
    run = train(tmp_path, name, "sold", folds=3)
    assert run.scores["test"]["accuracy"].value > 0.7
    assert len(run.predict(draw_frame(5, seed=1).drop(columns=["price", "sold"]))) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_doctor_blames_no_learning_rate(tmp_path, name):
    run = train(tmp_path, name, ONLY.get(name, ("sold",))[0])
    text = " ".join(finding.cause + finding.remedy for finding in run.findings.findings)
    assert not [word for word in ("learning rate", "weight_decay", "dropout", "gradient", "lr=") if word in text]


@pytest.mark.slow
def test_a_search_tries_options_of_the_trees(tmp_path):
    frame = draw_frame().drop(columns="price")
    result = yisheng.tune(
        data=frame, target="sold", model="boosting", rounds=60, leaves=[4, 16], out=tmp_path, quiet=True
    )
    assert len(result.trials) == 2
