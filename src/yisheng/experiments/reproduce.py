"""``reproduce``: train again by a run's config, and say whether it came out the same."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from yisheng.core import files, machine, run_folder
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.types import Dataset
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments import load_data
from yisheng.experiments.run import train
from yisheng.inference import artifact
from yisheng.inference.ensemble import is_study

COMPARED = {"weights": artifact.WEIGHTS, "events": run_folder.EVENTS, "scores": run_folder.SCORES}
"""What must come out the same, and the file that holds it."""


@dataclass(frozen=True)
class Reproduction:
    """What training again brought.

    Args:
        same: whether weights, events and scores are all the same.
        parts: whether each of them is.
        changed: what the run depends on and is another now: then and now, by name.
    """

    same: bool
    parts: Mapping[str, bool]
    changed: Mapping[str, tuple[Any, Any]]


def reproduce(
    folder: Path, *, force: bool = False, data: Dataset | None = None, stream: TextIO = sys.stderr
) -> Reproduction:
    """Train by a run's settled config into a temporary folder, and compare.

    Compared are the SHA-256 of the weights, the events but for their seconds, and the scores. The run
    itself is only read.

    Args:
        folder: a finished run.
        force: train although the data changed.
        data: the data set, where the config cannot name it.
        stream: where progress and remarks go.

    Raises:
        DataError: this is no finished run, a file of it is damaged, or its data changed.
    """
    if is_study(folder):
        raise UsageError(f"{folder} is a study of several runs", "reproduce one of them: its fold-01, say")
    config = run_folder.config(folder)
    before = _results(folder)
    then = run_folder.environment(folder)
    data = load_data.dataset(config) if data is None else data
    if run_folder.data_hash(then) != fingerprint(data) and not force:
        raise DataError(
            "the data is not what it was when the run was trained (SHA-256 differs): it cannot come out the same",
            "bring it back, or say force=true to train on it all the same",
        )
    with tempfile.TemporaryDirectory(prefix="yisheng-") as scratch:
        try:
            again = train(config, data=data, out=Path(scratch), threads=_threads(then), stream=stream)
        except StoppedError as error:
            problem = f"stopped by {signal.Signals(error.code - 128).name}; the run itself was only read"
            raise StoppedError(error.code - 128, problem, "reproduce it again when there is time") from None
        after, now = _results(again), files.read_json(again / run_folder.ENVIRONMENT)
    passing = ("started", "seconds")
    changed = {
        name: (then.get(name), value) for name, value in now.items() if name not in passing and then.get(name) != value
    }
    parts = {name: before[name] == after[name] for name in COMPARED}
    return Reproduction(all(parts.values()), parts, changed)


def _threads(environment: Mapping[str, Any]) -> int | None:
    """How many threads a run computed with, where there are as many cores here."""
    found = run_folder.recorded_threads(environment)
    return None if found is None or found > max(machine.cores(), torch.get_num_threads()) else found


def _results(folder: Path) -> dict[str, Any]:
    """What is compared of a run."""
    for name in COMPARED.values():
        if not (folder / name).is_file():
            raise DataError(f"{folder} is not a finished run: it has no {name}", "finish it: yisheng resume RUN")
    try:
        with (folder / artifact.WEIGHTS).open("rb") as stream:
            weights = hashlib.file_digest(stream, "sha256").hexdigest()
        with (folder / run_folder.EVENTS).open(encoding="utf-8") as lines:
            events = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}", "check the files' permissions") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{folder / run_folder.EVENTS} is damaged: {error}", "take the folder from where it was whole"
        ) from None
    return {"weights": weights, "events": events, "scores": files.read_json(folder / run_folder.SCORES)}
