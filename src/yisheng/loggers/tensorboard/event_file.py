"""TensorBoard's event files, written with TensorBoard's own records, which wait in memory until `EventFile.flush`.

torch's ``SummaryWriter`` opens the file four times for each event and writes in another thread, whose errors are lost;
that would slow down a run with thousands of steps a second.
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
HISTOGRAM_BINS = 64
MAX_HISTOGRAM_VALUES = 1_000_000
"""A histogram of a larger tensor uses evenly spaced values of it."""
_TIME_IN_NAME = re.compile(r"(\d{10})(?:\.(\d{6}))?(?!\d)")


class EventFile:
    """One event file in a folder that may hold older ones; readers read them in the order of their names.

    The caller checks that TensorBoard is installed, with `yisheng.loggers.tensorboard.hparams.require_tensorboard`.

    Args:
        folder: created if it does not exist.
        purge: readers drop events of this step and later ones from older files.
        suffix: of the file's name.

    Raises:
        StorageError: the file cannot be created.
    """

    def __init__(self, folder: Path, *, purge: int | None = None, suffix: str = "") -> None:
        self._proto: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
        self._summary: Any = importlib.import_module("torch.utils.tensorboard.summary")
        records: Any = importlib.import_module("tensorboard.summary.writer.record_writer")
        self._waiting = io.BytesIO()
        self._records = records.RecordWriter(self._waiting)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path = folder / f"{_next_name(folder)}{suffix}"
            self._file = self.path.open("xb", buffering=0)  # unbuffered: close() must not repeat a failed write
        except OSError as error:
            raise files.explain_write_error(error, folder) from error
        self._write(file_version="brain.Event:2")
        if purge is not None:
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)
            self._write(step=purge, session_log=start)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each of some curves, by the name of the curve."""
        summary = self._summary.Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=value)
        self.add(summary, step)

    def histogram(self, tag: str, values: torch.Tensor, step: int) -> None:
        """Add a histogram of the finite values of a tensor."""
        flat = values.detach().flatten()
        flat = flat[:: -(-flat.numel() // MAX_HISTOGRAM_VALUES)].float() if flat.numel() else flat.float()
        flat = flat[flat.isfinite()]
        if not flat.numel():
            return
        low, high = (float(end) for end in flat.aminmax())
        if low == high:  # a bin must have a width
            margin = max(abs(low) * 1e-3, 1e-12)
            low, high = low - margin, high + margin
        counts = flat.histc(HISTOGRAM_BINS, low, high).tolist()
        limits = [low + (high - low) * (i + 1) / HISTOGRAM_BINS for i in range(HISTOGRAM_BINS)]
        squares = float(flat.double().square().sum())
        # Readers use the upper limit of the previous bin as the lower limit, so an empty bin precedes the first one.
        limits, counts = [low, *limits], [0.0, *counts]
        total = float(flat.double().sum())
        self.add(self._summary.histogram_raw(tag, low, high, flat.numel(), total, squares, limits, counts), step)

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add an image, uint8 ``(H, W, 3)``."""
        self.add(self._summary.image(tag, pixels, dataformats="HWC"), step)

    def graph(self, definition: bytes) -> None:
        """Add the graph of a network, a serialized ``GraphDef``."""
        self._write(graph_def=definition)

    def add(self, summary: Any, step: int) -> None:
        """Add any summary of TensorBoard."""
        self._write(step=step, summary=summary)

    def flush(self) -> None:
        """Write the waiting events to the file, without forcing them onto the disk, which would take long.

        Raises:
            StorageError: the disk is full.
        """
        content = self._waiting.getbuffer()
        try:
            written = 0
            while written < len(content):
                written += self._file.write(content[written:])
        except OSError as error:
            raise files.explain_write_error(error, self.path) from error
        finally:
            content.release()
            self._waiting.seek(0)
            self._waiting.truncate()

    def close(self) -> None:
        """Write the waiting events and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _write(self, **event: Any) -> None:
        self._records.write(self._proto.Event(wall_time=time.time(), **event).SerializeToString())


def read_events(folder: Path) -> Iterator[Any]:
    """Yield the events of a folder's files in their order; of a truncated file the complete ones."""
    loader: Any = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
    for path in sorted(folder.glob(PATTERN)):
        with contextlib.suppress(Exception):  # a damaged file costs its own curves only
            yield from loader.EventFileLoader(str(path)).Load()


def remove_event_files(folder: Path, suffix: str = "") -> None:
    """Delete a folder's event files with a suffix.

    Raises:
        StorageError: a file cannot be deleted.
    """
    for path in folder.glob(PATTERN + suffix):
        try:
            path.unlink()
        except OSError as error:
            raise files.explain_write_error(error, path) from error


def _next_name(folder: Path) -> str:
    """Return a name with the time in seconds that sorts after all existing ones, even if the clock was set back."""
    stem = PATTERN.removesuffix("*")
    matches = [_TIME_IN_NAME.match(path.name.removeprefix(stem)) for path in folder.glob(PATTERN)]
    latest = max((int(m[1]) * 1_000_000 + int(m[2] or 999_999) for m in matches if m), default=0)
    microseconds = max(time.time_ns() // 1000, latest + 1)
    return f"{stem}{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
