"""Whether two models really differ: paired over folds, over seeds, or not to be said."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from yisheng.core import run_folder
from yisheng.core.config import IN_MEMORY, Config
from yisheng.core.errors import DataError, YishengError
from yisheng.core.types import Dataset, Score, Scores
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.corrected_intervals import LEVEL, corrected, welch
from yisheng.experiments import load_data
from yisheng.reporting.cv_schema import Folds

Outcome = Literal["better", "worse", "unclear", "unknown"]


@dataclass(frozen=True)
class Member:
    """One run or study, read: its config, scores, the hash of its data, and its folds (None for a single run)."""

    path: Path
    config: Config
    scores: Scores
    data: str | None
    folds: Folds | None


@dataclass(frozen=True)
class Side:
    """What is compared as one: a run, a study of k folds, or several that differ in their seed only."""

    name: str
    members: tuple[Member, ...]

    @property
    def is_study(self) -> bool:
        """Whether its members are studies."""
        return self.members[0].folds is not None

    def value(self, part: str, score: str) -> tuple[Score, float | None] | None:
        """A score and None; of several members the mean, and their standard deviation; None where one has it not."""
        known = [found for member in self.members if (found := member.scores.get(part, {}).get(score)) is not None]
        if len(known) < len(self.members):
            return None
        if len(known) == 1:
            return known[0], None
        values = [one.value for one in known]
        return Score(statistics.fmean(values)), statistics.stdev(values)


@dataclass(frozen=True)
class Verdict:
    """What can be said of two sides.

    Args:
        first: what it is measured against.
        second: what is measured.
        outcome: whether the second is better or worse than the first, or neither is shown (``unclear``), or nothing
            can be said (``unknown``).
        said: why, in a sentence.
        over: ``folds`` or ``seeds``; empty where nothing can be said.
        part: of which the scores are.
        paired: whether the values belong together in pairs.
        n: how many pairs there are, or values of the side that has fewer.
        level: of the interval.
        difference: second minus first, with its interval.
        remedy: what to run in order to know more.
    """

    first: str
    second: str
    outcome: Outcome
    said: str
    over: str = ""
    part: str = ""
    paired: bool = False
    n: int = 0
    level: float = LEVEL
    difference: Score | None = None
    remedy: tuple[str, ...] = ()


def verdict(
    first: Side, second: Side, score: str, *, upward: bool, level: float = LEVEL, data: Dataset | None = None
) -> Verdict:
    """Compare two sides in one score.

    Args:
        first: what is measured against.
        second: what is measured.
        score: its name in JSON.
        upward: whether larger is better.
        level: of the interval.
        data: the data set, where the configs cannot name it; needed for runs over seeds.
    """
    hashes = {member.data for side in (first, second) for member in side.members}
    if len(hashes) > 1 or None in hashes:
        return _unknown(first, second, "they were trained on different data, so their scores do not compare")
    if first.is_study and second.is_study:
        return _over_folds(first, second, score, upward, level)
    if first.is_study or second.is_study:
        return _unknown(first, second, "one is a study of k folds, the other is not", _to_run(first, second))
    if min(len(first.members), len(second.members)) < 2:
        why = "a single run does not tell how much of its score is chance"
        return _unknown(first, second, why, _to_run(first, second))
    return _over_seeds(first, second, score, upward, level, data)


def _over_folds(first: Side, second: Side, score: str, upward: bool, level: float) -> Verdict:
    """Fold by fold: the same training and validation rows on both sides. Studies of the same folds are averaged."""
    ones, others = _by_fold(first, score), _by_fold(second, score)
    common = [fold for fold in ones if fold in others]
    if len(common) < 2:
        same = "give both the same seed=, folds=, repeats=, test= and split="
        return _unknown(first, second, "they do not have the same folds, so their scores do not pair", (same,))
    difference = corrected([others[f] - ones[f] for f in common], _ratio(first, set(common)), level=level)
    some = " that both have" if len(common) < max(len(ones), len(others)) else ""
    found = Verdict(first.name, second.name, "unclear", f"paired over {len(common)} folds{some}", "folds", "validation")
    found = replace(found, paired=True, n=len(common), level=level, difference=difference)
    return _judged(found, difference, upward, "more repeats narrow the interval: repeats=5")


def _by_fold(side: Side, score: str) -> dict[str, float]:
    """Mean score over the side's studies by what tells a fold from others: the hash of its rows."""
    found: dict[str, list[float]] = {}
    for member in side.members:
        for one, value in member.folds.values(score) if member.folds else ():
            found.setdefault(one.sha256, []).append(value)
    return {fold: statistics.fmean(values) for fold, values in found.items() if fold}


def _ratio(side: Side, common: set[str]) -> float:
    """Validation rows by training rows, the mean over the folds."""
    each = {one.sha256: one.rows for member in side.members if member.folds for one in member.folds.each}
    return statistics.fmean(each[fold].validation / max(1, each[fold].train) for fold in common)


def _over_seeds(first: Side, second: Side, score: str, upward: bool, level: float, data: Dataset | None) -> Verdict:
    """Seed by seed where two or more match and draw the same rows, else as two groups."""
    part = "test" if all(side.value("test", score) for side in (first, second)) else "validation"
    ones, others = _by_seed(first, part, score), _by_seed(second, part, score)
    try:
        (rows, size), (rows_other, size_other) = (_drawn(side, part, data) for side in (first, second))
    except YishengError as error:
        why = f"whether the seeds drew other {part} rows cannot be seen: {error.problem}"
        return _unknown(first, second, why, (error.remedy,))
    fixed = len({*rows.values(), *rows_other.values()}) == 1
    ratio = 0.0 if fixed else (size + size_other) / 2
    seeds = sorted(seed for seed in ones if rows[seed] == rows_other.get(seed))
    paired = len(seeds) >= 2
    if paired:
        difference = corrected([others[seed] - ones[seed] for seed in seeds], ratio, level=level)
        said, n = f"paired over {len(seeds)} seeds", len(seeds)
    else:
        difference = welch(list(others.values()), list(ones.values()), ratio, level=level)
        said, n = f"{len(ones)} and {len(others)} seeds, which do not pair", min(len(ones), len(others))
    said += f"; the {part} rows are the same for all seeds, so it holds for these rows" if fixed else ""
    found = Verdict(first.name, second.name, "unclear", said, "seeds", part, paired, n, level, difference)
    return _judged(found, difference, upward, "more seeds narrow the interval")


def _by_seed(side: Side, part: str, score: str) -> dict[int, float]:
    return {member.config.seed: member.scores[part][score].value for member in side.members}


def _drawn(side: Side, part: str, data: Dataset | None) -> tuple[dict[int, bytes], float]:
    """The rows of a part by seed, and their number by that of the training rows.

    Raises:
        YishengError: the data cannot be read, or is not what it was.
    """
    config = side.members[0].config
    if data is None and config.data.name != IN_MEMORY:
        data = load_data.dataset(config)
    if data is None or fingerprint(data) != side.members[0].data:
        raise DataError("the data that they were trained on is not here", "compare them from Python with data=")
    splits = {member.config.seed: load_data.split(member.config, data) for member in side.members}
    rows = {seed: np.ascontiguousarray(getattr(split, part), "<i8").tobytes() for seed, split in splits.items()}
    return rows, statistics.fmean(len(getattr(split, part)) / len(split.train) for split in splits.values())


def _judged(verdict: Verdict, difference: Score, upward: bool, more: str) -> Verdict:
    """The verdict of an interval: the difference is real where it does not include zero."""
    low, high = difference.low, difference.high
    assert low is not None
    assert high is not None
    if low <= 0 <= high:
        return replace(verdict, remedy=(more,) if low < high else ())
    return replace(verdict, outcome="better" if (low > 0) == upward else "worse")


def _unknown(first: Side, second: Side, why: str, remedy: Sequence[str] = ()) -> Verdict:
    return Verdict(first.name, second.name, "unknown", why, remedy=tuple(remedy))


def _to_run(first: Side, second: Side) -> tuple[str, ...]:
    """Commands that make the two comparable: over the same folds."""
    configs = [side.members[0].config for side in (first, second)]
    if any(config.data.name == IN_MEMORY for config in configs):
        return ("train both with folds=5 on the same data and with the same seed, and compare the studies",)
    study = next((config for config in configs if config.folds), None)
    how = f"folds={study.folds if study else 5}" + (f" repeats={study.repeats}" if study and study.repeats > 1 else "")
    seed = (study or configs[0]).seed
    commands = []
    for side, config in zip((first, second), configs, strict=True):
        if config.folds is None:
            argument = shlex.quote(f"config={side.members[0].path / run_folder.CONFIG}")
            other = "" if config.validation == "auto" else " validation=auto"
            commands.append(f"yisheng train {argument} {how}{other}" + (f" seed={seed}" if config.seed != seed else ""))
    either = ("or train each with several seeds: yisheng compare A1,A2,A3 B1,B2,B3",) if study is None else ()
    return (*commands, "yisheng compare STUDY STUDY", *either)
