"""Splits: disjoint, complete, stratified, reproducible, and equal to scikit-learn's where they are comparable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.data.split import hold_out, make_folds


def make_classification(y, part=None) -> Dataset:
    y = np.asarray(y, np.int64)
    names = tuple(map(str, range(max(2, int(y.max()) + 1))))
    return Dataset("set", Spec("classification", (1,), names), make_x(len(y)), y, part)


def make_regression(n: int, part=None) -> Dataset:
    return Dataset("set", Spec("regression", (1,)), make_x(n), np.zeros((n, 1), np.float32), part)


def make_x(n: int) -> np.ndarray:
    return np.zeros((n, 1), np.float32)


def get_parts(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.validation, split.test


def check_partition(split: Split, n: int) -> None:
    """Check that every row is in exactly one part: a row in two parts would leak."""
    assert sorted(np.concatenate(get_parts(split)).tolist()) == list(range(n))
    for part in get_parts(split):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


class_rows = st.lists(st.integers(1, 40), min_size=1, max_size=8).flatmap(
    lambda counts: st.permutations([label for label, count in enumerate(counts) for _ in range(count)])
)
seeds = st.integers(0, 2**63 - 1)
sizes = st.just("auto") | st.integers(0, 60) | st.floats(0, 1, exclude_max=True)


@settings(max_examples=200, deadline=None)
@given(y=class_rows, validation=sizes, test=sizes, seed=seeds)
def test_hold_out_sizes_and_determinism(y, validation, test, seed):
    data = make_classification(y)
    n = len(y)
    try:
        split = hold_out(data, validation=validation, test=test, seed=seed)
    except UsageError:
        assert validation != "auto" or test != "auto"
        return
    check_partition(split, n)
    assert len(split.train) >= 1
    for size, part in ((validation, split.validation), (test, split.test)):
        if isinstance(size, int):
            assert len(part) == size
        elif isinstance(size, float):
            assert abs(len(part) - size * n) <= 0.5 + 1e-9 or (len(part) == 1 and size > 0)
    repeated = hold_out(data, validation=validation, test=test, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(get_parts(split), get_parts(repeated), strict=True))


@settings(max_examples=300, deadline=None)
@given(y=class_rows, data=st.data(), seed=seeds)
def test_hold_out_is_stratified(y, data, seed):
    counts = np.bincount(y)
    distributable = np.where(counts > 1, counts, 0)
    half = int(distributable.sum()) // 2
    assume(half)
    test = data.draw(st.integers(0, half))
    validation = data.draw(st.integers(0, half - test))
    split = hold_out(make_classification(y), validation=validation, test=test, seed=seed)
    # The only row of a class is for training, and so is the last row of a larger class.
    n_rows = {name: np.bincount(np.array(y)[getattr(split, name)], minlength=len(counts)) for name in ("train", "test")}
    n_rows["validation"] = counts - n_rows["train"] - n_rows["test"]
    assert (n_rows["train"][counts > 0] >= 1).all()
    for name, size in (("test", test), ("validation", validation)):
        expected = size * distributable / distributable.sum()
        assert (np.abs(n_rows[name] - expected) <= 1 + 1e-9).all(), (name, counts, n_rows[name], expected)


def test_hold_out_gives_remaining_rows_to_classes_that_would_be_missing():
    y = [0] * 46 + [1] * 46 + [2] * 4 + [3] * 4  # proportions of 10 rows: 4.6, 4.6, 0.4, 0.4
    split = hold_out(make_classification(y), validation=10, test=10)
    for part in (split.test, split.validation):
        assert np.bincount(np.array(y)[part]).tolist() == [4, 4, 1, 1]


@settings(max_examples=100, deadline=None)
@given(y=class_rows, test=st.integers(0, 20), seed=seeds, data=st.data())
def test_hold_out_test_part_does_not_depend_on_the_validation_part(y, test, seed, data):
    assume(len(y) > test)
    validations = [data.draw(st.integers(0, len(y) - test - 1)) for _ in range(2)]
    first, second = (hold_out(make_classification(y), validation=v, test=test, seed=seed) for v in validations)
    np.testing.assert_array_equal(first.test, second.test)
    if len(y) - test >= 2:
        np.testing.assert_array_equal(first.test, make_folds(make_classification(y), 2, test=test, seed=seed)[1].test)


def test_hold_out_shuffles():
    y = np.repeat(np.arange(4), 250)
    first, second = (hold_out(make_classification(y), seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.test, second.test)
    for split in (first, hold_out(make_regression(1000))):
        for part in (split.test, split.validation):
            assert abs(part.mean() - 499.5) < 80  # neither the first nor the last rows
            assert len(np.unique(np.diff(part))) > 3


@pytest.mark.parametrize(
    ("n", "validation", "test"),
    [
        (1, 0, 0),
        (2, 0, 0),
        (5, 1, 1),
        (1797, 270, 359),
        (9_999, 1500, 2000),
        (10_000, 1000, 1000),
        (999_999, 100_000, 100_000),
        (1_000_000, 10_000, 10_000),
    ],
)
def test_hold_out_automatic_sizes(n, validation, test):
    split = hold_out(make_regression(n))
    assert (len(split.validation), len(split.test)) == (validation, test)
    check_partition(split, n)


def test_hold_out_automatic_sizes_yield_to_explicit_ones():
    split = hold_out(make_regression(10), test=9)
    assert [len(part) for part in get_parts(split)] == [1, 0, 9]
    split = hold_out(make_regression(10), validation=9)
    assert [len(part) for part in get_parts(split)] == [1, 9, 0]


@pytest.mark.parametrize("size", [-1, 1.0, 1.5, float("nan"), float("inf"), -0.1, True, None, "half", "0.2", [1]])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_hold_out_refuses_invalid_sizes(part, size):
    with pytest.raises(UsageError, match=part):
        hold_out(make_regression(100), **{part: size})


@pytest.mark.parametrize("sizes", [{"test": 100}, {"test": 101}, {"validation": 100}, {"validation": 0.6, "test": 0.5}])
def test_hold_out_refuses_sizes_that_leave_no_training_rows(sizes):
    with pytest.raises(UsageError, match="nothing to train on"):
        hold_out(make_regression(100), **{"validation": 0, **sizes})


def test_hold_out_accepts_numpy_sizes():
    split = hold_out(make_regression(100), validation=np.int64(7), test=np.float32(0.25))
    assert [len(part) for part in get_parts(split)] == [68, 7, 25]


def test_hold_out_of_zero_sizes_trains_on_all_rows():
    split = hold_out(make_regression(10), validation=0, test=0)
    np.testing.assert_array_equal(split.train, np.arange(10))
    assert split.test.dtype == split.validation.dtype == np.int64


def test_hold_out_keeps_official_parts():
    part = np.array([0] * 60 + [2] * 30 + [1] * 10, np.int8)
    split = hold_out(make_regression(100, part))
    np.testing.assert_array_equal(split.train, np.flatnonzero(part == 0))
    np.testing.assert_array_equal(split.validation, np.flatnonzero(part == 1))
    np.testing.assert_array_equal(split.test, np.flatnonzero(part == 2))
    for sizes in ({"validation": 0.5}, {"test": 10}, {"test": 0}):
        with pytest.raises(UsageError, match="official"):
            hold_out(make_regression(100, part), **sizes)


@pytest.mark.parametrize("official", [1, 2])
def test_hold_out_draws_the_part_that_is_not_official(official):
    part = np.array([0] * 80 + [official] * 20, np.int8)
    split = hold_out(make_regression(100, part), **{"test" if official == 1 else "validation": 0.25})
    official_rows, drawn_rows = (split.validation, split.test) if official == 1 else (split.test, split.validation)
    np.testing.assert_array_equal(official_rows, np.arange(80, 100))
    assert len(drawn_rows) == 20
    check_partition(split, 100)


def test_hold_out_refuses_invalid_official_parts():
    with pytest.raises(DataError, match="no training rows"):
        hold_out(make_regression(4, np.array([2, 2, 1, 2], np.int8)))
    with pytest.raises(DataError, match="0, 1 or 2"):
        hold_out(make_regression(4, np.array([0, 0, 3, 2], np.int8)))


@settings(max_examples=200, deadline=None)
@given(y=class_rows, k=st.integers(2, 7), seed=seeds, repeats=st.integers(1, 3), test=st.sampled_from([0, 0.2, "auto"]))
def test_folds_cover_all_rows_and_are_stratified(y, k, seed, repeats, test):
    data = make_classification(y)
    assume(len(y) > 1)
    split = hold_out(data, test=test, validation=0, seed=seed)
    assume(len(split.train) >= k)
    folds = make_folds(data, k, seed=seed, repeats=repeats, test=test)
    assert len(folds) == k * repeats
    for fold in folds:
        check_partition(fold, len(y))
        np.testing.assert_array_equal(fold.test, split.test)
    for repeat in range(repeats):
        group = folds[repeat * k : (repeat + 1) * k]
        np.testing.assert_array_equal(np.sort(np.concatenate([f.validation for f in group])), split.train)
        sizes = [len(fold.validation) for fold in group]
        assert max(sizes) - min(sizes) <= 1
        per_class = np.stack([np.bincount(np.array(y)[f.validation], minlength=max(y) + 1) for f in group])
        assert (np.ptp(per_class, axis=0) <= 1).all()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(4, 100), k=st.integers(2, 4), test=st.sampled_from([0, 0.3]))
def test_contiguous_folds_equal_scikit_learns(n, k, test):
    data = make_regression(n)
    rows = hold_out(data, test=test, validation=0, method="contiguous").train
    assume(len(rows) >= k)
    folds = make_folds(data, k, method="contiguous", test=test)
    for fold, (train, validation) in zip(folds, KFold(k).split(rows), strict=True):
        np.testing.assert_array_equal(fold.train, rows[train])
        np.testing.assert_array_equal(fold.validation, rows[validation])


def test_folds_keep_the_official_test_part():
    part = np.array([0] * 60 + [2] * 30 + [1] * 10, np.int8)
    folds = make_folds(make_regression(100, part), 5)
    for fold in folds:
        np.testing.assert_array_equal(fold.test, np.arange(60, 90))
        check_partition(fold, 100)


def test_folds_differ_by_repeat_and_seed():
    folds = make_folds(make_regression(200), 4, repeats=2)
    assert not np.array_equal(folds[0].validation, folds[4].validation)
    assert not np.array_equal(folds[0].validation, make_folds(make_regression(200), 4, seed=1)[0].validation)
    np.testing.assert_array_equal(folds[0].validation, make_folds(make_regression(200), 4)[0].validation)


def test_unstratified_folds_do_not_depend_on_classes():
    y = np.repeat([0, 1], 50)
    folds = make_folds(make_classification(y), 5, test=0, stratify=False)
    reversed_folds = make_folds(make_classification(y[::-1]), 5, test=0, stratify=False)
    assert all(np.array_equal(a.validation, b.validation) for a, b in zip(folds, reversed_folds, strict=True))


@pytest.mark.parametrize(
    "options",
    [{"k": 1}, {"k": 0}, {"k": 81}, {"k": 5, "repeats": 0}, {"k": 5, "repeats": 2, "method": "contiguous"}],
)
def test_folds_refuse_invalid_numbers(options):
    with pytest.raises(UsageError):
        make_folds(make_regression(100), **options)


def test_hold_out_of_multilabel_data_is_not_stratified():
    y = np.zeros((50, 3), np.float32)
    data = Dataset("set", Spec("multilabel", (1,), ("a", "b", "c")), make_x(50), y)
    check_partition(hold_out(data), 50)


def test_folds_are_the_same_on_every_machine():
    """NumPy promises the raw bits of PCG64; a change here would change the parts of all existing runs."""
    assert make_folds(make_regression(12), 3, test=0, seed=8)[0].validation.tolist() == [3, 6, 8, 11]


def make_timed(n=60, *, ties=1, group=None, seed=0):
    """Return rows with the times 0, 1, 2, ... in random order, ``ties`` rows at each."""
    time = np.random.default_rng(seed).permutation(np.arange(n) // ties).astype(np.float64)
    x, y = np.zeros((n, 1), np.float32), np.zeros((n, 1), np.float32)
    return Dataset("timed", Spec("regression", (1,)), x, y, time=None if group is not None else time, group=group)


@pytest.mark.parametrize("ties", [1, 3, 7])
def test_hold_out_in_time_is_ordered(ties):
    data = make_timed(ties=ties)
    split = hold_out(data)
    train, validation, test = (data.time[rows] for rows in (split.train, split.validation, split.test))
    assert train.max() < validation.min() <= validation.max() < test.min()
    assert len(train) + len(validation) + len(test) == 60
    assert abs(len(test) - 12) <= ties
    assert abs(len(validation) - 9) <= 2 * ties


def test_folds_in_time_equal_scikit_learns():
    from sklearn.model_selection import TimeSeriesSplit

    data = make_timed(64)
    order = np.argsort(data.time)
    for fold, (train, validation) in zip(make_folds(data, 4, test=0), TimeSeriesSplit(4).split(order), strict=True):
        assert fold.train.tolist() == sorted(order[train].tolist())
        assert fold.validation.tolist() == sorted(order[validation].tolist())


def test_folds_in_time_do_not_separate_equal_times():
    data = make_timed(63, ties=5)
    for fold in make_folds(data, 3):
        assert data.time[fold.train].max() < data.time[fold.validation].min()


def test_hold_out_contiguous_parts_are_the_first_and_the_last_rows():
    split = hold_out(make_timed(), validation=10, test=5, method="contiguous")
    assert split.train.tolist() == list(range(45))
    assert split.validation.tolist() == list(range(45, 55))
    assert split.test.tolist() == list(range(55, 60))


def test_groups_stay_together_in_parts_and_folds():
    group = np.repeat(np.arange(20), 5)[np.random.default_rng(1).permutation(100)]
    data = make_timed(100, group=group)
    split = hold_out(data, validation=0.2, test=0.2)
    parts = [set(group[rows]) for rows in (split.train, split.validation, split.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(split.test) == len(split.validation) == 20
    validated = []
    for fold in make_folds(data, 4, test=0):
        assert not set(group[fold.train]) & set(group[fold.validation])
        assert len(fold.validation) == 25
        validated += fold.validation.tolist()
    assert sorted(validated) == list(range(100))
    first, repeated, reseeded = (
        [f.validation.tolist() for f in make_folds(data, 4, test=0, seed=s)] for s in (0, 0, 1)
    )
    assert first == repeated != reseeded


def test_small_groups_are_stratified():
    random = np.random.default_rng(2)
    group = np.sort(random.integers(0, 250, 300))  # mostly one or two rows each
    y = (group % 5 == 0).astype(np.int64)
    x = np.zeros((300, 1), np.float32)
    data = Dataset("grouped", Spec("classification", (1,), classes=("a", "b")), x, y, group=group)
    split = hold_out(data)
    for rows, fraction in ((split.test, 0.2), (split.validation, 0.15)):
        for number in (0, 1):
            assert abs((y[rows] == number).sum() - fraction * (y == number).sum()) <= 2
    assert not set(group[split.train]) & set(group[split.test])
    for fold in make_folds(data, 5, test=0):
        assert abs(y[fold.validation].sum() - y.sum() / 5) <= 2
        assert abs(len(fold.validation) - 60) <= 4
        assert not set(group[fold.train]) & set(group[fold.validation])


def test_one_huge_group_leaves_rows_to_train_on():
    split = hold_out(make_timed(50, group=np.zeros(50, np.int64)), validation=0.2, test=0.2)
    assert len(split.train) == 50


def test_splits_refuse_missing_time_and_too_few_groups():
    with pytest.raises(UsageError, match="no time"):
        hold_out(make_timed(group=np.arange(60)), method="time")
    with pytest.raises(UsageError, match="5 folds need at least 5 groups"):
        make_folds(make_timed(60, group=np.repeat(np.arange(3), 20)), 5, test=0)
    with pytest.raises(UsageError, match="too few different times"):
        make_folds(make_timed(60, ties=60), 3, test=0)
