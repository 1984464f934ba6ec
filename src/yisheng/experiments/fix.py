"""``train ... fix=true``: apply the doctor's first remedy, train again, and compare.

run -> first finding with a change -> config with it -> run -> scores of the same validation rows -> ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yisheng.core import files, machine, registry
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.entry import Entry
from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.core.run_folder import RunFolder
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
from yisheng.reporting.run_facts import read_run_facts

MAX_REMEDIES: Final = 3
"""What three remedies do not fix needs a person."""
MISSED_CLASSES: Final = "missed-classes"
RECALL: Final = "recall-macro"
"""The score that sees what accuracy does not: classes that are missed."""


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
            Message("fix=true fixes one run, folds={folds} is a cross-validation of many", folds=config.folds),
            Message(
                "fix it with fold=1/{folds} or without folds, and use the resulting config for the folds",
                folds=config.folds,
            ),
        )
    if config.epochs == 0:
        raise UsageError(
            Message("fix=true trains again, and epochs=0 trains nothing"), Message("leave one of them out")
        )
    if config.doctor == "off":
        raise UsageError(Message("fix=true needs the doctor, got doctor=off"), Message("leave one of them out"))
    data = load_dataset(config) if data is None else data
    split = split_dataset(config, data)
    if not len(split.validation):
        raise UsageError(
            Message("fix=true compares validation scores, and there is no validation part"),
            Message("use validation=0.2"),
        )
    return _Fixer(data, split, out).fix(config)


@dataclass(frozen=True)
class _Fixer:
    """What all trainings of one config share."""

    data: Dataset
    split: Split
    out: Path

    def fix(self, config: Config) -> Path:
        """Train, diagnose, apply a remedy and compare, up to `MAX_REMEDIES` times; return the best run.

        Of a remedy that has several strengths, each is compared with the same run, and the best one is kept.
        """
        best = current = self._train(config)
        metric, tried, rounds = self._choose_metric(current.folder, current.config), [current.config], list[Round]()
        end_reason = Message("{count} remedies were tried, which is the limit", count=MAX_REMEDIES)
        for _ in range(MAX_REMEDIES):
            remedies = find_remedies(current.folder, current.config, self.data, self.split)
            untried = ([remedy for remedy in group if remedy.config not in tried] for group in remedies)
            strengths = next(filter(None, untried), None)
            if strengths is None:
                end_reason = Message("the doctor found nothing that a setting can fix")
                if rounds:
                    end_reason = Message("the doctor found nothing more that a setting can fix")
                break
            first_round = len(rounds)
            try:
                attempt = self._try_strengths(strengths, current, metric, rounds)
            except UsageError as error:
                end_reason = Message("the next remedy does not fit: {problem}", problem=error.problem)
                break
            tried += [strength.config for strength in strengths]
            is_better, has_helped = _is_better(attempt, best, metric), _has_helped(rounds[first_round:])
            if is_better:
                best = attempt
            if len(strengths) > 1 and not has_helped:
                end_reason = _explain_end(rounds[first_round:])
                break
            if not is_better and (attempt.error is None or best.error is None):  # if both broke off, the next may help
                end_reason = Message("the last remedy did not help")
                break
            current = attempt
        logger.info(
            Message("fix: ended because {reason}; the best run is {path}", reason=end_reason, path=best.folder.path)
        )
        fix = Fix(score=metric.key, rounds=rounds, best=best.folder.path.name, end_reason=end_reason)
        files.write_json(best.folder.file(RunFolder.FIX), fix.to_json())
        run_page.write_run_page(best.folder.path)
        if best.error is not None:
            raise best.error
        return best.folder.path

    def _try_strengths(
        self, strengths: Sequence[Remedy], current: Attempt, metric: Entry, rounds: list[Round]
    ) -> Attempt:
        """Train with each strength of a remedy until one that helps is followed by a worse one; return the best.

        Raises:
            UsageError: its settings do not fit together.
        """
        first_round, best = len(rounds), self._apply(strengths[0], current, metric, rounds)
        for strength in strengths[1:]:
            attempt = self._apply(strength, current, metric, rounds)
            if _is_better(attempt, best, metric):
                best = attempt
            elif _has_helped(rounds[first_round:]):
                break
        return best

    def _apply(self, remedy: Remedy, current: Attempt, metric: Entry, rounds: list[Round]) -> Attempt:
        """Train with a remedy, and add its round.

        Raises:
            UsageError: its settings do not fit together.
        """
        change = format_settings(remedy.change)
        previous, check = format_settings(remedy.previous), remedy.finding.check
        logger.info(Message("fix: {check}: {previous} -> {change}", check=check, previous=previous, change=change))
        attempt = self._train(remedy.config, metric)
        rounds.append(_compare(current, attempt, remedy, metric))
        logger.info(_describe_round(rounds[-1], metric))
        return attempt

    def _train(self, config: Config, metric: Entry | None = None) -> Attempt:
        """Train in a new folder, and score the validation rows, of the first run by the metric that is then chosen."""
        folders: list[RunFolder] = []  # a training that breaks off returns no folder
        error = None
        try:
            complete_run.train(config, data=self.data, out=self.out, on_begin=folders.append)
        except NonFiniteError as nonfinite:
            if not folders:
                raise
            error = nonfinite
        (folder,) = folders
        resolved = resolve_config(folder.config, self.data.spec, len(self.split.train))
        if error is not None:
            logger.info(Message("{path} broke off: {problem}", path=folder.path, problem=error.problem))
            return Attempt(folder, resolved, error=error)
        predictions = self._predict_validation(folder, resolved)
        metric = self._choose_metric(folder, resolved) if metric is None else metric
        (score,) = compute_scores(self.data.spec, predictions, [metric.name]).values() or (None,)
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

    def _choose_metric(self, folder: RunFolder, config: Config) -> Entry:
        """Return the metric that chooses epochs; not the loss, whose scale a remedy may change.

        If rare classes are missed, weights of the classes are the remedy, and these trade accuracy for recall.
        """
        default = registry.default("metrics", self.data.spec)
        metric = default if config.score == "loss" else config.find_metric(config.score)
        findings = read_run_facts(folder.path).findings
        change = next((cause for cause in (findings.findings if findings else ()) if cause.change), None)
        is_missed = change is not None and change.check == MISSED_CLASSES
        return registry.find("metrics", RECALL) if is_missed and metric == default else metric


def _is_better(attempt: Attempt, best: Attempt, metric: Entry) -> bool:
    """Return whether an attempt has the better score; one that ended is better than one that broke off."""
    if attempt.score is None or best.score is None:
        return attempt.score is not None
    gain = attempt.score.value - best.score.value
    return gain > 0 if metric.meta.get("higher", True) else gain < 0


def _has_helped(rounds: Sequence[Round]) -> bool:
    """Return whether a run is significantly better than the one without its remedy."""
    return any(round_.outcome == "better" for round_ in rounds)


def _explain_end(rounds: Sequence[Round]) -> Message:
    """Return that several strengths of a remedy did not help."""
    changes = ", ".join(format_settings(round_.change) for round_ in rounds)
    return Message(
        "none of {changes} is shown to help against {check}: the weights of the best epoch are used already, and what "
        "helps is more rows",
        changes=changes,
        check=rounds[0].check,
    )


def _compare(previous: Attempt, attempt: Attempt, remedy: Remedy, metric: Entry) -> Round:
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


def _describe_round(completed: Round, metric: Entry) -> str:
    """Return a round in one line."""
    previous_score, new_score = (
        Message("broke off") if run.score is None else format_number(run.score.value)
        for run in (completed.run_before, completed.run_after)
    )
    change = Message(
        "fix: validation {score} {previous} -> {current}",
        score=score_name(metric.key),
        previous=previous_score,
        current=new_score,
    )
    verdict = VERDICTS[completed.outcome]
    if not completed.difference:
        return Message("{change}: {verdict}", change=change, verdict=verdict)
    difference = score_difference(completed)
    return Message("{change} ({difference}): {verdict}", change=change, difference=difference, verdict=verdict)
