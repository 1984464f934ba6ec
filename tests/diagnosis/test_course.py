"""What the course of a run tells: on the good side of each line nothing, on the other the finding."""

import json
import math

import pytest

from yisheng.core.types import Finding
from yisheng.diagnosis.run_diagnosis import add_history_findings
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import Findings, Found


@pytest.fixture
def make(tmp_path):
    """A run folder from losses by epoch, scores and classes."""

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
            plain = {
                part: {"accuracy": dict(zip(("value", "low", "high"), values, strict=False))}
                for part, values in scores.items()
            }
            (folder / "scores.json").write_text(json.dumps(plain))
        if classes:
            per_class = [{"class": c, "support": n, "recall": r} for c, n, r in classes]
            (folder / "evaluation.json").write_text(json.dumps({"part": "test", "rows": 99, "per_class": per_class}))
        return run_facts.read(folder)

    return write


def falling(n, start=2.0, end=0.05, rate=0.3):
    return [end + (start - end) * math.exp(-rate * i) for i in range(n)]


GOOD = {"test": (0.9, 0.85, 0.95), "baseline": (0.33, 0.3, 0.36)}


def checks(known, found=None):
    page = add_history_findings(found or Findings(), known)
    return {one.check: one for one in page.findings}


def test_a_healthy_run_is_not_spoken_of(make):
    classes = [("a", 100, 0.9), ("b", 100, 0.95), ("c", 5, 0.8)]
    assert checks(make(falling(30), falling(30, end=0.2), scores=GOOD, classes=classes)) == {}


def test_dropout_keeps_the_training_loss_above_and_that_is_no_finding(make):
    assert checks(make(falling(30, end=0.5), falling(30, end=0.2), scores=GOOD)) == {}


@pytest.mark.parametrize(("rise", "severity"), [(0.2, None), (0.6, "note"), (2.5, "warning")])
def test_overfitting_by_what_is_lost_again(make, rise, severity):
    validation = [0.3 + abs(i - 6) * (0.28 if i < 6 else rise / 33) for i in range(40)]
    found = checks(make(falling(40, end=0.01), validation, scores=GOOD)).get("overfitting")
    assert (found and found.severity) == severity
    if found:
        assert found.evidence["best epoch"] == 7
        assert "wd=0.01" in found.remedy


def test_overfitting_of_images_is_told_to_augment(make):
    validation = [0.3 + abs(i - 6) * 0.2 for i in range(40)]
    found = checks(make(falling(40, end=0.01), validation, scores=GOOD, shape=(1, 8, 8)))["overfitting"]
    assert "augment=" in found.remedy


def test_training_rows_learnt_by_heart_and_nothing_else(make):
    poor = {"test": (0.33, 0.28, 0.38), "baseline": (0.33, 0.3, 0.36)}
    found = checks(make(falling(30, end=0.1), [1.95] * 15 + [2.4] * 15, scores=poor))
    assert list(found) == ["overfitting"]
    assert [one.check for one in found["overfitting"].symptoms] == ["baseline-not-beaten"]


def test_too_few_epochs_where_the_loss_still_falls(make):
    line = [2.0 - 0.1 * i for i in range(10)]
    found = checks(make(line, line, scores=GOOD))
    assert list(found) == ["too-few-epochs"]
    assert "epochs=20" in found["too-few-epochs"].remedy


def test_noise_about_a_plateau_is_not_too_few_epochs(make):
    plateau = [*falling(20, end=0.4), *(0.4 + 0.1 * (-1) ** i for i in range(9)), 0.25]
    assert checks(make(falling(30, end=0.4), plateau, scores=GOOD)) == {}


@pytest.mark.parametrize(
    ("scores", "severity"),
    [
        ({"test": (0.35, 0.3, 0.4), "baseline": (0.33,)}, "warning"),
        ({"test": (0.2, 0.15, 0.25), "baseline": (0.33,)}, "error"),
        ({"test": (0.35, 0.3, 0.4), "validation": (0.5, 0.4, 0.6), "baseline": (0.33,)}, None),
    ],
)
def test_the_baseline_must_be_beaten_somewhere(make, scores, severity):
    found = checks(make(falling(30, end=1.0), falling(30, end=1.0), scores=scores)).get("baseline-not-beaten")
    assert (found and found.severity) == severity


def test_nothing_learnt_is_underfitting_only_where_the_baseline_stands(make):
    flat = [1.98] * 12
    poor = {"test": (0.33, 0.28, 0.38), "baseline": (0.33,)}
    found = checks(make(flat, flat, scores=poor, name="poor"))
    assert list(found) == ["underfitting"]
    assert [one.check for one in found["underfitting"].symptoms] == ["baseline-not-beaten"]
    assert checks(make(flat, flat, scores=GOOD, name="noisy")) == {}


def test_boosted_trees_that_are_surely_better(make):
    base = {"test": (0.7, 0.65, 0.75), "baseline": (0.33,)}
    surely = make(falling(30), falling(30), scores={**base, "boosting": (0.9, 0.86, 0.93)}, name="surely")
    maybe = make(falling(30), falling(30), scores={**base, "boosting": (0.78, 0.73, 0.83)}, name="maybe")
    assert list(checks(surely)) == ["underfitting"]
    assert checks(maybe) == {}


@pytest.mark.parametrize(
    ("classes", "loss", "remedy"),
    [
        ([("a", 950, 0.99), ("b", 50, 0.1)], "binary-cross-entropy", "pos_weight=balanced"),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 50, 0.1)], "cross-entropy", "class_weight=balanced"),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 50, 0.8)], "cross-entropy", None),
        ([("a", 500, 0.99), ("b", 450, 0.9), ("c", 5, 0.0)], "cross-entropy", None),  # five rows prove nothing
        ([("a", 50, 0.3), ("b", 50, 0.3), ("c", 50, 0.3)], "cross-entropy", None),  # poor, but not by imbalance
    ],
)
def test_rare_classes_that_are_missed(make, classes, loss, remedy):
    found = checks(make(falling(30), falling(30), scores=GOOD, classes=classes, loss=loss)).get("missed-classes")
    assert (found.remedy if found else None) == (f"say {remedy}" if remedy else None)


def test_what_training_has_shown_is_the_cause(make):
    line = [2.0 - 0.1 * i for i in range(10)]
    cause = Found(check="low-learning-rate", severity="warning", cause="too short", remedy="more")
    found = checks(make(line, line, scores=GOOD), Findings(findings=[cause]))
    assert list(found) == ["low-learning-rate"]
    assert [one.check for one in found["low-learning-rate"].symptoms] == ["too-few-epochs"]


def test_asked_twice_it_says_the_same(make):
    line = [2.0 - 0.1 * i for i in range(10)]
    known = make(line, line, scores=GOOD)
    cause = Found(check="low-learning-rate", severity="warning", cause="too short", remedy="more")
    for begin in (Findings(), Findings(findings=[cause])):
        once = add_history_findings(begin, known)
        assert add_history_findings(once, known) == once


def test_what_cannot_be_checked_says_why(make):
    page = add_history_findings(Findings(), make([2.0, 1.0], [2.0, 1.0]))
    assert page.findings == []
    assert set(page.unchecked) == {
        "baseline-not-beaten",
        "missed-classes",
        "overfitting",
        "too-few-epochs",
        "underfitting",
    }
    assert all(page.unchecked.values())


def test_every_check_of_the_course_yields_findings(make):
    from yisheng.core import registry

    known = make([2.0 - 0.1 * i for i in range(10)], [2.0 - 0.1 * i for i in range(10)], scores=GOOD)
    for entry in registry.entries("diagnosis.history_checks"):
        assert entry.about
        for one in [] if entry.meta["needs"](known) else entry.build(known):
            assert isinstance(one, Finding)
            assert one.check == entry.name
