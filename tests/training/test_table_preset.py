"""Networks for tables train until their score stops improving, unless the length is given or must be fixed."""

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.core.choice import Choice
from yisheng.core.columns import Column
from yisheng.core.config import Config
from yisheng.core.spec import Spec
from yisheng.training.table_preset import LARGE_BATCH, MAX_EPOCHS, MAX_UPDATES, MIN_EPOCHS, PATIENCE, choose_for_tables

TABLE = Spec("regression", (3,), columns=tuple(Column(name, source=name) for name in "abc"))


@pytest.mark.parametrize("model", ["auto", "tabm", "embedded-mlp"])
@pytest.mark.parametrize("rows", [50, 900, 8192, 10**6])
def test_the_length_depends_on_the_score_within_limits(model, rows):
    config, notes = choose_for_tables(Config(model=Choice(name=model)), TABLE, rows)
    assert config.patience == PATIENCE
    assert str(config.epochs) in notes[0]
    assert str(PATIENCE) in notes[0]
    assert config.schedule == Choice(name="constant")
    batch = config.choose_batch(rows)
    assert (batch == LARGE_BATCH) == (rows >= 32 * LARGE_BATCH)
    assert MIN_EPOCHS <= config.epochs <= MAX_EPOCHS
    assert config.epochs == MIN_EPOCHS or config.epochs * (rows // batch) <= MAX_UPDATES


def test_options_of_the_user_stay():
    chosen = Config(optimizer=Choice(name="auto", options={"lr": 0.5}), batch=16, accumulate=4)
    config, _ = choose_for_tables(chosen, TABLE, 6400)
    assert config.optimizer == Choice(name="adamw", options={"lr": 0.5, "weight_decay": 3e-4})
    assert config.batch == 16
    assert config.epochs == min(MAX_EPOCHS, MAX_UPDATES // 100)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 5},
        {"patience": 3},
        {"fold": "1/5"},
        {"folds": 5},
        {"scratch": True},
        {"schedule": Choice(name="cosine")},
        {"optimizer": Choice(name="sgd")},
        {"weights": "w.safetensors"},
        {"model": Choice(name="mlp")},
        {"model": Choice(name="net.py:Net")},
    ],
    ids=str,
)
def test_what_names_a_length_or_needs_one_stays(changes):
    config = Config().model_copy(update=changes)
    assert choose_for_tables(config, TABLE, 900) == (config, ())


def test_arrays_and_images_keep_their_length():
    for spec in (Spec("regression", (3,)), Spec("regression", (1, 64, 64))):
        assert choose_for_tables(Config(), spec, 900) == (Config(), ())


def test_a_training_ends_when_its_score_stops_improving(tmp_path):
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.normal(size=(200, 3)), columns=list("abc"))
    rows["y"] = rows.a + draw.normal(size=200)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    run = yisheng.train(
        data=str(tmp_path / "rows.csv"),
        target="y",
        model="tabm",
        width=16,
        k=4,
        boosting=False,
        importance=False,
        out=str(tmp_path / "runs"),
        quiet=True,
    )
    scores = run.history["validation_rmse"].to_numpy()
    assert len(scores) < MAX_EPOCHS
    assert len(scores) == scores.argmin() + 1 + PATIENCE
