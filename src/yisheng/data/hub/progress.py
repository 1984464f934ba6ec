"""Progress in bytes: a bar on a terminal, a line now and then in a log, nothing for a quick transfer."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from yisheng.core import cache_folder

QUIET_SECONDS = 2.0
"""Seconds during which nothing is shown: most transfers end earlier."""
LOG_INTERVAL_SECONDS = 10.0
"""Seconds between two lines in a log."""


class ByteProgress:
    """A byte counter that shows a tqdm bar on a terminal, and plain lines elsewhere.

    tqdm redraws one line with carriage returns, and a log file would keep every state of it; hence the lines.

    Args:
        name: what is transferred.
        start: bytes from an earlier attempt.
        total: bytes in all, or None.
    """

    def __init__(self, name: str, start: int, total: int | None) -> None:
        self._name, self._count, self._total = name, start, total
        self._next_line_at = time.monotonic() + QUIET_SECONDS
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            scale: dict[str, Any] = {"initial": start, "total": total, "unit": "B", "unit_scale": True}
            self._bar = tqdm(desc=name, **scale, delay=QUIET_SECONDS, leave=False)

    def update(self, count: int) -> None:
        """Add ``count`` bytes."""
        if self._bar is not None:
            self._bar.update(count)
            return
        self._count += count
        if time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + LOG_INTERVAL_SECONDS
            total = f" of {self._total / 1e6:,.1f}" if self._total else ""
            cache_folder.report(f"{self._name}: {self._count / 1e6:,.1f}{total} MB")

    def __enter__(self) -> ByteProgress:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
