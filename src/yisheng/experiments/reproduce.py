"""``reproduce``: train again by a run's config, and compare weights, events and scores."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from yisheng.core import files, machine
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.messages import Message, translate
from yisheng.core.os_errors import describe_os_error
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.text_tables import format_fact, format_table
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments import complete_run
from yisheng.experiments.load_data import load_dataset

COMPARED_FILES: Final = {"weights": RunFolder.WEIGHTS, "events": RunFolder.EVENTS, "scores": RunFolder.SCORES}
"""What must be the same, and the file that holds it."""
VARYING_KEYS: Final = ("started", "seconds")
"""Keys of ``environment.json`` that differ between any two runs."""


NOTHING_CHANGED = Message(
    "Nothing that the run recorded has changed. On a GPU, sums may be computed in another order each time. A run that\n"
    "was resumed with more epochs began with another schedule. Or its files were changed: `yisheng evaluate RUN`\n"
    "checks the weights against their hash."
)


@dataclass(frozen=True, repr=False)
class Reproduction:
    """The result of training again; it prints as ``yisheng reproduce`` does.

    Args:
        identical: whether weights, events and scores are all the same.
        parts: whether each of them is.
        changed: what the run depends on and differs now: old and new value, by name.

    >>> Reproduction(True, {"weights": True, "events": True, "scores": True}, {})
    the same: weights, events and scores
    """

    identical: bool
    parts: Mapping[str, bool]
    changed: Mapping[str, tuple[Any, Any]]

    def __repr__(self) -> str:
        different = [name for name, is_same in self.parts.items() if not is_same]
        if not different:
            return translate(Message("the same: weights, events and scores"))
        rows = [[name, *map(format_fact, values)] for name, values in self.changed.items()]
        explanation = format_table([["changed", "then", "now"], *rows]) if rows else translate(NOTHING_CHANGED)
        summary = translate(Message("different: {names}", names=", ".join(different)))
        return f"{summary}\n\n{explanation}"


def reproduce(folder: Path, *, force: bool = False, data: Dataset | None = None) -> Reproduction:
    """Train by a run's config into a temporary folder, and compare.

    Compared are the SHA-256 of the weights, the events without their seconds, and the scores. The run itself is only
    read.

    Args:
        folder: a finished run.
        force: train although the data changed.
        data: the data set, if the config cannot name it.

    Raises:
        DataError: this is not a finished run, a file of it is damaged, or its data changed.
        UsageError: this is a cross-validation.
    """
    run = RunFolder(folder)
    if run.is_cross_validation:
        raise UsageError(
            Message("{folder} is a cross-validation of several models", folder=folder),
            Message("reproduce one of them: {path}", path=folder / "fold-01"),
        )
    config, results, environment = run.config, _read_results(run), run.environment
    data = load_dataset(config) if data is None else data
    if run.data_sha256 != fingerprint(data) and not force:
        raise DataError(
            Message(
                "the data is not what it was when the run was trained (SHA-256 differs): the result cannot be the same",
            ),
            Message("restore the data, or use force=true to train on it anyway"),
        )
    with tempfile.TemporaryDirectory(prefix="yisheng-") as temporary:
        try:
            path = complete_run.train(config, data=data, out=Path(temporary), threads=_available_threads(run))
        except StoppedError as error:
            problem = Message("stopped by {name}; the run itself was only read", name=error.signal_name)
            raise StoppedError(error.signal, problem, Message("reproduce it again when there is time")) from None
        new_results, new_environment = _read_results(RunFolder(path)), RunFolder(path).environment
    changed = {
        name: (environment.get(name), value)
        for name, value in new_environment.items()
        if name not in VARYING_KEYS and environment.get(name) != value
    }
    parts = {name: results[name] == new_results[name] for name in COMPARED_FILES}
    return Reproduction(all(parts.values()), parts, changed)


def _available_threads(run: RunFolder) -> int | None:
    """Return the number of threads that a run computed with, or None if this machine has fewer cores."""
    threads = run.threads
    return None if threads is None or threads > max(machine.count_cores(), torch.get_num_threads()) else threads


def _read_results(run: RunFolder) -> dict[str, Any]:
    """Return what is compared of a run."""
    for name in COMPARED_FILES.values():
        if not run.file(name).is_file():
            raise DataError(
                Message("{path} is not a finished run: it has no {name}", path=run.path, name=name),
                Message("finish it: yisheng resume {path}", path=run.path),
            )
    events_path = run.file(RunFolder.EVENTS)
    try:
        with run.file(RunFolder.WEIGHTS).open("rb") as stream:
            weights = hashlib.file_digest(stream, "sha256").hexdigest()
        with events_path.open(encoding="utf-8") as lines:
            events = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=run.path, reason=describe_os_error(error)),
            Message("check the files' permissions"),
        ) from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            Message("{events_path} is damaged: {error}", events_path=events_path, error=error), INTACT_COPY
        ) from None
    return {"weights": weights, "events": events, "scores": files.read_json(run.file(RunFolder.SCORES))}
