"""The history checks: on one side of each threshold no finding, on the other the finding."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.core.findings import Finding
from yisheng.diagnosis.run_diagnosis import add_history_findings
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Cause, Findings


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes a run folder from losses by epoch, scores and classes, and reads its facts."""

    def write(training, validation, *, scores=None, classes=(), loss="cross-entropy", shape=(3,), name="run"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.toml").write_text(f'epochs = {len(training)}\nloss = "{loss}"\nscore = "accuracy"\n')
        steps = [{"event": "step", "step": 1, "epoch": 0, "lr": 0.1, "loss": 2.0}]
        epochs = [
            {"event": "epoch", "step": 10 * n, "epoch": n, "loss": t, "scores": {"loss": v, "accuracy": 0.5}}
            for n, (t, v) in enumerate(zip(training, validation, strict=True), 1)
        ]
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in steps + epochs))
        spec = {"task": "classification", "shape": list(shape), "classes": ["a", "b", "c"]}
        (folder / "model.json").write_text(json.dumps({"spec": spec}))
        if scores:
            content = {
                part: {"accuracy": dict(zip(("value", "low", "high"), values, strict=False))}
                for part, values in scores.items()
            }
            (folder / "scores.json").write_text(json.dumps(content))
        if classes:
            per_class = [{"class": c, "support": n, "recall": r} for c, n, r in classes]
            (folder / "evaluation.json").write_text(json.dumps({"part": "test", "rows": 99, "per_class": per_class}))
        return run_facts.read_run_facts(folder)

    return write


def make_falling_losses(n, start=2.0, end=0.05, rate=0.3):
    return [end + (start - end) * math.exp(-rate * i) for i in range(n)]


def find_causes(facts, findings=None):
    """Return the causes of a run by their check."""
    return {cause.check: cause for cause in add_history_findings(findings or Findings(), facts).findings}


GOOD_SCORES = {"test": (0.9, 0.85, 0.95), "baseline": (0.33, 0.3, 0.36)}
LINE = [2.0 - 0.1 * i for i in range(10)]
LOW_RATE = Cause(check="low-learning-rate", severity="warning", cause="too small", remedy="a larger one")


def test_healthy_run_has_no_findings(make_run):
    classes = [("a", 100, 0.9), ("b", 100, 0.95), ("c", 5, 0.8)]
    training, validation = make_falling_losses(30), make_falling_losses(30, end=0.2)
    assert find_causes(make_run(training, validation, scores=GOOD_SCORES, classes=classes)) == {}


def test_training_loss_above_validation_loss_is_not_a_finding(make_run):
    """Dropout keeps the training loss above the validation loss."""
    training, validation = make_falling_losses(30, end=0.5), make_falling_losses(30, end=0.2)
    assert find_causes(make_run(training, validation, scores=GOOD_SCORES)) == {}


@pytest.mark.parametrize(("rise", "severity"), [(0.03, None), (0.1, "note"), (0.6, "warning"), (2.5, "warning")])
def test_overfitting_depends_on_the_rise_of_the_validation_loss(make_run, rise, severity):
    validation = [0.3 + abs(i - 6) * (0.28 if i < 6 else rise / 33) for i in range(40)]
    facts = make_run(make_falling_losses(40, end=0.01), validation, scores=GOOD_SCORES)
    cause = find_causes(facts).get("overfitting")
    assert (cause and cause.severity) == severity
    if cause:
        assert cause.evidence["best epoch"] == 7
        assert "weight_decay=0.01" in cause.remedy


def test_overfitting_of_images_recommends_augmentation(make_run):
    validation = [0.3 + abs(i - 6) * 0.2 for i in range(40)]
    facts = make_run(make_falling_losses(40, end=0.01), validation, scores=GOOD_SCORES, shape=(1, 8, 8))
    assert "augment=" in find_causes(facts)["overfitting"].remedy


def test_overfitting_of_a_textbook_is_a_warning(make_run):
    """The best of 400 epochs is the 37th, and from then on the validation loss rises to half as much again."""
    training = [0.05 + 2.2 * math.exp(-i / 40) for i in range(400)]
    rise = [0.74 * (1 - math.exp(-i / 80)) for i in range(364)]
    validation = [1.44 + change for change in (*(0.02 * (36 - i) for i in range(36)), *rise)]
    cause = find_causes(make_run(training, validation, scores=GOOD_SCORES))["overfitting"]
    assert cause.severity == "warning"
    assert "after epoch 37 of 400" in cause.cause


def make_textbook_errors(start, noise, training_end=0.065):
    """Return squared errors that begin anywhere, are best in epoch 37 of 400, and rise to half as much again."""
    draw, epochs = np.random.default_rng(0), np.arange(400)
    training = training_end + start * np.exp(-epochs / 5)
    rise = 0.74 * (1 - np.exp(-np.maximum(0, epochs - 36) / 80))
    validation = 1.44 + start * np.exp(-epochs / 2.5) + rise
    return training, validation + noise * draw.normal(size=400)


@pytest.mark.parametrize("start", [3.0, 300.0, 30_000.0])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_rise_of_an_error_is_compared_with_the_error_itself(make_run, start, noise):
    """Guessing may be any number of times as bad, and a network begins anywhere."""
    training, validation = make_textbook_errors(start, noise)
    cause = find_causes(make_run(training, validation, scores=GOOD_SCORES, loss="mse"))["overfitting"]
    assert cause.severity == "warning"
    assert noise or "after epoch 37 of 400" in cause.cause


@pytest.mark.parametrize(
    ("scale", "start", "loss", "training_end"),
    [
        (1.0, 300.0, "mse", 1.3),  # the training rows are not fitted much better
        (1e-8, 2.0, "mse", 0.065),  # rounding
        (0.02, 2.0, "cross-entropy", 0.065),  # a log-loss of 0.03 that becomes one of 0.04 does no harm
    ],
)
def test_rise_of_an_error_that_does_no_harm_is_no_finding(make_run, scale, start, loss, training_end):
    training, validation = make_textbook_errors(start / scale, 0.0, training_end)
    facts = make_run(scale * training, scale * validation, scores=GOOD_SCORES, loss=loss)
    assert "overfitting" not in find_causes(facts)


def test_noise_of_the_validation_loss_is_not_overfitting(make_run):
    noisy = [value + 0.06 * (-1) ** (i // 2) for i, value in enumerate(make_falling_losses(60, end=0.4))]
    assert find_causes(make_run(make_falling_losses(60, end=0.2), noisy, scores=GOOD_SCORES)) == {}


def test_gap_of_a_network_that_does_not_fit_its_training_rows_is_not_overfitting(make_run):
    """A linear model on images learns a little of them, and that little holds for others in part."""
    training, validation = make_falling_losses(30, end=1.5), make_falling_losses(30, end=1.8)
    assert "overfitting" not in find_causes(make_run(training, validation, scores=GOOD_SCORES))


@pytest.mark.parametrize(("end", "is_found"), [(0.1, True), (-3.0, False)])
def test_gains_of_losses_below_zero_are_not_compared(make_run, end, is_found):
    """Densities and learned variances have no perfect loss, so that the validation rows' part of it says nothing."""
    training, validation = make_falling_losses(30, end=end), make_falling_losses(30, end=1.8)
    assert ("overfitting" in find_causes(make_run(training, validation, scores=GOOD_SCORES))) is is_found


def test_memorization_is_not_called_overfitting(make_run):
    """Shuffled labels: the training loss falls, and no validation loss is below that of guessing."""
    poor = {"test": (0.33, 0.28, 0.38), "baseline": (0.33, 0.3, 0.36)}
    losses = make_falling_losses(30, end=0.1), [1.95] * 15 + [2.4] * 15
    causes = find_causes(make_run(*losses, scores=poor, name="poor"))
    assert list(causes) == ["memorization"]
    assert "shuffled labels" in causes["memorization"].remedy
    assert [symptom.check for symptom in causes["memorization"].symptoms] == ["baseline-not-beaten"]
    assert "memorization" not in find_causes(make_run(*losses, scores=GOOD_SCORES, name="good"))


def test_falling_loss_at_the_end_means_too_few_epochs(make_run):
    causes = find_causes(make_run(LINE, LINE, scores=GOOD_SCORES))
    assert list(causes) == ["too-few-epochs"]
    assert "epochs=20" in causes["too-few-epochs"].remedy


def test_noise_around_a_plateau_does_not_mean_too_few_epochs(make_run):
    plateau = [*make_falling_losses(20, end=0.4), *(0.4 + 0.1 * (-1) ** i for i in range(9)), 0.25]
    assert find_causes(make_run(make_falling_losses(30, end=0.4), plateau, scores=GOOD_SCORES)) == {}


@pytest.mark.parametrize(
    ("scores", "severity"),
    [
        ({"test": (0.35, 0.3, 0.4), "baseline": (0.33,)}, "warning"),
        ({"test": (0.2, 0.15, 0.25), "baseline": (0.33,)}, "error"),
        ({"test": (0.35, 0.3, 0.4), "validation": (0.5, 0.4, 0.6), "baseline": (0.33,)}, None),
    ],
)
def test_baseline_must_be_beaten_on_one_part(make_run, scores, severity):
    losses = make_falling_losses(30, end=1.0)
    cause = find_causes(make_run(losses, losses, scores=scores)).get("baseline-not-beaten")
    assert (cause and cause.severity) == severity


def test_flat_loss_is_underfitting_only_if_the_baseline_is_not_beaten(make_run):
    flat = [1.98] * 12
    poor = {"test": (0.33, 0.28, 0.38), "baseline": (0.33,)}
    causes = find_causes(make_run(flat, flat, scores=poor, name="poor"))
    assert list(causes) == ["underfitting"]
    assert [symptom.check for symptom in causes["underfitting"].symptoms] == ["baseline-not-beaten"]
    assert find_causes(make_run(flat, flat, scores=GOOD_SCORES, name="noisy")) == {}


def test_underfitting_if_boosted_trees_are_significantly_better(make_run):
    scores, losses = {"test": (0.7, 0.65, 0.75), "baseline": (0.33,)}, make_falling_losses(30)
    significant = make_run(losses, losses, scores={**scores, "boosting": (0.9, 0.86, 0.93)}, name="significant")
    uncertain = make_run(losses, losses, scores={**scores, "boosting": (0.78, 0.73, 0.83)}, name="uncertain")
    assert list(find_causes(significant)) == ["underfitting"]
    assert find_causes(uncertain) == {}


@pytest.mark.parametrize(
    ("classes", "loss", "option"),
    [
        ([("a", 950, 0.99), ("b", 50, 0.1)], "binary-cross-entropy", "pos_weight=balanced"),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 50, 0.1)], "cross-entropy", "class_weight=balanced"),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 50, 0.8)], "cross-entropy", None),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 8, 0.0)], "cross-entropy", "class_weight=balanced"),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 1, 0.0)], "cross-entropy", None),  # a single row proves nothing
        ([("a", 50, 0.3), ("b", 50, 0.3), ("c", 50, 0.3)], "cross-entropy", None),  # poor, but not by imbalance
    ],
)
def test_missed_rare_classes_recommend_class_weights(make_run, classes, loss, option):
    losses = make_falling_losses(30)
    facts = make_run(losses, losses, scores=GOOD_SCORES, classes=classes, loss=loss)
    cause = find_causes(facts).get("missed-classes")
    assert (cause.remedy if cause else None) == (f"use {option}" if option else None)


@pytest.mark.parametrize(
    ("intervals", "missed"),
    [
        ({"x": (0.8, 0.7, 0.9), "y": (0.6, 0.5, 0.7)}, None),
        ({"x": (0.8, 0.7, 0.9), "y": (0.1, -0.1, 0.2)}, {"y": 0.1}),
        ({"x": (0.8, 0.7, 0.9), "y": (-0.5, -0.6, -0.4), "z": (0.0, -0.1, 0.1)}, {"y": -0.5, "z": 0.0}),
        ({"x": (0.0, -0.1, 0.1), "y": (0.1, -0.1, 0.2)}, None),  # none is learned: the baseline is not beaten
        ({}, None),
    ],
)
def test_missed_targets_are_named(make_run, tmp_path, intervals, missed):
    losses = make_falling_losses(30)
    make_run(losses, losses, scores=GOOD_SCORES)
    scores = {f"r2[{name}]": dict(zip(("value", "low", "high"), v, strict=True)) for name, v in intervals.items()}
    baseline = {f"r2[{name}]": {"value": 0.0} for name in intervals}
    path = tmp_path / "run" / "scores.json"
    path.write_text(json.dumps({"test": {"r2": {"value": 0.5}, **scores}, "baseline": baseline}))
    cause = find_causes(run_facts.read_run_facts(tmp_path / "run")).get("missed-targets")
    assert (dict(cause.evidence)["r2"] if cause else None) == missed
    assert cause is None or all(name in cause.cause for name in missed)


def test_cause_in_the_training_explains_the_history(make_run):
    causes = find_causes(make_run(LINE, LINE, scores=GOOD_SCORES), Findings(findings=[LOW_RATE]))
    assert list(causes) == ["low-learning-rate"]
    assert [symptom.check for symptom in causes["low-learning-rate"].symptoms] == ["too-few-epochs"]


def test_adding_history_findings_twice_changes_nothing(make_run):
    facts = make_run(LINE, LINE, scores=GOOD_SCORES)
    for findings in (Findings(), Findings(findings=[LOW_RATE])):
        once = add_history_findings(findings, facts)
        assert add_history_findings(once, facts) == once


def test_skipped_checks_give_a_reason(make_run):
    findings = add_history_findings(Findings(), make_run([2.0, 1.0], [2.0, 1.0]))
    assert findings.findings == []
    assert set(findings.unchecked) == {
        "baseline-not-beaten",
        "memorization",
        "missed-classes",
        "missed-targets",
        "overfitting",
        "too-few-epochs",
        "underfitting",
    }
    assert all(findings.unchecked.values())


def test_every_history_check_yields_findings_of_its_name(make_run):
    facts = make_run(LINE, LINE, scores=GOOD_SCORES)
    for entry in registry.entries("diagnosis.history_checks"):
        assert entry.about
        for finding in [] if entry.meta["needs"](facts) else entry.build(facts):
            assert isinstance(finding, Finding)
            assert finding.check == entry.name


@pytest.mark.parametrize(
    ("scores", "severity"),
    [
        # A better rank of the classes does not improve the prediction: accuracy is below that of the commonest class.
        ({"accuracy": (0.40, 0.36, 0.44), "roc_auc_ovr_macro": (0.8, 0.75, 0.85)}, "error"),
        ({"accuracy": (0.40, 0.36, 0.44), "log_loss": (0.5, 0.4, 0.6)}, "error"),
        ({"accuracy": (0.64, 0.60, 0.68), "roc_auc_ovr_macro": (0.8, 0.75, 0.85)}, "warning"),
        ({"accuracy": (0.64, 0.60, 0.68), "log_loss": (0.5, 0.4, 0.6)}, None),
        ({"accuracy": (0.80, 0.76, 0.84), "log_loss": (0.9, 0.8, 1.0)}, None),
    ],
)
def test_baseline_is_judged_by_the_own_score_and_by_proper_scores(make_run, tmp_path, scores, severity):
    losses = make_falling_losses(30, end=0.3)
    make_run(losses, losses, scores=GOOD_SCORES)
    baseline = {"accuracy": {"value": 0.63}, "roc_auc_ovr_macro": {"value": 0.5}, "log_loss": {"value": 0.66}}
    test = {name: dict(zip(("value", "low", "high"), values, strict=True)) for name, values in scores.items()}
    (tmp_path / "run" / "scores.json").write_text(json.dumps({"test": test, "baseline": baseline}))
    cause = find_causes(run_facts.read_run_facts(tmp_path / "run")).get("baseline-not-beaten")
    assert (cause and cause.severity) == severity


def test_missed_classes_pool_the_parts(make_run):
    """Two rows in the test part prove nothing, and ten with those of the validation part do."""
    losses = make_falling_losses(30)
    classes = [("a", 500, 0.99), ("b", 450, 0.99), ("c", 1, 0.0)]
    facts = make_run(losses, losses, scores=GOOD_SCORES, classes=classes)
    assert "missed-classes" not in find_causes(facts)
    rows = [{"class": "a", "support": 400, "recall": 0.99}, {"class": "c", "support": 9, "recall": 0.0}]
    findings = Findings(validation_classes=rows)
    cause = find_causes(replace(facts, findings=findings), findings)["missed-classes"]
    assert cause.evidence["classes"] == {"c": {"rows": 10, "recall": 0.0}}
