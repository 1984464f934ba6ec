"""The unfinished file beside the one that is wanted, and a small file that tells how far it is."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.inference.bulk.chunk import Tally

PAUSE = 1.0
"""Seconds between two times that the state is written: so much is done again after a kill."""


class Partial:
    """A file that grows, and can be gone on with after a kill.

    The text is on the disk before the state that counts on it; what stands behind that is cut off.

    Args:
        out: the file that is wanted; this one is called ``.part`` behind its name, the state ``.part.json``.
    """

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f"{out.name}.part")
        self.state = out.with_name(f"{out.name}.part.json")
        self.tally = Tally()
        self.about: Mapping[str, Any] = {}
        self._file: Any = None
        self._next = 0.0

    @property
    def begun(self) -> bool:
        """Whether there is a state of an earlier stream to go on with."""
        return os.path.lexists(self.state) and self.path.is_file()

    def go_on(self, about: Mapping[str, str]) -> None:
        """Take up the state of an earlier stream.

        Args:
            about: what its answers depend on, by name: each must be as it was.

        Raises:
            UsageError: something changed.
            DataError: the state is damaged.
        """
        anew = "say force=true to begin anew"
        found = files.read_json(self.state)
        try:
            before, size = dict(found["about"]), int(found["bytes"])
            self.tally = Tally.from_json(found["tally"])
            whole = 0 <= size <= self.path.stat().st_size
        except (KeyError, TypeError, ValueError, AttributeError):
            whole = False
        if not whole:
            raise DataError(f"{self.state} does not fit {self.path.name}", anew)
        changed = [name for name in about if before.get(name) != about[name]]
        if changed:
            raise UsageError(
                f"{self.path} was begun with other {' and '.join(changed)}: its answers would not fit those to come",
                f"{anew}, or bring them back",
            )
        self.about = before
        os.truncate(self.path, size)

    @contextlib.contextmanager
    def growing(self, about: Mapping[str, str]) -> Iterator[None]:
        """Open the file to write behind what is there; from the start where nothing was done yet.

        Raises:
            StorageError: it cannot be written.
        """
        self.about = {**about, **self.about}
        try:
            self._file = self.path.open("ab" if self.tally.rows else "wb")
        except OSError as error:
            raise files.storage_error(error, self.path) from error
        self._next = time.monotonic() + PAUSE
        try:
            yield
        finally:
            self._file.close()

    def append(self, text: str) -> None:
        """Write what belongs to the tally as it is now; now and then the state is written, too.

        Raises:
            StorageError: the disk is full.
        """
        try:
            self._file.write(text.encode("utf-8"))
            if time.monotonic() >= self._next:
                self.keep()
        except OSError as error:
            raise files.storage_error(error, self.path) from error

    def keep(self) -> None:
        """Have everything on the disk, and the state that says so."""
        self._file.flush()
        os.fsync(self._file.fileno())
        state = {"about": dict(self.about), "bytes": self._file.tell(), "tally": self.tally.to_json()}
        files.write_json(self.state, state)
        self._next = time.monotonic() + PAUSE

    def discard(self) -> None:
        """Remove both files."""
        for path in (self.path, self.state):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def finish(self, out: Path) -> None:
        """Give the file its name."""
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self.path.replace(out)
        except OSError as error:
            raise files.storage_error(error, out) from error
        self.discard()
