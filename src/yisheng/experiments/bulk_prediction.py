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
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias, cast

from filelock import FileLock, Timeout

from yisheng.core import files, machine, provenance
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.logging import logger, progress_stream
from yisheng.core.messages import Message
from yisheng.core.read_ahead import map_ahead
from yisheng.core.signals import StopSignal, collect_signals, raise_stop_signals
from yisheng.inference.bulk import parquet
from yisheng.inference.bulk.chunk import Chunk, OtherColumnsError, Source, Tally
from yisheng.inference.bulk.partial_output import PartialOutput
from yisheng.inference.bulk.predicted_chunk import ChunkWriter, PredictedChunk
from yisheng.inference.prediction_file import FORMATS, PredictionTable
from yisheng.inference.predictor import Predictor

if TYPE_CHECKING:
    from yisheng.search.executors.cluster import Cluster

JSON_LINES_SUFFIXES: Final = (".jsonl", ".ndjson")
TEXT_TABLE_SUFFIXES: Final = (".csv", ".tsv")
SUFFIXES: Final = (*TEXT_TABLE_SUFFIXES, *JSON_LINES_SUFFIXES, parquet.SUFFIX)
SECONDS_BEFORE_PROGRESS: Final = 2.0
SECONDS_BETWEEN_LINES: Final = 10.0
"""Seconds between two lines of progress in a log."""
Predicted: TypeAlias = tuple[Chunk, PredictedChunk]
"""A chunk of inputs, and its predictions."""


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
    cluster: Cluster | None = None,
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
        cluster: predicts the chunks; None for this process.

    Raises:
        UsageError: model, inputs or format differ from those of the existing part, another process writes this
            file, or the model has no intervals of this level.
        DataError: an input cannot be read; the part is removed.
        StoppedError: a signal came; the part stays.
        StorageError: the file cannot be written; the part stays.
        ProcessError: a chunk was lost on the cluster again and again; the part stays.
    """
    level = predictor.check_level(interval)
    make_writer = functools.partial(
        _StreamWriter, predictor, source, out, format, excel_safe=excel_safe, level=level, cluster=cluster
    )
    writer = make_writer()
    with _lock(writer.partial), collect_signals() as caught:
        if writer.partial.can_resume and not force:
            writer.resume()
        try:
            while True:
                try:
                    writer.write(caught)
                    break
                except OtherColumnsError:  # once for each file: its source has learned the columns
                    writer.partial.discard()
                    writer = make_writer()
        except DataError:  # the user will change the inputs, so this part cannot be continued
            writer.partial.discard()
            raise
        writer.finish()
    tally = writer.partial.tally
    return PredictionFile(out, tally.rows, tally.damaged, tally.out_of_distribution, (*source.notes, *tally.describe()))


class _StreamWriter:
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
        cluster: Cluster | None,
    ) -> None:
        self._predictor, self._source, self._out, self._cluster = predictor, source, out, cluster
        name = out.name.lower()
        separator = "\t" if name.endswith(".tsv") else ","
        spec = predictor.spec
        table = PredictionTable(
            spec,
            source.id_name,
            format,
            has_errors=spec.is_image,
            separator=separator,
            excel_safe=excel_safe,
            has_intervals=level is not None,
        )
        self._writer = ChunkWriter(table, name.endswith(JSON_LINES_SUFFIXES), level)
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
        default = self._predictor.count_useful_threads() if self._cluster is None else 1
        threads = int(partial.provenance.get("threads", default))
        with (
            machine.use_threads(threads),  # another number would round differently
            partial.open({**self._provenance, "threads": str(threads)}),
            contextlib.closing(cast("Any", self._predict(threads))) as predictions,
        ):
            if not tally.rows and not self._writer.as_json:
                partial.append(self._writer.table.format_header())
            for chunk, predicted in _show_progress(predictions, tally, self._source.total):
                tally.count_chunk(chunk)
                tally.out_of_distribution += predicted.out_of_distribution
                partial.append(predicted.text)
                if caught:
                    raise self._stop(caught[0])

    def _stop(self, number: int) -> StoppedError:
        """Write the state, and return the error of a signal."""
        self.partial.write_state()
        name, rows = signal.Signals(number).name, f"{self.partial.tally.rows:,}"
        return StoppedError(
            number,
            Message("stopped by {name} after {rows} predictions", name=name, rows=rows),
            Message("repeat the same command to continue"),
        )

    def _predict(self, threads: int) -> Iterator[Predicted]:
        """Yield the remaining chunks in the order of the inputs, and their predictions."""
        tally = self.partial.tally
        if self._cluster is not None:
            yield from self._predict_on(self._cluster, threads)
            return
        with contextlib.closing(cast("Any", self._source.chunks(tally))) as chunks:
            if self._predictor.spec.is_image:  # two threads decode already, and a further chunk would take much memory
                for chunk in chunks:
                    yield chunk, self._writer.predict(self._predictor, chunk, tally.rows)
                return
            predict = functools.partial(self._predict_numbered, threads)
            predictions = map_ahead(predict, _number_rows(chunks, tally.rows), workers=1)
            with contextlib.closing(cast("Any", predictions)):
                yield from predictions

    def _predict_numbered(self, threads: int, numbered: tuple[int, Chunk]) -> Predicted:
        """Return a chunk with its predictions, in a thread of its own, while the next chunk is read."""
        first_row, chunk = numbered
        with machine.use_threads(threads):  # each thread has its own number
            return chunk, self._writer.predict(self._predictor, chunk, first_row)

    def _predict_on(self, cluster: Cluster, threads: int) -> Iterator[Predicted]:
        """Yield the same as `_predict`; a signal does not wait for the cluster."""
        from yisheng.experiments.bulk_tasks import predict_on_cluster  # imports what trains

        partial, folder = self.partial, self._predictor.folder
        partial.write_state()  # so that what ends before the first chunk is kept
        predictions = predict_on_cluster(
            cluster, folder, self._writer, self._source, partial.tally, partial.early, threads
        )
        while True:
            try:
                with raise_stop_signals():
                    predicted = next(predictions, None)
            except StopSignal as stop:
                raise self._stop(stop.number) from None
            if predicted is None:
                return
            yield predicted

    def finish(self) -> None:
        """Give the file its name; a Parquet file is converted from the part first."""
        if not self._as_parquet:
            self.partial.finish(self._out)
            return
        with files.replace_file(self._out) as temporary:
            parquet.convert_to_parquet(self.partial.path, temporary, self._writer.table)
        self.partial.discard()


def _number_rows(chunks: Iterator[Chunk], first_row: int) -> Iterator[tuple[int, Chunk]]:
    """Yield each chunk with the number of rows before it."""
    for chunk in chunks:
        yield first_row, chunk
        first_row += len(chunk.names)


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


def _show_progress(chunks: Iterator[Predicted], tally: Tally, total: int | None) -> Iterator[Predicted]:
    """Yield the same, and show the progress once it takes longer than `SECONDS_BEFORE_PROGRESS`."""
    stream = progress_stream()
    if stream is None:
        yield from chunks
    elif stream.isatty():
        yield from _show_bar(chunks, tally, total, stream)
    else:
        yield from _log_progress(chunks, tally, total)


def _show_bar(chunks: Iterator[Predicted], tally: Tally, total: int | None, stream: TextIO) -> Iterator[Predicted]:
    from tqdm import tqdm

    with tqdm(initial=tally.rows, total=total, unit="", delay=SECONDS_BEFORE_PROGRESS, leave=False, file=stream) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk[0].names))


def _log_progress(chunks: Iterator[Predicted], tally: Tally, total: int | None) -> Iterator[Predicted]:
    next_line = time.monotonic() + SECONDS_BEFORE_PROGRESS
    for chunk in chunks:
        yield chunk
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            if total:
                logger.info(Message("{count} of {total} predicted", count=f"{tally.rows:,}", total=f"{total:,}"))
            else:
                logger.info(Message("{count} predicted", count=f"{tally.rows:,}"))
