"""What the files of a run folder say, each read by itself: a missing or damaged one takes no other with it."""

from __future__ import annotations

import math
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.types import Score, Spec
from yisheng.reporting.cv_schema import FOLDS, Folds
from yisheng.reporting.evaluation_schema import Best, Evaluation
from yisheng.reporting.findings_schema import FINDINGS, Findings
from yisheng.reporting.fix_schema import FIX, Fix
from yisheng.reporting.formatting import higher
from yisheng.reporting.history import EVENTS, History, history
from yisheng.reporting.scratch_comparison_schema import LIBRARY, TWIN, Twin

CONFIG, MODEL, SCORES = "config.toml", "model.json", "scores.json"
EVALUATION, ENVIRONMENT = "evaluation.json", "environment.json"
LIMIT = 64 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """All that a report is made from.

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
    folds: Folds | None = None
    twin: Twin | None = None
    library: History = field(default_factory=History)
    fix: Fix | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.run.rpartition("/")[2]

    @property
    def typed(self) -> str:
        """The folder as an argument of a shell command."""
        return shlex.quote(self.run)

    @property
    def part(self) -> str:
        """The part that the headline speaks of: ``test``, or ``validation`` where there is no test part."""
        return next((part for part in ("test", "validation") if self.scores.get(part)), "test")

    @property
    def score(self) -> str | None:
        """The score that the headline speaks of: the one that chose the weights, else the first there is."""
        measured = [name for name in self.scores.get(self.part, {}) if name != "loss"]
        chosen = str(self.config.get("score", "")).replace("-", "_")
        return chosen if chosen in measured else next(iter(measured), None)

    @property
    def watched(self) -> str:
        """The validation score that chooses the best epoch."""
        if self.best:
            return self.best.score
        return str(self.config.get("score", "loss")).replace("-", "_")

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the weights that are kept; of a run that has not ended, the best so far."""
        if self.best:
            return self.best.epoch or None
        found = self.history.best(self.watched, higher=higher(self.watched) is not False)
        return found.epoch if found else None

    @property
    def epochs(self) -> tuple[int, int | None]:
        """Epochs trained, and epochs asked for."""
        asked = self.config.get("epochs")
        return self.history.epochs[-1].epoch if self.history.epochs else 0, asked if isinstance(asked, int) else None

    @property
    def finished(self) -> bool:
        """Whether training came to its end; the model is written only then."""
        return bool(self.model) or MODEL in self.problems

    def choice(self, key: str) -> str:
        """Name of one of the config's choices (``data``, ``model``, ...); empty where it is not known."""
        value = self.config.get(key, "")
        return str(value.get("name", "") if isinstance(value, Mapping) else value)


def read(folder: Path) -> Facts:
    """Read what there is in a run folder.

    Raises:
        DataError: it is no run folder: none of the files is there.
    """
    if not any((folder / name).is_file() for name in (CONFIG, MODEL, EVENTS, SCORES)):
        raise DataError(f"{folder} is not a run folder: it has no {CONFIG}", "give the path of a run's folder")
    problems: dict[str, str] = {}
    text = _text(folder / CONFIG, problems)
    model = _object(folder / MODEL, problems)
    log, library = _log(folder, EVENTS, problems), _log(folder / LIBRARY, f"{LIBRARY}/{EVENTS}", problems)
    about = _object(folder / EVALUATION, problems)
    where = folder.resolve()
    return Facts(
        run=f"{where.parent.name}/{where.name}".lstrip("/"),
        config=_config(text, problems),
        config_text=text,
        model=model,
        spec=_checked(MODEL, Spec.from_json, model.get("spec"), problems),
        best=_checked(MODEL, Best.model_validate, model.get("best"), problems),
        history=log,
        scores=_scores(_object(folder / SCORES, problems), problems),
        evaluation=_checked(EVALUATION, Evaluation.model_validate, about or None, problems),
        environment=_object(folder / ENVIRONMENT, problems),
        findings=_checked(FINDINGS, Findings.model_validate, _object(folder / FINDINGS, problems) or None, problems),
        folds=_checked(FOLDS, Folds.model_validate, _object(folder / FOLDS, problems) or None, problems),
        twin=_checked(TWIN, Twin.model_validate, _object(folder / TWIN, problems) or None, problems),
        library=library,
        fix=_checked(FIX, Fix.model_validate, _object(folder / FIX, problems) or None, problems),
        problems=problems,
    )


def _log(folder: Path, file: str, problems: dict[str, str]) -> History:
    """The log of a run folder; empty where there is none, or it is damaged (which is noted)."""
    try:
        log = history(folder)
    except DataError as error:
        problems[file] = error.problem
        return History()
    if log.damaged:
        problems[file] = f"lines that could not be read and were left out: {log.damaged:,}"
    return log


def _checked(file: str, check: Callable[[Any], T], data: Any, problems: dict[str, str]) -> T | None:
    """What the check makes of a part of a file; None where the part is missing, or damaged (which is noted)."""
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
    """A JSON object; empty where the file is missing, or damaged (which is noted)."""
    if not path.exists():
        return {}
    try:
        found = files.read_json(path, limit=LIMIT)
    except DataError as error:
        problems[path.name] = error.problem.replace(str(path), path.name)
        return {}
    if not isinstance(found, dict):
        problems[path.name] = f"{path.name} holds {type(found).__name__}, not an object"
        return {}
    return found


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
        problems[CONFIG] = f"{CONFIG} is not TOML: {error}"
        return {}


def _scores(found: Mapping[str, Any], problems: dict[str, str]) -> dict[str, dict[str, Score]]:
    """The scores that can be read; a score without a number is left out and noted."""
    scores: dict[str, dict[str, Score]] = {}
    for part, named in found.items():
        for name, values in named.items() if isinstance(named, dict) else ():
            try:
                value, low, high = (_float(values.get(key)) for key in ("value", "low", "high"))
            except (AttributeError, TypeError, ValueError, OverflowError):
                value = low = high = None
            if value is None:
                problems[SCORES] = f"{SCORES} has no number for {part} {name}"
            else:
                scores.setdefault(part, {})[name] = Score(value, low, high)
    return scores


def _float(value: Any) -> float | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else float(value)
