"""Predicting in bulk: inputs are read, answered and written as streams, and a killed one goes on where it was."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import torch
from filelock import FileLock, Timeout

from yisheng.core import files, machine
from yisheng.core.errors import DataError, StoppedError, UsageError
from yisheng.core.signals import signals
from yisheng.inference.bulk import parquet
from yisheng.inference.bulk.chunk import Chunk, Source, Tally
from yisheng.inference.bulk.partial_output import Partial
from yisheng.inference.ood import LEVEL
from yisheng.inference.prediction_file import Form, json_lines
from yisheng.inference.predictor import Answer, Predictor

LINES = (".jsonl", ".ndjson")
ENDS = (".csv", ".tsv", *LINES, parquet.SUFFIX)
QUIET, PAUSE = 2.0, 10.0
"""Seconds for which no progress is shown, and between two lines of it in a log."""


@dataclass(frozen=True)
class Written:
    """A file of answers.

    Args:
        path: the file.
        rows: inputs, those that could not be read among them.
        damaged: inputs that could not be read.
        unlike: inputs unlike the training data, as far as the run knows.
        notes: what was noticed, for people.
    """

    path: Path
    rows: int
    damaged: int
    unlike: int
    notes: tuple[str, ...]


def answer(
    predictor: Predictor, source: Source, out: Path, *, format: str = "answer", force: bool = False, stream: TextIO
) -> Written:
    """Answer all inputs of a source into a file.

    While it grows it is called ``.part`` behind its name, with a small ``.part.json`` that tells how far it is. The
    same command goes on with these: to the same bytes, since the inputs are cut at the same places.

    Args:
        predictor: the model.
        source: the inputs.
        out: a file ending in one of `ENDS`; an old one stays until the new one is whole.
        format: see `yisheng.inference.prediction_file.Form`.
        force: begin anew where there is a part of an earlier stream.
        stream: where progress and remarks go.

    Raises:
        UsageError: model, inputs or format are others than those of the part that is there, or another process
            writes this file.
        DataError: an input cannot be read; nothing is left behind.
        StoppedError: a signal came; the part stays.
        StorageError: the file cannot be written; the part stays.
    """
    lines = out.name.lower().endswith(LINES)
    separator = "\t" if out.name.lower().endswith(".tsv") else ","
    form = Form(predictor.spec, source.id_name, format, errors=predictor.spec.is_image, separator=separator)
    if out.name.lower().endswith(parquet.SUFFIX):
        parquet.require()
    partial = Partial(out)
    about = _about(predictor, source, out, format)
    with _alone(partial), signals() as caught:
        if partial.begun and not force:
            partial.go_on(about)
            print(f"going on with {partial.path} behind its {partial.tally.rows:,} answers", file=stream, flush=True)
        tally, threads = partial.tally, int(partial.about.get("threads", torch.get_num_threads()))
        try:
            with (
                machine.threads(threads),  # another number would round differently
                partial.growing({**about, "threads": str(threads)}),
                contextlib.closing(cast("Any", source.chunks(tally))) as chunks,
            ):
                if not tally.rows and not lines:
                    partial.append(form.header())
                for chunk in _shown(chunks, tally, source.total, stream):
                    before = tally.rows
                    tally.add(chunk)
                    answers = _answers(predictor, chunk)
                    tally.unlike += sum((one.unlike or 0) > LEVEL for one in answers if one)
                    partial.append(_text(answers, chunk, before, form, lines))
                    if caught:
                        partial.keep()
                        raise StoppedError(
                            caught[0],
                            f"stopped by {signal.Signals(caught[0]).name} after {tally.rows:,} answers",
                            "say the same again to go on",
                        )
        except DataError:  # what is mended is not what it was: there is nothing to go on with
            partial.discard()
            raise
        _finish(partial, out, form)
    return Written(out, tally.rows, tally.damaged, tally.unlike, (*source.notes, *tally.said()))


def _about(predictor: Predictor, source: Source, out: Path, format: str) -> dict[str, str]:
    """What the bytes of the answers depend on."""
    models = json.dumps([dict(one.description) for one in predictor.members], sort_keys=True)
    return {
        "model": hashlib.sha256(models.encode()).hexdigest(),
        "inputs": source.stamp,
        "form": f"{out.suffix.lower()} {format} {source.id_name}",
        "versions": " ".join(f"{name} {version}" for name, version in machine.versions().items()),
    }


@contextlib.contextmanager
def _alone(partial: Partial) -> Iterator[None]:
    """Keep other processes from writing the same file."""
    path = partial.path.with_name(f"{partial.path.name}.lock")
    lock = FileLock(path, blocking=False)
    try:
        if not path.parent.is_dir():  # the lock would make it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        lock.acquire()
    except Timeout:
        raise UsageError(f"another process writes {partial.path}", "wait for it, or stop it") from None
    except OSError as error:
        raise files.storage_error(error, partial.path) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            path.unlink()
        lock.release()


def _answers(predictor: Predictor, chunk: Chunk) -> list[Answer | None]:
    """What is said of each input; None where it could not be read."""
    good = [name for place, name in enumerate(chunk.names) if place not in chunk.errors]
    if not good:
        return [None] * len(chunk.names)
    outputs, unlike = predictor.judge(chunk.x)
    notes = [(*before, *more) for before, more in zip(chunk.notes, predictor.warnings(chunk.x, unlike), strict=True)]
    found = iter(predictor.answers(outputs, good, notes, unlike))
    return [None if place in chunk.errors else next(found) for place in range(len(chunk.names))]


def _text(answers: list[Answer | None], chunk: Chunk, before: int, form: Form, lines: bool) -> str:
    """The lines of a chunk."""
    errors = [chunk.errors.get(place) for place in range(len(chunk.names))]
    if lines:
        return json_lines(answers, chunk.names, chunk.ids, errors if form.errors else None)
    numbered = [str(before + place + 1) for place in range(len(chunk.names))]
    return form.lines(answers, numbered if chunk.ids is None else chunk.ids, errors)


def _shown(chunks: Iterator[Chunk], tally: Tally, total: int | None, stream: TextIO) -> Iterator[Chunk]:
    """The same chunks; how far it is on a stream, once it takes longer than `QUIET`."""
    if stream.isatty():
        from tqdm import tqdm

        with tqdm(initial=tally.rows, total=total, unit="", delay=QUIET, leave=False, file=stream) as bar:
            for chunk in chunks:
                yield chunk
                bar.update(len(chunk.names))
        return
    then = time.monotonic() + QUIET
    for chunk in chunks:
        yield chunk
        if time.monotonic() >= then:
            then = time.monotonic() + PAUSE
            of = f" of {total:,}" if total else ""
            print(f"{tally.rows:,}{of} answered", file=stream, flush=True)


def _finish(partial: Partial, out: Path, form: Form) -> None:
    """Give the file its name; Parquet is written from it first."""
    if not out.name.lower().endswith(parquet.SUFFIX):
        partial.finish(out)
        return
    with files.replacing(out) as temporary:
        parquet.convert(partial.path, temporary, form)
    partial.discard()
