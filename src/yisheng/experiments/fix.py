"""``train ... fix=true``: apply the doctor's first remedy, train again, and compare.

run -> first finding with a change -> config with it -> run -> scores of the same validation rows -> ...
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yisheng.core import files, machine, registry
from yisheng.core.config import Config, ResolvedConfig
from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.logging import logger
from yisheng.core.run_folder import RunFolder
from yisheng.core.types import Dataset, Split
from yisheng.data.batches import make_batches
from yisheng.evaluation.paired_difference import paired_difference
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.scores import compute_scores
from yisheng.experiments import complete_run
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.experiments.remedies import Remedy, find_remedies
from yisheng.inference import artifact
from yisheng.reporting import run_page
from yisheng.reporting.fix_schema import (
    VERDICTS,
    Fix,
    FixedRun,
    Outcome,
    Round,
    Score,
    format_settings,
    score_difference,
)
from yisheng.reporting.formatting import format_number, score_name

MAX_REMEDIES: Final = 3
"""What three remedies do not fix needs a person."""


@dataclass(frozen=True)
class Attempt:
    """A training that came to its end or broke off.

    Args:
        folder: the run folder.
        config: the resolved config.
        predictions: on the validation rows; None if it broke off.
        score: of the predictions.
        error: what broke it off.
    """

    folder: RunFolder
    config: ResolvedConfig
    predictions: Predictions | None = None
    score: Score | None = None
    error: NonFiniteError | None = None

    def describe(self) -> FixedRun:
        """Return the entry of ``fix.json``."""
        return FixedRun(run=self.folder.path.name, score=self.score)


def train(config: Config, *, data: Dataset | None = None, out: Path) -> Path:
    """Train; if the doctor has a remedy that is a setting, train again with it. Return the folder of the better run.

    Up to three remedies, one after the other, each with the same seed and the same parts. It ends if the doctor has
    no further remedy, or if one did not help. All rounds are listed in ``fix.json`` of the returned folder.

    Args:
        config: every choice; ``auto`` is resolved here.
        data: the data set, if the config cannot name it.
        out: folder of runs; each training has its own folder.

    Raises:
        UsageError: the config has folds, no doctor or no validation part, or a choice does not fit the data.
        StoppedError: a signal came; a checkpoint of the current training was written.
        NonFiniteError: the run broke off, and no remedy fixed it.
        StorageError: there is too little space on the disk, or it became full.
    """
    if config.folds is not None:
        raise UsageError(
            f"fix=true fixes one run, folds={config.folds} is a cross-validation of many",
            f"fix it with fold=1/{config.folds} or without folds, and use the resulting config for the folds",
        )
    if config.epochs == 0:
        raise UsageError("fix=true trains again, and epochs=0 trains nothing", "leave one of them out")
    if config.doctor == "off":
        raise UsageError("fix=true needs the doctor, got doctor=off", "leave one of them out")
    data = load_dataset(config) if data is None else data
    split = split_dataset(config, data)
    if not len(split.validation):
        raise UsageError("fix=true compares validation scores, and there is no validation part", "use validation=0.2")
    return _Fixer(data, split, out).fix(config)


@dataclass(frozen=True)
class _Fixer:
    """What all trainings of one config share."""

    data: Dataset
    split: Split
    out: Path

    def fix(self, config: Config) -> Path:
        """Train, diagnose, apply a remedy and compare, up to `MAX_REMEDIES` times; return the best run."""
        best = current = self._train(config)
        metric, tried, rounds = self._metric(current.config), [current.config], list[Round]()
        end_reason = f"{MAX_REMEDIES} remedies were tried, which is the limit"
        for _ in range(MAX_REMEDIES):
            remedies = find_remedies(current.folder, current.config, self.data, self.split)
            remedy = next((remedy for remedy in remedies if remedy.config not in tried), None)
            if remedy is None:
                end_reason = f"the doctor found nothing{' more' if rounds else ''} that a setting can fix"
                break
            change = format_settings(remedy.change)
            logger.info(f"fix: {remedy.finding.check}: {format_settings(remedy.previous)} -> {change}")
            try:
                attempt = self._train(remedy.config)
            except UsageError as error:
                end_reason = f"the next remedy ({change}) does not fit: {error.problem}"
                break
            rounds.append(_compare(current, attempt, remedy, metric))
            logger.info(_describe_round(rounds[-1], metric))
            tried.append(attempt.config)
            if _is_better(attempt, best, metric):
                best = attempt
            elif attempt.error is None or best.error is None:  # if both broke off, the next remedy may still help
                end_reason = "the last remedy did not help"
                break
            current = attempt
        logger.info(f"fix: ended because {end_reason}; the best run is {best.folder.path}")
        fix = Fix(score=metric.key, rounds=rounds, best=best.folder.path.name, end_reason=end_reason)
        files.write_json(best.folder.file(RunFolder.FIX), fix.to_json())
        run_page.write_run_page(best.folder.path)
        if best.error is not None:
            raise best.error
        return best.folder.path

    def _train(self, config: Config) -> Attempt:
        """Train in a new folder, and score the validation rows."""
        folders: list[RunFolder] = []  # a training that breaks off returns no folder
        error = None
        try:
            complete_run.train(config, data=self.data, out=self.out, on_begin=folders.append)
        except NonFiniteError as nonfinite:
            if not folders:
                raise
            error = nonfinite
        (folder,) = folders
        resolved = folder.config.resolve(self.data.spec, len(self.split.train))
        if error is not None:
            logger.info(f"{folder.path} broke off: {error.problem}")
            return Attempt(folder, resolved, error=error)
        predictions = self._predict_validation(folder, resolved)
        (score,) = compute_scores(self.data.spec, predictions, [self._metric(resolved).name]).values() or (None,)
        plain = None if score is None else Score(value=score.value, low=score.low, high=score.high)
        return Attempt(folder, resolved, predictions, plain)

    def _predict_validation(self, folder: RunFolder, config: ResolvedConfig) -> Predictions:
        """Return the predictions of a run's best weights for the validation rows."""
        saved, device = artifact.load(folder.path), machine.select_device(config.device)
        part = make_batches(
            self.data,
            self.split.validation,
            size=config.batch,
            scale=saved.scale,
            target_scale=saved.target_scale,
            device=device,
            seed=config.seed,
        )
        invert = None if saved.target_scale is None else saved.target_scale.invert
        return predict(saved.model.to(device), part, saved.spec, invert)

    def _metric(self, config: Config) -> registry.Entry:
        """Return the metric that chooses epochs; not the loss, whose scale a remedy may change."""
        if config.score == "loss":
            return registry.default("metrics", self.data.spec)
        return config.find_metric(config.score)


def _is_better(attempt: Attempt, best: Attempt, metric: registry.Entry) -> bool:
    """Return whether an attempt has the better score; one that ended is better than one that broke off."""
    if attempt.score is None or best.score is None:
        return attempt.score is not None
    gain = attempt.score.value - best.score.value
    return gain > 0 if metric.meta.get("higher", True) else gain < 0


def _compare(previous: Attempt, attempt: Attempt, remedy: Remedy, metric: registry.Entry) -> Round:
    """Return what a remedy changed, with the difference on the same validation rows."""
    difference, outcome = None, _compare_ends(previous, attempt)
    if previous.predictions is not None and attempt.predictions is not None:
        paired = paired_difference(
            metric, previous.predictions.y, previous.predictions.prediction, attempt.predictions.prediction
        )
        difference = Score(value=paired.value, low=paired.low, high=paired.high)
        if paired.low is not None and paired.high is not None and not paired.low <= 0 <= paired.high:
            outcome = "better" if (paired.low > 0) == metric.meta.get("higher", True) else "worse"
    return Round(
        run_before=previous.describe(),
        run_after=attempt.describe(),
        check=remedy.finding.check,
        cause=remedy.finding.cause,
        change=dict(remedy.change),
        previous=dict(remedy.previous),
        difference=difference,
        outcome=outcome,
    )


def _compare_ends(previous: Attempt, attempt: Attempt) -> Outcome:
    if (previous.error is None) == (attempt.error is None):
        return "unclear"
    return "better" if attempt.error is None else "worse"


def _describe_round(completed: Round, metric: registry.Entry) -> str:
    """Return a round in one line."""
    previous_score, new_score = (
        "broke off" if run.score is None else format_number(run.score.value)
        for run in (completed.run_before, completed.run_after)
    )
    difference = f" ({score_difference(completed)})" if completed.difference else ""
    verdict = VERDICTS[completed.outcome]
    return f"fix: validation {score_name(metric.key)} {previous_score} -> {new_score}{difference}: {verdict}"
