"""Significance tests of the difference between two models: paired over folds, or over seeds."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from yisheng.core.choice import IN_MEMORY
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Part
from yisheng.core.errors import DataError, YishengError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score, Scores
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.corrected_intervals import LEVEL, corrected_interval, welch_interval
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.reporting.cv_schema import CrossValidation

Outcome = Literal["better", "worse", "unclear", "unknown"]
RowsBySeed: TypeAlias = dict[int, bytes]


@dataclass(frozen=True)
class ComparedRun:
    """A run, a cross-validation, or an evaluation of one on other data, read.

    Args:
        path: the folder.
        config: its config.
        scores: by part and name.
        data_sha256: fingerprint of its data, or None if that is not recorded.
        cross_validation: its folds, or None for a single run.
        evaluated_run: of an evaluation, the folder of the run.
    """

    path: Path
    config: Config
    scores: Scores
    data_sha256: str | None
    cross_validation: CrossValidation | None
    evaluated_run: Path | None = None


@dataclass(frozen=True)
class RunGroup:
    """What is compared as one model: a run, a cross-validation, or several of them that differ only in their seed."""

    name: str
    runs: tuple[ComparedRun, ...]

    @property
    def is_cross_validated(self) -> bool:
        """Return whether its runs are cross-validations."""
        return self.runs[0].cross_validation is not None

    def value(self, part: str, score: str) -> tuple[Score, float | None] | None:
        """Return a score, of several runs the mean, and the standard deviation over the runs (None for one).

        Return None if a run does not have the score.
        """
        scores = [value for run in self.runs if (value := run.scores.get(part, {}).get(score)) is not None]
        if len(scores) < len(self.runs):
            return None
        if len(scores) == 1:
            return scores[0], None
        values = [score.value for score in scores]
        return Score(statistics.fmean(values)), statistics.stdev(values)


@dataclass(frozen=True)
class SignificanceTest:
    """The result of comparing two groups in one score.

    Args:
        first: name of the group that is compared with.
        second: name of the group that is compared.
        outcome: whether the second is better or worse than the first, or neither is shown (``unclear``), or they
            cannot be compared (``unknown``).
        message: how they were compared, or why they could not be.
        over: ``folds`` or ``seeds``; empty if they could not be compared.
        part: of the scores.
        paired: whether the values belong together in pairs.
        n: number of pairs, or of values of the smaller group.
        level: of the interval.
        difference: second minus first, with its interval.
        remedy: commands that make the comparison more precise.
    """

    first: str
    second: str
    outcome: Outcome
    message: str
    over: str = ""
    part: str = ""
    paired: bool = False
    n: int = 0
    level: float = LEVEL
    difference: Score | None = None
    remedy: tuple[str, ...] = ()


def compare_groups(
    first: RunGroup,
    second: RunGroup,
    score: str,
    *,
    higher_is_better: bool,
    level: float = LEVEL,
    data: Dataset | None = None,
) -> SignificanceTest:
    """Test whether two groups differ in one score.

    Args:
        first: the group that is compared with.
        second: the group that is compared.
        score: its name in JSON.
        higher_is_better: whether larger scores are better.
        level: of the interval.
        data: the data set, if the configs cannot name it; needed for runs over seeds.
    """
    hashes = {run.data_sha256 for group in (first, second) for run in group.runs}
    evaluated = {run.evaluated_run is not None for group in (first, second) for run in group.runs}
    if len(evaluated) > 1:
        message = Message("one of them is an evaluation on other data, the other a run on its own data")
        return _unknown(first, second, message)
    if len(hashes) > 1 or None in hashes:
        message = Message("they were trained on different data, so their scores cannot be compared")
        if True in evaluated:
            message = Message("they were evaluated on different data, so their scores cannot be compared")
        return _unknown(first, second, message)
    if first.is_cross_validated and second.is_cross_validated:
        return _test_over_folds(first, second, score, higher_is_better, level)
    if first.is_cross_validated or second.is_cross_validated:
        message = Message("one of them is a cross-validation, the other is not")
        return _unknown(first, second, message, _commands_to_compare(first, second))
    if min(len(first.runs), len(second.runs)) < 2:
        message = Message("the score of a single run does not show how much of it is due to its random seed")
        if True in evaluated:
            remedy = Message(
                "train each with several seeds, evaluate all on this data: yisheng compare A1,A2,A3 B1,B2,B3"
            )
            return _unknown(first, second, message, (remedy,))
        return _unknown(first, second, message, _commands_to_compare(first, second))
    return _test_over_seeds(first, second, score, higher_is_better, level, data)


def _test_over_folds(
    first: RunGroup, second: RunGroup, score: str, higher_is_better: bool, level: float
) -> SignificanceTest:
    """Compare fold by fold, on equal training and validation rows; of equal folds of several seeds the mean."""
    values, other_values = _scores_by_fold(first, score), _scores_by_fold(second, score)
    common = [fold for fold in values if fold in other_values]
    if len(common) < 2:
        message = Message("they do not have the same folds, so their scores cannot be paired")
        remedy = Message("give both the same seed=, folds=, repeats=, test= and split=")
        return _unknown(first, second, message, (remedy,))
    ratio = _validation_ratio(first, set(common))
    difference = corrected_interval([other_values[fold] - values[fold] for fold in common], ratio, level=level)
    message = Message("paired over {folds} folds", folds=len(common))
    if len(common) < max(len(values), len(other_values)):
        message = Message("paired over {folds} folds that both have", folds=len(common))
    test = SignificanceTest(first.name, second.name, "unclear", message, "folds", "validation")
    test = replace(test, paired=True, n=len(common), level=level, difference=difference)
    return _decide(test, difference, higher_is_better, Message("more repeats make the interval narrower: repeats=5"))


def _scores_by_fold(group: RunGroup, score: str) -> dict[str, float]:
    """Return the mean score of each fold over the group's cross-validations, by the hash of the fold's rows."""
    values: dict[str, list[float]] = {}
    for run in group.runs:
        for fold_model, value in run.cross_validation.values(score) if run.cross_validation else ():
            values.setdefault(fold_model.sha256, []).append(value)
    return {fold: statistics.fmean(numbers) for fold, numbers in values.items() if fold}


def _validation_ratio(group: RunGroup, folds: set[str]) -> float:
    """Return the number of validation rows divided by that of training rows, the mean over the folds."""
    rows = {
        fold_model.sha256: fold_model.rows
        for run in group.runs
        if run.cross_validation
        for fold_model in run.cross_validation.models
    }
    return statistics.fmean(rows[fold].validation / max(1, rows[fold].train) for fold in folds)


def _test_over_seeds(
    first: RunGroup, second: RunGroup, score: str, higher_is_better: bool, level: float, data: Dataset | None
) -> SignificanceTest:
    """Compare seed by seed if two or more seeds match and draw the same rows, else as two independent groups."""
    part: Part = "test" if all(group.value("test", score) for group in (first, second)) else "validation"
    values, other_values = _scores_by_seed(first, part, score), _scores_by_seed(second, part, score)
    try:
        (rows, ratio), (other_rows, other_ratio) = (_rows_by_seed(group, part, data) for group in (first, second))
    except YishengError as error:
        message = Message("it is unknown whether the seeds drew different rows: {problem}", problem=error.problem)
        return _unknown(first, second, message, (error.remedy,))
    has_fixed_rows = len({*rows.values(), *other_rows.values()}) == 1
    mean_ratio = 0.0 if has_fixed_rows else (ratio + other_ratio) / 2
    seeds = sorted(seed for seed in values if rows[seed] == other_rows.get(seed))
    paired = len(seeds) >= 2
    if paired:
        differences = [other_values[seed] - values[seed] for seed in seeds]
        difference = corrected_interval(differences, mean_ratio, level=level)
        message, n = Message("paired over {seeds} seeds", seeds=len(seeds)), len(seeds)
    else:
        groups = list(other_values.values()), list(values.values())
        difference = welch_interval(*groups, mean_ratio, level=level)
        message = Message(
            "{first} and {second} seeds, which cannot be paired", first=len(values), second=len(other_values)
        )
        n = min(len(values), len(other_values))
    if has_fixed_rows:
        holds = Message("the validation rows are the same for all seeds, so it holds for these rows")
        if part == "test":
            holds = Message("the test rows are the same for all seeds, so it holds for these rows")
        message = Message("{how}; {holds}", how=message, holds=holds)
    test = SignificanceTest(first.name, second.name, "unclear", message, "seeds", part, paired, n, level, difference)
    return _decide(test, difference, higher_is_better, Message("more seeds make the interval narrower"))


def _scores_by_seed(group: RunGroup, part: str, score: str) -> dict[int, float]:
    return {run.config.seed: run.scores[part][score].value for run in group.runs}


def _rows_by_seed(group: RunGroup, part: Part, data: Dataset | None) -> tuple[RowsBySeed, float]:
    """Return the rows of a part by seed, and the mean ratio of their number to that of the training rows.

    Raises:
        YishengError: the data cannot be read, or differs from the data of the training.
    """
    config = group.runs[0].config
    if group.runs[0].evaluated_run is not None:  # all on the same rows, which no run was trained on
        return {run.config.seed: str(run.data_sha256).encode() for run in group.runs}, 0.0
    if data is None and config.data.name != IN_MEMORY:
        data = load_dataset(config)
    if data is None or fingerprint(data) != group.runs[0].data_sha256:
        raise DataError(
            Message("the data of the training is not available"), Message("compare them from Python with data=")
        )
    splits = {run.config.seed: split_dataset(run.config, data) for run in group.runs}
    rows = {seed: np.ascontiguousarray(getattr(split, part), "<i8").tobytes() for seed, split in splits.items()}
    return rows, statistics.fmean(len(getattr(split, part)) / len(split.train) for split in splits.values())


def _decide(test: SignificanceTest, difference: Score, higher_is_better: bool, how_to_narrow: str) -> SignificanceTest:
    """Return the test with its outcome: the difference is significant if its interval does not include zero."""
    low, high = difference.low, difference.high
    assert low is not None
    assert high is not None
    if low <= 0 <= high:
        return replace(test, remedy=(how_to_narrow,) if low < high else ())
    return replace(test, outcome="better" if (low > 0) == higher_is_better else "worse")


def _unknown(first: RunGroup, second: RunGroup, message: str, remedy: Sequence[str] = ()) -> SignificanceTest:
    return SignificanceTest(first.name, second.name, "unknown", message, remedy=tuple(remedy))


def _commands_to_compare(first: RunGroup, second: RunGroup) -> tuple[str, ...]:
    """Return the commands that make the two groups comparable: a cross-validation of both over the same folds."""
    configs = [group.runs[0].config for group in (first, second)]
    if any(config.data.name == IN_MEMORY for config in configs):
        return (
            Message(
                "train both with folds=5 on the same data and with the same seed, and compare the cross-validations"
            ),
        )
    cross_validated = next((config for config in configs if config.folds), None)
    folds, repeats = (cross_validated.folds, cross_validated.repeats) if cross_validated else (5, 1)
    keys = f"folds={folds}" + (f" repeats={repeats}" if repeats > 1 else "")
    seed = (cross_validated or configs[0]).seed
    commands = []
    for group, config in zip((first, second), configs, strict=True):
        if config.folds is None:
            argument = shlex.quote(f"config={group.runs[0].path / RunFolder.CONFIG}")
            validation = "" if config.validation == "auto" else " validation=auto"
            new_seed = f" seed={seed}" if config.seed != seed else ""
            commands.append(f"yisheng train {argument} {keys}{validation}{new_seed}")
    alternative = (Message("or train each with several seeds: yisheng compare A1,A2,A3 B1,B2,B3"),)
    return (*commands, "yisheng compare FOLDER FOLDER", *(() if cross_validated else alternative))
