"""Answers in a file: a row for each row of a table whose target is not known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from yisheng.core import files
from yisheng.core.errors import UsageError, YishengError, closest
from yisheng.core.recipe import Recipe
from yisheng.core.types import Spec
from yisheng.data import tables
from yisheng.data.tables import files as table_files
from yisheng.data.tables.sniff import look
from yisheng.deploy import saved
from yisheng.deploy.answers import FORMATS, write_submission
from yisheng.deploy.members import chosen, is_study
from yisheng.deploy.predictor import Answer, Predictor
from yisheng.verbs import cross, folders

SUBMISSION = "submission.csv"
LINES = (".jsonl", ".ndjson")
ENDS = (".csv", ".tsv", *LINES)


def submit(
    folder: Path,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    id: str | None = None,
    format: str = "answer",
) -> list[Answer]:
    """Write answers into a file; gives them, with what was noticed.

    A model of rows takes one table and writes the names of its rows and the target under the names of their columns;
    one of pictures writes their files. JSON lines hold all that an answer holds.

    Args:
        folder: a run, a study, or a search.
        inputs: the table, or pictures.
        out: a file ending in .csv, .tsv or .jsonl.
        id: the column with the names of the rows; that of the training data, else found by its name.
        format: ``answer``, or ``probability`` (of the second class of two, or of each class).

    Raises:
        UsageError: the end of ``out`` or the number of inputs does not fit.
        DataError: an input cannot be read, or a column is missing.
        StorageError: the file cannot be written.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be {' or '.join(FORMATS)}, got {format!r}", closest(format, FORMATS))
    if not out.name.lower().endswith(ENDS):
        raise UsageError(f"answers are written to {', '.join(ENDS)}, got out={out}", "say out=submission.csv")
    folder = chosen(folder)
    predictor = Predictor(folder)
    spec = predictor.spec
    ids: tuple[str, ...] | None
    if spec.is_picture:
        answers, name = predictor.predict(list(inputs)), "file"
        ids = tuple(answer.input for answer in answers)
    else:
        if len(inputs) != 1:
            raise UsageError(f"out={out} takes the rows of one table, got {len(inputs)} files", "give one table")
        given = _id(folder) if id is None else id
        answers, read = predictor.table(Path(inputs[0]), given)
        ids, name = read.ids, read.id_name
    if out.suffix.lower() in LINES:
        called = [None] * len(answers) if ids is None else list(ids)
        lines = [
            json.dumps({"id": row, **asdict(answer)}, ensure_ascii=False)
            for row, answer in zip(called, answers, strict=True)
        ]
        files.write(out, "".join(f"{line}\n" for line in lines))
    else:
        names = {"id_name": name, "target_name": spec.target}
        write_submission(out, answers, ids, **names, classes=spec.classes, format=format)  # type: ignore[arg-type]  # one of FORMATS
    return answers


def after_training(folder: Path, recipe: Recipe, stream: TextIO) -> Path | None:
    """Answer the data's test table into ``submission.csv``, where its target is not known; gives the file.

    Args:
        folder: a finished run or study.
        recipe: its recipe; only tables with ``test=`` have something to answer.
        stream: where it is said; also that the table cannot be read any more: the run is finished all the same.
    """
    path, test = recipe.data.options.get("path"), recipe.data.options.get("test")
    if not path or not test or recipe.fold is not None:
        return None
    table, out = tables.beside(Path(path).expanduser(), Path(test)), folder / SUBMISSION
    try:
        targets = _target(folder).split(", ")
        if set(targets) & set(_columns(table, targets)):
            return None  # it is the test part
        answers = submit(folder, [table], out)
    except YishengError as error:
        print(f"warning: no {SUBMISSION}: {error.problem}; {error.remedy}", file=stream)
        return None
    print(f"answers for the {len(answers):,} rows of {table.name}: {out}", file=stream)
    return out


def _target(folder: Path) -> str:
    """What a trained run or study predicts."""
    spec = files.read_json(folder / saved.DESCRIPTION).get("spec", {})
    return Spec.from_json(spec).target


def _columns(path: Path, known: list[str]) -> list[str]:
    """Names of a table's columns."""
    if path.suffix.lower() in table_files.OTHERS:
        return list(table_files.read(path).columns)
    return list(look(path, known=known).names)


def _id(folder: Path) -> str:
    """The column that names the rows, as the recipe says it."""
    recipe = cross.recipe_of(folder) if is_study(folder) else folders.recipe(folder)
    return str(recipe.data.options.get("id") or "")
