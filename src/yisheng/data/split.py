"""Parts of a data set: hold-out and k folds, drawn at random unless the data has a time or the user chooses an order.

Rows with an official part keep it: an official test part is *the* test part, whatever is requested, and so is
an official validation part. Only the other rows, the free ones, are distributed. If classes are predicted,
each part gets its proportion of every class. Rows of one group stay together. Rows with a time are split in time: the
model is tested on rows later than those it was trained on.

scikit-learn's splitters are not used: they know neither official parts nor stratified three-way splits, and their draws
may change between versions of NumPy.
"""

from __future__ import annotations

import math
import numbers
from typing import Literal

import numpy as np

from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.data._ordered_split import (
    TEST,
    TRAIN,
    VALIDATION,
    make_group_folds,
    make_time_folds,
    split_by_group,
    split_in_order,
)

AUTO_FRACTIONS = ((10_000, 0.15, 0.20), (1_000_000, 0.10, 0.10), (math.inf, 0.01, 0.01))
"""What ``auto`` means: below that number of free rows, these fractions of them for validation and test. Scores on small
parts are too noisy to choose by; from a million rows on, 1% (98:1:1) is still ten thousand."""
Size = int | float | str
Method = Literal["auto", "random", "contiguous", "time"]


def hold_out(
    dataset: Dataset, *, validation: Size = "auto", test: Size = "auto", seed: int = 0, method: Method = "auto"
) -> Split:
    """Return a training, a validation and a test part, stratified by class.

    The fraction of a class in the test part is within one row of proportional, and so is its fraction in the
    validation part, as long as half of the rows are available for training. Rows that cannot be divided evenly go first
    to the classes that would otherwise be missing. The last row of a class stays in the training part. The test part
    depends on ``test`` and ``seed`` alone, so another ``validation`` does not change it.

    Args:
        dataset: the data.
        validation: size of the validation part: a fraction of the free rows below 1, a number of rows, 0
            for none, or ``auto`` (see `AUTO_FRACTIONS`). Data with an official validation part allows only ``auto``.
        test: size of the test part, likewise.
        seed: of the draw.
        method: ``random``, or ``contiguous``: the first rows train, the last test; or ``time``, the same in the order
            of `Dataset.time`. ``auto`` is time if the data has one, else random.

    Raises:
        UsageError: a size is invalid, is given although there is an official part, or the two sizes leave
            no training rows.
        DataError: the official parts leave no training rows, or are not numbered 0, 1, 2.

    >>> import numpy as np
    >>> from yisheng.core.spec import Spec
    >>> x, y = np.zeros((100, 1), np.float32), np.zeros((100, 1), np.float32)
    >>> split = hold_out(Dataset("rows", Spec("regression", (1,)), x, y))
    >>> len(split.train), len(split.validation), len(split.test)
    (65, 15, 20)
    """
    free, official_validation, official_test = _official_parts(dataset)
    n_test = _count_rows("test", test, len(free), len(official_test))
    n_validation = _count_rows("validation", validation, len(free), len(official_validation))
    available = len(free) - 1  # one row at least is for training
    if test == "auto":  # an automatic size yields to an explicit one
        n_test = min(n_test, max(0, available - (0 if validation == "auto" else n_validation)))
    if validation == "auto":
        n_validation = min(n_validation, max(0, available - n_test))
    if n_test + n_validation > available:
        raise UsageError(
            Message(
                "{n_test} test and {n_validation} validation rows leave nothing to train on: {name} has "
                "{count} rows to distribute",
                n_test=n_test,
                n_validation=n_validation,
                name=dataset.name,
                count=len(free),
            ),
            Message("make test= and validation= smaller"),
        )
    method = _resolve_method(dataset, method)
    if method != "random":
        part = split_in_order(_sort_keys(dataset, method)[free], n_test, n_validation)
    elif dataset.group is not None:
        part = _draw_groups(dataset, free, n_test, n_validation, derive(seed, "hold-out"))
    else:
        part = _draw_rows(_number_classes(dataset, free), n_test, n_validation, derive(seed, "hold-out"))
    return Split(
        train=free[part == TRAIN],
        validation=official_validation if len(official_validation) else free[part == VALIDATION],
        test=official_test if len(official_test) else free[part == TEST],
    )


def make_folds(
    dataset: Dataset,
    k: int,
    *,
    test: Size = "auto",
    seed: int = 0,
    method: Method = "auto",
    stratify: bool = True,
    repeats: int = 1,
) -> list[Split]:
    """Return k folds over all rows outside the test part; each is the validation part once.

    The test part is that of `hold_out` with the same ``test`` and ``seed``, the same for every fold. An
    official validation part is not used as such: its rows are distributed over the folds with the others.

    Args:
        dataset: the data.
        k: number of folds, 2 or more.
        test: size of the test part, as in `hold_out`; 0 puts all rows into the folds.
        seed: of the draw; the same seed gives the same folds for every model.
        method: ``random``; ``contiguous``, as scikit-learn's ``KFold(shuffle=False)``; or ``time``, where each fold
            trains on all rows earlier than its validation part, as scikit-learn's ``TimeSeriesSplit``. The
            last two do not stratify. ``auto`` is time if the data has one, else random.
        stratify: if classes are predicted, the folds' numbers of rows of each class differ by one at most.
        repeats: number of draws of k folds; the list holds one draw after the other.

    Raises:
        UsageError: ``k`` or ``repeats`` is not possible with this data.
        DataError: see `hold_out`.
    """
    official_validation = _official_parts(dataset)[1]
    validation = "auto" if len(official_validation) else 0
    held_out = hold_out(dataset, validation=validation, test=test, seed=seed, method=method).test
    rows = np.setdiff1d(np.arange(len(dataset)), held_out)
    method = _resolve_method(dataset, method)
    _check_folds(dataset, rows, k, repeats, method)
    if method == "time":
        folds = make_time_folds(_sort_keys(dataset, method)[rows], k)
        if any(not len(train) or not len(validation) for train, validation in folds):
            raise UsageError(
                Message("there are too few different times for {k} folds in time", k=k), Message("choose fewer folds")
            )
        return [Split(rows[train], rows[validation], held_out) for train, validation in folds]
    classes = _number_classes(dataset, rows) if stratify else np.zeros(len(rows), np.int64)
    splits = []
    for repeat in range(repeats):
        if dataset.group is not None and method == "random":
            keys = _random_bits(len(rows), derive(seed, "folds", repeat))
            strata = _number_strata(dataset, rows) if stratify else np.zeros(len(rows), np.int64)
            fold = make_group_folds(dataset.group[rows], k, keys, strata)
        elif method == "random":
            # Dealt in turn, one class after the other: totals and classes are even to within one row.
            order = _shuffle_within_classes(classes, derive(seed, "folds", repeat))
            fold = np.empty(len(rows), np.int64)
            fold[order] = np.arange(len(rows)) % k
        else:
            fold = np.sort(np.arange(len(rows)) % k)
        splits += [Split(rows[fold != i], rows[fold == i], held_out) for i in range(k)]
    return splits


def _check_folds(dataset: Dataset, rows: np.ndarray, k: int, repeats: int, method: Method) -> None:
    if not 2 <= k <= len(rows):
        raise UsageError(
            Message(
                "folds must be from 2 to {rows}, the rows outside the test part, got {folds}", rows=len(rows), folds=k
            ),
            Message("choose another number"),
        )
    if repeats < 1 or (repeats > 1 and method != "random"):
        raise UsageError(
            Message(
                "repeats must be 1 or more, and 1 for folds that are not drawn at random and never change; "
                "got {repeats}",
                repeats=repeats,
            ),
            Message("leave repeats out"),
        )
    if dataset.group is not None and method == "random" and (groups := len(np.unique(dataset.group[rows]))) < k:
        raise UsageError(
            Message("{k} folds need at least {k} groups, got {groups}", k=k, groups=groups),
            Message("choose fewer folds"),
        )


def _official_parts(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of each official part; without any, all are free."""
    part = np.zeros(len(dataset), np.int8) if dataset.part is None else np.asarray(dataset.part)
    train, validation, test = (np.flatnonzero(part == number) for number in (TRAIN, VALIDATION, TEST))
    if len(train) + len(validation) + len(test) != len(part):
        raise DataError(
            Message(
                "{name}: the official parts must be 0, 1 or 2, got {values}",
                name=dataset.name,
                values=", ".join(map(str, np.unique(part)[:5])),
            ),
            Message("number them 0 train, 1 validation, 2 test"),
        )
    if not len(train):
        raise DataError(
            Message("{name}: the official parts leave no training rows", name=dataset.name),
            Message("mark some rows with part 0"),
        )
    return train, validation, test


def _count_rows(part: str, size: Size, free: int, official: int) -> int:
    """Return the number of rows of a part of this size."""
    if size == "auto":
        column = 1 if part == "validation" else 2
        fraction = next(row for row in AUTO_FRACTIONS if free < row[0])[column]
        return 0 if official else math.floor(fraction * free + 0.5)
    is_count = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    is_fraction = isinstance(size, numbers.Real) and not isinstance(size, numbers.Integral)
    if not (is_count and size >= 0) and not (is_fraction and 0 <= size < 1):  # type: ignore[operator]  # numbers both
        raise UsageError(
            Message(
                "{part} must be a fraction from 0 to below 1, a number of rows or auto, got {size}",
                part=part,
                size=f"{size!r}",
            ),
            Message("use {part}=0.2 for a fifth, {part}=500 for 500 rows", part=part),
        )
    if official:
        raise UsageError(
            Message(
                "{part}={size} is not possible: the data has an official {part} part of {official} rows",
                part=part,
                size=size,
                official=f"{official:,}",
            ),
            Message("leave {part} out", part=part),
        )
    if is_count:
        return int(size)
    return max(1, math.floor(float(size) * free + 0.5)) if size else 0


def _number_classes(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return class numbers without gaps ``(n,)``; all zero if no classes are predicted."""
    if dataset.spec.task != "classification":
        return np.zeros(len(rows), np.int64)
    return np.unique(dataset.y[rows], return_inverse=True)[1]


def _draw_groups(dataset: Dataset, rows: np.ndarray, n_test: int, n_validation: int, seed: int) -> np.ndarray:
    """Return the part of each row ``(n,)``: complete groups drawn at random, separately for each class."""
    assert dataset.group is not None
    strata, keys = _number_strata(dataset, rows), _random_bits(len(rows), seed)
    counts = np.bincount(strata)
    for_test = _allocate(counts, n_test, counts)
    for_validation = _allocate(counts, n_validation, counts - for_test)
    part = np.empty(len(rows), np.int8)
    for stratum in range(len(counts)):
        members = np.flatnonzero(strata == stratum)
        groups = dataset.group[rows[members]]
        part[members] = split_by_group(groups, int(for_test[stratum]), int(for_validation[stratum]), keys[members])
    return part


def _number_strata(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return numbers without gaps ``(n,)``: the class of the first row of each row's group."""
    assert dataset.group is not None
    _, first, inverse = np.unique(dataset.group[rows], return_index=True, return_inverse=True)
    return np.unique(_number_classes(dataset, rows)[first][inverse], return_inverse=True)[1]


def _resolve_method(dataset: Dataset, method: Method) -> Method:
    """Return what ``auto`` is for this data.

    Raises:
        UsageError: the data has no time to be split in.
    """
    if method == "time" and dataset.time is None:
        raise UsageError(
            Message("{name} has no time to be split in", name=dataset.name), Message("name its column, as in time=Date")
        )
    if method == "auto":
        return "random" if dataset.time is None else "time"
    return method


def _sort_keys(dataset: Dataset, method: Method) -> np.ndarray:
    """Return the key that the rows are ordered by ``(N,)``."""
    return np.arange(len(dataset)) if dataset.time is None or method == "contiguous" else dataset.time


def _random_bits(n: int, seed: int) -> np.ndarray:
    """Return the raw bits of PCG64, which NumPy promises never to change, unlike the methods of its generators."""
    return np.random.PCG64(seed).random_raw(n)


def _shuffle_within_classes(classes: np.ndarray, seed: int) -> np.ndarray:
    """Return positions ordered by class, and at random within a class."""
    return np.lexsort((_random_bits(len(classes), seed), classes))


def _draw_rows(classes: np.ndarray, n_test: int, n_validation: int, seed: int) -> np.ndarray:
    """Return the part of each row ``(n,)``."""
    counts = np.bincount(classes)
    for_test = _allocate(counts, n_test, counts)
    for_validation = _allocate(counts, n_validation, counts - for_test)
    order = _shuffle_within_classes(classes, seed)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... within each class
    sorted_classes = classes[order]
    part = np.empty(len(order), np.int8)
    part[order] = np.where(
        rank < for_test[sorted_classes],
        TEST,
        np.where(rank < (for_test + for_validation)[sorted_classes], VALIDATION, TRAIN),
    )
    return part


def _allocate(counts: np.ndarray, total: int, available: np.ndarray) -> np.ndarray:
    """Return the number of rows of each class in a part of ``total`` rows, by the largest remainders.

    Args:
        counts: rows of each class ``(C,)``.
        total: rows of the part.
        available: rows of each class that no part has yet ``(C,)``. The last one is not taken, because a class
            without training rows cannot be predicted; only a part too large for that takes it.
    """
    if not total:
        return np.zeros_like(counts)
    weights = np.where(counts > 1, counts, 0)
    capacity = np.maximum(available - 1, 0)
    if total > capacity.sum():
        weights, capacity = counts, available
    quota, remainder = np.divmod(total * weights, weights.sum())
    allocation = np.minimum(quota, capacity)
    is_missing = (allocation == 0) & (counts > 2)
    priority = np.lexsort((-remainder, ~is_missing))
    priority = priority[(capacity > allocation)[priority] & (remainder > 0)[priority]]
    allocation[priority[: total - allocation.sum()]] += 1
    unused = capacity - allocation
    lacking = total - allocation.sum()
    if lacking:  # some classes have too few rows: the others fill up in proportion to their unused rows
        quota, remainder = np.divmod(lacking * unused, unused.sum())
        allocation += quota
        allocation[np.lexsort((-remainder,))[: total - allocation.sum()]] += 1
    return allocation
