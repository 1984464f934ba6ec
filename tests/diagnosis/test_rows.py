"""The cheap checks of the data: each speaks of what was planted, and is quiet about what tempts it."""

import warnings

import numpy as np
import pytest
from generated_rows import SEEDS, blobs, changed, load, parts, rows, said, sample, severities

from yisheng.core import registry
from yisheng.core.types import Dataset, Finding, Spec, Split
from yisheng.diagnosis import data_findings as asking
from yisheng.diagnosis.sample import InconclusiveError
from yisheng.reporting.findings_schema import Findings

HEALTHY = ("iris", "digits", "wine", "breast-cancer", "diabetes", "linear", "polynomial", "xor")


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_data_gets_no_more_than_notes_and_no_check_has_a_defect(name):
    data = load(name)
    for seed in SEEDS:
        answers = asking.run_checks(sample(data, seed), "cheap")
        assert [f for f in answers.findings if f.severity != "note"] == []
        assert [why for why in answers.unchecked.values() if "defect" in why] == []


def test_no_global_generator_is_drawn_from():
    before = np.random.get_state()[1].copy()
    asking.run_checks(sample(blobs(0)), "cheap")
    assert (np.random.get_state()[1] == before).all()


# leaking-rows


def copied(data, split, share, seed):
    """Some test rows are training rows."""
    draw, x, y = np.random.default_rng(seed), data.x.copy(), data.y.copy()
    n = round(share * len(split.test))
    to, of = draw.choice(split.test, n, replace=False), draw.choice(split.train, n, replace=False)
    x[to], y[to] = x[of], y[of]
    return changed(data, x=x, y=y), dict(zip(to.tolist(), of.tolist(), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("share", "severity"), [(0.005, "note"), (0.1, "warning"), (0.7, "error")])
@pytest.mark.parametrize("name", ["digits", "blobs"])
def test_test_rows_that_are_training_rows_are_counted_and_named(name, share, severity, seed):
    data = load("digits") if name == "digits" else blobs(seed, n=1500)
    split = parts(len(data), seed=seed)
    data, pairs = copied(data, split, share, seed)
    (found,) = said("leaking-rows", sample(data, split=split))
    assert found.severity == severity
    assert found.evidence["rows"] == len(pairs)
    assert found.evidence["share"] == pytest.approx(len(pairs) / len(split.test))
    for told in found.evidence["first"]:
        a, b = (int(one.removeprefix("row ")) for one in told.split(" = "))
        assert (data.x[a] == data.x[b]).all()
        assert a in pairs


def test_rows_drawn_several_times_before_the_split_leak():
    data = blobs(0, n=300)
    twice = np.random.default_rng(0).integers(0, 300, 600)
    data = changed(data, x=data.x[twice], y=data.y[twice])
    found = said("leaking-rows", sample(data))
    assert {one.evidence["part"]: one.severity for one in found} == {"test": "error", "validation": "error"}


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_of_few_values_are_the_same_by_coincidence(seed):
    draw = np.random.default_rng(seed)
    x = np.stack([draw.integers(0, levels, 800) for levels in (3, 4, 5, 2)], 1)
    one_hot = np.concatenate([np.eye(5)[x[:, i]] for i in range(3)], 1)  # 15 columns, and still 60 different rows
    for columns in (x, one_hot):
        found = said("leaking-rows", sample(rows(columns, x[:, 0] % 2, classes=2), seed))
        assert {one.severity for one in found} == {"note"}
        assert "coincidence" in found[0].cause


# near-duplicates


def nearly(data, split, share, seed, noise):
    """Some test rows are training rows with a little noise."""
    draw, x = np.random.default_rng(seed), data.x.copy()
    n = round(share * len(split.test))
    to, of = draw.choice(split.test, n, replace=False), draw.choice(split.train, n, replace=False)
    noisy = x[of] + draw.normal(0, noise, x[of].shape)
    x[to] = noisy if x.dtype == np.float32 else np.clip(np.rint(noisy), 0, 255)
    return changed(data, x=x)


@pytest.mark.parametrize("seed", SEEDS)
def test_copies_with_a_little_noise_are_near_duplicates(seed):
    for data, noise in ((blobs(seed, n=1500), 0.02), (load("digits"), 3)):
        split = parts(len(data), seed=seed)
        data = nearly(data, split, 0.1, seed, noise)
        (found,) = said("near-duplicates", sample(data, split=split))
        assert found.severity == "warning"
        assert found.evidence["share"] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_near_one_another_by_nature_are_none(seed):
    draw = np.random.default_rng(seed)
    assert said("near-duplicates", sample(blobs(seed, n=1500), seed)) == []
    assert said("near-duplicates", sample(load("digits"), seed)) == []
    turn = draw.random(1500) * 9  # a line, wound up in a space of 8 dimensions
    spiral = np.stack([np.sin(turn * k) for k in range(1, 9)], 1)
    with pytest.raises(InconclusiveError, match="dimensions only"):
        said("near-duplicates", sample(rows(spiral, turn), seed))


def test_brighter_copies_of_images_are_near_duplicates():
    draw = np.random.default_rng(0)
    coarse = draw.integers(20, 200, (600, 3, 12, 12))
    x = coarse.repeat(2, 2).repeat(2, 3).astype(np.uint8)
    split = parts(600)
    x[split.test[:12]] = np.clip(x[split.train[:12]] * 1.1 + 8, 0, 255).astype(np.uint8)
    data = Dataset("images", Spec("classification", (3, 24, 24), ("a", "b")), x, draw.integers(0, 2, 600))
    (found,) = said("near-duplicates", sample(data, split=split))
    assert found.evidence["rows"] == 12
    assert len(said("leaking-rows", sample(data, split=split))) == 0


# conflicting-rows


@pytest.mark.parametrize("seed", SEEDS)
def test_copies_with_another_label_conflict(seed):
    data, split = blobs(seed, n=1000), parts(1000, seed=seed)
    x, y = data.x.copy(), data.y.copy()
    a, b = split.train[:20], split.train[20:40]
    x[a], y[a] = x[b], (y[b] + 1) % 3
    (found,) = said("conflicting-rows", sample(changed(data, x=x, y=y), split=split))
    assert found.severity == "warning"
    assert found.evidence["rows"] == 40
    assert found.evidence["can be right at most"] == pytest.approx(1 - 20 / 600)


def test_copies_with_the_same_label_and_coincidences_do_not():
    data = blobs(0, n=1000)
    x, y = data.x.copy(), data.y.copy()
    x[:100], y[:100] = x[100:200], y[100:200]
    assert said("conflicting-rows", sample(changed(data, x=x, y=y))) == []
    draw = np.random.default_rng(0)
    few = draw.integers(0, 4, (600, 4))
    found = said("conflicting-rows", sample(rows(few, draw.integers(0, 2, 600), classes=2)))
    assert [one.severity for one in found] == ["note"]


# target-in-inputs


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_that_is_the_target_in_other_words(seed):
    draw = np.random.default_rng(seed)
    data = blobs(seed, n=400, apart=0.3)
    code = np.array([30.0, 10.0, 20.0], np.float32)[data.y]
    noisy = data.y + 0.1 * draw.random(400)
    empty = np.where(data.y == 1, np.nan, 5.0)
    for column, y, C in ((code, data.y, 3), (noisy, data.y, 3), (empty, data.y == 1, 2)):
        x = np.column_stack([data.x, column])
        (found,) = said("target-in-inputs", sample(rows(x, y, classes=C), seed))
        assert found.evidence["columns"] == ["c8"]
        assert found.severity == "warning"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_that_is_the_measure_in_another_unit(seed):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(400, 5))
    y = np.exp(x @ [1.0, -1, 0.5, 0.3, 0.2]) + 0.1 * draw.random(400)
    for column in (100 * y + 3, np.log(y), y + 0.001 * y.std() * draw.normal(size=400)):
        (found,) = said("target-in-inputs", sample(rows(np.column_stack([x, column]), y), seed))
        assert found.evidence["columns"] == ["c5"]


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_that_are_merely_good_do_not_tell_the_target(seed):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(600, 6))
    assert said("target-in-inputs", sample(rows(x, 5 * x[:, 0] + x[:, 1:].sum(1)), seed)) == []
    y = np.cumsum(draw.normal(size=600)) + 100
    lags = np.column_stack([np.roll(y, 1), np.roll(y, 2), np.roll(y, 3)])[3:]
    assert said("target-in-inputs", sample(rows(lags, y[3:]), seed)) == []  # several tell it: that is the task
    easy = blobs(seed, apart=9.0)
    assert said("target-in-inputs", sample(easy, seed)) == []
    numbered = np.column_stack([x, np.arange(600)])  # each value is of one row, and so of one class
    assert said("target-in-inputs", sample(rows(numbered, draw.integers(0, 2, 600), classes=2), seed)) == []
    rare = (draw.random(600) < 0.02).astype(int)  # guessing is right on 98%
    assert said("target-in-inputs", sample(rows(x, rare, classes=2), seed)) == []


# constant-columns, missing-values


def test_constant_columns_are_named():
    x = np.random.default_rng(0).normal(size=(300, 4))
    assert said("constant-columns", sample(rows(x, x[:, 0]))) == []
    x[:, 1], x[:, 3] = 7, np.nan
    (found,) = said("constant-columns", sample(rows(x, x[:, 0])))
    assert (found.severity, found.evidence["columns"]) == ("note", ["c1", "c3"])


def test_a_column_that_is_constant_but_for_one_training_row_is_not():
    x = np.zeros((20_000, 2))
    x[:, 0] = np.random.default_rng(0).normal(size=20_000)
    split = parts(20_000)
    x[split.train[-1], 1] = 1
    assert said("constant-columns", sample(rows(x, x[:, 0]), split=split)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_mostly_empty_and_columns_empty_elsewhere(seed):
    draw = np.random.default_rng(seed)
    x, split = draw.normal(size=(500, 4)), parts(500, seed=seed)
    x[draw.random(500) < 0.3, 0] = np.nan
    assert said("missing-values", sample(rows(x, x[:, 1]), split=split)) == []
    x[draw.random(500) < 0.8, 2] = np.nan
    x[split.test, 3] = np.nan
    found = said("missing-values", sample(rows(x, x[:, 1]), split=split))
    assert [(one.severity, list(one.evidence["missing"])) for one in found] == [("note", ["c2"]), ("warning", ["c3"])]


# class-imbalance, absent-classes, target-kind


def test_imbalance_is_a_note_with_numbers():
    y = np.repeat([0, 1, 2], [500, 480, 30])
    (found,) = said("class-imbalance", sample(rows(np.random.default_rng(0).normal(size=(1010, 3)), y, classes=3)))
    assert found.severity == "note"
    assert set(found.evidence["rows"]) == {"k0", "k1", "k2"}
    assert said("class-imbalance", sample(blobs(0))) == []


def test_classes_without_training_rows():
    data, split = blobs(0, C=4), parts(600)
    y = np.where(data.y == 3, 0, data.y)
    y[split.test[:7]] = 3
    y[split.train[:3]] = 2
    (found,) = said("absent-classes", sample(changed(data, y=y), split=split))
    assert found.severity == "warning"
    assert found.evidence["rows elsewhere"] == {"k3": 7}
    y[split.train[:2]] = 3
    assert severities("absent-classes", sample(changed(data, y=y), split=split)) == ["note"]
    assert said("absent-classes", sample(data)) == []


@pytest.mark.parametrize(
    ("y", "severity"),
    [
        (lambda draw: np.full(400, 3.5), ["error"]),
        (lambda draw: draw.integers(0, 2, 400), ["warning"]),
        (lambda draw: draw.integers(1, 6, 400), ["note"]),
        (lambda draw: draw.integers(18, 90, 400), []),
        (lambda draw: draw.normal(size=400), []),
        (lambda draw: draw.integers(0, 4, 400) / 4, []),
    ],
    ids=["constant", "yes and no", "grades", "ages", "measures", "quarters"],
)
def test_what_measures_are(y, severity):
    draw = np.random.default_rng(0)
    assert severities("target-kind", sample(rows(draw.normal(size=(400, 3)), y(draw)))) == severity


def test_what_classes_are():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 3))
    names = rows(x, draw.permutation(400), classes=400)
    assert severities("target-kind", sample(names)) == ["warning"]
    assert severities("target-kind", sample(rows(x, np.arange(400) % 60, classes=60))) == []
    one = Split(np.flatnonzero(np.arange(400) < 300), np.arange(300, 350), np.arange(350, 400))
    assert severities("target-kind", sample(rows(x, np.arange(400) >= 300, classes=2), split=one)) == ["error"]


# all of them


def test_data_of_every_form_is_looked_at_without_a_defect():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 3)).astype(np.float32)
    labels = (draw.random((200, 4)) < 0.3).astype(np.float32)
    black = Spec("classification", (1, 5, 5), ("a", "b"))
    forms = [
        Dataset("labels", Spec("multilabel", (3,), ("a", "b", "c", "d")), x, labels),
        Dataset("two targets", Spec("regression", (3,), outputs=2), x, x[:, :2].copy()),
        Dataset("black", black, np.zeros((200, 1, 5, 5), np.uint8), labels[:, 0].astype(np.int64)),
        Dataset("empty", Spec("regression", (2,)), np.full((200, 2), np.nan, np.float32), x[:, :1].copy()),
        Dataset("one column", Spec("regression", (1,)), x[:, :1].copy(), x[:, 1:2].copy()),
    ]
    some = np.arange(200)
    splits = [None, Split(some, some[:0], some[:0]), Split(some[:1], some[1:2], some[2:3])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in forms:
            for split in splits:
                answers = asking.run_checks(sample(data, split=split), "cheap")
                assert [why for why in answers.unchecked.values() if "defect" in why] == [], data.name


def test_a_check_with_a_defect_costs_its_own_answer_only():
    @registry.register(kind=asking.KIND, cost="cheap")
    def broken(sample):
        raise ZeroDivisionError(len(sample.x))

    try:
        answers = asking.run_checks(sample(blobs(0)), "cheap")
    finally:
        del registry._entries[asking.KIND, "broken"]
    assert answers.unchecked == {"broken": "it has a defect: ZeroDivisionError: 600"}


def test_large_data_is_drawn_from_and_that_is_said(monkeypatch):
    from yisheng.diagnosis import sample as module

    data = blobs(0, n=2000)
    split = parts(2000)
    data, _ = copied(data, split, 0.5, 0)
    monkeypatch.setattr(module, "BYTES", 800 * data.x[:1].nbytes)
    (found,) = said("leaking-rows", sample(data, split=split))
    assert found.evidence["rows compared"] == 800
    assert found.evidence["of"] == 2000
    assert 0 < found.evidence["share"] < 0.5


# on the page


def finding(check, severity="warning", **more):
    return {"check": check, "severity": severity, "cause": check, "remedy": "mend it", **more}


def test_a_cause_in_the_data_takes_what_it_explains_and_stands_before_rates():
    course = finding("overfitting", symptoms=[finding("baseline-not-beaten")])
    seen = Findings(findings=[finding("low-learning-rate"), finding("loss-pairing"), course])
    told = asking.CheckResults(("no-signal",), (Finding("no-signal", "warning", {}, "no signal", "mend it"),))
    page = asking.merge_findings(seen, [told])
    assert [one.check for one in page.findings] == ["loss-pairing", "no-signal", "low-learning-rate"]
    assert [one.check for one in page.findings[1].symptoms] == ["overfitting", "baseline-not-beaten"]
    grave = seen.model_copy(update={"findings": [seen.findings[2].model_copy(update={"severity": "error"})]})
    assert [one.check for one in asking.merge_findings(grave, [told]).findings] == ["overfitting", "no-signal"]


def test_what_is_asked_again_replaces_what_was_said():
    seen = Findings(findings=[finding("label-noise")], unchecked={"no-signal": "later", "mode": "nothing seen"})
    page = asking.merge_findings(seen, [asking.CheckResults(("label-noise", "no-signal"))])
    assert page.findings == []
    assert page.unchecked == {"mode": "nothing seen"}
    later = asking.skip_checks("trainings", "later", Spec("regression", (2,)))
    assert set(asking.merge_findings(page, [later]).unchecked) == {"mode", "no-signal", "shifted-rows", "learning-curve"}


def test_what_reading_the_data_has_told_is_not_told_twice():
    data, split = blobs(0, n=1000), parts(1000)
    data, _ = copied(data, split, 0.2, 0)
    assert asking.run_checks(sample(data, split=split), "cheap", reported=["leakage"]).findings == ()
