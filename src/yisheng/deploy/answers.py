"""The answer file: a row for each row of a test table, as competitions ask for it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from yisheng.deploy.predictor import Answer

FORMATS = ("answer", "probability")


def write_submission(
    path: Path,
    answers: Sequence[Answer],
    ids: Sequence[str] | None,
    *,
    id_name: str = "",
    target_name: str = "target",
    classes: Sequence[str] = (),
    format: Literal["answer", "probability"] = "answer",
) -> None:
    """Write answers as CSV (tab-separated where the name ends in .tsv); the old file stays until the new one is whole.

    Args:
        path: the file to write.
        answers: of the predictor, in the order of the rows.
        ids: names of the rows as their file writes them; None numbers them from 1.
        id_name: name of the first column; ``row`` if it is empty.
        target_name: name of the second one; several targets, with commas between them, make several columns.
        classes: of the model, in its order; needed for probabilities.
        format: ``answer`` writes the name of the class as in the training file (labels with spaces between them) or
            the value; ``probability`` that of the second of two classes, or a column for each of more.

    Raises:
        DataError: there are no answers, or not as many as ids.
        UsageError: the format does not fit the model.
        StorageError: the file cannot be written.
    """
    if ids is not None and len(ids) != len(answers):
        raise DataError(f"{len(answers)} answers do not fit {len(ids)} rows", "predict the table that has these rows")
    if not answers:
        raise DataError("there are no answers to write", "give a table with rows")
    names, values = _columns(answers, target_name, classes, format)
    with files.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n")
        writer.writerow([id_name or "row", *names])
        for number, row in enumerate(values):
            writer.writerow([str(number + 1) if ids is None else ids[number], *row])


def _columns(
    answers: Sequence[Answer], target_name: str, classes: Sequence[str], format: str
) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns behind the first, and the values of each row."""
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, got {format!r}", "say format=answer")
    first = answers[0].prediction
    if format == "probability":
        if not classes or not answers[0].probabilities:
            raise UsageError("only a model of classes or labels has probabilities", "say format=answer")
        if len(classes) == 2 and not isinstance(first, list):
            return [target_name], [[_written(answer.probabilities[classes[1]])] for answer in answers]
        return list(classes), [[_written(answer.probabilities[name]) for name in classes] for answer in answers]
    if isinstance(first, list) and answers[0].probabilities:
        return [target_name], [[" ".join(answer.prediction)] for answer in answers]
    if isinstance(first, list):
        names = target_name.split(", ")
        if len(names) != len(first):
            names = [f"{target_name}-{n + 1}" for n in range(len(first))]
        return names, [list(map(_written, answer.prediction)) for answer in answers]
    return [target_name], [[_written(answer.prediction)] for answer in answers]


def _written(value: Any) -> str:
    """A number in as many digits as single precision holds; text as it is."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)
