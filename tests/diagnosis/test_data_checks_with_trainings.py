"""The data checks that train small models: each finds a planted fault, and nothing in data that only resembles it."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis.generated_data import (
    SLOW_SEEDS,
    find_severities,
    flip_labels,
    load_dataset,
    make_blobs,
    make_sample,
    make_table,
    run_check,
    split_rows,
)
from yisheng.core.score import Score
from yisheng.diagnosis import data_findings
from yisheng.diagnosis.sample import InconclusiveError

# label-noise


@pytest.mark.parametrize("seed", SLOW_SEEDS)
@pytest.mark.parametrize("name", ["digits", "breast-cancer", "blobs"])
def test_wrong_labels_are_counted_and_named(name, seed):
    clean = make_blobs(seed) if name == "blobs" else load_dataset(name)
    data, wrong = flip_labels(clean, 0.15, seed)
    (finding,) = run_check("label-noise", make_sample(data, seed))
    assert finding.severity == "warning"
    assert finding.evidence["fraction"] == pytest.approx(0.15, abs=0.06)
    suspects = finding.evidence["likeliest"]
    rows = [int(suspect["row"].removeprefix("row ")) for suspect in suspects]
    assert len(rows) == 20
    assert wrong[rows].mean() >= 0.75
    assert suspects[0]["label"] == data.spec.classes[data.y[rows[0]]]
    assert suspects[0]["likelier"] == clean.spec.classes[clean.y[rows[0]]]


@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "digits"])
def test_clean_labels_are_not_reported(name):
    for seed in (0, 1):
        assert run_check("label-noise", make_sample(load_dataset(name), seed)) == []


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_difficult_rows_are_not_wrong_labels(seed):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, 1000)
    x = generator.normal(size=(1000, 8))
    overlapping = x + 2.2 * np.eye(8)[0] * y[:, None]  # 14% of the rows cannot be predicted correctly
    assert run_check("label-noise", make_sample(make_table(overlapping, y, classes=2), seed)) == []
    random_labels = (generator.random(1000) < 1 / (1 + np.exp(-2 * x[:, 0] - x[:, 1]))).astype(int)
    sample = make_sample(make_table(x, random_labels, classes=2), seed)
    with contextlib.suppress(InconclusiveError):
        assert run_check("label-noise", sample) == []


def test_labels_that_cannot_be_learned_are_inconclusive():
    generator = np.random.default_rng(0)
    random_labels = make_table(generator.normal(size=(400, 5)), generator.integers(0, 2, 400), classes=2)
    with pytest.raises(InconclusiveError, match="difficult rows cannot be distinguished from wrong labels"):
        run_check("label-noise", make_sample(random_labels))
    rare = (generator.random(400) < 0.05).astype(int)
    with pytest.raises(InconclusiveError):
        run_check("label-noise", make_sample(make_table(generator.normal(size=(400, 5)), rare, classes=2)))


# no-signal


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_targets_independent_of_inputs_have_no_signal(seed):
    generator = np.random.default_rng(seed + 10)
    x = generator.normal(size=(250, 6))
    shuffled_classes = make_table(x, generator.permutation(np.arange(250) % 3), classes=3)
    for data in (shuffled_classes, make_table(x, generator.normal(size=250))):
        (finding,) = run_check("no-signal", make_sample(data, seed))
        assert finding.severity == "warning"
        assert finding.evidence["p"] > 0.05


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_weak_signal_is_a_signal(seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(600, 4))
    rare = (generator.random(600) < 1 / (1 + np.exp(3 - 1.5 * x[:, 0]))).astype(int)  # one row in twelve
    for data in (make_table(x, x[:, 0] + 2 * generator.normal(size=600)), make_table(x, rare, classes=2)):
        assert run_check("no-signal", make_sample(data, seed)) == []


def test_run_that_beats_its_baseline_has_a_signal():
    generator = np.random.default_rng(0)
    x = generator.choice([-1.0, 1.0], (300, 12))
    parity = make_table(x, (x[:, :6].prod(1) > 0).astype(int), classes=2)
    assert find_severities("no-signal", make_sample(parity)) == ["warning"]
    assert run_check("no-signal", make_sample(parity, beats_baseline=True)) == []


# shifted-rows


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_shifted_test_rows_are_found_and_the_columns_named(seed):
    data, split = make_blobs(seed), split_rows(600, seed=seed)
    x = data.x.copy()
    x[split.test, 3] += 3 * x[:, 3].std()
    (finding,) = run_check("shifted-rows", make_sample(replace(data, x=x), split=split))
    assert finding.severity == "warning"
    assert finding.evidence["low"] > 0.7
    assert next(iter(finding.evidence["differing"])) == "c3"
    assert "c3" in finding.cause


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_test_rows_drawn_at_random_are_not_shifted(seed):
    for data in (make_blobs(seed), load_dataset("digits")):
        assert run_check("shifted-rows", make_sample(data, seed)) == []


def test_auc_equals_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    from yisheng.diagnosis.data_checks.shifted_rows import _compute_auc

    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 300)
    score = np.round(generator.normal(size=300) + y, 1)  # with ties
    auc, error = _compute_auc(score, y)
    assert auc == pytest.approx(roc_auc_score(y, score))
    resamples = [generator.integers(0, 300, 300) for _ in range(300)]
    assert error == pytest.approx(np.std([roc_auc_score(y[rows], score[rows]) for rows in resamples]), rel=0.3)


# learning-curve


def test_more_rows_are_recommended_while_the_score_rises():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1000, 10))
    data = make_table(x, np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2])
    (finding,) = run_check("learning-curve", make_sample(data))
    assert finding.severity == "note"
    assert "collect more rows" in finding.remedy
    scores = list(finding.evidence["by rows"].values())
    assert scores == sorted(scores)


@pytest.mark.slow
def test_larger_network_is_recommended_if_it_is_worse_than_the_quick_model():
    data = make_blobs(0, n=300, distance=4.0)
    (finding,) = run_check("learning-curve", make_sample(data))
    assert "no sign that more rows would help" in finding.cause
    (finding,) = run_check("learning-curve", make_sample(data, test_score=Score(0.6, 0.5, 0.7)))
    assert "larger network" in finding.remedy
    (finding,) = run_check("learning-curve", make_sample(data, test_score=Score(0.99, 0.97, 1.0)))
    assert "larger network or more epochs" not in finding.remedy


# every check


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "digits", "diabetes"])
def test_healthy_data_gets_only_notes(name):
    state = np.random.get_state()[1].copy()
    results = data_findings.run_checks(make_sample(load_dataset(name)), "trainings")
    assert [finding for finding in results.findings if finding.severity != "note"] == []
    assert [reason for reason in results.unchecked.values() if "defect" in reason] == []
    assert (np.random.get_state()[1] == state).all()


def test_same_seed_gives_the_same_finding():
    data, _ = flip_labels(make_blobs(0, n=300), 0.2, 0)
    assert run_check("label-noise", make_sample(data)) == run_check("label-noise", make_sample(data))
