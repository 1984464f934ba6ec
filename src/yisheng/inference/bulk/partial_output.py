"""The unfinished file of a stream, and a small file with the state from which the stream continues."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.kept_chunks import KeptChunks

SECONDS_BETWEEN_STATES = 1.0
"""After a kill, at most this much work is repeated."""
BEGIN_AGAIN = Message("use force=true to begin again")


class PartialOutput:
    """A file that grows, and that a later process can continue.

    The text reaches the disk before the state that counts on it; text after the state's position is cut off.

    Args:
        out: the final file; this one has ``.part`` after its name, and the state ``.part.json``.

    Attributes:
        early: chunks that ended before an earlier one, in the folder with ``.parts`` after the name.
    """

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f"{out.name}.part")
        self.state_path = out.with_name(f"{out.name}.part.json")
        self.early = KeptChunks(out.with_name(f"{out.name}.parts"))
        self.tally = Tally()
        self.provenance: Mapping[str, Any] = {}
        self._file: Any = None
        self._next_state = 0.0

    @property
    def can_resume(self) -> bool:
        """Return whether an earlier stream left a state to continue from."""
        return os.path.lexists(self.state_path) and self.path.is_file()

    def resume(self, provenance: Mapping[str, str]) -> None:
        """Continue from the state of an earlier stream.

        Args:
            provenance: what the predictions depend on, by name; each value must be the same as before.

        Raises:
            UsageError: a value has changed.
            DataError: the state is damaged.
        """
        state = files.read_json(self.state_path)
        try:
            earlier, size = dict(state["provenance"]), int(state["bytes"])
            self.tally = Tally.from_json(state["tally"])
            is_intact = 0 <= size <= self.path.stat().st_size
        except (KeyError, TypeError, ValueError, AttributeError):
            is_intact = False
        if not is_intact:
            raise DataError(
                Message("{state_path} does not fit {name}", state_path=self.state_path, name=self.path.name),
                BEGIN_AGAIN,
            )
        changed = [name for name in provenance if earlier.get(name) != provenance[name]]
        if changed:
            raise UsageError(
                Message(
                    "{path} was begun with other values of {changed}: its predictions would not fit the remaining ones",
                    path=self.path,
                    changed=" and ".join(changed),
                ),
                Message("{BEGIN_AGAIN}, or restore them", BEGIN_AGAIN=BEGIN_AGAIN),
            )
        self.provenance = earlier
        os.truncate(self.path, size)

    @contextlib.contextmanager
    def open(self, provenance: Mapping[str, str]) -> Iterator[None]:
        """Open the file during the block, to append to what is in it, or to begin it.

        Raises:
            StorageError: the file cannot be written.
        """
        if not self.provenance:
            self.early.discard()  # of other inputs, perhaps
        self.provenance = {**provenance, **self.provenance}
        try:
            self._file = self.path.open("ab" if self.tally.rows else "wb")
        except OSError as error:
            raise files.explain_write_error(error, self.path) from error
        self._next_state = time.monotonic() + SECONDS_BETWEEN_STATES
        try:
            yield
        finally:
            try:
                self._file.close()  # writes what is buffered
            except OSError as error:
                raise files.explain_write_error(error, self.path) from error

    def append(self, text: str) -> None:
        """Write the text of the inputs that the tally counts; about once a second, write the state too.

        Raises:
            StorageError: the disk is full.
        """
        try:
            self._file.write(text.encode("utf-8"))
            if time.monotonic() >= self._next_state:
                self.write_state()
        except OSError as error:
            raise files.explain_write_error(error, self.path) from error

    def write_state(self) -> None:
        """Flush the text to the disk, then write the state."""
        self._file.flush()
        os.fsync(self._file.fileno())
        state = {"provenance": dict(self.provenance), "bytes": self._file.tell(), "tally": self.tally.to_json()}
        files.write_json(self.state_path, state)
        self.early.remove_before(self.tally.rows)
        self._next_state = time.monotonic() + SECONDS_BETWEEN_STATES

    def discard(self) -> None:
        """Remove the files."""
        self.early.discard()
        for path in (self.path, self.state_path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def finish(self, out: Path) -> None:
        """Move the file to its final name, and remove the state.

        Raises:
            StorageError: the file cannot be moved.
        """
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self.path.replace(out)
        except OSError as error:
            raise files.explain_write_error(error, out) from error
        self.discard()
