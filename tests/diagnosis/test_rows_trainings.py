"""The checks of the data that train small models: what was planted is told, what tempts is not."""

import contextlib

import numpy as np
import pytest
from generated_rows import SLOW_SEEDS, blobs, changed, flipped, load, parts, rows, said, sample, severities

from yisheng.core.types import Score
from yisheng.diagnosis import data_findings as asking
from yisheng.diagnosis.sample import InconclusiveError

# label-noise


@pytest.mark.parametrize("seed", SLOW_SEEDS)
@pytest.mark.parametrize("name", ["digits", "breast-cancer", "blobs"])
def test_wrong_labels_are_counted_and_named(name, seed):
    clean = blobs(seed) if name == "blobs" else load(name)
    data, wrong = flipped(clean, 0.15, seed)
    (found,) = said("label-noise", sample(data, seed))
    assert found.severity == "warning"
    assert found.evidence["share"] == pytest.approx(0.15, abs=0.06)
    named = [int(one["row"].removeprefix("row ")) for one in found.evidence["likeliest"]]
    assert len(named) == 20
    assert wrong[named].mean() >= 0.75
    told = found.evidence["likeliest"][0]
    assert told["label"] == data.spec.classes[data.y[named[0]]]
    assert told["likelier"] == clean.spec.classes[clean.y[named[0]]]


@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "digits"])
def test_clean_labels_are_not_accused(name):
    for seed in (0, 1):
        assert said("label-noise", sample(load(name), seed)) == []


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_hard_rows_are_not_wrong_labels(seed):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, 1000)
    x = draw.normal(size=(1000, 8))
    near = x + 2.2 * np.eye(8)[0] * y[:, None]  # two clouds that overlap: 14% cannot be right
    assert said("label-noise", sample(rows(near, y, classes=2), seed)) == []
    chance = (draw.random(1000) < 1 / (1 + np.exp(-2 * x[:, 0] - x[:, 1]))).astype(int)
    data = sample(rows(x, chance, classes=2), seed)
    with contextlib.suppress(InconclusiveError):
        assert said("label-noise", data) == []


def test_where_nothing_can_be_learnt_no_label_is_accused():
    draw = np.random.default_rng(0)
    with pytest.raises(InconclusiveError, match="hard rows cannot be told from wrong labels"):
        said("label-noise", sample(rows(draw.normal(size=(400, 5)), draw.integers(0, 2, 400), classes=2)))
    rare = (draw.random(400) < 0.05).astype(int)
    with pytest.raises(InconclusiveError):
        said("label-noise", sample(rows(draw.normal(size=(400, 5)), rare, classes=2)))


# no-signal


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_labels_that_the_inputs_do_not_tell(seed):
    draw = np.random.default_rng(seed + 10)
    x = draw.normal(size=(250, 6))
    for data in (rows(x, draw.permutation(np.arange(250) % 3), classes=3), rows(x, draw.normal(size=250))):
        (found,) = said("no-signal", sample(data, seed))
        assert found.severity == "warning"
        assert found.evidence["p"] > 0.05


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_a_weak_signal_is_one(seed):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(600, 4))
    rare = (draw.random(600) < 1 / (1 + np.exp(3 - 1.5 * x[:, 0]))).astype(int)  # one in twelve
    for data in (rows(x, x[:, 0] + 2 * draw.normal(size=600)), rows(x, rare, classes=2)):
        assert said("no-signal", sample(data, seed)) == []


def test_a_network_that_has_learnt_has_found_a_signal():
    draw = np.random.default_rng(0)
    x = draw.choice([-1.0, 1.0], (300, 12))
    parity = rows(x, (x[:, :6].prod(1) > 0).astype(int), classes=2)
    assert severities("no-signal", sample(parity)) == ["warning"]
    assert said("no-signal", sample(parity, learnt=True)) == []


# shifted-rows


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_test_rows_from_elsewhere_are_told_apart_and_the_columns_named(seed):
    data, split = blobs(seed), parts(600, seed=seed)
    x = data.x.copy()
    x[split.test, 3] += 3 * x[:, 3].std()
    (found,) = said("shifted-rows", sample(changed(data, x=x), split=split))
    assert found.severity == "warning"
    assert found.evidence["low"] > 0.7
    assert next(iter(found.evidence["differing"])) == "c3"
    assert "c3" in found.cause


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_test_rows_drawn_by_chance_are_not(seed):
    for data in (blobs(seed), load("digits")):
        assert said("shifted-rows", sample(data, seed)) == []


def test_area_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    from yisheng.diagnosis.data_checks.shifted_rows import _area

    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 300)
    score = np.round(draw.normal(size=300) + y, 1)  # with ties
    area, error = _area(score, y)
    assert area == pytest.approx(roc_auc_score(y, score))
    drawn = [draw.integers(0, 300, 300) for _ in range(300)]
    assert error == pytest.approx(np.std([roc_auc_score(y[some], score[some]) for some in drawn]), rel=0.3)


# learning-curve


def test_more_rows_where_the_score_still_rises():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1000, 10))
    (found,) = said("learning-curve", sample(rows(x, np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2])))
    assert found.severity == "note"
    assert "collect more rows" in found.remedy
    scores = list(found.evidence["by rows"].values())
    assert scores == sorted(scores)


@pytest.mark.slow
def test_no_more_rows_where_all_is_learnt_and_a_network_where_it_lags():
    data = blobs(0, n=300, apart=4.0)
    (found,) = said("learning-curve", sample(data))
    assert "is not shown" in found.cause
    (found,) = said("learning-curve", sample(data, reached=Score(0.6, 0.5, 0.7)))
    assert "larger network" in found.remedy
    (found,) = said("learning-curve", sample(data, reached=Score(0.99, 0.97, 1.0)))
    assert "larger network or more epochs" not in found.remedy


# all of them


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "digits", "diabetes"])
def test_healthy_data_gets_no_more_than_notes_and_no_check_has_a_defect(name):
    state = np.random.get_state()[1].copy()
    answers = asking.run_checks(sample(load(name)), "trainings")
    assert [f for f in answers.findings if f.severity != "note"] == []
    assert [why for why in answers.unchecked.values() if "defect" in why] == []
    assert (np.random.get_state()[1] == state).all()


def test_the_same_seed_says_the_same():
    data, _ = flipped(blobs(0, n=300), 0.2, 0)
    assert said("label-noise", sample(data)) == said("label-noise", sample(data))
