"""What the files of a run folder say, each read by itself: a missing or damaged one takes no other with it."""

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
from yisheng.core.run_folder import RunFolder, parse_scores
from yisheng.core.types import Score, Spec
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.evaluation_schema import Best, Evaluation
from yisheng.reporting.findings_schema import Findings
from yisheng.reporting.fix_schema import Fix
from yisheng.reporting.formatting import is_higher_better
from yisheng.reporting.history import History, read_history
from yisheng.reporting.scratch_comparison_schema import ScratchComparison

LIMIT = 64 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class RunFacts:
    """Everything that a report is made from.

    Args:
        run: the run folder as one would type it: its parent's name and its own.
        config: the settled config; empty where it cannot be read.
        config_text: ``config.toml`` as it stands.
        model: ``model.json``; empty for a run that has not ended.
        spec: the contract between data and model, or None.
        best: which epoch's weights are kept, or None.
        history: the log.
        scores: by part and metric.
        evaluation: None before evaluation.
        environment: ``environment.json``.
        findings: what the doctor says; None where he was not there.
        folds: of a study of k folds, what its members reached; None for a single run.
        twin: of a run by hand, how far it lies from the library's; None before that one is trained.
        library: the log of the library's run beside a run by hand.
        fix: of a run that ``fix=true`` gave, what was mended on the way to it; None for any other.
        problems: what is wrong with which file.
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
    library: History = field(default_factory=History)
    fix: Fix | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

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
        """Return the part that the headline is about: ``test``, or ``validation`` if there is no test part."""
        return next((part for part in ("test", "validation") if self.scores.get(part)), "test")

    @property
    def score(self) -> str | None:
        """Return the score that the headline is about: the one that chose the weights, else the first one."""
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
        """Return the epoch whose weights are kept; of an unfinished run the best so far."""
        if self.best:
            return self.best.epoch or None
        best = self.history.best_epoch(self.watched_score, higher=is_higher_better(self.watched_score) is not False)
        return best.epoch if best else None

    @property
    def epochs(self) -> tuple[int, int | None]:
        """Return the number of epochs trained and of epochs requested."""
        requested = self.config.get("epochs")
        return self.history.epochs[-1].epoch if self.history.epochs else 0, requested if isinstance(
            requested, int
        ) else None

    @property
    def is_finished(self) -> bool:
        """Return whether training was finished; only then is the model written."""
        return bool(self.model) or RunFolder.MODEL in self.problems

    def choice_name(self, key: str) -> str:
        """Return the name of one of the config's choices (``data``, ``model``, ...), or "" if it is unknown."""
        value = self.config.get(key, "")
        return str(value.get("name", "") if isinstance(value, Mapping) else value)


def read_run_facts(folder: Path) -> RunFacts:
    """Read the files of a run folder.

    Raises:
        DataError: it is no run folder: none of the files is there.
    """
    RunFolder(folder).require_current_format()
    if not any(
        (folder / name).is_file() for name in (RunFolder.CONFIG, RunFolder.MODEL, RunFolder.EVENTS, RunFolder.SCORES)
    ):
        raise DataError(
            f"{folder} is not a run folder: it has no {RunFolder.CONFIG}", "give the path of a run's folder"
        )
    problems: dict[str, str] = {}
    text = _text(folder / RunFolder.CONFIG, problems)
    model = _object(folder / RunFolder.MODEL, problems)
    log, library = (
        _log(folder, RunFolder.EVENTS, problems),
        _log(folder / RunFolder.LIBRARY, f"{RunFolder.LIBRARY}/{RunFolder.EVENTS}", problems),
    )
    about = _object(folder / RunFolder.EVALUATION, problems)
    location = folder.resolve()
    return RunFacts(
        run=f"{location.parent.name}/{location.name}".lstrip("/"),
        config=_config(text, problems),
        config_text=text,
        model=model,
        spec=_checked(RunFolder.MODEL, Spec.from_json, model.get("spec"), problems),
        best=_checked(RunFolder.MODEL, Best.model_validate, model.get("best"), problems),
        history=log,
        scores=_scores(_object(folder / RunFolder.SCORES, problems), problems),
        evaluation=_checked(RunFolder.EVALUATION, Evaluation.model_validate, about or None, problems),
        environment=_object(folder / RunFolder.ENVIRONMENT, problems),
        findings=_checked(
            RunFolder.FINDINGS,
            Findings.model_validate,
            _object(folder / RunFolder.FINDINGS, problems) or None,
            problems,
        ),
        cross_validation=_checked(
            RunFolder.CROSS_VALIDATION,
            CrossValidation.model_validate,
            _object(folder / RunFolder.CROSS_VALIDATION, problems) or None,
            problems,
        ),
        scratch_comparison=_checked(
            RunFolder.SCRATCH_COMPARISON,
            ScratchComparison.model_validate,
            _object(folder / RunFolder.SCRATCH_COMPARISON, problems) or None,
            problems,
        ),
        library=library,
        fix=_checked(RunFolder.FIX, Fix.model_validate, _object(folder / RunFolder.FIX, problems) or None, problems),
        problems=problems,
    )


def _log(folder: Path, file: str, problems: dict[str, str]) -> History:
    """Return the log of a run folder, empty if it is missing or damaged (which is noted)."""
    try:
        log = read_history(folder)
    except DataError as error:
        problems[file] = error.problem
        return History()
    if log.damaged:
        problems[file] = f"lines that could not be read and were left out: {log.damaged:,}"
    return log


def _checked(file: str, check: Callable[[Any], T], data: Any, problems: dict[str, str]) -> T | None:
    """Return the result of a check on a part of a file, or None if the part is missing or damaged (which is noted)."""
    if data is None:
        return None
    try:
        return check(data)
    except ValidationError as error:
        first = error.errors()[0]
        problems[file] = f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
    except DataError as error:
        problems[file] = error.problem
    except (TypeError, ValueError) as error:
        problems[file] = str(error)
    return None


def _object(path: Path, problems: dict[str, str]) -> Mapping[str, Any]:
    """Return a JSON object, empty if the file is missing or damaged (which is noted)."""
    if not path.exists():
        return {}
    try:
        value = files.read_json(path, limit=LIMIT)
    except DataError as error:
        problems[path.name] = error.problem.replace(str(path), path.name)
        return {}
    if not isinstance(value, dict):
        problems[path.name] = f"{path.name} holds {type(value).__name__}, not an object"
        return {}
    return value


def _text(path: Path, problems: dict[str, str]) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        problems[path.name] = f"{path.name} cannot be read: {error.strerror}"
        return ""


def _config(text: str, problems: dict[str, str]) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problems[RunFolder.CONFIG] = f"{RunFolder.CONFIG} is not TOML: {error}"
        return {}


def _scores(plain: Mapping[str, Any], problems: dict[str, str]) -> dict[str, dict[str, Score]]:
    """Return the scores that can be read; a score without a number is left out and noted."""
    scores, unreadable = parse_scores(plain)
    if unreadable:
        problems[RunFolder.SCORES] = f"{RunFolder.SCORES}: {unreadable[-1]}"
    return scores
