"""Where an evaluation on other data is kept: ``evaluations/NAME/``, or an earlier folder of the same content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.run_names import check_run_name, make_label
from yisheng.core.score import Score


def check_name(name: str) -> str:
    """Return the name of an evaluation as the label of its folder.

    Raises:
        UsageError: it cannot be a name.
    """
    try:
        return make_label(check_run_name(name))
    except ValueError as error:
        raise UsageError(
            Message("name must be {rule}, got {name}", rule=error, name=f"{name!r}"),
            Message("use name=hospital-b, for example"),
        ) from None


def choose_folder(run: RunFolder, data_name: str, name: str | None, about: Mapping[str, Any]) -> RunFolder:
    """Return the folder of the evaluation: an earlier one of the same content, or a new one.

    Raises:
        UsageError: the user's name is taken by an evaluation of other content.
    """
    parent = run.file(RunFolder.EVALUATIONS)
    label = name or make_label(data_name) or "data"
    number = 1
    while True:
        folder = RunFolder(parent / (label if number == 1 else f"{label}-{number}"))
        earlier = _read_content(folder)
        if earlier is None or earlier == _content(about):
            return folder
        if name is not None:
            raise UsageError(
                Message("{path} holds an evaluation of other data or of another model", path=folder.path),
                Message("choose another name="),
            )
        number += 1


def _read_content(folder: RunFolder) -> tuple[Any, ...] | None:
    """Return what an earlier evaluation is of; None if there is none, or it cannot be read."""
    if not folder.file(RunFolder.EVALUATION).is_file():
        return None
    try:
        return _content(files.read_json(folder.file(RunFolder.EVALUATION))["other_data"])
    except (DataError, KeyError, TypeError, AttributeError):
        return None


def _content(about: Mapping[str, Any]) -> tuple[Any, ...]:
    data = about["data"]
    return data["sha256"], data["part"], tuple(about["labels"]), tuple(about["model"])


def write_evaluation(
    folder: RunFolder, scores: Mapping[str, Mapping[str, Score]], evaluation: Mapping[str, Any]
) -> None:
    """Write the scores and ``evaluation.json`` into the folder, which is created.

    Raises:
        StorageError: a file cannot be written.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.explain_write_error(error, folder.path) from error
    folder.write_scores(scores)
    files.write_json(folder.file(RunFolder.EVALUATION), evaluation)
