"""Copies of a working copy that a thread makes while the training goes on.

A copy begins with a snapshot: hard links to the files as they are now. A file that is replaced later keeps its content
there, and of one that grows the first bytes are copied. Only the newest snapshot waits; one that was not begun yet is
replaced by it. So a slow network costs the training the time of the links, and the address has fewer checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yisheng.core import cache_folder
from yisheng.core.errors import UsageError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote.working_copies import FileEntry, list_publishable
from yisheng.core.temporary import create_temporary_folder, remove_abandoned


@dataclass(frozen=True)
class Snapshot:
    """The files of a working copy at one time.

    Args:
        folder: that holds them.
        entries: name, size and time of change of each.
    """

    folder: Path
    entries: Sequence[FileEntry]

    def remove(self) -> None:
        """Remove the links; the working copy stays."""
        shutil.rmtree(self.folder, ignore_errors=True)


def take_snapshot(folder: Path) -> Snapshot:
    """Return a snapshot of the files of a run folder that are published.

    Raises:
        StorageError: the cache cannot be written to.
    """
    with cache_folder.explain_write_errors(folder.parent):
        remove_abandoned(folder.parent)
        target = create_temporary_folder(folder.parent)
        entries = []
        for name, size, changed_at in list_publishable(folder):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # an older checkpoint, deleted meanwhile
                _link(folder / name, target / name)
                entries.append((name, size, changed_at))
    return Snapshot(target, entries)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


class Uploads:
    """A thread that copies the newest snapshot of a working copy to its address.

    Args:
        copy: copies the files of a snapshot.
        folder: the working copy.
        address: of the run, for messages.
    """

    def __init__(self, copy: Callable[[Path, Sequence[FileEntry]], None], folder: Path, address: str) -> None:
        self._copy, self._folder, self._address = copy, folder, address
        self._changed = threading.Condition()
        self._pending: Snapshot | None = None
        self._is_copying = self._is_closed = self._is_broken = False
        self._refusal: UsageError | None = None
        self._crash: BaseException | None = None
        self._thread: threading.Thread | None = None

    def submit(self) -> None:
        """Copy the present files as soon as the copy before them is complete.

        Raises:
            UsageError: the copy before was refused, because another process has taken the address over.
            StorageError: the cache cannot be written to.
        """
        self._raise_errors()
        snapshot = take_snapshot(self._folder)
        with self._changed:
            replaced, self._pending = self._pending, snapshot
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="yisheng-upload", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if replaced is not None:
            replaced.remove()

    def finish(self) -> None:
        """Wait for the copy that is being made; one that waits is left to the caller, who copies a newer state.

        Raises:
            UsageError: another process has taken the address over.
        """
        self._cancel_pending()
        with self._changed:
            self._changed.wait_for(lambda: not self._is_copying)
        self._raise_errors()

    def close(self) -> None:
        """Wait for the copy that is being made, and end the thread."""
        self._cancel_pending()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _cancel_pending(self) -> None:
        with self._changed:
            pending, self._pending = self._pending, None
        if pending is not None:
            pending.remove()

    def _raise_errors(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        crash, self._crash = self._crash, None
        if crash is not None:
            raise RuntimeError(f"the copy to {self._address} failed") from crash

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending is not None or self._is_closed)
                snapshot, self._pending = self._pending, None
                if snapshot is None:
                    return
                self._is_copying = True
            try:
                self._copy(snapshot.folder, snapshot.entries)
                self._is_broken = False
            except UsageError as error:
                self._refusal = error
            except YishengError as error:
                self._report(error)
            except BaseException as error:  # raised again in the thread of the training
                self._crash = error
            finally:
                snapshot.remove()
                with self._changed:
                    self._is_copying = False
                    self._changed.notify_all()

    def _report(self, error: YishengError) -> None:
        """Warn about a broken network, once until a copy succeeds again."""
        if not self._is_broken:
            logger.warning(
                Message("{problem}; the training goes on, and is copied with a later checkpoint", problem=error.problem)
            )
        self._is_broken = True
