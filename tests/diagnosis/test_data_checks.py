"""The cheap data checks: each finds a planted fault, and nothing in data that only resembles it."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis.generated_data import (
    SEEDS,
    find_severities,
    load_dataset,
    make_blobs,
    make_sample,
    make_table,
    run_check,
    split_rows,
)
from yisheng.core import registry
from yisheng.core.dataset import Dataset, Split
from yisheng.core.spec import Spec
from yisheng.diagnosis import data_findings
from yisheng.diagnosis.sample import InconclusiveError

HEALTHY = ("iris", "digits", "wine", "breast-cancer", "diabetes", "linear", "polynomial", "xor")


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_data_gets_only_notes(name):
    data = load_dataset(name)
    for seed in SEEDS:
        results = data_findings.run_checks(make_sample(data, seed), "cheap")
        assert [finding for finding in results.findings if finding.severity != "note"] == []
        assert [reason for reason in results.unchecked.values() if "defect" in reason] == []


def test_checks_do_not_use_the_global_generator():
    state = np.random.get_state()[1].copy()
    data_findings.run_checks(make_sample(make_blobs(0)), "cheap")
    assert (np.random.get_state()[1] == state).all()


# leaking-rows


def copy_training_rows(data, split, fraction, seed):
    """Return the data with a fraction of the test rows replaced by training rows, and the pairs of row numbers."""
    generator, x, y = np.random.default_rng(seed), data.x.copy(), data.y.copy()
    n = round(fraction * len(split.test))
    copies, originals = generator.choice(split.test, n, replace=False), generator.choice(split.train, n, replace=False)
    x[copies], y[copies] = x[originals], y[originals]
    return replace(data, x=x, y=y), dict(zip(copies.tolist(), originals.tolist(), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("fraction", "severity"), [(0.005, "note"), (0.1, "warning"), (0.7, "error")])
@pytest.mark.parametrize("name", ["digits", "blobs"])
def test_leaking_rows_are_counted_and_named(name, fraction, severity, seed):
    data = load_dataset("digits") if name == "digits" else make_blobs(seed, n=1500)
    split = split_rows(len(data), seed=seed)
    data, pairs = copy_training_rows(data, split, fraction, seed)
    (finding,) = run_check("leaking-rows", make_sample(data, split=split))
    assert finding.severity == severity
    assert finding.evidence["rows"] == len(pairs)
    assert finding.evidence["fraction"] == pytest.approx(len(pairs) / len(split.test))
    for pair in finding.evidence["first"]:
        copy, original = (int(name.removeprefix("row ")) for name in pair.split(" = "))
        assert (data.x[copy] == data.x[original]).all()
        assert copy in pairs


def test_rows_repeated_before_the_split_leak():
    data = make_blobs(0, n=300)
    repeated = np.random.default_rng(0).integers(0, 300, 600)
    data = replace(data, x=data.x[repeated], y=data.y[repeated])
    (finding,) = run_check("leaking-rows", make_sample(data))  # one for both parts
    assert (finding.severity, finding.evidence["part"]) == ("error", "test")
    assert "test rows" in finding.cause
    assert "validation rows" in finding.cause
    assert finding.evidence["rows of the validation part"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_rows_of_few_values_are_a_coincidence(seed):
    generator = np.random.default_rng(seed)
    x = np.stack([generator.integers(0, levels, 800) for levels in (3, 4, 5, 2)], 1)
    one_hot = np.concatenate([np.eye(5)[x[:, i]] for i in range(3)], 1)  # 15 columns, and only 60 different rows
    for columns in (x, one_hot):
        findings = run_check("leaking-rows", make_sample(make_table(columns, x[:, 0] % 2, classes=2), seed))
        assert {finding.severity for finding in findings} == {"note"}
        assert "coincidence" in findings[0].cause


# near-duplicates


def copy_with_noise(data, split, fraction, seed, noise):
    """Return the data with a fraction of the test rows replaced by training rows with a little noise."""
    generator, x = np.random.default_rng(seed), data.x.copy()
    n = round(fraction * len(split.test))
    copies, originals = generator.choice(split.test, n, replace=False), generator.choice(split.train, n, replace=False)
    noisy = x[originals] + generator.normal(0, noise, x[originals].shape)
    x[copies] = noisy if x.dtype == np.float32 else np.clip(np.rint(noisy), 0, 255)
    return replace(data, x=x)


@pytest.mark.parametrize("seed", SEEDS)
def test_noisy_copies_are_near_duplicates(seed):
    for data, noise in ((make_blobs(seed, n=1500), 0.02), (load_dataset("digits"), 3)):
        split = split_rows(len(data), seed=seed)
        (finding,) = run_check(
            "near-duplicates", make_sample(copy_with_noise(data, split, 0.1, seed, noise), split=split)
        )
        assert finding.severity == "warning"
        assert finding.evidence["fraction"] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
def test_similar_rows_are_not_near_duplicates(seed):
    generator = np.random.default_rng(seed)
    assert run_check("near-duplicates", make_sample(make_blobs(seed, n=1500), seed)) == []
    assert run_check("near-duplicates", make_sample(load_dataset("digits"), seed)) == []
    angle = generator.random(1500) * 9  # a curve in a space of 8 dimensions
    spiral = np.stack([np.sin(angle * k) for k in range(1, 9)], 1)
    with pytest.raises(InconclusiveError, match="dimensions"):
        run_check("near-duplicates", make_sample(make_table(spiral, angle), seed))


def test_brighter_images_are_near_duplicates():
    generator = np.random.default_rng(0)
    coarse = generator.integers(20, 200, (600, 3, 12, 12))
    x = coarse.repeat(2, 2).repeat(2, 3).astype(np.uint8)
    split = split_rows(600)
    x[split.test[:12]] = np.clip(x[split.train[:12]] * 1.1 + 8, 0, 255).astype(np.uint8)
    data = Dataset("images", Spec("classification", (3, 24, 24), ("a", "b")), x, generator.integers(0, 2, 600))
    (finding,) = run_check("near-duplicates", make_sample(data, split=split))
    assert finding.evidence["rows"] == 12
    assert len(run_check("leaking-rows", make_sample(data, split=split))) == 0


# conflicting-rows


@pytest.mark.parametrize("seed", SEEDS)
def test_copies_with_another_label_conflict(seed):
    data, split = make_blobs(seed, n=1000), split_rows(1000, seed=seed)
    x, y = data.x.copy(), data.y.copy()
    a, b = split.train[:20], split.train[20:40]
    x[a], y[a] = x[b], (y[b] + 1) % 3
    (finding,) = run_check("conflicting-rows", make_sample(replace(data, x=x, y=y), split=split))
    assert finding.severity == "warning"
    assert finding.evidence["rows"] == 40
    assert finding.evidence["can be right at most"] == pytest.approx(1 - 20 / 600)


def test_copies_with_the_same_label_do_not_conflict():
    data = make_blobs(0, n=1000)
    x, y = data.x.copy(), data.y.copy()
    x[:100], y[:100] = x[100:200], y[100:200]
    assert run_check("conflicting-rows", make_sample(replace(data, x=x, y=y))) == []


def test_conflicting_coincidences_are_a_note():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 4, (600, 4))
    data = make_table(x, generator.integers(0, 2, 600), classes=2)
    assert find_severities("conflicting-rows", make_sample(data)) == ["note"]


# target-in-inputs


@pytest.mark.parametrize("seed", SEEDS)
def test_column_that_encodes_the_class_is_found(seed):
    generator = np.random.default_rng(seed)
    data = make_blobs(seed, n=400, distance=0.3)
    code = np.array([30.0, 10.0, 20.0], np.float32)[data.y]
    noisy = data.y + 0.1 * generator.random(400)
    missing = np.where(data.y == 1, np.nan, 5.0)
    for column, y, C in ((code, data.y, 3), (noisy, data.y, 3), (missing, data.y == 1, 2)):
        x = np.column_stack([data.x, column])
        (finding,) = run_check("target-in-inputs", make_sample(make_table(x, y, classes=C), seed))
        assert finding.evidence["columns"] == ["c8"]
        assert finding.severity == "warning"


@pytest.mark.parametrize("seed", SEEDS)
def test_column_with_the_target_in_another_unit_is_found(seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(400, 5))
    y = np.exp(x @ [1.0, -1, 0.5, 0.3, 0.2]) + 0.1 * generator.random(400)
    for column in (100 * y + 3, np.log(y), y + 0.001 * y.std() * generator.normal(size=400)):
        (finding,) = run_check("target-in-inputs", make_sample(make_table(np.column_stack([x, column]), y), seed))
        assert finding.evidence["columns"] == ["c5"]


@pytest.mark.parametrize("seed", SEEDS)
def test_informative_columns_are_not_reported(seed):
    generator = np.random.default_rng(seed)

    def check(data):
        return run_check("target-in-inputs", make_sample(data, seed))

    x = generator.normal(size=(600, 6))
    assert check(make_table(x, 5 * x[:, 0] + x[:, 1:].sum(1))) == []
    y = np.cumsum(generator.normal(size=600)) + 100
    lags = np.column_stack([np.roll(y, 1), np.roll(y, 2), np.roll(y, 3)])[3:]
    assert check(make_table(lags, y[3:])) == []  # several columns determine the target: that is the task
    assert check(make_blobs(seed, distance=9.0)) == []
    numbered = np.column_stack([x, np.arange(600)])  # each value belongs to one row, and so to one class
    assert check(make_table(numbered, generator.integers(0, 2, 600), classes=2)) == []
    rare = (generator.random(600) < 0.02).astype(int)  # a constant guess is right on 98%
    assert check(make_table(x, rare, classes=2)) == []


# constant-columns, missing-values


def test_constant_columns_are_named():
    x = np.random.default_rng(0).normal(size=(300, 4))
    assert run_check("constant-columns", make_sample(make_table(x, x[:, 0]))) == []
    x[:, 1], x[:, 3] = 7, np.nan
    (finding,) = run_check("constant-columns", make_sample(make_table(x, x[:, 0])))
    assert (finding.severity, finding.evidence["columns"]) == ("note", ["c1", "c3"])


def test_column_with_one_different_training_row_is_not_constant():
    x = np.zeros((20_000, 2))
    x[:, 0] = np.random.default_rng(0).normal(size=20_000)
    split = split_rows(20_000)
    x[split.train[-1], 1] = 1
    assert run_check("constant-columns", make_sample(make_table(x, x[:, 0]), split=split)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_mostly_empty_columns_and_columns_empty_in_one_part_are_named(seed):
    generator = np.random.default_rng(seed)
    x, split = generator.normal(size=(500, 4)), split_rows(500, seed=seed)
    x[generator.random(500) < 0.3, 0] = np.nan
    assert run_check("missing-values", make_sample(make_table(x, x[:, 1]), split=split)) == []
    x[generator.random(500) < 0.8, 2] = np.nan
    x[split.test, 3] = np.nan
    findings = run_check("missing-values", make_sample(make_table(x, x[:, 1]), split=split))
    assert [(f.severity, list(f.evidence["missing"])) for f in findings] == [("note", ["c2"]), ("warning", ["c3"])]


# class-imbalance, absent-classes, target-kind


def test_class_imbalance_is_a_note_with_numbers():
    y = np.repeat([0, 1, 2], [500, 480, 30])
    data = make_table(np.random.default_rng(0).normal(size=(1010, 3)), y, classes=3)
    (finding,) = run_check("class-imbalance", make_sample(data))
    assert finding.severity == "note"
    assert set(finding.evidence["rows"]) == {"k0", "k1", "k2"}
    assert run_check("class-imbalance", make_sample(make_blobs(0))) == []


def test_classes_without_training_rows_are_named():
    data, split = make_blobs(0, C=4), split_rows(600)
    y = np.where(data.y == 3, 0, data.y)
    y[split.test[:7]] = 3
    y[split.train[:3]] = 2
    (finding,) = run_check("absent-classes", make_sample(replace(data, y=y), split=split))
    assert finding.severity == "warning"
    assert finding.evidence["rows elsewhere"] == {"k3": 7}
    y[split.train[:2]] = 3
    assert find_severities("absent-classes", make_sample(replace(data, y=y), split=split)) == ["note"]
    assert run_check("absent-classes", make_sample(data)) == []


@pytest.mark.parametrize(
    ("make_target", "severities"),
    [
        (lambda generator: np.full(400, 3.5), ["error"]),
        (lambda generator: generator.integers(0, 2, 400), ["warning"]),
        (lambda generator: generator.integers(1, 6, 400), ["note"]),
        (lambda generator: generator.integers(18, 90, 400), []),
        (lambda generator: generator.normal(size=400), []),
        (lambda generator: generator.integers(0, 4, 400) / 4, []),
    ],
    ids=["constant", "yes and no", "grades", "ages", "measures", "quarters"],
)
def test_kind_of_a_numeric_target(make_target, severities):
    generator = np.random.default_rng(0)
    data = make_table(generator.normal(size=(400, 3)), make_target(generator))
    assert find_severities("target-kind", make_sample(data)) == severities


def test_kind_of_a_class_target():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 3))
    names = make_table(x, generator.permutation(400), classes=400)
    assert find_severities("target-kind", make_sample(names)) == ["warning"]
    assert find_severities("target-kind", make_sample(make_table(x, np.arange(400) % 60, classes=60))) == []
    split = Split(np.flatnonzero(np.arange(400) < 300), np.arange(300, 350), np.arange(350, 400))
    constant_in_training = make_table(x, np.arange(400) >= 300, classes=2)
    assert find_severities("target-kind", make_sample(constant_in_training, split=split)) == ["error"]


# every check


def test_data_of_every_form_is_checked_without_a_defect():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3)).astype(np.float32)
    labels = (generator.random((200, 4)) < 0.3).astype(np.float32)
    black = Spec("classification", (1, 5, 5), ("a", "b"))
    forms = [
        Dataset("labels", Spec("multilabel", (3,), ("a", "b", "c", "d")), x, labels),
        Dataset("two targets", Spec("regression", (3,), outputs=2), x, x[:, :2].copy()),
        Dataset("black", black, np.zeros((200, 1, 5, 5), np.uint8), labels[:, 0].astype(np.int64)),
        Dataset("empty", Spec("regression", (2,)), np.full((200, 2), np.nan, np.float32), x[:, :1].copy()),
        Dataset("one column", Spec("regression", (1,)), x[:, :1].copy(), x[:, 1:2].copy()),
    ]
    rows = np.arange(200)
    splits = [None, Split(rows, rows[:0], rows[:0]), Split(rows[:1], rows[1:2], rows[2:3])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in forms:
            for split in splits:
                results = data_findings.run_checks(make_sample(data, split=split), "cheap")
                assert [reason for reason in results.unchecked.values() if "defect" in reason] == [], data.name


def test_defect_in_a_check_does_not_stop_the_others():
    @registry.register(kind=data_findings.KIND, cost="cheap")
    def broken(sample):
        raise ZeroDivisionError(len(sample.x))

    try:
        results = data_findings.run_checks(make_sample(make_blobs(0)), "cheap")
    finally:
        del registry._entries[data_findings.KIND, "broken"]
    assert results.unchecked["broken"] == "it has a defect: ZeroDivisionError: 600"
    assert "leaking-rows" in results.checks


def test_rows_are_drawn_from_large_data(monkeypatch):
    data, split = make_blobs(0, n=2000), split_rows(2000)
    data, _ = copy_training_rows(data, split, 0.5, 0)
    monkeypatch.setattr("yisheng.diagnosis.sample.MAX_COMPARED_BYTES", 800 * data.x[:1].nbytes)
    (finding,) = run_check("leaking-rows", make_sample(data, split=split))
    assert finding.evidence["rows compared"] == 800
    assert finding.evidence["of"] == 2000
    assert 0 < finding.evidence["fraction"] < 0.5


def test_leaks_found_while_reading_are_not_reported_twice():
    data, split = make_blobs(0, n=1000), split_rows(1000)
    data, _ = copy_training_rows(data, split, 0.2, 0)
    results = data_findings.run_checks(make_sample(data, split=split), "cheap", reported=["leakage"])
    assert results.findings == ()
