"""How far a download is: a bar on a terminal, a line now and then in a log, nothing when it is quick."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from yisheng.data.hub import locations

QUIET = 2.0
"""Seconds for which nothing is shown: most files are there by then."""
PAUSE = 10.0
"""Seconds between two lines in a log."""


class Meter:
    """Counts bytes, and shows them once it takes longer than `QUIET`.

    Args:
        name: what is being read.
        done: bytes that an earlier attempt left.
        total: bytes in all, or None.
    """

    def __init__(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total = name, done, total
        self._next = time.monotonic() + QUIET
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=name,
                initial=done,
                total=total,
                unit="B",
                unit_scale=True,
                delay=QUIET,
                leave=False,
                file=sys.stderr,
            )

    def add(self, count: int) -> None:
        """``count`` more bytes have come."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + PAUSE
            of = f" of {self.total / 1e6:,.1f}" if self.total else ""
            locations.say(f"{self.name}: {self.done / 1e6:,.1f}{of} MB")

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
