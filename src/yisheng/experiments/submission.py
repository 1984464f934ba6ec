"""Answers in a file: a row for each row of a table whose target is not known, or for each image."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from yisheng.core import files, run_folder
from yisheng.core.config import Config
from yisheng.core.errors import UsageError, YishengError, closest
from yisheng.core.types import Spec
from yisheng.data import tables
from yisheng.data.tables import files as table_files
from yisheng.data.tables.sniff import look
from yisheng.experiments import bulk_prediction
from yisheng.experiments.bulk_prediction import ENDS, Written
from yisheng.experiments.cross_validation import train_folds
from yisheng.inference import artifact
from yisheng.inference.bulk.chunk import Source
from yisheng.inference.bulk.images import Images
from yisheng.inference.ensemble import chosen, is_study
from yisheng.inference.prediction_file import FORMATS
from yisheng.inference.predictor import Predictor

SUBMISSION = "submission.csv"


def submit(
    folder: Path,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    id: str | None = None,
    format: str = "answer",
    strict: bool = False,
    force: bool = False,
    stream: TextIO | None = None,
) -> Written:
    """Write answers into a file, as a stream; see `yisheng.experiments.bulk_prediction.answer`.

    A model of rows takes one table and writes the names of its rows and the target under the names of their columns;
    one of images takes files and folders and writes their paths, and why one could not be read. JSON lines hold all
    that an answer holds.

    Args:
        folder: a run, a study, or a search.
        inputs: the table, or images and folders of them.
        out: a file ending in .csv, .tsv, .jsonl or .parquet.
        id: the column with the names of the rows; that of the training data, else found by its name.
        format: ``answer``, or ``probability`` (of the second class of two, or of each class).
        strict: a damaged image is an error, instead of being told of in the file.
        force: begin anew where a part of an earlier stream is there.
        stream: where progress and remarks go; nowhere without it.

    Raises:
        UsageError: the end of ``out`` or the number of inputs does not fit, or a part that is there is of other
            inputs, another model or another form.
        DataError: an input cannot be read, or a column is missing.
        StorageError: the file cannot be written.
        StoppedError: a signal came; the same again goes on.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be {' or '.join(FORMATS)}, got {format!r}", closest(format, FORMATS))
    if not out.name.lower().endswith(ENDS):
        raise UsageError(f"answers are written to {', '.join(ENDS)}, got out={out}", "say out=submission.csv")
    if out.is_dir() or any(os.path.realpath(path) == os.path.realpath(out) for path in inputs):
        what = "a folder" if out.is_dir() else "one of the inputs"
        raise UsageError(f"the answers cannot be written to {out}: it is {what}", "name another file with out=")
    folder = chosen(folder)
    predictor = Predictor(folder)
    source: Source
    if predictor.spec.is_image and id is not None:
        raise UsageError(f"id={id} is for the rows of a table: images are called by their files", "leave it out")
    if predictor.spec.is_image:
        source = Images([Path(path) for path in inputs], predictor.spec, strict=strict)
    else:
        if len(inputs) != 1:
            raise UsageError(f"out={out} takes the rows of one table, got {len(inputs)} files", "give one table")
        from yisheng.inference.bulk.rows import opened  # imports pandas, and every training imports this module

        source = opened(Path(inputs[0]), predictor.spec, _id(folder) if id is None else id)
    said = io.StringIO() if stream is None else stream
    return bulk_prediction.answer(predictor, source, out, format=format, force=force, stream=said)


def after_training(folder: Path, config: Config, stream: TextIO) -> Path | None:
    """Answer the data's test table into ``submission.csv``, where its target is not known; gives the file.

    Args:
        folder: a finished run or study.
        config: its config; only tables with ``test=`` have something to answer.
        stream: where it is said; also that the table cannot be read any more: the run is finished all the same.
    """
    path, test = config.data.options.get("path"), config.data.options.get("test")
    if not path or not test or config.fold is not None:
        return None
    table, out = tables.beside(Path(path).expanduser(), Path(test)), folder / SUBMISSION
    try:
        targets = _target(folder).split(", ")
        if set(targets) & set(_columns(table, targets)):
            return None  # it is the test part
        written = submit(folder, [table], out)
    except YishengError as error:
        print(f"warning: no {SUBMISSION}: {error.problem}; {error.remedy}", file=stream)
        return None
    print(f"answers for the {written.rows:,} rows of {table.name}: {out}", file=stream)
    return out


def _target(folder: Path) -> str:
    """What a trained run or study predicts."""
    spec = files.read_json(folder / artifact.DESCRIPTION).get("spec", {})
    return Spec.from_json(spec).target


def _columns(path: Path, known: list[str]) -> list[str]:
    """Names of a table's columns."""
    if path.suffix.lower() in table_files.OTHERS:
        return list(table_files.read(path).columns)
    return list(look(path, known=known).names)


def _id(folder: Path) -> str:
    """The column that names the rows, as the config says it."""
    config = train_folds.config_of(folder) if is_study(folder) else run_folder.config(folder)
    return str(config.data.options.get("id") or "")
