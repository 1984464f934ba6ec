"""Progress in rows: a bar on a terminal, a line now and then in a log, nothing for a quick reading."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from yisheng.core.logging import logger, progress_stream
from yisheng.core.messages import Message, translate

QUIET_SECONDS, LOG_INTERVAL_SECONDS = 2.0, 10.0
"""Seconds during which nothing is shown, and between two lines in a log."""


class RowProgress:
    """A counter of rows.

    Args:
        name: what is read.
        total: number of rows, or None if it is not known.
    """

    def __init__(self, name: str, total: int | None) -> None:
        self._name, self._total, self._count = name, total, 0
        self._start = time.monotonic()
        self._next_line_at = self._start + QUIET_SECONDS
        self._bar: Any = None
        stream = progress_stream()
        self._shows_lines = stream is not None
        if stream is not None and stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=translate(name), total=total, unit=" rows", delay=QUIET_SECONDS, leave=False, file=stream
            )

    def update(self, count: int) -> None:
        """Add ``count`` rows."""
        self._count += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._shows_lines and time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + LOG_INTERVAL_SECONDS
            logger.info(self._describe())

    def _describe(self) -> Message:
        if self._total is None:
            return Message("{name}: {count} rows", name=self._name, count=f"{self._count:,}")
        elapsed = time.monotonic() - self._start
        seconds = elapsed * (self._total - self._count) / max(1, self._count)
        return Message(
            "{name}: {count} of {total} rows, {seconds} s left",
            name=self._name,
            count=f"{self._count:,}",
            total=f"{self._total:,}",
            seconds=f"{seconds:.0f}",
        )

    def __enter__(self) -> RowProgress:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
