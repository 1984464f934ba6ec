"""Contents of the files of a run folder. Each file is read separately: a damaged one does not affect the others."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score
from yisheng.core.scores_file import parse_scores
from yisheng.core.spec import Spec
from yisheng.core.validation_texts import describe_all_invalid
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.evaluation_schema import Best, Evaluation
from yisheng.reporting.findings_schema import Findings
from yisheng.reporting.fix_schema import Fix
from yisheng.reporting.formatting import is_higher_better
from yisheng.reporting.history import History, read_history
from yisheng.reporting.leaderboard_schema import Leaderboard
from yisheng.reporting.scratch_comparison_schema import ScratchComparison

MAX_JSON_BYTES = 64 << 20
T = TypeVar("T")


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
    problems: dict[str, str] = {}
    text = _read_text(folder / RunFolder.CONFIG, problems)
    model = _read_object(folder / RunFolder.MODEL, problems)
    evaluation = _read_object(folder / RunFolder.EVALUATION, problems)
    path = folder.resolve()
    return RunFacts(
        run=f"{path.parent.name}/{path.name}".lstrip("/"),
        config=_parse_config(text, problems),
        config_text=text,
        model=model,
        spec=_validate(RunFolder.MODEL, Spec.from_json, model.get("spec"), problems),
        best=_validate(RunFolder.MODEL, Best.model_validate, model.get("best"), problems),
        history=_read_history(folder, RunFolder.EVENTS, problems),
        scores=_parse_scores(_read_object(folder / RunFolder.SCORES, problems), problems),
        evaluation=_validate(RunFolder.EVALUATION, Evaluation.model_validate, evaluation or None, problems),
        environment=_read_object(folder / RunFolder.ENVIRONMENT, problems),
        findings=_validate(
            RunFolder.FINDINGS,
            Findings.model_validate,
            _read_object(folder / RunFolder.FINDINGS, problems) or None,
            problems,
        ),
        cross_validation=_validate(
            RunFolder.CROSS_VALIDATION,
            CrossValidation.model_validate,
            _read_object(folder / RunFolder.CROSS_VALIDATION, problems) or None,
            problems,
        ),
        scratch_comparison=_validate(
            RunFolder.SCRATCH_COMPARISON,
            ScratchComparison.model_validate,
            _read_object(folder / RunFolder.SCRATCH_COMPARISON, problems) or None,
            problems,
        ),
        library_history=_read_history(folder / RunFolder.LIBRARY, f"{RunFolder.LIBRARY}/{RunFolder.EVENTS}", problems),
        fix=_validate(
            RunFolder.FIX, Fix.model_validate, _read_object(folder / RunFolder.FIX, problems) or None, problems
        ),
        leaderboard=_validate(
            RunFolder.LEADERBOARD,
            Leaderboard.model_validate,
            _read_object(folder / RunFolder.LEADERBOARD, problems) or None,
            problems,
        ),
        file_problems=problems,
    )


def _read_history(folder: Path, file: str, problems: dict[str, str]) -> History:
    """Return the history of a run folder, empty if the log is missing; record problems of the file."""
    try:
        history = read_history(folder)
    except DataError as error:
        problems[file] = error.problem
        return History()
    if history.damaged_lines:
        problems[file] = Message(
            "lines that could not be read and were left out: {count}", count=f"{history.damaged_lines:,}"
        )
    return history


def _validate(file: str, validate: Callable[[Any], T], data: Any, problems: dict[str, str]) -> T | None:
    """Return a validated part of a file, or None if it is missing or damaged; record problems of the file."""
    if data is None:
        return None
    try:
        return validate(data)
    except ValidationError as error:
        problems[file] = describe_all_invalid(error.errors()[:1])
    except DataError as error:
        problems[file] = error.problem
    except (TypeError, ValueError) as error:
        problems[file] = str(error)
    return None


def _read_object(path: Path, problems: dict[str, str]) -> Mapping[str, Any]:
    """Return a JSON object, empty if the file is missing or damaged; record problems of the file."""
    if not path.exists():
        return {}
    try:
        value = files.read_json(path, limit=MAX_JSON_BYTES)
    except DataError as error:
        problems[path.name] = error.problem.replace(str(path), path.name)
        return {}
    if not isinstance(value, dict):
        problems[path.name] = Message("{name} holds {kind}, not an object", name=path.name, kind=type(value).__name__)
        return {}
    return value


def _read_text(path: Path, problems: dict[str, str]) -> str:
    """Return the first MiB of a text file, empty if it is missing; record problems of the file."""
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        problems[path.name] = f"{path.name} cannot be read: {describe_os_error(error)}"
        return ""


def _parse_config(text: str, problems: dict[str, str]) -> Mapping[str, Any]:
    """Return the config, empty if it is not TOML; record problems of the file."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problems[RunFolder.CONFIG] = f"{RunFolder.CONFIG} is not TOML: {error}"
        return {}


def _parse_scores(plain: Mapping[str, Any], problems: dict[str, str]) -> dict[str, dict[str, Score]]:
    """Return the scores; a score without a number is left out and recorded as a problem."""
    scores, unreadable = parse_scores(plain)
    if unreadable:
        problems[RunFolder.SCORES] = f"{RunFolder.SCORES}: {unreadable[-1]}"
    return scores
