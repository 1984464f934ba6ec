"""The history checks: on one side of each threshold no finding, on the other the finding."""

import json
import math

import pytest

from yisheng.core import registry
from yisheng.core.types import Finding
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


@pytest.mark.parametrize(("rise", "severity"), [(0.2, None), (0.6, "note"), (2.5, "warning")])
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


def test_overfitting_explains_a_baseline_that_is_not_beaten(make_run):
    poor = {"test": (0.33, 0.28, 0.38), "baseline": (0.33, 0.3, 0.36)}
    causes = find_causes(make_run(make_falling_losses(30, end=0.1), [1.95] * 15 + [2.4] * 15, scores=poor))
    assert list(causes) == ["overfitting"]
    assert [symptom.check for symptom in causes["overfitting"].symptoms] == ["baseline-not-beaten"]


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
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 5, 0.0)], "cross-entropy", None),  # five rows prove nothing
        ([("a", 50, 0.3), ("b", 50, 0.3), ("c", 50, 0.3)], "cross-entropy", None),  # poor, but not by imbalance
    ],
)
def test_missed_rare_classes_recommend_class_weights(make_run, classes, loss, option):
    losses = make_falling_losses(30)
    facts = make_run(losses, losses, scores=GOOD_SCORES, classes=classes, loss=loss)
    cause = find_causes(facts).get("missed-classes")
    assert (cause.remedy if cause else None) == (f"use {option}" if option else None)


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
        "missed-classes",
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
