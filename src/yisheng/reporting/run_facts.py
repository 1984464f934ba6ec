"""Contents of the files of a run folder. Each file is read separately: a damaged one does not affect the others."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score
from yisheng.core.scores_file import parse_scores
from yisheng.core.spec import Spec
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.evaluation_schema import Best, Evaluation
from yisheng.reporting.file_reader import FileReader
from yisheng.reporting.findings_schema import Findings
from yisheng.reporting.fix_schema import Fix
from yisheng.reporting.formatting import is_higher_better
from yisheng.reporting.history import History
from yisheng.reporting.leaderboard_schema import Leaderboard
from yisheng.reporting.scratch_comparison_schema import ScratchComparison


@dataclass(frozen=True)
class RunFacts:
    """The contents of a run folder, from which its report is made.

    Args:
        run: the run folder as a relative path: the name of its parent and its own name.
        config: the resolved config; empty if it cannot be read.
        config_text: the text of ``config.toml``.
        model: ``model.json``; empty for an unfinished run.
        spec: the contract between data and model, or None.
        best: the epoch whose weights are used, or None.
        history: the steps and epochs of ``events.jsonl``.
        scores: scores by part and metric.
        evaluation: ``evaluation.json``; None before evaluation.
        environment: ``environment.json``.
        findings: the doctor's findings, or None if ``doctor=off``.
        cross_validation: the fold models of a cross-validation, or None for a single run.
        scratch_comparison: for a from-scratch run, its differences from the library's run; None before that is trained.
        library_history: for a from-scratch run, the history of the library's run.
        fix: for the result of ``fix=true``, the applied remedies; None for other runs.
        leaderboard: what an ensemble tried; None for other models.
        file_problems: for each file that could not be read completely, the reason.
    """

    run: str
    config: Mapping[str, Any] = field(default_factory=dict)
    config_text: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    spec: Spec | None = None
    best: Best | None = None
    history: History = field(default_factory=History)
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    findings: Findings | None = None
    cross_validation: CrossValidation | None = None
    scratch_comparison: ScratchComparison | None = None
    library_history: History = field(default_factory=History)
    fix: Fix | None = None
    leaderboard: Leaderboard | None = None
    file_problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the folder's own name."""
        return self.run.rpartition("/")[2]

    @property
    def shell_path(self) -> str:
        """Return the folder as an argument of a shell command."""
        return shlex.quote(self.run)

    @property
    def part(self) -> str:
        """Return the part that the headline is about: ``test``, or ``validation`` without a test part."""
        return next((part for part in ("test", "validation") if self.scores.get(part)), "test")

    @property
    def score(self) -> str | None:
        """Return the score that the headline is about: the one that chose the weights, or else the first one."""
        measured = [name for name in self.scores.get(self.part, {}) if name != "loss"]
        chosen = str(self.config.get("score", "")).replace("-", "_")
        return chosen if chosen in measured else next(iter(measured), None)

    @property
    def watched_score(self) -> str:
        """Return the validation score that chooses the best epoch."""
        if self.best:
            return self.best.score
        return str(self.config.get("score", "loss")).replace("-", "_")

    @property
    def best_epoch(self) -> int | None:
        """Return the epoch whose weights are used; for an unfinished run, the best so far."""
        if self.best:
            return self.best.epoch or None
        best = self.history.best_epoch(self.watched_score, higher=is_higher_better(self.watched_score) is not False)
        return best.epoch if best else None

    @property
    def epochs(self) -> tuple[int, int | None]:
        """Return the number of epochs trained and of epochs requested."""
        requested = self.config.get("epochs")
        epochs_done = self.history.epochs[-1].epoch if self.history.epochs else 0
        return epochs_done, requested if isinstance(requested, int) else None

    @property
    def is_finished(self) -> bool:
        """Return whether training finished; the model is written only at its end."""
        return bool(self.model) or RunFolder.MODEL in self.file_problems

    def choice_name(self, key: str) -> str:
        """Return the name of one of the config's choices (``data``, ``model``, ...), or "" if it is unknown."""
        value = self.config.get(key, "")
        return str(value.get("name", "") if isinstance(value, Mapping) else value)


def read_run_facts(folder: Path) -> RunFacts:
    """Read the files of a run folder.

    Raises:
        DataError: the folder is not a run folder: none of the files exists.
    """
    RunFolder(folder).require_current_format()
    if not any(
        (folder / name).is_file() for name in (RunFolder.CONFIG, RunFolder.MODEL, RunFolder.EVENTS, RunFolder.SCORES)
    ):
        raise DataError(
            Message("{folder} is not a run folder: it has no {CONFIG}", folder=folder, CONFIG=RunFolder.CONFIG),
            Message("use the path of a run folder, such as runs/0001-digits-mlp"),
        )
    reader = FileReader(folder)
    text = reader.read_text(RunFolder.CONFIG)
    model = reader.read_object(RunFolder.MODEL)
    path = folder.resolve()
    return RunFacts(
        run=f"{path.parent.name}/{path.name}".lstrip("/"),
        config=reader.parse(RunFolder.CONFIG, _parse_config, text) or {},
        config_text=text,
        model=model,
        spec=reader.parse(RunFolder.MODEL, Spec.from_json, model.get("spec")),
        best=reader.parse(RunFolder.MODEL, Best.model_validate, model.get("best")),
        history=reader.read_history(RunFolder.EVENTS),
        scores=_read_scores(reader),
        evaluation=reader.read(RunFolder.EVALUATION, Evaluation.model_validate),
        environment=reader.read_object(RunFolder.ENVIRONMENT),
        findings=reader.read(RunFolder.FINDINGS, Findings.model_validate),
        cross_validation=reader.read(RunFolder.CROSS_VALIDATION, CrossValidation.model_validate),
        scratch_comparison=reader.read(RunFolder.SCRATCH_COMPARISON, ScratchComparison.model_validate),
        library_history=reader.read_history(f"{RunFolder.LIBRARY}/{RunFolder.EVENTS}"),
        fix=reader.read(RunFolder.FIX, Fix.model_validate),
        leaderboard=reader.read(RunFolder.LEADERBOARD, Leaderboard.model_validate),
        file_problems=reader.problems,
    )


def _parse_config(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{RunFolder.CONFIG} is not TOML: {error}") from None


def _read_scores(reader: FileReader) -> dict[str, dict[str, Score]]:
    """Return the scores; a score without a number is left out and recorded as a problem."""
    scores, unreadable = parse_scores(reader.read_object(RunFolder.SCORES))
    if unreadable:
        reader.problems[RunFolder.SCORES] = f"{RunFolder.SCORES}: {unreadable[-1]}"
    return scores
