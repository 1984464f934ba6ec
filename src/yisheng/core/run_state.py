"""The state of a run: whether a process is training in its folder, and whether its numbers became non-finite."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from yisheng.core.errors import UsageError
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message

LOCK: Final = "checkpoint/lock"
"""The file in a run folder that a training holds locked."""
RUNNING_SECONDS: Final = 60.0
"""A run counts as running for this long after its last log line, on systems that do not report held locks."""


@contextlib.contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder during the block.

    Raises:
        UsageError: another process holds it.
        StorageError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    path = folder / LOCK
    lock = FileLock(path, blocking=False)
    try:
        path.parent.mkdir(exist_ok=True)
        lock.acquire()
    except Timeout:
        raise explain_running(folder) from None
    except OSError as error:  # Timeout is one of them
        raise explain_write_error(error, path.parent) from error
    try:
        yield
    finally:
        lock.release()


def explain_running(folder: Path) -> UsageError:
    """Return the error of what cannot be done while a process is training in a folder."""
    return UsageError(Message("another process is training in {path}", path=folder), Message("wait for it, or stop it"))


def find_locked_inodes() -> set[int] | None:
    """Return the inodes of the files that any process has locked, or None if the system does not report them.

    Only Linux reports them. Trying to take the lock would make a training fail that starts at that moment.
    """
    if sys.platform != "linux":
        return None
    try:
        lines = Path("/proc/locks").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    files_of_locks = (word.rpartition(":")[2] for line in lines for word in line.split() if word.count(":") == 2)
    return {int(inode) for inode in files_of_locks if inode.isdecimal()}


def is_running(folder: Path, locked_inodes: set[int] | None, log: Path) -> bool:
    """Return whether a process is training in a folder.

    Args:
        folder: the run folder.
        locked_inodes: the result of `find_locked_inodes`.
        log: the file that grows during the training, for systems that do not report held locks.
    """
    try:
        if locked_inodes is None:
            return time.time() - log.stat().st_mtime < RUNNING_SECONDS
        return (folder / LOCK).stat().st_ino in locked_inodes
    except OSError:
        return False


def is_nonfinite(findings: Any) -> bool:
    """Return whether one of the findings of ``findings.json``, or a symptom of one, is a loss that became non-finite.

    >>> is_nonfinite([{"check": "high-learning-rate", "symptoms": [{"check": "non-finite-loss"}]}])
    True
    """
    return isinstance(findings, list) and any(
        isinstance(finding, Mapping)
        and (finding.get("check") == "non-finite-loss" or is_nonfinite(finding.get("symptoms")))
        for finding in findings
    )
