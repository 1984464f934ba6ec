"""Chunks of a stream as tasks of a cluster: predicted there in any order, joined here in the order of the inputs.

The inputs and the model are sent, so that the machines need no file of this one; only images whose files are large are
read where they are. What was predicted is in the file that grows here, and in the files of chunks that ended before an
earlier one: a lost cluster costs the chunks that ran on it.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yisheng.core import machine
from yisheng.experiments.model_hub.contents import list_model_files
from yisheng.inference.bulk.chunk import Chunk, EncodedChunk, Source, Tally
from yisheng.inference.bulk.kept_chunks import KeptChunks
from yisheng.inference.bulk.predicted_chunk import ChunkWriter, PredictedChunk
from yisheng.inference.predictor import Predictor
from yisheng.search.executors.cluster import Cluster

MAX_CHUNKS_PER_CORE = 2
"""Chunks that are running or wait for an earlier one."""


@dataclass(frozen=True)
class _Model:
    """A model for other processes.

    Args:
        token: a name of it that no other has.
        files: contents by their paths in its folder.
        writer: what its predictions look like.
        threads: of each task.
    """

    token: str
    files: Mapping[str, bytes]
    writer: ChunkWriter
    threads: int


@dataclass(frozen=True)
class _ChunkTask:
    """A chunk to predict, and the number of inputs before it."""

    first_row: int
    chunk: EncodedChunk


def predict_on_cluster(
    cluster: Cluster, folder: Path, writer: ChunkWriter, source: Source, tally: Tally, waiting: KeptChunks, threads: int
) -> Iterator[tuple[Chunk, PredictedChunk]]:
    """Predict the inputs after the first ``tally.rows`` on a cluster.

    Args:
        cluster: where to predict.
        folder: of the model.
        writer: what its predictions look like.
        source: the inputs.
        tally: the position.
        waiting: chunks that ended before an earlier one, of this call and of earlier ones.
        threads: of each task; another number rounds differently.

    Returns:
        Each chunk, without its inputs, and its predictions, in the order of the inputs.

    Raises:
        DataError: an input cannot be read.
        OtherColumnsError: see `Source.chunks`.
        ProcessError: a chunk was lost again and again.
        UsageError: a machine has other versions or code.
    """
    files = {name: path.read_bytes() for name, path in list_model_files(folder).items()}
    queue = _Queue(source.encoded_chunks(tally), tally.rows, waiting)
    for first_row, predicted in cluster.run(_predict, _Model(uuid.uuid4().hex, files, writer, threads), queue.take):
        queue.end(first_row, predicted)
        yield from queue.pop_ended()
    yield from queue.pop_ended()


@dataclass
class _Queue:
    """The chunks that were begun, until it is their turn.

    Args:
        source: the chunks that were not begun.
        next_row: the number of inputs before the next one of them.
        waiting: the files of those that have ended.
    """

    source: Iterator[EncodedChunk]
    next_row: int
    waiting: KeptChunks
    _pending: dict[int, EncodedChunk] = field(default_factory=dict)
    _predicted: dict[int, PredictedChunk] = field(default_factory=dict)
    _sent: set[int] = field(default_factory=set)

    def take(self, cores: int) -> _ChunkTask | None:
        """Return the next chunk to predict; None if there is none, or too many wait for an earlier one."""
        while len(self._sent) <= MAX_CHUNKS_PER_CORE * cores:
            chunk = next(self.source, None)
            if chunk is None:
                return None
            row = self.next_row
            self.next_row += len(chunk.names)
            self._pending[row] = chunk
            if (predicted := self.waiting.find(row)) is None:
                self._sent.add(row)
                return _ChunkTask(row, chunk)
            self._predicted[row] = predicted
        return None

    def end(self, row: int, predicted: PredictedChunk) -> None:
        """Keep the predictions of a chunk."""
        self._predicted[row] = predicted
        if row != min(self._pending):
            self.waiting.keep(row, predicted)

    def pop_ended(self) -> Iterator[tuple[Chunk, PredictedChunk]]:
        """Yield the chunks whose turn it is."""
        while self._pending and (row := min(self._pending)) in self._predicted:
            chunk, predicted = self._pending.pop(row), self._predicted.pop(row)
            self._sent.discard(row)
            yield predicted.describe(chunk), predicted


_loaded: list[tuple[str, Predictor]] = []
"""In a process of the cluster: the latest model by its token."""


def _predict(model: _Model, task: _ChunkTask) -> tuple[int, PredictedChunk]:
    """Predict a chunk in a process of the cluster; return the number of inputs before it, and its predictions."""
    if not _loaded or _loaded[0][0] != model.token:
        _loaded[:] = [(model.token, _load(model))]
    with machine.use_threads(model.threads):
        return task.first_row, model.writer.predict(_loaded[0][1], task.chunk.decode(), task.first_row)


def _load(model: _Model) -> Predictor:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in model.files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        predictor = Predictor(Path(folder))
        predictor.check_level(model.writer.level)  # reads its file
    return predictor
