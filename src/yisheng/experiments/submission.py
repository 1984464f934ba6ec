"""Write predictions into a file: a row for each row of a table without targets, or for each image."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yisheng.core.config import Config
from yisheng.core.errors import UsageError, YishengError, suggest
from yisheng.core.logging import hide_messages, logger
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.data import tables
from yisheng.data.tables import files as table_files
from yisheng.data.tables.reading_options import AUTOMATIC, TEXT_KEYS, ReadingOptions
from yisheng.data.tables.shards import SHARD_SUFFIXES, has_glob, list_shards
from yisheng.data.tables.sniff import sniff_layout
from yisheng.experiments.bulk_prediction import SUFFIXES, TEXT_TABLE_SUFFIXES, PredictionFile, predict_to_file
from yisheng.inference.bulk.chunk import Source
from yisheng.inference.bulk.images import ImageFiles
from yisheng.inference.bulk.shard_rows import ShardRows
from yisheng.inference.prediction_file import FORMATS
from yisheng.inference.predictor import Predictor


def submit(
    folder: Path,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    id: str | None = None,
    format: str = FORMATS[0],
    strict: bool = False,
    force: bool = False,
    reading: Mapping[str, Any] | None = None,
    excel_safe: bool = False,
    interval: Any = None,
    cluster: str | None = None,
) -> PredictionFile:
    """Write predictions into a file, piece by piece; see `yisheng.experiments.bulk_prediction.predict_to_file`.

    A model of rows takes a table in one file or several (names, patterns, or a folder of them), and writes the names of
    its rows and the target under the names of their columns. A model of images takes files and folders, and writes
    their paths and why one could not be read. JSON lines hold everything that a prediction holds.

    Args:
        folder: of a run, a cross-validation, or a search.
        inputs: the files of the table, in order, or images and folders of them.
        out: a file that ends in .csv, .tsv, .jsonl or .parquet.
        id: the column with the names of the rows; by default that of the training data, or one found by its name.
        format: one of `FORMATS`: the predicted value, or its probability (of the second class of two, or of each
            class).
        strict: a damaged image is an error, instead of a line with the reason in the file.
        force: begin again if a part of an earlier call is there.
        reading: how a table is read, if not as the training table: ``encoding``, ``decimal``, ``names``, ...
        excel_safe: write an apostrophe before text that a spreadsheet would take for a formula.
        interval: also write the bounds of an interval for each value; see `yisheng.evaluation.conformal`.
        cluster: where to predict; see `yisheng.search.executors.cluster.require_cluster`. None for this process.

    Raises:
        ProcessError: the cluster cannot be reached, or a part was lost there again and again.
        UsageError: the suffix of ``out`` or the number of inputs does not fit, or the existing part is of other
            inputs, another model or another format.
        DataError: an input cannot be read, or a column is missing.
        StorageError: the file cannot be written.
        StoppedError: a signal came; the same call continues.
    """
    paths = [parse_path(path, "an input") for path in inputs]
    tables_of = [list_shards(path) for path in paths]
    _require_output(out, [*inputs, *itertools.chain(*tables_of)], format)
    if excel_safe and not out.name.lower().endswith(TEXT_TABLE_SUFFIXES):
        raise UsageError(
            Message("excel_safe=true is for .csv and .tsv, got out={out}", out=out), Message("leave it out")
        )
    if cluster is not None:
        from yisheng.search.executors.cluster import require_cluster  # imports what trains

        require_cluster(cluster)
    run = RunFolder(folder).model_folder
    predictor = Predictor(run.path)
    if predictor.spec.is_row:
        paths = _list_tables(paths, tables_of)
    source = _open_source(run, predictor.spec, paths, id, ReadingOptions.parse(reading or {}), strict=strict)
    options_of_file: dict[str, Any] = {"format": format, "force": force, "excel_safe": excel_safe, "interval": interval}
    if cluster is None:
        return predict_to_file(predictor, source, out, **options_of_file)
    from yisheng.search.executors.cluster import open_cluster

    with open_cluster(cluster) as opened:
        return predict_to_file(predictor, source, out, **options_of_file, cluster=opened)


def _require_output(out: Path, inputs: Sequence[str | Path], format: str) -> None:
    if format not in FORMATS:
        raise UsageError(
            Message("format must be one of {FORMATS}, got {format}", FORMATS=", ".join(FORMATS), format=f"{format!r}"),
            suggest(format, FORMATS),
        )
    if not out.name.lower().endswith(SUFFIXES):
        raise UsageError(
            Message("predictions are written to {SUFFIXES}, got out={out}", SUFFIXES=", ".join(SUFFIXES), out=out),
            Message("use out=submission.csv"),
        )
    if out.is_dir() or any(os.path.realpath(path) == os.path.realpath(out) for path in inputs):
        reason = Message("a folder") if out.is_dir() else Message("one of the inputs")
        raise UsageError(
            Message("the predictions cannot be written to {out}: it is {reason}", out=out, reason=reason),
            Message("name another file with out="),
        )


def _open_source(
    run: RunFolder, spec: Spec, inputs: Sequence[Path], id: str | None, options: ReadingOptions, *, strict: bool
) -> Source:
    """Return the source of the inputs."""
    if not spec.is_row and options != AUTOMATIC:
        raise UsageError(
            Message("encoding=, decimal= and the like are for the file of a table"), Message("leave them out")
        )
    if spec.is_image:
        if id is not None:
            raise UsageError(
                Message("id={id} is for the rows of a table: images are named by their files", id=id),
                Message("leave it out"),
            )
        return ImageFiles(list(inputs), spec, strict=strict)
    if not spec.is_row:
        raise UsageError(
            Message("out= is for images and tables, the model takes {description}", description=spec.description),
            Message("predict in Python"),
        )
    from yisheng.inference.bulk.rows import open_table  # imports pandas, and every training imports this module

    id = _id_column(run) if id is None else id
    if len(inputs) == 1:
        return open_table(inputs[0], spec, id, options)
    text = "" if options == AUTOMATIC else str(options)
    return ShardRows(inputs, lambda path, id_name: open_table(path, spec, id_name, options), id, text)


def _list_tables(paths: Sequence[Path], tables_of: Sequence[list[Path]]) -> list[Path]:
    """Return the files of tables, with those of folders and patterns in their place.

    Raises:
        UsageError: there is no file, a pattern matches no table, or a file comes twice.
    """
    if not paths:
        raise UsageError(
            Message("out= takes the rows of one table, got {count} files", count=0), Message("give one table")
        )
    listed: list[Path] = []
    for path, tables_there in zip(paths, tables_of, strict=True):
        if has_glob(path) and not tables_there:
            raise UsageError(
                Message("no table file matches {pattern}", pattern=path),
                Message(
                    "put the pattern in quotes, and name files that end in {suffixes}",
                    suffixes=", ".join(SHARD_SUFFIXES),
                ),
            )
        listed += tables_there or [path]
    path, count = collections.Counter(listed).most_common(1)[0]
    if count > 1:
        raise UsageError(
            Message("{path} is given twice: its rows would be predicted twice", path=path),
            Message("leave one of them out"),
        )
    return listed


def predict_test_table(run: RunFolder, config: Config) -> Path | None:
    """Write ``submission.csv`` for the data's test table if it has no targets; return the file, or None.

    If the table cannot be read, a warning is logged: the run is finished anyway.

    Args:
        run: a finished run or cross-validation.
        config: its config; only tables with ``test=`` have something to predict.
    """
    path, test = config.data.options.get("path"), config.data.options.get("test")
    if config.data.name != "table" or not path or not test or config.fold is not None:
        return None
    reading = {key: config.data.options[key] for key in TEXT_KEYS if key in config.data.options}
    table, out = (
        tables.resolve_test_path(parse_path(path, "data"), parse_path(test, "test")),
        run.file(RunFolder.SUBMISSION),
    )
    try:
        spec = Spec.from_json(run.description.get("spec", {}))
        targets = [column.name for column in spec.target_columns] or [spec.target]
        if set(targets) & set(_read_column_names(table, targets, ReadingOptions.parse(reading))):
            return None  # the table has targets: it is the test part
        with hide_messages(progress=False):
            written = submit(run.path, [table], out, reading=reading)
    except YishengError as error:
        values = {"file": RunFolder.SUBMISSION, "problem": error.problem, "remedy": error.remedy}
        logger.warning(Message("warning: no {file}: {problem}; {remedy}", **values))
        return None
    rows = f"{written.rows:,}"
    logger.info(Message("predictions for the {rows} rows of {table}: {path}", rows=rows, table=table.name, path=out))
    return out


def _read_column_names(path: Path, targets: list[str], options: ReadingOptions) -> list[str]:
    if not table_files.is_text(path, options):
        return list(table_files.read_table(path, options).columns)
    return list(sniff_layout(path, options, known_names=targets).names)


def _id_column(run: RunFolder) -> str:
    """Return the column that names the rows, from the config."""
    config = run.cross_validation_config if run.is_cross_validation else run.config
    return str(config.data.options.get("id") or "")
