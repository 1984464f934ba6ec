"""The folder of a run, a cross-validation or a search: its files, and how they are created, read and written."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from yisheng.core import files, provenance
from yisheng.core.config import Config, ResolvedConfig
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.core.settings import merge_settings, read_settings
from yisheng.core.types import Dataset, Run, Score, Scores, Spec

FORMAT: Final = 2
"""Format of the folder, written into ``model.json``."""
FILES_OF_FORMAT_1: Final = ("recipe.toml", "study.toml", "folds.json", "twin.json", "familiar.safetensors")

CHECKPOINT_COPIES: Final = 14
"""Free space required before training, in copies of the weights: three checkpoints (two kept, one being written) with
weights, best weights and Adam's two moments need 12 copies, the saved model needs one, and one is spare."""
SPARE_BYTES: Final = 16 << 20
MAX_THREADS: Final = 1024
"""A larger recorded number of threads is taken for damage."""

INTACT_COPY: Final = "copy it from an intact run folder, or train again"


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
    CHECKSUMS: Final = "SHA256SUMS"
    SCORES: Final = "scores.json"
    EVALUATION: Final = "evaluation.json"
    FINDINGS: Final = "findings.json"
    FIX: Final = "fix.json"
    HISTORY: Final = "history.csv"
    MISTAKES: Final = "mistakes.json"
    REPORT: Final = "report.html"
    SUBMISSION: Final = "submission.csv"
    TENSORBOARD: Final = "tensorboard"

    SCRATCH_COMPARISON: Final = "scratch_comparison.json"
    LIBRARY: Final = "library"
    """With ``scratch=true``: the library's run of the same config, in the folder of the run from scratch."""

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
    def create(cls, out: Path, data: str, model: str) -> RunFolder:
        """Create the next folder in ``out``, ``0007-data-model``; two processes at once get different numbers.

        Args:
            out: the folder of runs; created if it does not exist.
            data: name of the data set.
            model: name of the model.

        Raises:
            StorageError: the folder cannot be created.
        """
        label = re.sub(r"[^\w.-]+", "-", f"{data}-{model}")
        try:
            out.mkdir(parents=True, exist_ok=True)
            numbers = (int(match[1]) for path in out.iterdir() if (match := re.match(r"(\d{4,})-", path.name)))
            number = 1 + max(numbers, default=0)
            while (path := _claim(out, number, label)) is None:
                number += 1
        except OSError as error:
            raise files.explain_write_error(error, out) from error
        return cls(path)

    @staticmethod
    def require_space(out: Path, model_bytes: int) -> None:
        """Check before training that the checkpoints will fit on the disk.

        Args:
            out: where the run will be written; it need not exist yet.
            model_bytes: bytes of the weights.

        Raises:
            StorageError: there is too little free space.
        """
        import shutil

        existing = out.absolute()
        try:
            while not existing.is_dir() and existing != existing.parent:
                existing = existing.parent
            free = shutil.disk_usage(existing).free
        except OSError as error:
            raise files.explain_write_error(error, out) from error
        required = CHECKPOINT_COPIES * model_bytes + SPARE_BYTES
        if free < required:
            raise StorageError(
                f"{existing} has {free / 2**20:,.1f} MiB of free space, this run needs about "
                f"{required / 2**20:,.1f} MiB",
                "free some space, or write to another folder with out=",
            )

    def file(self, name: str) -> Path:
        """Return the path of one of the folder's files."""
        return self.path / name

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder during the block: two processes that train in one folder would mix their files.

        Raises:
            UsageError: another process holds it.
        """
        from filelock import FileLock, Timeout

        try:
            self.file(self.CHECKPOINT).mkdir(exist_ok=True)
            with FileLock(self.file(self.CHECKPOINT) / "lock", blocking=False):
                yield
        except Timeout:
            raise UsageError(f"another process is training in {self.path}", "wait for it, or stop it") from None

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
                f"the search in {self.path} is not finished: it has no model yet",
                f"continue it: yisheng resume {self.path}",
            )
        return best

    def require_current_format(self) -> None:
        """Refuse a folder that an older version of yisheng wrote.

        Raises:
            DataError: the folder is of format 1.
        """
        if any(_is_file(self.file(name)) for name in FILES_OF_FORMAT_1) or self._model_format() == 1:
            raise DataError(
                f"{self.path} was written by an older version of yisheng (format 1, this version reads {FORMAT})",
                "train again with this version: yisheng train",
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
            reason = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DataError(f"{self.file(self.CONFIG)} is damaged: {reason}", INTACT_COPY) from None

    @property
    def cross_validation_config(self) -> Config:
        """Return the config of a cross-validation.

        Its ``epochs`` and ``batch`` may be ``auto``: then folds of different sizes resolved them differently.

        Raises:
            DataError: this is not a cross-validation, its config is damaged, or an older version wrote it.
        """
        if not self.is_cross_validation:
            raise DataError(
                f"{self.path} is not a cross-validation: it has no {self.CROSS_VALIDATION}",
                "give the path that `yisheng train ... folds=5` printed last",
            )
        config = self._read_config()
        if config.folds is None:
            raise DataError(f"{self.file(self.CONFIG)} is damaged: it has no folds", INTACT_COPY)
        return config

    def _read_config(self) -> Config:
        self.require_current_format()
        path = self.file(self.CONFIG)
        if not os.path.lexists(path):  # False, too, for text that cannot be a path at all
            raise DataError(
                f"{self.path} is not a run folder: it has no {self.CONFIG}",
                "give the path that `yisheng train` printed last",
            )
        try:
            return merge_settings(read_settings(path)).config
        except UsageError as error:  # a config that a training wrote was right
            raise DataError(f"{path} is damaged: {error.problem}", f"{INTACT_COPY} ({error.remedy})") from None

    @property
    def environment(self) -> dict[str, Any]:
        """Return what the run depends on, and whether it is finished (``environment.json``).

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.file(self.ENVIRONMENT)
        environment = files.read_json(path)
        if not isinstance(environment, dict):
            raise DataError(f"{path} is damaged: it is not a JSON object", INTACT_COPY)
        return environment

    @property
    def data_sha256(self) -> str | None:
        """Return the recorded fingerprint of the training data, or None if the record is damaged.

        Raises:
            DataError: ``environment.json`` is missing or damaged.
        """
        data = self.environment.get("data")
        return data.get("sha256") if isinstance(data, Mapping) else None

    @property
    def threads(self) -> int | None:
        """Return the recorded number of compute threads, or None if the record is missing or implausible.

        Raises:
            DataError: ``environment.json`` is missing or damaged.
        """
        threads = self.environment.get("threads")
        return threads if isinstance(threads, int) and 1 <= threads <= MAX_THREADS else None

    def begin(self, config: Config, environment: Mapping[str, Any]) -> None:
        """Write what a training depends on, then its config, after which the folder can be resumed.

        Args:
            config: the resolved config.
            environment: see `describe_environment`.

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

    def require_unchanged(self, data_sha256: str) -> None:
        """Refuse to resume a training on other data or with other code than it began with.

        Args:
            data_sha256: fingerprint of the data as it is now.

        Raises:
            DataError: the data differs, or ``environment.json`` is damaged.
            UsageError: a version or the code differs.
        """

        environment, recorded = self.environment, self.data_sha256
        force = "use force=true to continue anyway"
        if recorded is None:
            raise DataError(
                f"{self.file(self.ENVIRONMENT)} is damaged: it does not describe the data",
                f"copy it from an intact run folder, or {force}",
            )
        if recorded != data_sha256:
            raise DataError(
                "the data is not what it was when the run began (SHA-256 differs)", f"restore the data, or {force}"
            )
        versions = provenance.versions()
        for name in ("yisheng", "torch"):
            if environment.get(name) != versions[name]:
                raise UsageError(
                    f"the run began with {name} {environment.get(name)}, this is {versions[name]}: the result would "
                    "not be exactly the same",
                    f"install that version, or {force}",
                )
        if environment.get("code") != provenance.hash_sources():
            raise UsageError(
                "the sources of yisheng or of a plugin changed since the run began: the result would not be exactly "
                "the same",
                f"restore them, or {force}",
            )

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
            raise DataError(f"{path} is damaged: {problems[0]}", f"write it again: yisheng evaluate {self.path}")
        return scores

    def write_scores(self, scores: Scores) -> None:
        """Write scores by part and name.

        Raises:
            StorageError: the file cannot be written.
        """
        plain = {part: {name: asdict(score) for name, score in by_name.items()} for part, by_name in scores.items()}
        files.write_json(self.file(self.SCORES), plain)

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
                f"the training in {self.path} is not finished: it has no model yet",
                f"continue it: yisheng resume {self.path}",
            )
        description = files.read_json(path)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise DataError(f"{path} is not of format {FORMAT}", "use the version of yisheng that wrote it")
        return description

    def read_run(self) -> Run:
        """Return a finished run or cross-validation as plain data.

        The fold models of a cross-validation have their own transforms and best epochs, so these are empty for it.

        Raises:
            DataError: a file is missing or damaged.
        """
        single = not self.is_cross_validation
        config = self.config if single else self.cross_validation_config
        description, scores = self.description, self.scores
        try:
            return Run(
                path=self.path,
                config=config.to_dict(),
                spec=Spec.from_json(description["spec"]),
                transforms=description["transforms"] if single else {},
                scores=scores,
                best=description["best"] if single else {},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(f"{self.file(self.MODEL)} is damaged: {reason}", INTACT_COPY) from None


def describe_environment(data: Dataset, data_sha256: str, device: object) -> dict[str, Any]:
    """Return what a training that begins now depends on, for ``environment.json``.

    Args:
        data: the data set.
        data_sha256: its fingerprint.
        device: where the training computes.
    """
    return {
        **provenance.describe_environment(),
        "device": str(device),
        "data": {"name": data.name, "rows": len(data), "sha256": data_sha256},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": False,
    }


def parse_scores(plain: Any) -> tuple[dict[str, dict[str, Score]], list[str]]:
    """Return the readable scores of ``scores.json``, and what is wrong with the others.

    >>> parse_scores({"test": {"accuracy": {"value": 0.9}, "f1_macro": {}}})
    ({'test': {'accuracy': Score(value=0.9, low=None, high=None)}}, ['there is no number for test f1_macro'])
    """
    scores: dict[str, dict[str, Score]] = {}
    problems: list[str] = []
    for part, by_name in plain.items() if isinstance(plain, Mapping) else ():
        for name, values in by_name.items() if isinstance(by_name, Mapping) else ():
            try:
                value, low, high = (_number(values.get(key)) for key in ("value", "low", "high"))
            except (AttributeError, TypeError, ValueError, OverflowError):
                value = low = high = None
            if value is None:
                problems.append(f"there is no number for {part} {name}")
            else:
                scores.setdefault(part, {})[name] = Score(value, low, high)
        if not isinstance(by_name, Mapping):
            problems.append(f"{part} is not a JSON object")
    if not isinstance(plain, Mapping):
        problems.append("it is not a JSON object")
    return scores, problems


def _number(value: Any) -> float | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else float(value)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for text that cannot be a path


def _claim(out: Path, number: int, label: str) -> Path | None:
    """Create the folder of a number, or return None if the number is taken under this or another label."""
    lock = out / f".{number:04d}"  # names the number alone, so two processes with different labels collide on it
    try:
        lock.mkdir()
    except FileExistsError:
        return None
    try:
        if any(out.glob(f"{number:04d}-*")):
            return None
        path = out / f"{number:04d}-{label}"
        path.mkdir()
        return path
    finally:
        lock.rmdir()
