"""Parts of a data set: hold-out and k folds, drawn by chance, never "the last rows" unless time or the user says so.

Rows with an official part keep it: an official test part is *the* test part, whatever is asked for, and so is
an official validation part. Only the other rows, the free ones, are given out. Where classes are predicted,
each part gets its share of every class. Rows of one group stay together. Rows with a time are parted in time: the
model is tried on what came after all that it learnt from.
"""

from __future__ import annotations

import math
import numbers
from typing import Literal

import numpy as np

from yisheng.core.errors import DataError, UsageError
from yisheng.core.seeds import derive
from yisheng.core.types import Dataset, Split
from yisheng.data._ordered_split import TEST, TRAIN, VALIDATION, by_group, folds_in_time, folds_of_groups, in_order

SHARES = ((10_000, 0.15, 0.20), (1_000_000, 0.10, 0.10), (math.inf, 0.01, 0.01))
"""What ``auto`` means: below so many free rows, these shares of them for validation and test. Scores on small
parts are too noisy to choose by; from a million rows on, one in a hundred (98:1:1) is still ten thousand."""
Size = int | float | str
How = Literal["auto", "random", "contiguous", "time"]


def hold_out(
    dataset: Dataset, *, validation: Size = "auto", test: Size = "auto", seed: int = 0, how: How = "auto"
) -> Split:
    """A training, a validation and a test part, stratified by class.

    The share of a class in the test part is within one row of proportional, and so is its share in the
    validation part, as long as half of the rows are left for training. Odd rows go first to the classes
    that would else be missing there. The last row of a class stays in the training part. The test part
    depends on ``test`` and ``seed`` alone, so that another ``validation`` leaves it as it is.

    Args:
        dataset: the data.
        validation: size of the validation part: a fraction of the free rows below 1, a number of rows, 0
            for none, or ``auto`` (see `SHARES`), which alone is allowed where the data has an official one.
        test: size of the test part, likewise.
        seed: of the draw.
        how: ``random``, or ``contiguous``: the first rows train, the last test; or ``time``, the same in the order
            of `Dataset.time`. ``auto`` is time where the data has one, else random.

    Raises:
        UsageError: a size is not one of these, is given though there is an official part, or the two leave
            no training rows.
        DataError: the official parts leave no training rows, or are not numbered 0, 1, 2.

    >>> import numpy as np
    >>> from yisheng.core.types import Spec
    >>> x, y = np.zeros((100, 1), np.float32), np.zeros((100, 1), np.float32)
    >>> split = hold_out(Dataset("rows", Spec("regression", (1,)), x, y))
    >>> len(split.train), len(split.validation), len(split.test)
    (65, 15, 20)
    """
    free, official_validation, official_test = _official(dataset)
    tests = _count("test", test, len(free), len(official_test))
    validations = _count("validation", validation, len(free), len(official_validation))
    spare = len(free) - 1  # one row at least is for training
    if test == "auto":  # what is auto gives way
        tests = min(tests, max(0, spare - (0 if validation == "auto" else validations)))
    if validation == "auto":
        validations = min(validations, max(0, spare - tests))
    if tests + validations > spare:
        raise UsageError(
            f"{tests} test and {validations} validation rows leave nothing to train on: "
            f"{dataset.name} has {len(free)} rows to give out",
            "make test= and validation= smaller",
        )
    how = _how(dataset, how)
    if how != "random":
        part = in_order(_keys(dataset, how)[free], tests, validations)
    elif dataset.group is not None:
        part = _draw_groups(dataset, free, tests, validations, derive(seed, "hold-out"))
    else:
        part = _draw(_classes(dataset, free), tests, validations, derive(seed, "hold-out"))
    return Split(
        train=free[part == TRAIN],
        validation=official_validation if len(official_validation) else free[part == VALIDATION],
        test=official_test if len(official_test) else free[part == TEST],
    )


def folds(
    dataset: Dataset,
    k: int,
    *,
    test: Size = "auto",
    seed: int = 0,
    how: How = "auto",
    stratify: bool = True,
    repeats: int = 1,
) -> list[Split]:
    """k folds over all rows outside the test part; each is the validation part once.

    The test part is that of `hold_out` with the same ``test`` and ``seed``, the same for every fold. An
    official validation part is not kept apart: its rows are dealt out with the others.

    Args:
        dataset: the data.
        k: number of folds, 2 or more.
        test: size of the test part, as in `hold_out`; 0 deals out all rows.
        seed: of the draw; the same seed gives the same folds for every model.
        how: ``random``; ``contiguous``, as scikit-learn's ``KFold(shuffle=False)``; or ``time``, where each fold
            is trained on all that came before its validation part, as scikit-learn's ``TimeSeriesSplit``. In the
            last two nothing is stratified. ``auto`` is time where the data has one, else random.
        stratify: where classes are predicted, the folds' numbers of rows of each class differ by one at most.
        repeats: draws of k folds, one after the other in the list.

    Raises:
        UsageError: ``k`` or ``repeats`` does not fit.
        DataError: see `hold_out`.
    """
    official_validation = _official(dataset)[1]
    validation = "auto" if len(official_validation) else 0
    held_out = hold_out(dataset, validation=validation, test=test, seed=seed, how=how).test
    rows = np.setdiff1d(np.arange(len(dataset)), held_out)
    if not 2 <= k <= len(rows):
        raise UsageError(
            f"folds must be from 2 to {len(rows)}, the rows outside the test part, got {k}",
            "choose another number",
        )
    how = _how(dataset, how)
    if repeats < 1 or (repeats > 1 and how != "random"):
        raise UsageError(
            f"repeats must be 1 or more, and 1 for folds that are not drawn by chance and never change; got {repeats}",
            "leave repeats out",
        )
    if how == "time":
        parted = folds_in_time(_keys(dataset, how)[rows], k)
        if any(not len(train) or not len(valid) for train, valid in parted):
            raise UsageError(f"there are too few different times for {k} folds in time", "choose fewer folds")
        return [Split(rows[train], rows[valid], held_out) for train, valid in parted]
    grouped = dataset.group is not None and how == "random"
    if grouped and len(np.unique(dataset.group[rows])) < k:  # type: ignore[index]  # asked just before
        raise UsageError(
            f"{k} folds need as many groups, got {len(np.unique(dataset.group[rows]))}",  # type: ignore[index]
            "choose fewer folds",
        )
    classes = _classes(dataset, rows) if stratify else np.zeros(len(rows), np.int64)
    splits = []
    for repeat in range(repeats):
        if grouped:
            keys = _random(len(rows), derive(seed, "folds", repeat))
            strata = _strata(dataset, rows) if stratify else np.zeros(len(rows), np.int64)
            fold = folds_of_groups(dataset.group[rows], k, keys, strata)  # type: ignore[index]  # grouped
        elif how == "random":
            # Dealt like cards, one class after the other: totals and classes are even to within one row.
            order = _shuffled(classes, derive(seed, "folds", repeat))
            fold = np.empty(len(rows), np.int64)
            fold[order] = np.arange(len(rows)) % k
        else:
            fold = np.sort(np.arange(len(rows)) % k)
        splits += [Split(rows[fold != i], rows[fold == i], held_out) for i in range(k)]
    return splits


def _official(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows by official part; without any, all are free."""
    part = np.zeros(len(dataset), np.int8) if dataset.part is None else np.asarray(dataset.part)
    train, validation, test = (np.flatnonzero(part == number) for number in (TRAIN, VALIDATION, TEST))
    if len(train) + len(validation) + len(test) != len(part):
        raise DataError(
            f"{dataset.name}: the official parts must be 0, 1 or 2, got {', '.join(map(str, np.unique(part)[:5]))}",
            "number them 0 train, 1 validation, 2 test",
        )
    if not len(train):
        raise DataError(f"{dataset.name}: the official parts leave no training rows", "mark some rows with part 0")
    return train, validation, test


def _count(what: str, size: Size, free: int, official: int) -> int:
    """Rows that a size asks for."""
    if size == "auto":
        column = 1 if what == "validation" else 2
        share = next(row for row in SHARES if free < row[0])[column]
        return 0 if official else math.floor(share * free + 0.5)
    whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    fraction = isinstance(size, numbers.Real) and not isinstance(size, numbers.Integral)
    if not (whole and size >= 0) and not (fraction and 0 <= size < 1):  # type: ignore[operator]  # numbers both
        raise UsageError(
            f"{what} must be a fraction from 0 to below 1, a number of rows or auto, got {size!r}",
            f"say {what}=0.2 for a fifth, {what}=500 for 500 rows",
        )
    if official:
        raise UsageError(
            f"{what}={size} cannot be had: the data has an official {what} part of {official:,} rows",
            f"leave {what} out",
        )
    if whole:
        return int(size)
    return max(1, math.floor(float(size) * free + 0.5)) if size else 0


def _classes(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Class numbers without gaps ``(n,)``; all zero where no classes are predicted."""
    if dataset.spec.task != "classification":
        return np.zeros(len(rows), np.int64)
    return np.unique(dataset.y[rows], return_inverse=True)[1]


def _draw_groups(dataset: Dataset, rows: np.ndarray, tests: int, validations: int, seed: int) -> np.ndarray:
    """The part of each row ``(n,)``, whole groups drawn by chance, each class's groups by themselves."""
    assert dataset.group is not None
    strata, keys = _strata(dataset, rows), _random(len(rows), seed)
    counts = np.bincount(strata)
    for_test = _shares(counts, tests, counts)
    for_validation = _shares(counts, validations, counts - for_test)
    part = np.empty(len(rows), np.int8)
    for stratum in range(len(counts)):
        here = np.flatnonzero(strata == stratum)
        groups = dataset.group[rows[here]]
        part[here] = by_group(groups, int(for_test[stratum]), int(for_validation[stratum]), keys[here])
    return part


def _strata(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Numbers without gaps ``(n,)``: the class of the first row of each row's group."""
    assert dataset.group is not None
    _, first, inverse = np.unique(dataset.group[rows], return_index=True, return_inverse=True)
    return np.unique(_classes(dataset, rows)[first][inverse], return_inverse=True)[1]


def _how(dataset: Dataset, how: How) -> How:
    """What ``auto`` is for this data.

    Raises:
        UsageError: the data has no time to be split in.
    """
    if how == "time" and dataset.time is None:
        raise UsageError(f"{dataset.name} has no time to be split in", "name its column, as in time=Date")
    if how == "auto":
        return "random" if dataset.time is None else "time"
    return how


def _keys(dataset: Dataset, how: How) -> np.ndarray:
    """What the rows are ordered by ``(N,)``."""
    return np.arange(len(dataset)) if dataset.time is None or how == "contiguous" else dataset.time


def _random(n: int, seed: int) -> np.ndarray:
    """Random numbers from the raw bits of PCG64, which NumPy promises never to change."""
    return np.random.PCG64(seed).random_raw(n)


def _shuffled(classes: np.ndarray, seed: int) -> np.ndarray:
    """Positions, ordered by class and by chance within a class.

    Its generators' methods may change between versions of NumPy; see `_random`.
    """
    return np.lexsort((_random(len(classes), seed), classes))


def _draw(classes: np.ndarray, tests: int, validations: int, seed: int) -> np.ndarray:
    """The part of each row ``(n,)``."""
    counts = np.bincount(classes)
    for_test = _shares(counts, tests, counts)
    for_validation = _shares(counts, validations, counts - for_test)
    order = _shuffled(classes, seed)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... within each class
    in_order = classes[order]
    part = np.empty(len(order), np.int8)
    part[order] = np.where(
        place < for_test[in_order],
        TEST,
        np.where(place < (for_test + for_validation)[in_order], VALIDATION, TRAIN),
    )
    return part


def _shares(counts: np.ndarray, total: int, left: np.ndarray) -> np.ndarray:
    """How many rows of each class make up a part of ``total`` rows: largest remainders.

    Args:
        counts: rows of each class ``(C,)``.
        total: rows of the part.
        left: rows of each class that are still to be had ``(C,)``. The last one is not taken: a class
            that training never saw cannot be predicted. Only a part too large for that takes it.
    """
    if not total:
        return np.zeros_like(counts)
    shared = np.where(counts > 1, counts, 0)
    free = np.maximum(left - 1, 0)
    if total > free.sum():
        shared, free = counts, left
    quota, odd = np.divmod(total * shared, shared.sum())
    share = np.minimum(quota, free)
    missing = (share == 0) & (counts > 2)
    eager = np.lexsort((-odd, ~missing))
    eager = eager[(free > share)[eager] & (odd > 0)[eager]]
    share[eager[: total - share.sum()]] += 1
    rest = free - share
    lacking = total - share.sum()
    if lacking:  # some classes could not give their share: the others give in proportion to what they have
        quota, odd = np.divmod(lacking * rest, rest.sum())
        share += quota
        share[np.lexsort((-odd,))[: total - share.sum()]] += 1
    return share
