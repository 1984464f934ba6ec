"""TensorBoard's event files, written with TensorBoard's own records: what is added waits in memory until `flush`.

torch's ``SummaryWriter`` opens the file anew four times for each event and writes in a thread of its own, whose errors
nobody sees; a run that trains thousands of steps a second would feel it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core import files

if TYPE_CHECKING:
    import numpy as np
    import torch

PATTERN = "events.out.tfevents.*"
BINS = 64
VALUES = 1_000_000
"""Values of a larger tensor that a histogram is made of."""
_MOMENT = re.compile(r"(\d{10})(?:\.(\d{6}))?(?!\d)")


class EventFile:
    """One event file, in a folder where older ones may lie; readers take them in the order of their names.

    Whether TensorBoard is installed is asked before, by `yisheng.loggers.tensorboard.hparams.require`.

    Args:
        folder: made if it is not there.
        purge: readers forget what older files say of this step and later ones.
        suffix: of the file's name.

    Raises:
        StorageError: the file cannot be made.
    """

    def __init__(self, folder: Path, *, purge: int | None = None, suffix: str = "") -> None:
        self._proto: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
        self._summary: Any = importlib.import_module("torch.utils.tensorboard.summary")
        records: Any = importlib.import_module("tensorboard.summary.writer.record_writer")
        self._waiting = io.BytesIO()
        self._records = records.RecordWriter(self._waiting)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path = folder / f"{_next(folder)}{suffix}"
            self._file = self.path.open("xb", buffering=0)  # a failed write must not be tried again by close()
        except OSError as error:
            raise files.storage_error(error, folder) from error
        self._write(file_version="brain.Event:2")
        if purge is not None:
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)
            self._write(step=purge, session_log=start)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Points of curves, by the name of the curve."""
        made = self._summary.Summary()
        for tag, value in values.items():
            made.value.add(tag=tag, simple_value=value)
        self.add(made, step)

    def histogram(self, tag: str, values: torch.Tensor, step: int) -> None:
        """How the values of a tensor are spread; of more than a million, as many with equal steps between them."""
        flat = values.detach().flatten()
        flat = flat[:: -(-flat.numel() // VALUES)].float() if flat.numel() else flat.float()
        flat = flat[flat.isfinite()]
        if not flat.numel():
            return
        low, high = (float(end) for end in flat.aminmax())
        if low == high:  # a bin must have a width
            margin = max(abs(low) * 1e-3, 1e-12)
            low, high = low - margin, high + margin
        counts = flat.histc(BINS, low, high).tolist()
        limits = [low + (high - low) * (i + 1) / BINS for i in range(BINS)]
        squares = float(flat.double().square().sum())
        # Readers take the lower limit of the first bin from a bin before it, which is empty.
        told = (tag, low, high, flat.numel(), float(flat.double().sum()), squares, [low, *limits], [0.0, *counts])
        self.add(self._summary.histogram_raw(*told), step)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """An image, uint8 ``(H, W, 3)``."""
        self.add(self._summary.image(tag, pixels, dataformats="HWC"), step)

    def graph(self, definition: bytes) -> None:
        """The graph of a network, a serialised ``GraphDef``."""
        self._write(graph_def=definition)

    def add(self, summary: Any, step: int) -> None:
        """Any summary of TensorBoard's."""
        self._write(step=step, summary=summary)

    def flush(self) -> None:
        """Hand what waits to the system; it is not forced onto the disk, which would take long.

        Raises:
            StorageError: the disk is full.
        """
        content = self._waiting.getbuffer()
        try:
            written = 0
            while written < len(content):
                written += self._file.write(content[written:])
        except OSError as error:
            raise files.storage_error(error, self.path) from error
        finally:
            content.release()
            self._waiting.seek(0)
            self._waiting.truncate()

    def close(self) -> None:
        """Write what waits and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _write(self, **event: Any) -> None:
        self._records.write(self._proto.Event(wall_time=time.time(), **event).SerializeToString())


def read(folder: Path) -> Iterator[Any]:
    """The events of a folder's files, in their order; a file that is cut off gives what is whole."""
    loader: Any = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
    for path in sorted(folder.glob(PATTERN)):
        with contextlib.suppress(Exception):  # a damaged file costs its own curves only
            yield from loader.EventFileLoader(str(path)).Load()


def remove(folder: Path, suffix: str = "") -> None:
    """Delete a folder's event files whose names end so.

    Raises:
        StorageError: a file cannot be deleted.
    """
    for path in folder.glob(PATTERN + suffix):
        try:
            path.unlink()
        except OSError as error:
            raise files.storage_error(error, path) from error


def _next(folder: Path) -> str:
    """A name that holds the time in seconds, and sorts after all that are there, should the clock be put back."""
    stem = PATTERN.removesuffix("*")
    moments = [_MOMENT.match(path.name.removeprefix(stem)) for path in folder.glob(PATTERN)]
    taken = max((int(m[1]) * 1_000_000 + int(m[2] or 999_999) for m in moments if m), default=0)
    moment = max(time.time_ns() // 1000, taken + 1)
    return f"{stem}{moment // 1_000_000}.{moment % 1_000_000:06d}"
