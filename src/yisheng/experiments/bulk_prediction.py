"""Predict many inputs into a file: they are read, predicted and written piece by piece, and a killed call continues."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO, cast

import numpy as np
from filelock import FileLock, Timeout

from yisheng.core import files, machine, provenance
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.logging import logger, progress_stream
from yisheng.core.messages import Message
from yisheng.core.signals import collect_signals
from yisheng.evaluation.conformal import IntervalBounds
from yisheng.inference.bulk import parquet
from yisheng.inference.bulk.chunk import Chunk, OtherColumnsError, Source, Tally
from yisheng.inference.bulk.partial_output import PartialOutput
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.prediction import Prediction
from yisheng.inference.prediction_file import FORMATS, PredictionTable, format_json_lines
from yisheng.inference.predictor import Predictor

JSON_LINES_SUFFIXES: Final = (".jsonl", ".ndjson")
TEXT_TABLE_SUFFIXES: Final = (".csv", ".tsv")
SUFFIXES: Final = (*TEXT_TABLE_SUFFIXES, *JSON_LINES_SUFFIXES, parquet.SUFFIX)
SECONDS_BEFORE_PROGRESS: Final = 2.0
SECONDS_BETWEEN_LINES: Final = 10.0
"""Seconds between two lines of progress in a log."""


@dataclass(frozen=True)
class PredictionFile:
    """A file of predictions.

    Args:
        path: the file.
        rows: number of inputs, with those that could not be read.
        damaged: number of inputs that could not be read.
        unlike: number of out-of-distribution inputs, if the run has a detector.
        notes: for people.
    """

    path: Path
    rows: int
    damaged: int
    out_of_distribution: int
    notes: tuple[str, ...]


def predict_to_file(
    predictor: Predictor,
    source: Source,
    out: Path,
    *,
    format: str = FORMATS[0],
    force: bool = False,
    excel_safe: bool = False,
    interval: Any = None,
) -> PredictionFile:
    """Predict all inputs of a source into a file.

    While it grows, the file has ``.part`` after its name, next to a small ``.part.json`` with the position. The same
    call continues from there, to the same bytes, since the inputs are always cut at the same places.

    Args:
        predictor: the model.
        source: the inputs.
        out: a file that ends in one of `SUFFIXES`; an old one stays until the new one is complete.
        format: see `yisheng.inference.prediction_file.Form`.
        force: begin again if a part of an earlier call is there.
        excel_safe: write an apostrophe before text that a spreadsheet would take for a formula.
        interval: write the bounds of an interval for each value that contains the true one in this fraction of rows.

    Raises:
        UsageError: model, inputs or format differ from those of the existing part, another process writes this
            file, or the model has no intervals of this level.
        DataError: an input cannot be read; the part is removed.
        StoppedError: a signal came; the part stays.
        StorageError: the file cannot be written; the part stays.
    """
    level = predictor.check_level(interval)
    make_writer = functools.partial(_Writer, predictor, source, out, format, excel_safe=excel_safe, level=level)
    writer = make_writer()
    with _lock(writer.partial), collect_signals() as caught:
        if writer.partial.can_resume and not force:
            writer.resume()
        try:
            try:
                writer.write(caught)
            except OtherColumnsError:
                writer.partial.discard()
                writer = make_writer()
                writer.write(caught)
        except DataError:  # the user will change the inputs, so this part cannot be continued
            writer.partial.discard()
            raise
        writer.finish()
    tally = writer.partial.tally
    return PredictionFile(out, tally.rows, tally.damaged, tally.out_of_distribution, (*source.notes, *tally.describe()))


class _Outputs(NamedTuple):
    """What a model computes for the inputs of a chunk.

    Args:
        values: probabilities ``(n, C)`` or values ``(n, T)``.
        ood_scores: ``(n,)``, or None if the run has no detector.
        bounds: intervals of the values, or None.
    """

    values: np.ndarray
    ood_scores: np.ndarray | None = None
    bounds: IntervalBounds | None = None


class _Writer:
    """The file of predictions while it grows."""

    def __init__(
        self,
        predictor: Predictor,
        source: Source,
        out: Path,
        format: str,
        *,
        excel_safe: bool,
        level: float | None,
    ) -> None:
        self._predictor, self._source, self._out, self._level = predictor, source, out, level
        name = out.name.lower()
        separator = "\t" if name.endswith(".tsv") else ","
        spec = predictor.spec
        self._form = PredictionTable(
            spec,
            source.id_name,
            format,
            has_errors=spec.is_image,
            separator=separator,
            excel_safe=excel_safe,
            has_intervals=level is not None,
        )
        self._as_json = name.endswith(JSON_LINES_SUFFIXES)
        self._as_parquet = name.endswith(parquet.SUFFIX)
        if self._as_parquet:
            parquet.import_pyarrow()
        self._provenance = _describe_provenance(predictor, source, out, format)
        self._provenance["excel_safe"] = str(excel_safe).lower()
        self._provenance["interval"] = "" if level is None else f"{level!r} {predictor.intervals.fingerprint}"
        self.partial = PartialOutput(out)

    def resume(self) -> None:
        """Continue the existing part."""
        self.partial.resume(self._provenance)
        logger.info(
            Message(
                "continuing {path} after its {rows} predictions",
                path=self.partial.path,
                rows=f"{self.partial.tally.rows:,}",
            )
        )

    def write(self, caught: list[int]) -> None:
        """Predict and append the remaining inputs."""
        partial, tally = self.partial, self.partial.tally
        threads = int(partial.provenance.get("threads", self._predictor.count_useful_threads()))
        with (
            machine.use_threads(threads),  # another number would round differently
            partial.open({**self._provenance, "threads": str(threads)}),
            contextlib.closing(cast("Any", self._source.chunks(tally))) as chunks,
        ):
            if not tally.rows and not self._as_json:
                partial.append(self._form.format_header())
            for chunk in _show_progress(chunks, tally, self._source.total):
                rows_before = tally.rows
                tally.count_chunk(chunk)
                outputs = _compute(self._predictor, chunk, self._level)
                if outputs.ood_scores is not None:
                    tally.out_of_distribution += int((outputs.ood_scores > THRESHOLD).sum())
                partial.append(self._format(outputs, chunk, rows_before))
                if caught:
                    partial.write_state()
                    name = signal.Signals(caught[0]).name
                    raise StoppedError(
                        caught[0],
                        Message("stopped by {name} after {rows} predictions", name=name, rows=f"{tally.rows:,}"),
                        Message("repeat the same command to continue"),
                    )

    def finish(self) -> None:
        """Give the file its name; a Parquet file is converted from the part first."""
        if not self._as_parquet:
            self.partial.finish(self._out)
            return
        with files.replace_file(self._out) as temporary:
            parquet.convert_to_parquet(self.partial.path, temporary, self._form)
        self.partial.discard()

    def _format(self, outputs: _Outputs, chunk: Chunk, rows_before: int) -> str:
        """Return the lines of a chunk."""
        form = self._form
        if self._as_json:
            predictions = _build_predictions(self._predictor, outputs, chunk)
            errors = [chunk.errors.get(index) for index in range(len(chunk.names))] if form.has_errors else None
            return format_json_lines(predictions, chunk.names, chunk.ids, errors)
        numbers = range(rows_before + 1, rows_before + len(chunk.names) + 1)
        ids = list(map(str, numbers)) if chunk.ids is None else chunk.ids
        return form.format_rows(outputs.values, ids, chunk.errors, outputs.bounds)


def _describe_provenance(predictor: Predictor, source: Source, out: Path, format: str) -> dict[str, str]:
    """Return what the bytes of the predictions depend on."""
    models = json.dumps([dict(member.description) for member in predictor.artifacts], sort_keys=True)
    return {
        "model": hashlib.sha256(models.encode()).hexdigest(),
        "inputs": source.fingerprint,
        "form": f"{out.suffix.lower()} {format} {source.id_name}",
        "versions": " ".join(f"{name} {version}" for name, version in provenance.versions().items()),
    }


@contextlib.contextmanager
def _lock(partial: PartialOutput) -> Iterator[None]:
    """Keep other processes from writing the same file."""
    path = partial.path.with_name(f"{partial.path.name}.lock")
    lock = FileLock(path, blocking=False)
    try:
        if not path.parent.is_dir():  # the lock would create it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        lock.acquire()
    except Timeout:
        raise UsageError(
            Message("another process writes {path}", path=partial.path), Message("wait for it, or stop it")
        ) from None
    except OSError as error:
        raise files.explain_write_error(error, partial.path) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows cannot remove an open file
            path.unlink()
        lock.release()


def _compute(predictor: Predictor, chunk: Chunk, level: float | None) -> _Outputs:
    """Return the outputs for the inputs of a chunk that could be read."""
    if not len(chunk.x):
        no_values = np.empty((0, len(predictor.spec.classes or predictor.spec.target_names)))
        return _Outputs(no_values, bounds=None if level is None else IntervalBounds(level, no_values, no_values))
    return _Outputs(*predictor.compute(chunk.x, level))


def _build_predictions(predictor: Predictor, outputs: _Outputs, chunk: Chunk) -> list[Prediction | None]:
    """Return a prediction for each input of a chunk, None for those that could not be read."""
    readable = [name for index, name in enumerate(chunk.names) if index not in chunk.errors]
    notes = predictor.describe_ood(chunk.x, outputs.ood_scores)
    if chunk.notes:
        notes = [(*reading, *warning) for reading, warning in zip(chunk.notes, notes, strict=True)]
    predictions = iter(predictor.build_predictions(outputs.values, readable, notes, outputs.ood_scores, outputs.bounds))
    return [None if index in chunk.errors else next(predictions) for index in range(len(chunk.names))]


def _show_progress(chunks: Iterator[Chunk], tally: Tally, total: int | None) -> Iterator[Chunk]:
    """Yield the same chunks, and show the progress once it takes longer than `SECONDS_BEFORE_PROGRESS`."""
    stream = progress_stream()
    if stream is None:
        yield from chunks
    elif stream.isatty():
        yield from _show_bar(chunks, tally, total, stream)
    else:
        yield from _log_progress(chunks, tally, total)


def _show_bar(chunks: Iterator[Chunk], tally: Tally, total: int | None, stream: TextIO) -> Iterator[Chunk]:
    from tqdm import tqdm

    with tqdm(initial=tally.rows, total=total, unit="", delay=SECONDS_BEFORE_PROGRESS, leave=False, file=stream) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk.names))


def _log_progress(chunks: Iterator[Chunk], tally: Tally, total: int | None) -> Iterator[Chunk]:
    next_line = time.monotonic() + SECONDS_BEFORE_PROGRESS
    for chunk in chunks:
        yield chunk
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            of_total = f" of {total:,}" if total else ""
            logger.info(f"{tally.rows:,}{of_total} predicted")
