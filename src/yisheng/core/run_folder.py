"""The folder of a run, a cross-validation or a search: its files, and how they are created, read and written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from yisheng.core import files, run_environment
from yisheng.core.config import Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.new_folder import create_numbered_folder
from yisheng.core.registry import UnknownNameError
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.run_state import hold_lock
from yisheng.core.score import Scores
from yisheng.core.scores_file import parse_scores, scores_to_plain
from yisheng.core.settings import merge_settings, read_settings
from yisheng.core.temporary import remove_abandoned
from yisheng.core.validation_texts import describe_all_invalid

FORMAT: Final = 2
"""Format of the folder, written into ``model.json``."""
FILES_OF_FORMAT_1: Final = ("recipe.toml", "study.toml", "folds.json", "twin.json", "familiar.safetensors")

INTACT_COPY: Final = Message("copy it from an intact run folder, or train again")


class RunFolder:
    """The folder of a run, a cross-validation or a search, by the names of its files.

    Args:
        path: the folder; nothing is read or created before a method asks for it.

    >>> RunFolder("runs/0001-digits-lenet").file(RunFolder.SCORES).as_posix()
    'runs/0001-digits-lenet/scores.json'
    """

    CONFIG: Final = "config.toml"
    ENVIRONMENT: Final = "environment.json"
    EVENTS: Final = "events.jsonl"
    CHECKPOINT: Final = "checkpoint"
    WEIGHTS: Final = "model.safetensors"
    MODEL: Final = "model.json"
    OOD: Final = "ood.safetensors"
    PROGRAM: Final = "program.json"
    """The graph of a user's own network; see `yisheng.inference.program`."""
    PROGRAM_TENSORS: Final = "program.safetensors"
    RESIDUALS: Final = "residuals.safetensors"
    """Errors of a regression on held-out rows, for its prediction intervals."""
    CHECKSUMS: Final = "SHA256SUMS"
    SCORES: Final = "scores.json"
    EVALUATION: Final = "evaluation.json"
    EVALUATIONS: Final = "evaluations"
    """Evaluations of the run on other data, a folder each, with files of the same names as the run's own."""
    FINDINGS: Final = "findings.json"
    FIX: Final = "fix.json"
    HISTORY: Final = "history.csv"
    LEADERBOARD: Final = "leaderboard.json"
    """What an ensemble tried."""
    MISTAKES: Final = "mistakes.json"
    REPORT: Final = "report.html"
    SUBMISSION: Final = "submission.csv"
    TENSORBOARD: Final = "tensorboard"
    TRACKER: Final = "tracker.json"
    """Where the run is found in an experiment tracker."""

    SCRATCH_COMPARISON: Final = "scratch_comparison.json"
    LIBRARY: Final = "library"
    """With ``scratch=true``: the library's run of the same config, in the folder of the run from scratch."""

    LR_FIND: Final = "lr_find.json"
    """The result of a learning-rate range test, in a folder of its own, which is not a run."""

    CROSS_VALIDATION: Final = "cv.json"
    """Makes a folder a cross-validation."""
    OUT_OF_FOLD: Final = "out-of-fold.csv"

    SEARCH: Final = "search.toml"
    """Makes a folder a search."""
    TRIALS: Final = "trials.json"
    TRIALS_TABLE: Final = "trials.csv"
    JOBS: Final = "jobs.jsonl"
    BEST: Final = "best"
    """The run of a search's chosen setting, in the folder of the search."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def create(
        cls, out: Path, data: str, model: str, name: str | None = None, *, write: Callable[[RunFolder], None]
    ) -> RunFolder:
        """Create the next folder in ``out``, ``0007-data-model`` or ``0007-name``, complete with its first files.

        Two processes at once get different numbers.

        Args:
            out: the folder of runs; created if it does not exist.
            data: name of the data set.
            model: name of the model.
            name: the user's name for the run.
            write: writes the files without which the folder cannot be resumed.

        Raises:
            StorageError: the folder cannot be created.
        """
        return cls(create_numbered_folder(out, name or f"{data}-{model}", lambda path: write(cls(path))))

    def file(self, name: str) -> Path:
        """Return the path of one of the folder's files."""
        return self.path / name

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder during the block: two processes that train in one folder would mix their files.

        What a killed process left unfinished in it is removed.

        Raises:
            UsageError: another process holds it.
            StorageError: the folder cannot be written to.
        """
        with hold_lock(self.path):
            for folder in (self.path, self.file(self.CHECKPOINT)):
                remove_abandoned(folder)
            yield

    # Kind and state

    @property
    def is_cross_validation(self) -> bool:
        """Return whether the folder is a cross-validation rather than a single run."""
        return _is_file(self.file(self.CROSS_VALIDATION))

    @property
    def is_search(self) -> bool:
        """Return whether the folder is a search rather than a run or a cross-validation."""
        return _is_file(self.file(self.SEARCH))

    @property
    def is_begun(self) -> bool:
        """Return whether all files that `begin` writes are there."""
        return _is_file(self.file(self.ENVIRONMENT)) and _is_file(self.file(self.CONFIG))

    @property
    def is_finished(self) -> bool:
        """Return whether the training came to its end.

        Raises:
            DataError: ``environment.json`` is damaged.
        """
        return _is_file(self.file(self.ENVIRONMENT)) and bool(self.environment.get("finished"))

    @property
    def model_folder(self) -> RunFolder:
        """Return the folder with the model: ``best/`` of a search, else this one.

        Raises:
            DataError: the search is not finished, or an older version wrote the folder.
        """
        self.require_current_format()
        if not self.is_search:
            return self
        best = RunFolder(self.file(self.BEST))
        if not _is_file(best.file(self.MODEL)):
            raise DataError(
                Message("the search in {path} is not finished: it has no model yet", path=self.path),
                Message("continue it: yisheng resume {path}", path=self.path),
            )
        return best

    def require_current_format(self) -> None:
        """Refuse a folder that an older version of yisheng wrote.

        Raises:
            DataError: the folder is of format 1.
        """
        if any(_is_file(self.file(name)) for name in FILES_OF_FORMAT_1) or self._model_format() == 1:
            raise DataError(
                Message(
                    "{path} was written by an older version of yisheng (format 1, this version reads {FORMAT})",
                    path=self.path,
                    FORMAT=FORMAT,
                ),
                Message("train again with this version: yisheng train"),
            )

    def _model_format(self) -> Any:
        """Return the format that ``model.json`` names, or None if that cannot be read: its reader reports why."""
        if not _is_file(self.file(self.MODEL)):
            return None
        try:
            description = files.read_json(self.file(self.MODEL))
        except DataError:
            return None
        return description.get("format") if isinstance(description, dict) else None

    # Config and environment

    @property
    def config(self) -> ResolvedConfig:
        """Return the resolved config of a run.

        Raises:
            DataError: this is not a run folder, its config is damaged, or an older version wrote it.
        """
        from pydantic import ValidationError

        config = self._read_config()
        try:
            return ResolvedConfig(**dict(config))
        except ValidationError as error:
            reason = describe_all_invalid(error.errors())
            raise DataError(
                Message("{CONFIG} is damaged: {reason}", CONFIG=self.file(self.CONFIG), reason=reason), INTACT_COPY
            ) from None

    @property
    def cross_validation_config(self) -> Config:
        """Return the config of a cross-validation.

        Its ``epochs`` and ``batch`` may be ``auto``: then folds of different sizes resolved them differently.

        Raises:
            DataError: this is not a cross-validation, its config is damaged, or an older version wrote it.
        """
        if not self.is_cross_validation:
            raise DataError(
                Message(
                    "{path} is not a cross-validation: it has no {CROSS_VALIDATION}",
                    path=self.path,
                    CROSS_VALIDATION=self.CROSS_VALIDATION,
                ),
                Message("give the path that `yisheng train ... folds=5` printed last"),
            )
        config = self._read_config()
        if config.folds is None:
            raise DataError(Message("{CONFIG} is damaged: it has no folds", CONFIG=self.file(self.CONFIG)), INTACT_COPY)
        return config

    def _read_config(self) -> Config:
        self.require_current_format()
        path = self.file(self.CONFIG)
        if not os.path.lexists(path):  # False, too, for text that cannot be a path at all
            raise DataError(
                Message("{path} is not a run folder: it has no {CONFIG}", path=self.path, CONFIG=self.CONFIG),
                Message("give the path that `yisheng train` printed last"),
            )
        try:
            return merge_settings(read_settings(path, is_generated=True), import_code=False).config
        except UnknownNameError as error:
            record = self.file(self.ENVIRONMENT)
            environment = files.read_json(record) if record.is_file() else None
            raise run_environment.explain_unknown_name(error, self.path, environment) from None
        except UsageError as error:  # a config that a training wrote was right
            raise DataError(
                Message("{path} is damaged: {problem}", path=path, problem=error.problem),
                Message("{INTACT_COPY} ({remedy})", INTACT_COPY=INTACT_COPY, remedy=error.remedy),
            ) from None

    @property
    def environment(self) -> dict[str, Any]:
        """Return what the run depends on, and whether it is finished (``environment.json``).

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.file(self.ENVIRONMENT)
        environment = files.read_json(path)
        if not isinstance(environment, dict):
            raise DataError(Message("{path} is damaged: it is not a JSON object", path=path), INTACT_COPY)
        return environment

    @property
    def data_sha256(self) -> str | None:
        """Return the recorded fingerprint of the training data, or None if the record is damaged.

        Raises:
            DataError: ``environment.json`` is missing or damaged.
        """
        return run_environment.recorded_data_sha256(self.environment)

    @property
    def threads(self) -> int | None:
        """Return the recorded number of compute threads, or None if the record is missing or implausible.

        Raises:
            DataError: ``environment.json`` is missing or damaged.
        """
        return run_environment.recorded_threads(self.environment)

    def begin(self, config: Config, environment: Mapping[str, Any]) -> None:
        """Write what a training depends on, then its config, after which the folder can be resumed.

        Args:
            config: the resolved config.
            environment: see `yisheng.core.run_environment.describe_environment`.

        Raises:
            StorageError: a file cannot be written.
        """
        files.write_json(self.file(self.ENVIRONMENT), environment)
        self.write_config(config)

    def write_config(self, config: Config) -> None:
        """Write ``config.toml``.

        Raises:
            StorageError: the file cannot be written.
        """
        files.write_file(self.file(self.CONFIG), config.to_toml())

    def update_environment(self, **values: Any) -> None:
        """Change values of ``environment.json``, ``finished`` for example.

        Raises:
            DataError: the file is missing or damaged.
            StorageError: the file cannot be written.
        """
        files.write_json(self.file(self.ENVIRONMENT), {**self.environment, **values})

    def require_unchanged(self, data_sha256: str, config: Config) -> None:
        """Refuse to resume a training on other data or with other code than it began with.

        Args:
            data_sha256: fingerprint of the data as it is now.
            config: the config, with the user's own components that were given again.

        Raises:
            DataError: the data differs, or ``environment.json`` is damaged.
            UsageError: a version or the code differs.
        """
        run_environment.require_unchanged(self.environment, data_sha256, config)

    # Scores and model

    @property
    def scores(self) -> Scores:
        """Return the scores by part and name; empty before evaluation.

        Raises:
            DataError: ``scores.json`` is damaged.
        """
        path = self.file(self.SCORES)
        if not path.is_file():
            return {}
        scores, problems = parse_scores(files.read_json(path))
        if problems:
            raise DataError(
                Message("{path} is damaged: {problems}", path=path, problems=problems[0]),
                Message("write it again: yisheng evaluate {path}", path=self.path),
            )
        return scores

    def write_scores(self, scores: Scores) -> None:
        """Write scores by part and name.

        Raises:
            StorageError: the file cannot be written.
        """
        files.write_json(self.file(self.SCORES), scores_to_plain(scores))

    @property
    def description(self) -> dict[str, Any]:
        """Return the contents of ``model.json``.

        Raises:
            DataError: the training is not finished, or the file is damaged or of another format.
        """
        self.require_current_format()
        path = self.file(self.MODEL)
        if not os.path.lexists(path):
            raise DataError(
                Message("the training in {path} is not finished: it has no model yet", path=self.path),
                Message("continue it: yisheng resume {path}", path=self.path),
            )
        description = files.read_json(path)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise DataError(
                Message("{path} is not of format {FORMAT}", path=path, FORMAT=FORMAT),
                Message("use the version of yisheng that wrote it"),
            )
        return description


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for text that cannot be a path
