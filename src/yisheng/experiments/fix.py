"""``train ... fix=true``: apply the doctor's first remedy, train again, and compare.

run -> first finding with a change -> config with it -> run -> scores of the same validation rows -> ...
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from yisheng.core import files, machine, registry, run_folder
from yisheng.core.config import Config
from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.batches import batches
from yisheng.evaluation.paired_difference import difference
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.scores import scores
from yisheng.experiments import load_data
from yisheng.experiments import run as single
from yisheng.experiments.pretrained import pretrained
from yisheng.experiments.remedies import Remedy, remedies
from yisheng.inference import artifact
from yisheng.reporting.fix_schema import FIX, VERDICTS, Fix, Measured, Outcome, Round, Trained, apart, worded
from yisheng.reporting.formatting import number, score_name
from yisheng.reporting.run_page import write as report

ROUNDS = 3
"""Remedies at most: what three do not mend wants a look."""


@dataclass(frozen=True)
class Attempt:
    """A training that came to its end, or broke off.

    Args:
        folder: of the run.
        config: settled.
        predicted: on the validation rows; None where it broke off.
        score: of them.
        error: what broke it off.
    """

    folder: Path
    config: Config
    predicted: Predictions | None = None
    score: Measured | None = None
    error: NonFiniteError | None = None

    def plain(self) -> Trained:
        """As written to the file."""
        return Trained(run=self.folder.name, score=self.score)


def train(config: Config, *, data: Dataset | None = None, out: Path, stream: TextIO = sys.stderr) -> Path:
    """Train; where the doctor has a remedy that the config can say, train again with it. Gives the better run's folder.

    Up to three remedies, one after the other, each with the same seed and the same parts. It ends where the doctor has
    no further remedy, or one did not help. What was done is in ``fix.json`` of the folder that is given.

    Args:
        config: every choice; ``auto`` is settled here.
        data: the data set, where it is not one that the config can name.
        out: folder of runs; each training has a folder of its own.
        stream: where progress and remarks go.

    Raises:
        UsageError: the config has folds, no doctor or no validation part, or a choice does not fit the data.
        StoppedError: a signal came; a checkpoint of the training that it came to was written.
        NonFiniteError: the run broke off, and no remedy mended it.
        StorageError: there is too little space on the disk, or it became full.
    """
    if config.folds is not None:
        raise UsageError(
            f"fix=true mends one run, folds={config.folds} trains a study of many",
            f"mend it with fold=1/{config.folds} or without folds, and train the folds by the config that comes out",
        )
    if config.doctor == "off":
        raise UsageError("fix=true needs the doctor, got doctor=off", "leave one of them out")
    data = load_data.dataset(config) if data is None else data
    split = load_data.split(config, data)
    if not len(split.validation):
        raise UsageError("fix=true compares validation scores, and there is no validation part", "say validation=0.2")
    return _Ward(data, split, out, stream).mend(config)


@dataclass(frozen=True)
class _Ward:
    """What all trainings of one config share."""

    data: Dataset
    split: Split
    out: Path
    stream: TextIO

    def mend(self, config: Config) -> Path:
        """Train, look, mend and compare, up to `ROUNDS` times; gives the best run."""
        best = now = self._trained(config)
        metric, known, rounds = self._metric(now.config), [now.config], list[Round]()
        ended = f"{ROUNDS} remedies were tried, and that is the most"
        for _ in range(ROUNDS):
            found = remedies(now.folder, now.config, self.data, self.split)
            remedy = next((one for one in found if one.config not in known), None)
            if remedy is None:
                ended = "the doctor found nothing" + " more" * bool(rounds) + " that a setting can mend"
                break
            self._say(f"fix: {remedy.finding.check}: {worded(remedy.was)} -> {worded(remedy.change)}")
            try:
                after = self._trained(remedy.config)
            except UsageError as error:
                ended = f"the next remedy ({worded(remedy.change)}) does not fit: {error.problem}"
                break
            rounds.append(_round(now, after, remedy, metric))
            self._say(_told(rounds[-1], metric))
            known.append(after.config)
            if _is_better(after, best, metric):
                best = after
            elif after.error is None or best.error is None:  # of two that broke off neither is better: go on
                ended = "the last remedy did not help"
                break
            now = after
        self._say(f"fix: ended because {ended}; the best run is {best.folder}")
        fix = Fix(score=metric.key, rounds=rounds, best=best.folder.name, ended=ended)
        files.write_json(best.folder / FIX, fix.plain())
        report(best.folder)
        if best.error is not None:
            raise best.error
        return best.folder

    def _trained(self, config: Config) -> Attempt:
        """Train in a new folder, and score the validation rows."""
        model = pretrained(config)[0].settle(self.data.spec, len(self.split.train)).model
        folder = run_folder.create(self.out, self.data.name, model.name)
        error = None
        try:
            single.train(config, data=self.data, out=self.out, folder=folder, stream=self.stream)
        except NonFiniteError as broken:
            error = broken
        finally:
            if not run_folder.is_begun(folder):  # it was refused, and nothing is in there
                with contextlib.suppress(OSError):
                    folder.rmdir()
        settled = run_folder.config(folder).settle(self.data.spec, len(self.split.train))
        if error is not None:
            self._say(f"{folder} broke off: {error.problem}")
            return Attempt(folder, settled, error=error)
        predicted = self._predicted(folder, settled)
        name = self._metric(settled).name
        (score,) = scores(self.data.spec, predicted, [name]).values() or (None,)
        measured = None if score is None else Measured(value=score.value, low=score.low, high=score.high)
        return Attempt(folder, settled, predicted, measured)

    def _predicted(self, folder: Path, config: Config) -> Predictions:
        """What the best weights of a run say of the validation rows."""
        model, device = artifact.load(folder), machine.device(config.device)
        assert isinstance(config.batch, int)  # settled
        part = batches(
            self.data,
            self.split.validation,
            size=config.batch,
            scale=model.scale,
            target_scale=model.target_scale,
            device=device,
            seed=config.seed,
        )
        invert = None if model.target_scale is None else model.target_scale.invert
        return predict(model.model.to(device), part, model.spec, invert)

    def _metric(self, config: Config) -> registry.Entry:
        """The score that chooses epochs; not the loss, which a remedy may put in another scale."""
        if config.score == "loss":
            return registry.default("metrics", self.data.spec)
        return registry.find("metrics", config.score)

    def _say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


def _is_better(one: Attempt, other: Attempt, metric: registry.Entry) -> bool:
    """Whether a run has the better score; one that came to its end is better than one that broke off."""
    if one.score is None or other.score is None:
        return one.score is not None
    gain = one.score.value - other.score.value
    return gain > 0 if metric.meta.get("higher", True) else gain < 0


def _round(before: Attempt, after: Attempt, remedy: Remedy, metric: registry.Entry) -> Round:
    """What a remedy brought."""
    between, outcome = None, _of_ends(before, after)
    if before.predicted is not None and after.predicted is not None:
        found = difference(metric, before.predicted.y, before.predicted.prediction, after.predicted.prediction)
        between = Measured(value=found.value, low=found.low, high=found.high)
        if found.low is not None and found.high is not None and not found.low <= 0 <= found.high:
            outcome = "better" if (found.low > 0) == metric.meta.get("higher", True) else "worse"
    return Round(
        before=before.plain(),
        after=after.plain(),
        check=remedy.finding.check,
        cause=remedy.finding.cause,
        change=dict(remedy.change),
        was=dict(remedy.was),
        difference=between,
        outcome=outcome,
    )


def _of_ends(before: Attempt, after: Attempt) -> Outcome:
    if (before.error is None) == (after.error is None):
        return "unclear"
    return "better" if after.error is None else "worse"


def _told(done: Round, metric: registry.Entry) -> str:
    """A round in one line."""
    before, after = ("broke off" if one.score is None else number(one.score.value) for one in (done.before, done.after))
    verdict = VERDICTS[done.outcome]
    by = f" ({apart(done)})" if done.difference else ""
    return f"fix: validation {score_name(metric.key)} {before} -> {after}{by}: {verdict}"
