"""Splits: disjoint, covering, fair to every class, the same for the same seed, and KFold where it is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset, Spec, Split
from yisheng.data.split import hold_out, make_folds


def classes_set(y, part=None) -> Dataset:
    y = np.asarray(y, np.int64)
    names = tuple(map(str, range(max(2, int(y.max()) + 1))))
    return Dataset("set", Spec("classification", (1,), names), rows(len(y)), y, part)


def numbers_set(n: int, part=None) -> Dataset:
    return Dataset("set", Spec("regression", (1,)), rows(n), np.zeros((n, 1), np.float32), part)


def rows(n: int) -> np.ndarray:
    return np.zeros((n, 1), np.float32)


def parts(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.validation, split.test


def check_partition(split: Split, n: int) -> None:
    """Every row once: a row in two parts would leak."""
    assert sorted(np.concatenate(parts(split)).tolist()) == list(range(n))
    for part in parts(split):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


class_rows = st.lists(st.integers(1, 40), min_size=1, max_size=8).flatmap(
    lambda counts: st.permutations([label for label, count in enumerate(counts) for _ in range(count)])
)
seeds = st.integers(0, 2**63 - 1)
sizes = st.just("auto") | st.integers(0, 60) | st.floats(0, 1, exclude_max=True)


@settings(max_examples=200, deadline=None)
@given(y=class_rows, validation=sizes, test=sizes, seed=seeds)
def test_hold_out(y, validation, test, seed):
    data = classes_set(y)
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
    again = hold_out(data, validation=validation, test=test, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts(split), parts(again), strict=True))


@settings(max_examples=300, deadline=None)
@given(y=class_rows, data=st.data(), seed=seeds)
def test_classes_get_their_shares(y, data, seed):
    counts = np.bincount(y)
    shared = np.where(counts > 1, counts, 0)
    half = int(shared.sum()) // 2
    assume(half)
    test = data.draw(st.integers(0, half))
    validation = data.draw(st.integers(0, half - test))
    split = hold_out(classes_set(y), validation=validation, test=test, seed=seed)
    # Single rows are for training; also the last row of a class that has more.
    got = {name: np.bincount(np.array(y)[getattr(split, name)], minlength=len(counts)) for name in ("train", "test")}
    got["validation"] = counts - got["train"] - got["test"]
    assert (got["train"][counts > 0] >= 1).all()
    for name, size in (("test", test), ("validation", validation)):
        share = size * shared / shared.sum()
        assert (np.abs(got[name] - share) <= 1 + 1e-9).all(), (name, counts, got[name], share)


def test_odd_rows_go_to_classes_that_would_be_missing():
    y = [0] * 46 + [1] * 46 + [2] * 4 + [3] * 4  # shares of 10 rows: 4.6, 4.6, 0.4, 0.4
    split = hold_out(classes_set(y), validation=10, test=10)
    for part in (split.test, split.validation):
        assert np.bincount(np.array(y)[part]).tolist() == [4, 4, 1, 1]


@settings(max_examples=100, deadline=None)
@given(y=class_rows, test=st.integers(0, 20), seed=seeds, data=st.data())
def test_test_part_does_not_depend_on_the_validation_part(y, test, seed, data):
    assume(len(y) > test)
    one, other = (data.draw(st.integers(0, len(y) - test - 1)) for _ in range(2))
    first, second = (hold_out(classes_set(y), validation=v, test=test, seed=seed) for v in (one, other))
    np.testing.assert_array_equal(first.test, second.test)
    if len(y) - test >= 2:
        np.testing.assert_array_equal(first.test, make_folds(classes_set(y), 2, test=test, seed=seed)[1].test)


def test_rows_are_shuffled():
    y = np.repeat(np.arange(4), 250)
    one, other = (hold_out(classes_set(y), seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.test, other.test)
    plain = hold_out(numbers_set(1000))
    for split in (one, plain):
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
def test_auto_sizes(n, validation, test):
    split = hold_out(numbers_set(n))
    assert (len(split.validation), len(split.test)) == (validation, test)
    check_partition(split, n)


def test_auto_gives_way():
    split = hold_out(numbers_set(10), test=9)
    assert [len(part) for part in parts(split)] == [1, 0, 9]
    split = hold_out(numbers_set(10), validation=9)
    assert [len(part) for part in parts(split)] == [1, 9, 0]


@pytest.mark.parametrize("size", [-1, 1.0, 1.5, float("nan"), float("inf"), -0.1, True, None, "half", "0.2", [1]])
@pytest.mark.parametrize("what", ["validation", "test"])
def test_sizes_that_are_none(what, size):
    with pytest.raises(UsageError, match=what):
        hold_out(numbers_set(100), **{what: size})


@pytest.mark.parametrize("asked", [{"test": 100}, {"test": 101}, {"validation": 100}, {"validation": 0.6, "test": 0.5}])
def test_nothing_left_to_train_on(asked):
    with pytest.raises(UsageError, match="nothing to train on"):
        hold_out(numbers_set(100), **{"validation": 0, **asked})


def test_numpy_sizes():
    split = hold_out(numbers_set(100), validation=np.int64(7), test=np.float32(0.25))
    assert [len(part) for part in parts(split)] == [68, 7, 25]


def test_no_parts():
    split = hold_out(numbers_set(10), validation=0, test=0)
    np.testing.assert_array_equal(split.train, np.arange(10))
    assert split.test.dtype == split.validation.dtype == np.int64


def test_official_parts_are_kept_apart():
    part = np.array([0] * 60 + [2] * 30 + [1] * 10, np.int8)
    split = hold_out(numbers_set(100, part))
    np.testing.assert_array_equal(split.train, np.flatnonzero(part == 0))
    np.testing.assert_array_equal(split.validation, np.flatnonzero(part == 1))
    np.testing.assert_array_equal(split.test, np.flatnonzero(part == 2))
    for asked in ({"validation": 0.5}, {"test": 10}, {"test": 0}):
        with pytest.raises(UsageError, match="official"):
            hold_out(numbers_set(100, part), **asked)


@pytest.mark.parametrize("official", [1, 2])
def test_one_official_part(official):
    part = np.array([0] * 80 + [official] * 20, np.int8)
    split = hold_out(numbers_set(100, part), **{"test" if official == 1 else "validation": 0.25})
    kept, drawn = (split.validation, split.test) if official == 1 else (split.test, split.validation)
    np.testing.assert_array_equal(kept, np.arange(80, 100))
    assert len(drawn) == 20
    check_partition(split, 100)


def test_official_parts_that_cannot_be():
    with pytest.raises(DataError, match="no training rows"):
        hold_out(numbers_set(4, np.array([2, 2, 1, 2], np.int8)))
    with pytest.raises(DataError, match="0, 1 or 2"):
        hold_out(numbers_set(4, np.array([0, 0, 3, 2], np.int8)))


@settings(max_examples=200, deadline=None)
@given(y=class_rows, k=st.integers(2, 7), seed=seeds, repeats=st.integers(1, 3), test=st.sampled_from([0, 0.2, "auto"]))
def test_folds(y, k, seed, repeats, test):
    data = classes_set(y)
    assume(len(y) > 1)
    split = hold_out(data, test=test, validation=0, seed=seed)
    assume(len(split.train) >= k)
    found = make_folds(data, k, seed=seed, repeats=repeats, test=test)
    assert len(found) == k * repeats
    for fold in found:
        check_partition(fold, len(y))
        np.testing.assert_array_equal(fold.test, split.test)
    for repeat in range(repeats):
        group = found[repeat * k : (repeat + 1) * k]
        np.testing.assert_array_equal(np.sort(np.concatenate([f.validation for f in group])), split.train)
        sizes = [len(fold.validation) for fold in group]
        assert max(sizes) - min(sizes) <= 1
        per_class = np.stack([np.bincount(np.array(y)[f.validation], minlength=max(y) + 1) for f in group])
        assert (np.ptp(per_class, axis=0) <= 1).all()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(4, 100), k=st.integers(2, 4), test=st.sampled_from([0, 0.3]))
def test_contiguous_folds_are_scikit_learns(n, k, test):
    data = numbers_set(n)
    left = hold_out(data, test=test, validation=0, method="contiguous").train
    assume(len(left) >= k)
    found = make_folds(data, k, method="contiguous", test=test)
    for fold, (train, validation) in zip(found, KFold(k).split(left), strict=True):
        np.testing.assert_array_equal(fold.train, left[train])
        np.testing.assert_array_equal(fold.validation, left[validation])


def test_folds_with_official_parts():
    part = np.array([0] * 60 + [2] * 30 + [1] * 10, np.int8)
    found = make_folds(numbers_set(100, part), 5)
    for fold in found:
        np.testing.assert_array_equal(fold.test, np.arange(60, 90))
        check_partition(fold, 100)


def test_repeats_and_seeds_differ():
    found = make_folds(numbers_set(200), 4, repeats=2)
    assert not np.array_equal(found[0].validation, found[4].validation)
    assert not np.array_equal(found[0].validation, make_folds(numbers_set(200), 4, seed=1)[0].validation)
    np.testing.assert_array_equal(found[0].validation, make_folds(numbers_set(200), 4)[0].validation)


def test_unstratified_folds_do_not_look_at_classes():
    y = np.repeat([0, 1], 50)
    one = make_folds(classes_set(y), 5, test=0, stratify=False)
    other = make_folds(classes_set(y[::-1]), 5, test=0, stratify=False)
    assert all(np.array_equal(a.validation, b.validation) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "asked",
    [{"k": 1}, {"k": 0}, {"k": 81}, {"k": 5, "repeats": 0}, {"k": 5, "repeats": 2, "method": "contiguous"}],
)
def test_folds_that_cannot_be(asked):
    with pytest.raises(UsageError):
        make_folds(numbers_set(100), **asked)


def test_multilabel_is_drawn_without_classes():
    y = np.zeros((50, 3), np.float32)
    data = Dataset("set", Spec("multilabel", (1,), ("a", "b", "c")), rows(50), y)
    check_partition(hold_out(data), 50)


def test_order_is_the_same_everywhere():
    """NumPy promises the raw bits of PCG64; a change here would change everyone's parts."""
    assert make_folds(numbers_set(12), 3, test=0, seed=8)[0].validation.tolist() == [3, 6, 8, 11]


def timed(n=60, *, ties=1, group=None, seed=0):
    """Rows whose time is a shuffled 0, 1, 2, ... with ``ties`` rows at each."""
    time = np.random.default_rng(seed).permutation(np.arange(n) // ties).astype(np.float64)
    x, y = np.zeros((n, 1), np.float32), np.zeros((n, 1), np.float32)
    return Dataset("timed", Spec("regression", (1,)), x, y, time=None if group is not None else time, group=group)


@pytest.mark.parametrize("ties", [1, 3, 7])
def test_parts_in_time_follow_one_another(ties):
    data = timed(ties=ties)
    split = hold_out(data)
    train, validation, test = (data.time[rows] for rows in (split.train, split.validation, split.test))
    assert train.max() < validation.min() <= validation.max() < test.min()
    assert len(train) + len(validation) + len(test) == 60
    assert abs(len(test) - 12) <= ties
    assert abs(len(validation) - 9) <= 2 * ties


def test_folds_in_time_are_sklearns():
    from sklearn.model_selection import TimeSeriesSplit

    data = timed(64)
    order = np.argsort(data.time)
    for ours, (train, valid) in zip(make_folds(data, 4, test=0), TimeSeriesSplit(4).split(order), strict=True):
        assert ours.train.tolist() == sorted(order[train].tolist())
        assert ours.validation.tolist() == sorted(order[valid].tolist())


def test_folds_in_time_do_not_part_the_same_moment():
    data = timed(63, ties=5)
    for fold in make_folds(data, 3):
        assert data.time[fold.train].max() < data.time[fold.validation].min()


def test_contiguous_parts_are_the_first_and_the_last_rows():
    split = hold_out(timed(), validation=10, test=5, method="contiguous")
    assert (split.train, split.validation, split.test)[0].tolist() == list(range(45))
    assert split.validation.tolist() == list(range(45, 55))
    assert split.test.tolist() == list(range(55, 60))


def test_groups_stay_together_in_parts_and_folds():
    group = np.repeat(np.arange(20), 5)[np.random.default_rng(1).permutation(100)]
    data = timed(100, group=group)
    split = hold_out(data, validation=0.2, test=0.2)
    parts = [set(group[rows]) for rows in (split.train, split.validation, split.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(split.test) == len(split.validation) == 20
    seen = []
    for fold in make_folds(data, 4, test=0):
        assert not set(group[fold.train]) & set(group[fold.validation])
        assert len(fold.validation) == 25
        seen += fold.validation.tolist()
    assert sorted(seen) == list(range(100))
    again, other = make_folds(data, 4, test=0), make_folds(data, 4, test=0, seed=1)
    assert [f.validation.tolist() for f in make_folds(data, 4, test=0)] == [f.validation.tolist() for f in again]
    assert [f.validation.tolist() for f in other] != [f.validation.tolist() for f in again]


def test_small_groups_leave_the_classes_their_shares():
    random = np.random.default_rng(2)
    group = np.sort(random.integers(0, 250, 300))  # mostly one or two rows each
    y = (group % 5 == 0).astype(np.int64)
    x = np.zeros((300, 1), np.float32)
    data = Dataset("grouped", Spec("classification", (1,), classes=("a", "b")), x, y, group=group)
    split = hold_out(data)
    for rows, share in ((split.test, 0.2), (split.validation, 0.15)):
        for number in (0, 1):
            assert abs((y[rows] == number).sum() - share * (y == number).sum()) <= 2
    assert not set(group[split.train]) & set(group[split.test])
    for fold in make_folds(data, 5, test=0):
        assert abs(y[fold.validation].sum() - y.sum() / 5) <= 2
        assert abs(len(fold.validation) - 60) <= 4
        assert not set(group[fold.train]) & set(group[fold.validation])


def test_one_huge_group_leaves_rows_to_train_on():
    split = hold_out(timed(50, group=np.zeros(50, np.int64)), validation=0.2, test=0.2)
    assert len(split.train) == 50


def test_time_and_groups_are_asked_for_in_vain():
    with pytest.raises(UsageError, match="no time"):
        hold_out(timed(group=np.arange(60)), method="time")
    with pytest.raises(UsageError, match="5 folds need at least 5 groups"):
        make_folds(timed(60, group=np.repeat(np.arange(3), 20)), 5, test=0)
    with pytest.raises(UsageError, match="too few different times"):
        make_folds(timed(60, ties=60), 3, test=0)
